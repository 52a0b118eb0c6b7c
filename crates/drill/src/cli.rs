//! The command line.

use clap::{Args, Parser, Subcommand};

/// Debugging exercises on seeded faults.
///
/// `start` pages you about a service with one thing wrong (or nothing). Look with `observe`, say what it is with `diagnose`, repair the
/// exported tree, and let `check` judge it.
#[derive(Debug, Clone, Parser)]
#[command(name = "cargo drill", bin_name = "cargo drill", version, max_term_width = 100)]
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
    /// List the drills, with your best result of each.
    List,
    /// Export a faulty tree, build it, run it under load, and print the page.
    Start(Start),
    /// Start a drill as a game day: one page for the responders, one for the facilitator.
    Host(Host),
    /// Show what an on-call engineer can see: alert, logs, metrics, slow requests, deploys, database.
    Observe(Observe),
    /// Say what is wrong: component, mechanism and evidence. Without arguments, print the lists.
    Diagnose(Diagnose),
    /// Build your tree and run the load once, with one seed.
    Try,
    /// Build your tree and judge it: ten seeds, every invariant, contract and security.
    Check,
    /// Show the next hint. Each one is on your report.
    Hint,
    /// Stop the harm before the fix, and grade that.
    Mitigate(Mitigate),
    /// Repair the damaged data after the fix, and grade that.
    Repair(Repair),
    /// Show the fault, the fix and the post-mortem. This ends the drill.
    Reveal(Reveal),
    /// Put the tree, its database and the running service back to the start. Your changes are kept as a patch.
    Reset,
    /// Show the report of the current drill and the scoreboard.
    Report,
    /// Stop the service that `start` left running.
    Stop,
    /// For authors: prove that a pack works on today's tree.
    Verify(Verify),
    /// For authors: write the template of a new drill.
    New {
        /// The symptom in a few words: `forty-taxis-no-ride`.
        slug: String,
    },
    /// For authors: write `pack.sealed` from `pack.toml`.
    Seal(Which),
    /// For authors: write `pack.toml` from `pack.sealed`.
    Open(Which),
    /// For authors: merge a pack with a tree that has moved on.
    Refresh(Which),
    /// The running service under load, as `start` leaves it behind.
    #[command(hide = true)]
    Serve,
}

/// `start`.
#[derive(Debug, Clone, Args)]
pub struct Start {
    /// Number or name. With --blind it may be left out.
    #[arg(required_unless_present = "blind")]
    pub drill: Option<String>,
    /// Choose a drill that you have not solved, and hide its title, level and topic.
    #[arg(long)]
    pub blind: bool,
    /// Do not leave the service running.
    #[arg(long)]
    pub no_serve: bool,
}

/// `host`.
#[derive(Debug, Clone, Args)]
pub struct Host {
    /// Number or name.
    pub drill: String,
    /// Where the pages listen. Another machine's browser can reach an address that is not the loopback's.
    #[arg(long, default_value = "127.0.0.1:8099")]
    pub listen: std::net::SocketAddr,
}

/// `observe`.
#[derive(Debug, Clone, Args)]
pub struct Observe {
    /// What to show.
    #[arg(value_enum, default_value_t = View::Summary)]
    pub view: View,
    /// Show only lines with this text: a trip's id, an operation, a metric.
    #[arg(long, short)]
    pub grep: Option<String>,
    /// The most lines.
    #[arg(long, short = 'n', default_value_t = 40)]
    pub lines: usize,
    /// A read-only query over the drill's database, for `sql`.
    #[arg(long)]
    pub query: Option<String>,
}

/// What `observe` shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum View {
    /// A few lines of each.
    Summary,
    /// The alert.
    Alert,
    /// The customer's ticket.
    Ticket,
    /// The service's log.
    Logs,
    /// Metrics that changed.
    Metrics,
    /// The slowest requests and rounds.
    Slow,
    /// The deploy log.
    Deploys,
    /// Sessions and locks of the database.
    Database,
    /// The result of --query.
    Sql,
    /// Addresses of the running service and its database, and tokens.
    Access,
}

/// `diagnose`.
#[derive(Debug, Clone, Args)]
pub struct Diagnose {
    /// The component at fault; `none` if the service is right.
    #[arg(long)]
    pub component: Option<String>,
    /// The mechanism.
    #[arg(long)]
    pub mechanism: Option<String>,
    /// What points there: `KIND:TEXT`, copied from `observe`, the log, the tree. May be repeated.
    #[arg(long)]
    pub evidence: Vec<String>,
    /// Show three changes without saying which one is the fix.
    #[arg(long, conflicts_with_all = ["component", "mechanism", "evidence"])]
    pub review: bool,
    /// With --review: what `check` will say of each, then run it: `A=pass,B=fail,C=fail`.
    #[arg(long, requires = "review")]
    pub predict: Option<String>,
}

/// `mitigate`.
#[derive(Debug, Clone, Args)]
pub struct Mitigate {
    /// A variable of the service's environment: `NAME=VALUE`. May be repeated.
    #[arg(long)]
    pub set: Vec<String>,
    /// Run the service as it was before this commit (its id or the first line of its message).
    #[arg(long)]
    pub roll_back: Option<String>,
}

/// `repair`.
#[derive(Debug, Clone, Args)]
pub struct Repair {
    /// SQL that repairs the data, from a file; `-` reads standard input.
    #[arg(long)]
    pub sql: Option<String>,
}

/// `reveal`.
#[derive(Debug, Clone, Args)]
pub struct Reveal {
    /// Show it although nothing has been tried.
    #[arg(long)]
    pub force: bool,
    /// Show the post-mortem with its blanks filled.
    #[arg(long)]
    pub filled: bool,
}

/// `verify`.
#[derive(Debug, Clone, Args)]
pub struct Verify {
    /// Numbers or names.
    #[arg(required_unless_present = "all")]
    pub drills: Vec<String>,
    /// Every drill; of drafts only the form.
    #[arg(long)]
    pub all: bool,
    /// Only what needs no build: lists, patterns, and that every change applies.
    #[arg(long)]
    pub quick: bool,
    /// Forget earlier results.
    #[arg(long)]
    pub again: bool,
    /// Seeds of each step.
    #[arg(long, default_value_t = 10)]
    pub seeds: u64,
}

/// A drill.
#[derive(Debug, Clone, Args)]
pub struct Which {
    /// Number or name.
    pub drill: String,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn command_line_is_consistent() {
        Cli::command().debug_assert();
        assert!(Cli::try_parse_from(["cargo drill", "start"]).is_err());
        assert!(Cli::try_parse_from(["cargo drill", "start", "--blind", "--json"]).is_ok());
    }
}
