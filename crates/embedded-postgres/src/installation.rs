//! Server binaries: their directories and versions.

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The oldest supported major version.
pub const MAJOR_MIN: u32 = 14;

/// The programs that a directory of server binaries must contain.
const PROGRAMS: [&str; 2] = ["initdb", "postgres"];

/// One set of server binaries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Installation {
    bin_dir: PathBuf,
    library_dirs: Vec<PathBuf>,
    major: u32,
}

impl Installation {
    /// The installation in `bin_dir`, whose programs need the shared libraries in `library_dirs` besides the system's.
    ///
    /// The error is one line: a program is missing or does not run, or the version is too old.
    pub(crate) fn at(bin_dir: &Path, library_dirs: Vec<PathBuf>) -> Result<Self, String> {
        let fault = |what: String| format!("{}: {what}", bin_dir.display());
        if let Some(missing) = PROGRAMS.iter().find(|name| !bin_dir.join(name).is_file()) {
            return Err(fault(format!("no {missing}")));
        }
        let mut installation = Self { bin_dir: bin_dir.into(), library_dirs, major: 0 };
        let mut command = Command::new(installation.program("postgres"));
        installation.add_library_path(&mut command);
        let output = command.arg("--version").output().map_err(|error| fault(error.to_string()))?;
        let text = String::from_utf8_lossy(&output.stdout);
        installation.major = major_version(&text).ok_or_else(|| {
            let errors = String::from_utf8_lossy(&output.stderr);
            fault(format!("postgres --version says {:?}", format!("{text}{errors}").trim()))
        })?;
        if installation.major < MAJOR_MIN {
            return Err(fault(format!("PostgreSQL {}, too old", installation.major)));
        }
        Ok(installation)
    }

    /// The path of one of its programs.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.bin_dir.join(name)
    }

    /// Its major version, such as 17.
    pub(crate) fn major(&self) -> u32 {
        self.major
    }

    /// Sets the library path of a command that runs one of the programs.
    pub(crate) fn add_library_path(&self, command: &mut Command) {
        if self.library_dirs.is_empty() {
            return;
        }
        if let Ok(paths) = env::join_paths(&self.library_dirs) {
            command.env("LD_LIBRARY_PATH", paths);
        }
    }
}

/// Checks `dirs` in order. Returns the installations, and a line for each directory that is none.
pub(crate) fn look_in(dirs: &[PathBuf]) -> (Vec<Installation>, Vec<String>) {
    let mut found = Vec::new();
    let mut faults = Vec::new();
    let mut seen = BTreeSet::new();
    for dir in dirs {
        // Links to the same program count once, such as those in `/usr/local/bin`.
        let postgres = dir.join("postgres");
        if !seen.insert(postgres.canonicalize().unwrap_or(postgres)) {
            continue;
        }
        match Installation::at(dir, Vec::new()) {
            Ok(installation) => found.push(installation),
            Err(fault) => faults.push(fault),
        }
    }
    (found, faults)
}

/// The usual directories of server binaries: `PATH`, `pg_config --bindir`, then those of the distributions.
pub(crate) fn usual_dirs() -> Vec<PathBuf> {
    let on_path = env::var_os("PATH")
        .map(|path| env::split_paths(&path).filter(|dir| dir.join("postgres").is_file()).collect::<Vec<_>>())
        .unwrap_or_default();
    let by_pg_config = Command::new("pg_config")
        .arg("--bindir")
        .output()
        .ok()
        .filter(|output| output.status.success())
        .map(|output| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    let versioned = [
        ("/usr/lib/postgresql", "", "bin"),
        ("/usr/libexec/postgresql", "", ""),
        ("/usr", "pgsql-", "bin"),
        ("/opt/homebrew/opt", "postgresql@", "bin"),
        ("/usr/local/opt", "postgresql@", "bin"),
        ("/Library/PostgreSQL", "", "bin"),
        ("/Applications/Postgres.app/Contents/Versions", "", "bin"),
    ];
    let unversioned = ["/usr/local/pgsql/bin", "/opt/homebrew/bin", "/usr/lib/postgresql/bin", "/usr/bin"];
    on_path
        .into_iter()
        .chain(by_pg_config)
        .chain(versioned.iter().flat_map(|(dir, prefix, rest)| newest_first(Path::new(dir), prefix, rest)))
        .chain(unversioned.iter().map(PathBuf::from))
        .filter(|dir| dir.is_dir())
        .collect()
}

/// The directories `dir/{prefix}N/{rest}`, highest N first.
pub(crate) fn newest_first(dir: &Path, prefix: &str, rest: &str) -> Vec<PathBuf> {
    let mut versions: Vec<u32> = fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.strip_prefix(prefix)?.parse().ok())
        .collect();
    versions.sort_unstable_by(|a, b| b.cmp(a));
    versions.into_iter().map(|version| dir.join(format!("{prefix}{version}")).join(rest)).collect()
}

/// The major version in the output of `postgres --version`: "postgres (PostgreSQL) 15.18 (Debian …)", "… 18beta1".
fn major_version(text: &str) -> Option<u32> {
    let version = text.split("(PostgreSQL) ").nth(1)?;
    let digits: String = version.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn major_version_of_every_form_is_parsed() {
        let debian = "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n";
        assert_eq!(major_version(debian), Some(15));
        assert_eq!(major_version("postgres (PostgreSQL) 18beta1"), Some(18));
        assert_eq!(major_version("postgres (PostgreSQL) 9.6.24"), Some(9));
        assert_eq!(major_version("no such file"), None);
    }
}
