//! The command line.

#[cfg(feature = "sandbox")]
pub mod sandbox;

use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use ridematch::platform::config::{Config, ProviderConfig};

const HELP: &str = "\
Exit codes:
  0  success; for audit: and the data is clean
  1  failure; for audit: or the data is not clean
  2  usage: a command, option or variable is missing or malformed, and one line names it

Results go to standard output, everything else to standard error. Terminals get colors and progress bars;
NO_COLOR turns colors off.";

const SERVE: &str = "\
Examples:
  ridematch migrate && ridematch serve        with DATABASE_URL and the rest in the environment
  ridematch serve --listen 0.0.0.0:8080 --jwt-public-key issuer.pem

SIGTERM drains: the service stops accepting, finishes requests and leases, and exits within 10 s.

Variables of libraries:
  PGHOST, PGPASSWORD, PGPASSFILE, PGSSLMODE, …   what DATABASE_URL leaves out; PGOPTIONS
  SSL_CERT_FILE, SSL_CERT_DIR                    the system's root certificates
  TOKIO_WORKER_THREADS                           threads of the workers
Not read: RUST_LOG (RIDEMATCH_LOG is), HTTP_PROXY, TZ, LANG. docs/environment.md has all.";

const MIGRATE: &str = "\
Examples:
  DATABASE_URL=postgres://ridematch@db/ridematch ridematch migrate
  ridematch migrate --json                    {\"status\":\"up_to_date\"}

Migrating is idempotent, and safe in several processes at once.";

const OPENAPI: &str = "\
Examples:
  ridematch openapi > openapi.json
  ridematch openapi | jq '.paths | keys'";

const AUDIT: &str = "\
Examples:
  ridematch audit                             a table to read
  ridematch audit --settle 60 --json | jq .clean

Exit codes: 0 clean; 1 not clean, or the audit failed; 2 usage.";

const COMPLETIONS: &str = "\
Examples:
  ridematch completions bash > ~/.local/share/bash-completion/completions/ridematch
  ridematch completions zsh > ~/.zfunc/_ridematch
  ridematch completions fish > ~/.config/fish/completions/ridematch.fish";

/// A ride-matching service to learn from: nearest drivers, trips, and money that survives.
#[derive(Parser)]
#[command(version, max_term_width = 100, after_help = HELP)]
#[cfg_attr(
    feature = "sandbox",
    command(long_about = "\
A ride-matching service to learn from: nearest drivers, trips, and money that survives.

Without a command it runs the demo: everything on this machine, with nothing to install or configure.")
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
}

impl Cli {
    /// Reads the command line and the environment.
    ///
    /// # Errors
    /// A missing or malformed option, or options that contradict each other.
    pub fn read() -> Result<Self, clap::Error> {
        let cli = Self::try_parse()?;
        let provider = match &cli.command {
            Some(Command::Serve(serve)) => Some(&serve.config.psp),
            Some(Command::Audit(audit)) => Some(&audit.psp),
            _ => None,
        };
        if let Some(Err(reason)) = provider.map(ProviderConfig::check) {
            return Err(Self::command().error(ErrorKind::ValueValidation, reason));
        }
        Ok(cli)
    }
}

/// The subcommands.
#[derive(Subcommand)]
pub enum Command {
    #[cfg(feature = "sandbox")]
    #[command(flatten)]
    Sandbox(sandbox::Command),
    /// Run the service, configured by flags or environment
    #[command(after_help = SERVE)]
    Serve(Box<Serve>),
    /// Bring the database up to date
    #[command(after_help = MIGRATE)]
    Migrate(Migrate),
    /// Print the OpenAPI document
    #[command(after_help = OPENAPI)]
    Openapi,
    /// Check the invariants on live data; exit 0 only when they hold
    #[command(after_help = AUDIT)]
    Audit(Audit),
    /// Print a completion script for a shell
    #[command(after_help = COMPLETIONS)]
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// Options of the service.
#[derive(Args)]
pub struct Serve {
    #[command(flatten)]
    pub config: Config,
    #[cfg(feature = "sandbox")]
    #[command(flatten)]
    pub sandbox: ridematch::sandbox::Flags,
}

/// The database of a subcommand that needs nothing else of the service's configuration.
#[derive(Debug, Args)]
pub struct Database {
    /// PostgreSQL, 14 or newer: postgres://user:password@host/database
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: String,
}

/// Options of the migration.
#[derive(Debug, Args)]
pub struct Migrate {
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
    /// Wait until everything is settled, at most this many seconds
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "60")]
    settle: Option<u64>,
    /// Audit only the trips of the last eight days
    #[arg(long)]
    pub recent: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

impl Audit {
    /// How long to wait until everything is settled.
    pub fn settle(&self) -> Option<Duration> {
        self.settle.map(Duration::from_secs)
    }

    /// The part of the service's configuration that an audit needs.
    pub fn config(&self) -> ridematch::audit::AuditConfig {
        ridematch::audit::AuditConfig { database_url: self.database.database_url.clone(), psp: self.psp.clone() }
    }
}
