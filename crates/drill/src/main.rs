//! `cargo drill`.

use std::process::ExitCode;

use clap::Parser;
use drill::{
    cli::{Cli, Command},
    commands::{self, Context},
};

/// The exit code of an interrupted command, as shells have it.
const INTERRUPTED: i32 = 130;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Err(error) = launcher::environment::shed_libpq() {
        eprintln!("drill: cannot run without the PG* variables of the shell: {error}");
        return ExitCode::FAILURE;
    }
    let context = match Context::of_user() {
        Ok(context) => context,
        Err(error) => {
            eprintln!("drill: {error}");
            return ExitCode::FAILURE;
        }
    };
    // Dropping the command stops what it started.
    let ended = tokio::select! {
        // The signals first: they are noticed however long a command takes before its first wait, and before an error that they cause.
        biased;
        // The detached process outlives its terminal, and stops in order by itself.
        () = launcher::interrupted(), if !matches!(cli.command, Command::Serve) => None,
        ended = commands::run(&context, &cli) => Some(ended),
    };
    match ended {
        None => {
            eprintln!("drill: interrupted; your changes are as you left them");
            // What the command had started is stopped. A copy of files on another thread would go on for seconds.
            drill::stack::remove_run_dirs();
            std::process::exit(INTERRUPTED)
        }
        Some(Ok(output)) => {
            output.print(cli.json);
            if output.passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Some(Err(error)) => {
            if cli.json {
                println!("{}", serde_json::json!({ "error": error.to_string() }));
            }
            eprintln!("drill: {error}");
            ExitCode::from(2)
        }
    }
}
