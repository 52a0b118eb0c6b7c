//! The command line.

#[cfg(feature = "sandbox")]
use std::{net::SocketAddr, path::PathBuf};

use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use ridematch::platform::config::{Config, ProviderConfig};

const HELP: &str = "\
Exit codes:
  0  done; for audit and torture: and nothing is wrong
  1  failed; for audit and torture: or something is wrong
  2  a command, an option or a variable is missing or malformed: one line says which

What a script would read goes to standard output, everything else to standard error. Colours and progress
bars are for terminals; NO_COLOR turns colours off.";

#[cfg(feature = "sandbox")]
const DEMO: &str = "\
Examples:
  ridematch                                   300 drivers in a small city, on port 8080
  ridematch demo --drivers 0                  you are the only driver
  ridematch demo --listen 127.0.0.1:9000 --time-scale 10
  ridematch demo --json | jq -r .tokens.rider";

const SERVE: &str = "\
Examples:
  ridematch migrate && ridematch serve        with DATABASE_URL and the rest in the environment
  ridematch serve --listen 0.0.0.0:8080 --jwt-public-key issuer.pem

SIGTERM drains: it stops accepting, finishes requests and leases, and exits within 10 s.";

const MIGRATE: &str = "\
Examples:
  DATABASE_URL=postgres://ridematch@db/ridematch ridematch migrate
  ridematch migrate --json                    {\"status\":\"up_to_date\"}

It may be run again at any time, and by several at once.";

const OPENAPI: &str = "\
Examples:
  ridematch openapi > openapi.json
  ridematch openapi | jq '.paths | keys'";

const AUDIT: &str = "\
Examples:
  ridematch audit                             a table for people
  ridematch audit --settle 60 --json | jq .clean

Exit codes: 0 clean; 1 not clean, or it could not be done; 2 usage.";

const COMPLETIONS: &str = "\
Examples:
  ridematch completions bash > ~/.local/share/bash-completion/completions/ridematch
  ridematch completions zsh > ~/.zfunc/_ridematch
  ridematch completions fish > ~/.config/fish/completions/ridematch.fish";

/// A ride-matching service to learn from: nearest drivers, trips, and money that survives.
///
/// Without a command it runs the demo: everything on this machine, nothing to install or to configure.
#[derive(Parser)]
#[command(version, max_term_width = 100, after_help = HELP)]
pub struct Cli {
    /// What to do; the demo if absent
    #[command(subcommand)]
    pub command: Option<Command>,
}

impl Cli {
    /// Reads the command line and the environment.
    ///
    /// # Errors
    /// What is missing, or cannot be; also what cannot be together.
    pub fn read() -> Result<Self, clap::Error> {
        let cli = Self::try_parse()?;
        let provider = match &cli.command {
            Some(Command::Serve(config)) => Some(&config.psp),
            Some(Command::Audit(audit)) => Some(&audit.psp),
            _ => None,
        };
        if let Some(Err(why)) = provider.map(ProviderConfig::check) {
            return Err(Self::command().error(ErrorKind::ValueValidation, why));
        }
        Ok(cli)
    }
}

/// What the program can do.
#[derive(Subcommand)]
pub enum Command {
    /// Run everything on this machine: database, payment provider, service, a small city
    #[cfg(feature = "sandbox")]
    #[command(after_help = DEMO)]
    Demo(Demo),
    /// Run the service, for production: configured by flags or environment
    #[command(after_help = SERVE)]
    Serve(Config),
    /// Bring the database up to date
    #[command(after_help = MIGRATE)]
    Migrate(Migrate),
    /// Print the OpenAPI document
    #[command(after_help = OPENAPI)]
    Openapi,
    /// Check the contract's invariants on live data; exit 0 only when clean
    #[command(after_help = AUDIT)]
    Audit(Audit),
    /// Riders and drivers: replay a scenario, or fill a service with a city
    #[cfg(feature = "sandbox")]
    City(city::Cli),
    /// Run the payment provider simulator by itself
    #[cfg(feature = "sandbox")]
    PspSim(psp_sim::Cli),
    /// Kill, cut, pause and starve everything for a while, then compare the books; exit 0 only when they agree
    #[cfg(feature = "sandbox")]
    Torture(torture::Cli),
    /// Make one thing happen to a running service: a trip that completes, a payment whose answer is lost
    #[cfg(feature = "sandbox")]
    Trigger(trigger::Cli),
    /// Print what makes a shell complete this program's commands and options
    #[command(after_help = COMPLETIONS)]
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// Options of the demo.
#[cfg(feature = "sandbox")]
#[derive(Debug, Args)]
pub struct Demo {
    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// Where data is kept from run to run; a place in your home if absent
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Use this PostgreSQL instead of a private one
    #[arg(long, value_name = "URL")]
    pub database_url: Option<String>,
    /// Drivers in the city; with 0 you are the only one
    #[arg(long, default_value_t = 300, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=10_000))]
    pub drivers: u32,
    /// Domain seconds per real second
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub time_scale: u32,
    /// Requests a second that one caller may make; enough for the city if absent
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub rate_limit: Option<u32>,
    /// When it is ready, print addresses and tokens as one line of JSON
    #[arg(long)]
    pub json: bool,
}

/// Which database.
#[derive(Debug, Args)]
pub struct Database {
    /// PostgreSQL, 14 or newer: postgres://user:password@host/database
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: String,
}

/// Options of the migration.
#[derive(Debug, Args)]
pub struct Migrate {
    /// The database to bring up to date.
    #[command(flatten)]
    pub database: Database,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Options of the audit.
#[derive(Debug, Args)]
pub struct Audit {
    #[command(flatten)]
    database: Database,
    #[command(flatten)]
    psp: ProviderConfig,
    /// Wait until nothing is unsettled, at most so many seconds
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "60")]
    settle: Option<u64>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

impl Audit {
    /// How long to wait for what is unsettled.
    pub fn settle(&self) -> Option<Duration> {
        self.settle.map(Duration::from_secs)
    }

    /// The part of the service's configuration that an audit needs.
    pub fn config(&self) -> ridematch::ops::audit::Access {
        ridematch::ops::audit::Access { database_url: self.database.database_url.clone(), psp: self.psp.clone() }
    }
}

#[cfg(feature = "sandbox")]
impl Default for Demo {
    fn default() -> Self {
        #[derive(Parser)]
        struct Only {
            #[command(flatten)]
            demo: Demo,
        }
        Only::parse_from(["demo"]).demo
    }
}
