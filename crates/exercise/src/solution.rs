//! The candidate's command: found, compiled where it is one Rust file, and made independent of the working directory.

use std::env;
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use crate::Result;

/// Returns the program and the arguments with which a solution is run from any directory. A single `.rs` file is compiled into `build`.
///
/// # Errors
/// There is no command, no such program, or the file does not compile.
pub async fn prepare(words: &[String], build: &Path) -> Result<Vec<OsString>> {
    let Some((first, arguments)) = words.split_first() else {
        let usage =
            "say how your solution is run, after two dashes: `cargo exercise check NAME -- python3 solution.py`";
        return Err(usage.into());
    };
    if arguments.is_empty() && first.ends_with(".rs") {
        return Ok(vec![compile(Path::new(first), build).await?.into_os_string()]);
    }
    let mut command = vec![program(first)?];
    for argument in arguments {
        // The working directory of a run is another one. A word may be the name of a folder by chance, as in `go run`.
        let path = Path::new(argument);
        let is_folder = path.is_dir() && (argument.contains('/') || argument.starts_with('.'));
        let is_path = path.is_file() || is_folder;
        command.push(if is_path { std::path::absolute(path)?.into_os_string() } else { argument.into() });
    }
    Ok(command)
}

/// Finds a program as a shell does.
fn program(word: &str) -> Result<OsString> {
    let here = Path::new(word);
    if !word.contains('/') {
        let paths = env::var_os("PATH").unwrap_or_default();
        if env::split_paths(&paths).any(|folder| is_executable(&folder.join(word))) {
            return Ok(word.into());
        }
        let hint = match here.extension().and_then(|ending| ending.to_str()) {
            _ if !here.is_file() => format!("there is no program {word} in PATH: install it, or give its path"),
            Some("py") => format!("{word} is a file of Python: run it by `python3 {word}`"),
            _ => format!("{word} is a file and not in PATH: run it by `./{word}`, or by its interpreter"),
        };
        return Err(hint.into());
    }
    if !here.is_file() {
        return Err(format!("there is no program {word}").into());
    }
    if !is_executable(here) {
        return Err(format!("{word} cannot be executed: `chmod +x {word}`, or name its interpreter first").into());
    }
    Ok(std::path::absolute(here)?.into_os_string())
}

fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// Compiles a Rust file, and returns the program.
async fn compile(source: &Path, build: &Path) -> Result<PathBuf> {
    if !source.is_file() {
        return Err(format!("there is no file {}", source.display()).into());
    }
    let program = build.join("solution");
    let mut rustc = Command::new("rustc");
    rustc.args(["--edition", "2024", "-O", "-o"]).arg(&program).arg(source).stdin(Stdio::null()).kill_on_drop(true);
    let output = rustc.output().await.map_err(|error| format!("rustc cannot be started: {error}"))?;
    if output.status.success() {
        return Ok(program);
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    Err(format!("{} does not compile:\n{}", source.display(), errors.trim_end()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn invalid_command_says_what_to_do() {
        let folder = tempfile::tempdir().expect("a directory");
        let path = |name: &str| folder.path().join(name).display().to_string();
        std::fs::write(path("solution.py"), "print(1)\n").expect("written");
        for (words, part) in [
            (vec![], "after two dashes"),
            (vec!["no-such-program".to_owned()], "no program no-such-program in PATH"),
            (vec![path("gone")], "there is no program"),
            (vec![path("solution.py")], "cannot be executed"),
            (vec![path("gone.rs")], "there is no file"),
        ] {
            let error = prepare(&words, folder.path()).await.expect_err("refused").to_string();
            assert!(error.contains(part), "{words:?}: {error}");
        }
    }

    #[tokio::test]
    async fn files_and_folders_among_the_arguments_become_absolute() {
        let words = ["sh", "Cargo.toml", "-x"].map(str::to_owned);
        let command = prepare(&words, Path::new("/")).await.expect("a command");
        let manifest = std::path::absolute("Cargo.toml").expect("a path").into_os_string();
        assert_eq!(command, ["sh".into(), manifest, "-x".into()]);
        let words = ["sh", "-cp", ".", "src", "./src"].map(str::to_owned);
        let command = prepare(&words, Path::new("/")).await.expect("a command");
        assert_eq!(command[3], "src", "a word");
        assert!(Path::new(&command[2]).is_absolute() && Path::new(&command[4]).is_absolute(), "{command:?}");
    }
}
