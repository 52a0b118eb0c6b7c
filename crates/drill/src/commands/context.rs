//! What every command has, and what it prints.

use std::{
    env,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use crate::{
    Result,
    pack::{Drill, load},
    session::{Paths, Session},
};

/// Where a command works.
#[derive(Debug, Clone)]
pub struct Context {
    /// The user's data directory.
    pub paths: Paths,
    /// The clean checkout. It is only read.
    pub checkout: PathBuf,
}

/// What a command prints at its end.
#[derive(Debug, Clone)]
pub struct Output {
    /// For a terminal.
    pub text: String,
    /// For a program.
    pub json: Value,
    /// Whether the exit code is 0.
    pub passed: bool,
}

impl Output {
    /// An output with exit code 0.
    pub fn of(text: impl Into<String>, json: Value) -> Self {
        Self { text: text.into(), json, passed: true }
    }

    /// Prints it.
    pub fn print(&self, as_json: bool) {
        // A reader that has closed its end, as `head` does, is no error.
        let mut out = std::io::stdout().lock();
        if as_json {
            writeln!(out, "{}", self.json).ok();
        } else if !self.text.is_empty() {
            writeln!(out, "{}", self.text.trim_end()).ok();
        }
    }
}

/// Says how far a command is. Standard output is for its result.
pub fn progress(line: &str) {
    eprintln!("· {line}");
}

impl Context {
    /// The user's directory and the checkout of this program.
    ///
    /// # Errors
    ///
    /// There is no place for the user's files, or the checkout is gone.
    pub fn of_user() -> Result<Self> {
        // This package is in `crates/drill`.
        let package = Path::new(env!("CARGO_MANIFEST_DIR"));
        let checkout: PathBuf = package.ancestors().nth(2).unwrap_or(package).into();
        if !checkout.join("Cargo.toml").is_file() {
            let gone = checkout.display();
            return Err(
                format!("this program was built in {gone}, which is gone: run `cargo drill` in a checkout").into()
            );
        }
        Ok(Self { paths: Paths::of_user()?, checkout })
    }

    /// Returns the drill of the current session.
    ///
    /// # Errors
    ///
    /// This checkout has no such drill any more.
    pub fn drill(&self, session: &Session) -> Result<Drill> {
        load::find(&self.checkout, &session.number.to_string())
    }

    /// Brings the program of the clean checkout up to date, if this command runs below cargo.
    ///
    /// # Errors
    ///
    /// It does not compile.
    pub fn build_clean_program(&self) -> Result<()> {
        // `cargo run` sets this for the program that it starts.
        let Some(cargo) = env::var_os("CARGO") else { return Ok(()) };
        let profile: &[&str] = if cfg!(debug_assertions) { &[] } else { &["--release"] };
        let status = Command::new(cargo)
            .args(["build", "--quiet", "--package", "ridematch", "--bin", "ridematch"])
            .args(profile)
            .current_dir(&self.checkout)
            .status()?;
        if status.success() {
            return Ok(());
        }
        // Ctrl-C reaches cargo too, and ends it by a signal.
        if status.code().is_none() {
            return Err("the build of the checkout was stopped".into());
        }
        Err("the checkout itself does not compile; a drill needs its program as the judge".into())
    }

    /// Returns the program of the clean checkout, which is beside this one.
    ///
    /// # Errors
    ///
    /// It is missing.
    pub fn clean_program(&self) -> Result<PathBuf> {
        let program = env::current_exe()?.with_file_name("ridematch");
        if program.is_file() {
            return Ok(program);
        }
        Err(format!("{} is missing: build it with `cargo build --release`", program.display()).into())
    }
}
