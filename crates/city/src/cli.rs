//! The command line, for the binary that takes the city in.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::source::TimeOfDay;

/// Riders and drivers for a ridematch service.
#[derive(Debug, Args)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Exit when standard input ends: for supervisors that may die.
    #[arg(long, hide = true)]
    pub exit_with_parent: bool,
}

/// What the city can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Replays the requests of a scenario, and reports what became of them.
    Replay(Replay),
    /// Fills a running service with a procedural city, until it is interrupted.
    Drive(Drive),
}

/// Options of a replay.
#[derive(Debug, Args)]
pub struct Replay {
    /// Folder in the input format of NREL HIVE: requests.csv, vehicles.csv and perhaps road_network.json.
    #[arg(long, value_name = "DIR")]
    pub scenario: PathBuf,
    /// Leave out what departs before this time of the scenario's first day.
    #[arg(long, value_name = "HH:MM")]
    pub from: Option<TimeOfDay>,
    /// Leave out what departs at this time or later; before or at --from it means the next day.
    #[arg(long, value_name = "HH:MM")]
    pub until: Option<TimeOfDay>,
    /// Domain seconds per real second of the private service.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub time_scale: u32,
    /// Take only the first N vehicles.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub vehicles: Option<u32>,
    /// Seed of all chance.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Replay on this service, at its own time scale, in place of a private one.
    #[arg(long, value_name = "URL", conflicts_with = "time_scale")]
    pub base_url: Option<String>,
    /// Write the report there as JSON, too.
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
}

/// Options of the procedural city.
#[derive(Debug, Args)]
pub struct Drive {
    /// The service.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub base_url: String,
    /// How many drivers; riders come in proportion.
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    pub drivers: u32,
    /// Seed of the streets, the fleet and all chance.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
}
