//! Chores of this workspace that need a database: `cargo xtask prepare`, `cargo xtask with-db`.

mod prepare;
mod workspace;

use std::{env, process::ExitCode};

use prepare::Mode;

const USAGE: &str = "\
usage: cargo xtask prepare             write the query data in .sqlx anew
       cargo xtask prepare --check     fail if .sqlx is not what the queries and migrations make
       cargo xtask with-db -- CMD …    run a command with DATABASE_URL naming a new, migrated database";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments.as_slice() {
        ["prepare"] => prepare::run(Mode::Write).await,
        ["prepare", "--check"] => prepare::run(Mode::Check).await,
        ["with-db", "--", command @ ..] if !command.is_empty() => workspace::with_database(command).await,
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}
