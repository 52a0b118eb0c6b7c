//! `cargo torture`.

use std::process::ExitCode;

use clap::Parser;
use torture::{Cli, Command};

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Err(error) = launcher::environment::shed_libpq() {
        eprintln!("torture: cannot run without the PG* variables of the shell: {error}");
        return ExitCode::FAILURE;
    }
    let named = match &cli.command {
        Some(Command::Stadium(stadium)) => &stadium.program,
        None => &cli.program,
    };
    let program = match named.clone() {
        Some(program) => Ok(program),
        None => launcher::service_program().await,
    };
    let ended = match (program, &cli.command) {
        (Ok(program), None) => torture::run(&cli, program).await,
        (Ok(program), Some(Command::Stadium(stadium))) => torture::run_stadium(stadium, program).await,
        (Err(error), _) => Err(error),
    };
    ended.unwrap_or_else(|error| {
        eprintln!("torture: {error}");
        ExitCode::FAILURE
    })
}
