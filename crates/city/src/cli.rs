//! The command line options.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

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
    /// Request thousands of rides at one place within minutes, and check that every trip ends as it should.
    Burst(Burst),
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
    /// Seeds of all random numbers, with commas between them: one run for each, and then the mean and the spread.
    #[arg(long = "seed", visible_alias = "seeds", value_name = "N", value_delimiter = ',', default_value = "1")]
    pub seeds: Vec<u64>,
    /// Habits of riders and drivers.
    #[arg(long, value_enum, default_value_t)]
    pub behavior: Habits,
    /// How the private service assigns drivers to trips; without this option, its default.
    #[arg(long, value_enum, conflicts_with = "base_url")]
    pub policy: Option<Policy>,
    /// Latest estimated pickup in seconds after the request: the private service makes no offer to a driver who would come later, and ends the search then.
    #[arg(long, value_name = "S", conflicts_with = "base_url", value_parser = clap::value_parser!(u32).range(60..=86_400))]
    pub pickup_within: Option<u32>,
    /// Do not publish the streets, so that the service estimates its drive times. The cars still use them.
    #[arg(long)]
    pub no_streets: bool,
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment would replace the description of the command")]
    pub reactions: Reactions,
    /// Replay on this service with its time scale, instead of a private service.
    #[arg(long, value_name = "URL", conflicts_with = "time_scale")]
    pub base_url: Option<String>,
    /// Also write the report to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
}

/// Options of a burst.
#[derive(Debug, Args)]
pub struct Burst {
    /// Number of requests.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub requests: u32,
    /// Number of drivers.
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub drivers: u32,
    /// Real seconds in which the requests come.
    #[arg(long, value_name = "S", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub within: u32,
    /// Domain seconds per real second of the private service.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub time_scale: u32,
    /// Seed of the streets, the fleet and all random numbers.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Use this service with its time scale, instead of a private service.
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
    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment would replace the description of the command")]
    pub reactions: Reactions,
}

/// The reactions of drivers and riders to a shortage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Args)]
pub struct Reactions {
    /// Probability that an idle driver follows a hint to a place short of drivers; 0.5 if the option has no value.
    #[arg(long, value_name = "P", num_args = 0..=1, default_value = "0", default_missing_value = "0.5",
          value_parser = probability)]
    pub reposition: f64,
    /// Riders accept a quote with the probability (surge multiplier)^-E. Measured elasticities are 0.4 to 0.6.
    #[arg(long, value_name = "E", default_value = "0", value_parser = elasticity)]
    pub price_elasticity: f64,
}

/// The habits of riders and drivers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Habits {
    /// Some drivers decline or cancel, some riders lose patience, some cards decline.
    #[default]
    Today,
    /// As in NREL HIVE: every driver accepts, a rider gives up only 600 s after the request, and places are on the streets.
    Hive,
}

/// How a match cycle assigns drivers to trips.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// Each trip in turn gets the nearest driver.
    Nearest,
    /// All trips at once, with the smallest total cost.
    Batched,
}

impl Policy {
    /// The name of the policy in the configuration of the service.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nearest => "nearest",
            Self::Batched => "batched",
        }
    }
}

fn probability(text: &str) -> Result<f64, String> {
    number(text).filter(|p| *p <= 1.0).ok_or_else(|| "not a number from 0 to 1".to_owned())
}

fn elasticity(text: &str) -> Result<f64, String> {
    number(text).filter(|e| *e <= 10.0).ok_or_else(|| "not a number from 0 to 10".to_owned())
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        city: Cli,
    }

    fn replay(arguments: &str) -> Result<Replay, String> {
        let line = format!("city replay --scenario x {arguments}");
        match Program::try_parse_from(line.split_whitespace()) {
            Ok(Program { city: Cli { command: Command::Replay(replay), .. } }) => Ok(replay),
            Ok(_) => Err("another command".into()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn seeds_are_repeated_or_separated_by_commas() {
        assert_eq!(replay("").unwrap().seeds, [1]);
        assert_eq!(replay("--seed 7").unwrap().seeds, [7]);
        assert_eq!(replay("--seeds 1,2,3").unwrap().seeds, [1, 2, 3]);
        assert_eq!(replay("--seed 4 --seed 5").unwrap().seeds, [4, 5]);
        assert!(replay("--seeds 1,two").is_err_and(|error| error.contains("two")));
    }

    #[test]
    fn reposition_without_a_value_is_a_half() {
        assert_eq!(replay("").unwrap().reactions, Reactions::default());
        let reposition = |arguments| replay(arguments).unwrap().reactions.reposition;
        assert!((reposition("--reposition --no-streets") - 0.5).abs() < 1e-9);
        assert!((reposition("--reposition 0.25") - 0.25).abs() < 1e-9);
        for wrong in ["--reposition 1.5", "--reposition=-1", "--reposition NaN", "--price-elasticity=-1"] {
            assert!(replay(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn policy_needs_a_private_service() {
        assert_eq!(replay("--policy nearest").unwrap().policy, Some(Policy::Nearest));
        assert!(replay("--policy nearest --base-url http://127.0.0.1:1").is_err());
        assert!(replay("--policy furthest").is_err_and(|error| error.contains("batched")));
    }
}
