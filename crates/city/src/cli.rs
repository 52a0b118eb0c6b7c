//! The command line options.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::model::TimeOfDay;

/// Riders and drivers for a ridematch service.
#[derive(Debug, Args)]
pub struct Cli {
    /// The command.
    #[command(subcommand)]
    pub command: Command,
    /// Exit when standard input ends, as it does when the parent process is gone.
    #[arg(long, hide = true)]
    pub exit_with_parent: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Replay the requests of a scenario, and report their outcomes.
    Replay(Replay),
    /// Simulate riders and drivers of a generated city on a running service, until interrupted.
    Drive(Drive),
}

/// Options of a replay.
#[derive(Debug, Args)]
pub struct Replay {
    /// Folder in the input format of NREL HIVE: requests.csv, vehicles.csv and optionally road_network.json.
    #[arg(long, value_name = "DIR")]
    pub scenario: PathBuf,
    /// Skip departures before this time of the first day.
    #[arg(long, value_name = "HH:MM")]
    pub from: Option<TimeOfDay>,
    /// Skip departures at this time or later; a time at or before --from is on the next day.
    #[arg(long, value_name = "HH:MM")]
    pub until: Option<TimeOfDay>,
    /// Domain seconds per real second of the private service.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub time_scale: u32,
    /// Use only the first N vehicles.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub vehicles: Option<u32>,
    /// Seed of all random numbers.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Replay on this service with its time scale, instead of a private service.
    #[arg(long, value_name = "URL", conflicts_with = "time_scale")]
    pub base_url: Option<String>,
    /// Also write the report to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
}

/// Options of the procedural city.
#[derive(Debug, Args)]
pub struct Drive {
    /// Base URL of the service.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub base_url: String,
    /// Number of drivers; the number of riders is in proportion.
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    pub drivers: u32,
    /// Seed of the streets, the fleet and all random numbers.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
}
