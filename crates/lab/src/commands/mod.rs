//! The subcommands, one file each.

mod include;
mod list;
mod run;

use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::Result;
use crate::cli::{Cli, Command};

/// What a command prints at its end.
#[derive(Debug, Clone)]
pub struct Output {
    /// For a terminal.
    pub text: String,
    /// For a program.
    pub json: Value,
}

impl Output {
    /// Prints it.
    pub fn print(&self, as_json: bool) {
        // A reader that has closed its end, as `head` does, is no error.
        let mut out = std::io::stdout().lock();
        if as_json {
            writeln!(out, "{}", self.json).ok();
        } else {
            writeln!(out, "{}", self.text.trim_end()).ok();
        }
    }
}

/// Runs a subcommand.
///
/// # Errors
/// Bad use, or something that it needs fails: one clear line with the way out.
pub async fn run(cli: Cli) -> Result<Output> {
    match &cli.command {
        Command::List => list::run(),
        Command::Include(arguments) => include::run(arguments),
        Command::Run(arguments) => run::run(arguments, cli.json).await,
    }
}

/// Returns the checkout that this program was built in.
fn checkout() -> PathBuf {
    // This package is in `crates/lab`.
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().nth(2).unwrap_or(package).into()
}

/// Returns where results go unless the user says otherwise.
fn default_out() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    target.unwrap_or_else(|| checkout().join("target")).join("lab")
}
