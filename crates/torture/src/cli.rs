//! The command line.

use std::path::PathBuf;

use clap::Parser;

/// Kills, cuts, pauses and overloads everything for a while, then compares the records; exits with 0 only if they agree.
#[derive(Debug, Clone, Parser)]
#[command(name = "torture", max_term_width = 100)]
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
}
