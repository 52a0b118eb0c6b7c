//! Running cargo in a copy.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde::Deserialize;

use crate::Result;

/// How cargo is run in a copy.
#[derive(Debug, Clone, Copy)]
pub struct Cargo<'a> {
    /// The copy.
    pub tree: &'a Path,
    /// Its target directory.
    pub target: &'a Path,
    /// The database that checks its queries.
    pub database_url: &'a str,
}

/// An artifact in the output of cargo.
#[derive(Debug, Deserialize)]
pub struct Artifact {
    /// The package: where it comes from, its name and version.
    #[serde(default)]
    pub package_id: String,
    /// What it was built from.
    pub target: ArtifactTarget,
    /// How it was built.
    pub profile: ArtifactProfile,
    /// Whether it was there already.
    #[serde(default)]
    pub fresh: bool,
    /// The program, if it is one.
    pub executable: Option<PathBuf>,
}

/// A target of a package.
#[derive(Debug, Deserialize)]
pub struct ArtifactTarget {
    /// `bin`, `lib`, `test`, …
    pub kind: Vec<String>,
    /// Its name.
    pub name: String,
}

/// The profile of an artifact.
#[derive(Debug, Deserialize)]
pub struct ArtifactProfile {
    /// Whether it is a test binary.
    pub test: bool,
}

impl Cargo<'_> {
    /// Returns the command with these arguments, without its streams.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command
            .args(arguments)
            .arg("--message-format=json-render-diagnostics")
            .current_dir(self.tree)
            .env("CARGO_TARGET_DIR", self.target)
            .env("DATABASE_URL", self.database_url)
            .env("SQLX_OFFLINE", "false");
        command
    }

    /// Runs cargo. The compiler's messages go to standard error. Returns the artifacts.
    ///
    /// # Errors
    ///
    /// Cargo can't be run, or the copy does not compile.
    pub fn run(&self, arguments: &[&str]) -> Result<Vec<Artifact>> {
        let output = self.command(arguments).arg("--quiet").stderr(Stdio::inherit()).output()?;
        if !output.status.success() {
            return Err("it does not compile".into());
        }
        Ok(Artifact::parse(&String::from_utf8(output.stdout)?))
    }
}

impl Artifact {
    /// Reads the artifacts in the output of cargo. Skips messages of other kinds.
    pub fn parse(output: &str) -> Vec<Self> {
        output.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_artifacts_are_read() {
        let output = r#"{"reason":"build-script-executed","package_id":"a"}
{"reason":"compiler-artifact","target":{"kind":["bin"],"name":"a"},"profile":{"test":false},"fresh":true,"executable":"/x/a"}
{"reason":"build-finished","success":true}"#;
        let artifacts = Artifact::parse(output);
        assert_eq!(artifacts.len(), 1);
        assert!(artifacts[0].fresh && artifacts[0].executable.as_deref() == Some(Path::new("/x/a")));
    }
}
