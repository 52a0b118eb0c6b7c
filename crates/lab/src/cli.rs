//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Experiments that settle a bet, each in at most 90 s on two cores.
///
/// A lab asks for your number first. Then it measures, and prints a table, a plot, a JSON file and how far off the bet was.
#[derive(Debug, Clone, Parser)]
#[command(name = "cargo lab", bin_name = "cargo lab", version, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Print one JSON document instead of text.
    #[arg(long, global = true)]
    pub json: bool,
}

/// A subcommand.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// List the labs with their questions, your bets, and the answers of the bets that are settled.
    List,
    /// Ask for a bet, run a lab, and show its result.
    Run(Run),
    /// For authors: write the figures of results into pages.
    Include(Include),
}

/// `run`.
#[derive(Debug, Clone, Args)]
pub struct Run {
    /// Name or number.
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    pub lab: Option<String>,
    /// Run every lab, one after the other.
    #[arg(long)]
    pub all: bool,
    /// Your bet. Without it the lab asks on the terminal.
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true, conflicts_with = "all")]
    pub bet: Option<f64>,
    /// Run without a bet.
    #[arg(long, conflicts_with = "bet")]
    pub no_bet: bool,
    /// Seed of all random choices.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub seed: u64,
    /// Runs of each measurement.
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u32).range(5..=20))]
    pub runs: u32,
    /// Where the JSON file and the plot go; by default `lab` in cargo's target directory.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// The most seconds that a lab may take.
    #[arg(long, default_value_t = 90, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub time_limit: u64,
}

/// `include`.
#[derive(Debug, Clone, Args)]
pub struct Include {
    /// Markdown pages; by default all in `docs`.
    #[arg(value_name = "PAGE")]
    pub pages: Vec<PathBuf>,
    /// Where the results are; by default `lab` in cargo's target directory.
    #[arg(long, value_name = "DIR")]
    pub from: Option<PathBuf>,
    /// Write nothing, and fail if a figure is stale or has no result to compare with.
    #[arg(long)]
    pub check: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn command_line_is_consistent() {
        Cli::command().debug_assert();
        let parse = |words: &[&str]| Cli::try_parse_from(["cargo lab"].iter().chain(words)).is_ok();
        assert!(parse(&["run", "assignment-race", "--bet", "12"]));
        assert!(parse(&["run", "--all", "--no-bet", "--json"]));
        assert!(!parse(&["run"]));
        assert!(!parse(&["run", "assignment-race", "--all"]));
        assert!(!parse(&["run", "--all", "--bet", "1"]));
        assert!(!parse(&["run", "assignment-race", "--runs", "4"]));
    }
}
