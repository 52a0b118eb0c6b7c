//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// The coding round of an interview: five exercises, judged in any language.
///
/// Four classics read standard input and write standard output. The fifth books rides through the service's API while answers are lost.
#[derive(Debug, Clone, Parser)]
#[command(name = "cargo exercise", bin_name = "cargo exercise", version, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// A subcommand.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// List the exercises.
    List,
    /// Show an exercise's statement and limits.
    Show {
        /// Its name.
        name: String,
    },
    /// Make a folder with the statement, and a file to begin with in Python and in Rust.
    Start(Start),
    /// Run a solution on every case, and say what is wrong with it.
    Check(Check),
}

/// `start`.
#[derive(Debug, Clone, Args)]
pub struct Start {
    /// The exercise's name.
    pub name: String,
    /// The folder. By default one of that name here; inside the source tree, one in your data directory.
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// `check`.
#[derive(Debug, Clone, Args)]
pub struct Check {
    /// The exercise's name.
    pub name: String,
    /// Seed of the cases and of the faults.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub seed: u64,
    /// For `rides`: the service's program; by default `ridematch` beside this one.
    #[arg(long, value_name = "FILE")]
    pub program: Option<PathBuf>,
    /// How your solution is run, such as `python3 solution.py`; or one `.rs` file, which is compiled.
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn command_line_is_consistent() {
        Cli::command().debug_assert();
        let parse = |words: &[&str]| Cli::try_parse_from(["cargo exercise"].iter().chain(words));
        assert!(parse(&["list"]).is_ok());
        assert!(parse(&["start", "merge", "--dir", "/tmp/x"]).is_ok());
        assert!(parse(&["check", "merge", "python3", "solution.py"]).is_err());
        let Ok(Cli { command: Command::Check(check) }) = parse(&["check", "merge", "--", "sh", "-c", "cat"]) else {
            panic!("the command is taken as it is");
        };
        assert_eq!(check.command, ["sh", "-c", "cat"]);
    }
}
