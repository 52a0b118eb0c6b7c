//! Chores of this workspace: `cargo xtask prepare`, `cargo xtask with-db`, `cargo xtask variants`, `cargo xtask collections`,
//! `cargo xtask openapi-diff`.

mod collections;
mod openapi_diff;
mod prepare;
mod variants;
mod workspace;

use std::{env, process::ExitCode};

use prepare::Mode;

const USAGE: &str = "\
usage: cargo xtask prepare             write the query data in .sqlx anew
       cargo xtask prepare --check     fail if .sqlx is not what the queries and migrations make
       cargo xtask with-db -- CMD …    run a command with DATABASE_URL naming a new, migrated database
       cargo xtask collections         write collections/http anew from the journeys of collections
       cargo xtask collections --check fail if it is not what they make
       cargo xtask openapi-diff OLD NEW [CHANGELOG]
                                       fail if the new document breaks clients and the changelog does not say so
       cargo xtask variants [NAME…]    break the service in every way of variants/, and see the tests find it
       cargo xtask variants --list     name those ways
       cargo xtask variants --markdown print the table of docs/guards.md";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments.as_slice() {
        ["prepare"] => prepare::run(Mode::Write).await,
        ["prepare", "--check"] => prepare::run(Mode::Check).await,
        ["variants", arguments @ ..] => variants::run(arguments).await,
        ["collections"] => collections::run(false),
        ["collections", "--check"] => collections::run(true),
        ["openapi-diff", old, new] => openapi_diff::run(old, new, None),
        ["openapi-diff", old, new, changelog] => openapi_diff::run(old, new, Some(changelog)),
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
