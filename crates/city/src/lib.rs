//! Riders and drivers for ridematch: a procedural city, and scenarios from disk. They are HTTP clients and nothing else:
//! what they know of the service is its published interface.
//!
//! [`run`] is the command line; [`drive`] is the procedural city for a program that has a service already.

mod cli;
mod clock;
mod cruise;
mod dice;
mod driver;
mod exchange;
mod fleet;
mod habits;
mod launch;
mod metrics;
mod position;
mod progress;
mod publish;
mod replay;
mod report;
mod rider;
mod run;
mod source;
mod streets;
mod sync;
mod tally;
mod web;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;

pub use cli::{Cli, Command, Drive, Replay};
pub use cruise::drive;
pub use launch::{LaunchOptions, Launched};
pub use position::Position;
pub use source::{CENTRE, TimeOfDay};

/// Any error, from whoever starts the private service.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why the city can't begin, or can't report.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The scenario can't be used at all.
    #[error("the scenario can't be used: {0}")]
    Scenario(#[source] BoxError),
    /// The service doesn't answer as it should.
    #[error("the service at {base_url} is of no use: {reason}")]
    Service {
        /// Where it should be.
        base_url: String,
        /// What is wrong.
        reason: String,
    },
    /// The private service can't be started.
    #[error("the private service can't be started: {0}")]
    Launch(#[source] BoxError),
    /// The HTTP client can't be set up.
    #[error("the HTTP client can't be set up: {0}")]
    Client(#[from] reqwest::Error),
    /// The report can't be written.
    #[error("{}: {source}", file.display())]
    Report {
        /// Where it should go.
        file: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
}

/// Runs a command. `launcher` starts a private service for a replay that names none; it is not called otherwise.
///
/// The exit code is a success only when every request of a replay is accounted for and the service's audit is clean.
///
/// # Errors
/// See [`Error`].
pub async fn run(
    cli: &Cli,
    launcher: impl AsyncFnOnce(LaunchOptions) -> Result<Launched, BoxError>,
) -> Result<ExitCode, Error> {
    match &cli.command {
        Command::Replay(options) => replay::replay(options, launcher).await,
        Command::Drive(options) => drive(options).await.map(|()| ExitCode::SUCCESS),
    }
}
