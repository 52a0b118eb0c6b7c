//! The command line.

use std::path::PathBuf;

use clap::Args;

/// Options of the torture.
#[derive(Debug, Clone, Args)]
pub struct Cli {
    /// How long the adversary is let loose
    #[arg(long, default_value_t = 60, value_name = "N", value_parser = clap::value_parser!(u64).range(5..=3_600))]
    pub seconds: u64,
    /// Seed of everything that is left to chance
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub seed: u64,
    /// Write the report there as JSON, too
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Keep the logs, the database and the provider's books, even if nothing was found
    #[arg(long)]
    pub keep: bool,
    /// Torture this build of the service, instead of the one that runs this
    #[arg(long, value_name = "FILE")]
    pub program: Option<PathBuf>,
    /// Drivers in the city; as many again are people of our own
    #[arg(long, default_value_t = 16, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=500))]
    pub drivers: u32,
    /// Domain seconds per real second; faster leaves rides less real time to survive a fault in
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub time_scale: u32,
}
