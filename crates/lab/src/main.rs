//! `cargo lab`.

use std::process::ExitCode;

use clap::Parser;
use lab::cli::Cli;
use lab::commands;

/// The exit code of an interrupted command, as shells have it.
const INTERRUPTED: i32 = 130;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Err(error) = launcher::environment::shed_libpq() {
        eprintln!("lab: cannot run without the PG* variables of the shell: {error}");
        return ExitCode::FAILURE;
    }
    let as_json = cli.json;
    // A task of its own, because some labs compute for seconds without a pause.
    let command = tokio::spawn(commands::run(cli));
    let ended = tokio::select! {
        ended = command => ended,
        () = launcher::interrupted() => {
            eprintln!("\nlab: interrupted; no result was written");
            // The private PostgreSQL stops when this process has ended.
            std::process::exit(INTERRUPTED)
        }
    };
    match ended.unwrap_or_else(|panic| Err(panic.into())) {
        Ok(output) => {
            output.print(as_json);
            ExitCode::SUCCESS
        }
        Err(error) => {
            if as_json {
                println!("{}", serde_json::json!({ "error": error.to_string() }));
            }
            eprintln!("lab: {error}");
            ExitCode::from(2)
        }
    }
}
