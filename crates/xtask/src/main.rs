//! Maintenance tasks of this workspace: `cargo xtask prepare`, `with-db`, `scale`, `mutations` and `openapi-diff`.

mod mutations;
mod openapi_diff;
mod prepare;
mod scale;
mod workspace;

use std::{env, process::ExitCode};

use prepare::Mode;

const USAGE: &str = "\
usage: cargo xtask prepare              write the query data in .sqlx
       cargo xtask prepare --check      fail if .sqlx differs from what the queries and migrations produce
       cargo xtask with-db -- CMD …     run a command with DATABASE_URL set to a new, migrated database
       cargo xtask scale [--few N] [--many N] [--data-dir DIR] [--keep]
                                        generate N trips twice (10,000 and 1,000,000 by default), measure every query with both, and
                                        write docs/operations/scale.md; fail if the cost of one grows with the history
       cargo xtask scale --check        fail if a query has no parameters to measure it
       cargo xtask openapi-diff OLD NEW [CHANGELOG]
                                        fail if NEW breaks clients and the changelog does not list it
       cargo xtask mutations [NAME…]    apply the mutations (all by default); fail unless every named test fails
       cargo xtask mutations --check    fail if a mutation no longer applies or a named test does not exist
       cargo xtask mutations --list     list the mutations
       cargo xtask mutations --markdown print the table of docs/guards.md";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments.as_slice() {
        ["prepare"] => prepare::run(Mode::Write).await,
        ["prepare", "--check"] => prepare::run(Mode::Check).await,
        ["scale", arguments @ ..] => scale::run(arguments).await,
        ["mutations", arguments @ ..] => mutations::run(arguments).await,
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
