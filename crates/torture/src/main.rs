//! `cargo torture`.

use std::path::PathBuf;
use std::process::{self, ExitCode};

use clap::Parser;
use torture::{BoxError, Cli, Command};

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
    let program = named.clone().map_or_else(build_service, Ok);
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

/// Returns the service's program, which is beside this one. In a workspace, cargo first brings it up to date.
fn build_service() -> Result<PathBuf, BoxError> {
    let this = std::env::current_exe()?;
    let program = this.with_file_name("ridematch");
    // `cargo run` sets this for the program that it starts.
    if let Some(cargo) = std::env::var_os("CARGO") {
        let profile: &[&str] = if cfg!(debug_assertions) { &[] } else { &["--release"] };
        let arguments = ["build", "--quiet", "--package", "ridematch", "--bin", "ridematch"];
        let status = process::Command::new(cargo).args(arguments).args(profile).status()?;
        if !status.success() {
            return Err("the service does not compile".into());
        }
    }
    if program.is_file() {
        return Ok(program);
    }
    Err(format!(
        "{} is missing: build it with `cargo build --release`, or name another with --program",
        program.display()
    )
    .into())
}
