//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Kills, cuts, pauses and overloads everything for a while, then compares the records; exits with 0 only if they agree.
#[derive(Debug, Clone, Parser)]
#[command(name = "torture", max_term_width = 100, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// How long faults are injected
    #[arg(long, default_value_t = 60, value_name = "N", value_parser = clap::value_parser!(u64).range(5..=3_600))]
    pub seconds: u64,
    /// Seed of all random choices
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub seed: u64,
    /// Also write the report there, as JSON
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Keep logs, database and the provider's records even if nothing was found
    #[arg(long)]
    pub keep: bool,
    /// The service's program; by default `ridematch` beside this one, which is built if it is missing
    #[arg(long, value_name = "FILE")]
    pub program: Option<PathBuf>,
    /// Drivers in the city; the torture's own actors come on top: as many drivers, as many riders
    #[arg(long, default_value_t = 16, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=500))]
    pub drivers: u32,
    /// Domain seconds per real second; a faster clock leaves a ride less real time to recover from a fault
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub time_scale: u32,
    /// Instead of faults
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What else can be run.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Requests thousands of trips within seconds from one service; exits with 0 only if every rider is searched a driver for
    Stadium(Stadium),
}

/// The end of a match: everyone requests a ride, and the provider is slow.
#[derive(Debug, Clone, Args)]
pub struct Stadium {
    /// Riders, each of whom requests one trip
    #[arg(long, default_value_t = 2_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub riders: u32,
    /// Within how many seconds they request
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=600))]
    pub within: u64,
    /// How long the provider takes for each call, milliseconds
    #[arg(long, default_value_t = 400, value_name = "MS", value_parser = clap::value_parser!(u64).range(0..=9_000))]
    pub provider_ms: u64,
    /// Captures that an outage of the provider has left due when the first rider requests
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=2_000))]
    pub captures_due: u32,
    /// The service's RIDEMATCH_AUTHORIZATIONS_MAX; by default the service's own default
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=500))]
    pub authorizations_max: Option<u32>,
    /// Keep logs, database and the provider's records even if no rider was lost
    #[arg(long)]
    pub keep: bool,
    /// The service's program; by default `ridematch` beside this one, which is built if it is missing
    #[arg(long, value_name = "FILE")]
    pub program: Option<PathBuf>,
}
