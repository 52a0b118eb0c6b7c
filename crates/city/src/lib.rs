//! Simulated riders and drivers for ridematch, from a procedural city or from scenario files. They use only the published
//! HTTP API.
//!
//! [`run`] executes the command line; [`drive`] runs the procedural city on a running service.
//!
//! A module imports only from modules above it in this list:
//!
//! - `clock`, `position`, `random`, `sync`, `metrics`
//! - `streets`, `statistics`, `pin_exchange`, then `model` (a city), `cli`, `launch` and `behavior`
//! - `web` (the client of the service), `run_context` (what the tasks of a run share)
//! - `driver`, `fleet`, `rider`, `riders`, `publish`, `progress`, `quality`, `report`, `summary`, `settle`
//! - `replay`, `burst` and `procedural_city`: the commands

mod behavior;
mod burst;
mod cli;
mod clock;
mod driver;
mod fleet;
mod launch;
mod metrics;
mod model;
mod pin_exchange;
mod position;
mod procedural_city;
mod progress;
mod publish;
mod quality;
mod random;
mod replay;
mod report;
mod rider;
mod riders;
mod run_context;
mod settle;
mod statistics;
mod streets;
mod summary;
mod sync;
mod web;

use std::path::PathBuf;
use std::process::ExitCode;

use futures_util::future::LocalBoxFuture;

pub use cli::{Burst, Cli, Command, Drive, Habits, Policy, Reactions, Replay};
pub use launch::{LaunchOptions, Launched};
pub use model::{CENTER, TimeOfDay};
pub use position::Position;
pub use procedural_city::drive;
pub use streets::RoadNetwork;
pub use web::api::is_trip_over;

/// Any error of the launcher of the private service.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a run cannot start or report.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The scenario cannot be used.
    #[error("the scenario cannot be used: {0}")]
    Scenario(#[source] BoxError),
    /// The service cannot be used.
    #[error("the service at {base_url} cannot be used: {reason}")]
    Service {
        /// The base URL of the service.
        base_url: String,
        /// What is wrong.
        reason: String,
    },
    /// The private service cannot be started.
    #[error("the private service cannot be started: {0}")]
    Launch(#[source] BoxError),
    /// The HTTP client cannot be set up.
    #[error("the HTTP client cannot be set up: {0}")]
    Client(#[from] reqwest::Error),
    /// The report cannot be written.
    #[error("{}: {source}", file.display())]
    Report {
        /// The file.
        file: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
}

/// Starts a private service, one for each run.
pub type Launcher = Box<dyn Fn(LaunchOptions) -> LocalBoxFuture<'static, Result<Launched, BoxError>>>;

/// Runs a command. `launcher` starts a private service for a replay without a base URL.
///
/// The exit code is a success only if every request of a replay is accounted for and the audit of the service is clean, and if every
/// invariant of a burst holds. The future is boxed, so that it is compiled with this library and not with the program.
///
/// # Errors
/// See [`Error`].
pub fn run(cli: &Cli, launcher: Launcher) -> LocalBoxFuture<'_, Result<ExitCode, Error>> {
    Box::pin(async move {
        match &cli.command {
            Command::Replay(options) => replay::replay(options, &launcher).await,
            Command::Burst(options) => burst::burst(options, &launcher).await,
            Command::Drive(options) => drive(options).await.map(|()| ExitCode::SUCCESS),
        }
    })
}
