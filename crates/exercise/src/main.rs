//! `cargo exercise`.

use std::process::ExitCode;

use clap::Parser;
use exercise::cli::Cli;
use exercise::commands;

/// The exit code of an interrupted command, as shells have it.
const INTERRUPTED: u8 = 130;

/// The exit code of a command that could not be carried out. A solution that fails has 1.
const UNUSABLE: u8 = 2;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    // Dropping the command ends what it has started.
    let ended = tokio::select! {
        ended = commands::run(cli) => ended,
        () = launcher::interrupted() => {
            eprintln!("\nexercise: interrupted");
            return ExitCode::from(INTERRUPTED);
        }
    };
    match ended {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("exercise: {error}");
            ExitCode::from(UNUSABLE)
        }
    }
}
