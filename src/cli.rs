//! The command line.

#[cfg(feature = "sandbox")]
use std::{net::SocketAddr, path::PathBuf};

use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};

use ridematch::platform::config::{Config, ProviderConfig};

/// A ride-matching service to learn from: nearest drivers, trips, and money that survives.
///
/// Without a command it runs the demo: everything on this machine, nothing to install or to configure.
#[derive(Parser)]
#[command(version, max_term_width = 100)]
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
    Demo(Demo),
    /// Run the service, for production: configured by flags or environment
    Serve(Config),
    /// Bring the database up to date
    Migrate(Database),
    /// Print the OpenAPI document
    Openapi,
    /// Check the contract's invariants on live data; exit 0 only when clean
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
}

/// Which database.
#[derive(Debug, Args)]
pub struct Database {
    /// PostgreSQL, 14 or newer: postgres://user:password@host/database
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: String,
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
