//! Building the service of an exported tree.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Stdio,
};

use embedded_postgres::Server;
use launcher::clock::Stopwatch;
use sha2::{Digest, Sha256};
use tokio::io::AsyncReadExt;
use worktree::{Artifact, Cargo};

use crate::Result;

/// The arguments of cargo. The optimization level is in `.cargo/config.toml` of the exported tree, so that the user's own builds have it.
const ARGUMENTS: [&str; 5] = ["build", "--release", "--offline", "--bin", "ridematch"];

/// A finished build.
#[derive(Debug, Clone)]
pub struct Built {
    /// The program in the target directory. The next build replaces it.
    pub program: PathBuf,
    /// Seconds that cargo took.
    pub seconds: f64,
    /// Packages of a registry that were compiled; empty when the target directory had them.
    pub dependencies: Vec<String>,
    /// Identifies the migrations.
    pub schema: String,
}

/// Why there is no program.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The tree does not compile. The text is the compiler's.
    #[error("the tree does not compile")]
    DoesNotCompile(String),
    /// The migrations do not apply to an empty database.
    #[error("the migrations do not apply to an empty database: {0}")]
    Migrations(String),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

/// Builds the service. Its queries are checked against a database with the migrations of the tree.
///
/// # Errors
///
/// [`BuildError`].
pub async fn build(tree: &Path, target: &Path, server: &Server) -> std::result::Result<Built, BuildError> {
    let other = |error: &dyn std::fmt::Display| BuildError::Other(error.to_string());
    let migrations = tree.join("migrations");
    let schema = digest_of_folder(&migrations).map_err(|error| other(&format!("{}: {error}", migrations.display())))?;
    let database = format!("checked_{schema}");
    worktree::migrated_database(server, &database, &migrations)
        .await
        .map_err(|error| BuildError::Migrations(error.to_string()))?;
    touch_if_changed(tree, target, &schema).map_err(|error| other(&error))?;

    let stopwatch = Stopwatch::start();
    let url = server.url(&database);
    let command = Cargo { tree, target, database_url: &url }.command(&ARGUMENTS);
    let mut child = tokio::process::Command::from(command)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| other(&format!("cargo cannot be run: {error}")))?;
    let (mut printed, mut messages) = (String::new(), String::new());
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let read_stdout = async {
        match stdout {
            Some(mut stdout) => stdout.read_to_string(&mut printed).await,
            None => Ok(0),
        }
    };
    let read_stderr = async {
        match stderr {
            Some(mut stderr) => stderr.read_to_string(&mut messages).await,
            None => Ok(0),
        }
    };
    let (status, read, read_too) = tokio::join!(child.wait(), read_stdout, read_stderr);
    read.and(read_too).map_err(|error| other(&error))?;
    if !status.map_err(|error| other(&error))?.success() {
        return Err(BuildError::DoesNotCompile(without_progress(&messages)));
    }
    let artifacts = Artifact::parse(&printed);
    let registry = |artifact: &&Artifact| !artifact.fresh && artifact.package_id.starts_with("registry+");
    let mut dependencies: Vec<String> =
        artifacts.iter().filter(registry).map(|artifact| artifact.target.name.clone()).collect();
    dependencies.sort();
    dependencies.dedup();
    let program = artifacts.into_iter().filter_map(|artifact| artifact.executable).next_back();
    let program = program.ok_or_else(|| other(&"cargo named no program"))?;
    Ok(Built { program, seconds: stopwatch.seconds(), dependencies, schema })
}

/// Copies a program, so that a later build does not replace it while it runs.
///
/// # Errors
///
/// It can't be written; an earlier copy is still there.
pub fn keep(program: &Path, kept: &Path) -> Result<()> {
    let temporary = kept.with_extension("new");
    let copied = (|| -> io::Result<()> {
        if let Some(folder) = kept.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::copy(program, &temporary)?;
        fs::rename(&temporary, kept)
    })();
    copied.map_err(|error| {
        fs::remove_file(&temporary).ok();
        format!("cannot write {}: {error}", kept.display()).into()
    })
}

/// Makes cargo embed the migrations again when they differ from those of the last build: the user may have added one.
fn touch_if_changed(tree: &Path, target: &Path, schema: &str) -> Result<()> {
    let stamp = target.join("migrations.digest");
    if fs::read_to_string(&stamp).is_ok_and(|last| last == schema) {
        return Ok(());
    }
    worktree::TreeCopy::open(tree.to_owned())?.touch_migrations()?;
    fs::create_dir_all(target)?;
    Ok(fs::write(stamp, schema)?)
}

/// Returns a digest of the files of a folder: letters and digits.
///
/// # Errors
///
/// A file can't be read.
pub fn digest_of_folder(folder: &Path) -> io::Result<String> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    paths.sort();
    let mut digest = Sha256::new();
    for path in paths.into_iter().filter(|path| path.is_file()) {
        digest.update(path.file_name().map(|name| name.as_encoded_bytes().to_vec()).unwrap_or_default());
        digest.update([0]);
        let text = fs::read(path)?;
        digest.update(text.len().to_le_bytes());
        digest.update(text);
    }
    Ok(short(&digest.finalize()))
}

/// Returns the first twelve hexadecimal digits of a digest.
pub fn short(digest: &[u8]) -> String {
    digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

/// Takes out the lines in which cargo only says how far it is.
fn without_progress(messages: &str) -> String {
    let progress =
        ["   Compiling ", "    Finished ", "    Blocking ", "    Updating ", "     Locking ", "       Dirty "];
    let kept = messages.lines().filter(|line| !progress.iter().any(|start| line.starts_with(start)));
    kept.collect::<Vec<_>>().join("\n").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_changes_with_names_and_contents() {
        let folder = tempfile::tempdir().expect("a directory");
        let digest = || digest_of_folder(folder.path()).expect("a digest");
        fs::write(folder.path().join("1.sql"), "a").expect("written");
        let first = digest();
        assert!(first.len() == 12 && first.chars().all(|char| char.is_ascii_hexdigit()));
        fs::write(folder.path().join("2.sql"), "b").expect("written");
        let second = digest();
        fs::rename(folder.path().join("2.sql"), folder.path().join("3.sql")).expect("renamed");
        assert!(first != second && second != digest());
    }

    #[test]
    fn only_the_compilers_words_are_shown() {
        let messages = "   Compiling ridematch v0.1.0 (/t)\nerror[E0425]: cannot find value `x`\n --> src/a.rs:1:1\nerror: could not compile\n";
        let shown = without_progress(messages);
        assert!(shown.starts_with("error[E0425]") && shown.ends_with("could not compile"), "{shown}");
    }
}
