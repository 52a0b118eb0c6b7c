//! The subcommands of the feature `sandbox`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use futures_util::FutureExt as _;
use launcher::environment::shed_libpq;
use ridematch::geo;
use ridematch::platform::config::StreetFile;
use ridematch::sandbox::partner_address;

use crate::{BoxError, demo, local, parent_exit, program};

const DEMO: &str = "\
Examples:
  ridematch                                   300 drivers in a small city, on port 8080
  ridematch demo --drivers 0                  you are the only driver
  ridematch demo --listen 127.0.0.1:9000 --time-scale 10
  ridematch demo --json | jq -r .tokens.rider

Variables: RIDEMATCH_POSTGRES_BIN names the directory of PostgreSQL's programs, RIDEMATCH_LOG the service's
log filter. Proxies, PG… variables and DATABASE_URL have no effect; docs/environment.md has all.";

/// The subcommands.
#[derive(Subcommand)]
pub enum Command {
    /// Run everything on this machine: database, payment provider, service, and a small city
    #[command(after_help = DEMO)]
    Demo(Demo),
    /// Drive riders and drivers: replay a scenario, or fill a service with a city
    City(city::Cli),
    /// Run the payment provider simulator by itself
    PspSim(psp_sim::Cli),
}

/// Options of the demo.
#[derive(Debug, Args)]
pub struct Demo {
    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// Address at which the partner of a rehearsal on another machine reaches their page, and nothing else: 0.0.0.0:8090
    #[arg(long, value_name = "ADDRESS", value_parser = partner_address)]
    pub partner_listen: Option<SocketAddr>,
    /// Directory that keeps the data between runs; by default one in your home directory
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
    /// Street map for drive times: node-link JSON, as of OSMnx; by default the streets that the city publishes
    #[arg(long, value_name = "FILE", value_parser = street_file)]
    pub streets: Option<PathBuf>,
    /// Requests per second allowed to one caller; by default enough for the city
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub rate_limit: Option<u32>,
    /// Print addresses and tokens as one line of JSON once the service is ready
    #[arg(long)]
    pub json: bool,
}

/// Checks a street map: the service would be restarted again and again.
fn street_file(path: &str) -> Result<PathBuf, String> {
    let file = StreetFile::read(path)?;
    geo::streets::file::read(&file.json).map_err(|error| error.to_string())?;
    Ok(file.path)
}

impl Command {
    /// Runs the command to its end.
    ///
    /// # Errors
    /// What stopped it.
    pub async fn run(self) -> Result<ExitCode, BoxError> {
        shed_libpq().map_err(|error| format!("cannot run without the PG* variables of the shell: {error}"))?;
        match self {
            Self::Demo(options) => demo::run(options, program()).await,
            Self::City(options) => {
                let launcher = |wanted: city::LaunchOptions| local::launch(program(), wanted).boxed_local();
                tokio::select! {
                    end = city::run(&options, Box::new(launcher)) => Ok(end?),
                    () = parent_exit(options.exit_with_parent) => Ok(ExitCode::SUCCESS),
                }
            }
            Self::PspSim(options) => Ok(psp_sim::run(options).await.map(|()| ExitCode::SUCCESS)?),
        }
    }
}

impl Default for Command {
    /// The demo with its default options, which clap knows.
    fn default() -> Self {
        #[derive(Parser)]
        struct Defaults {
            #[command(flatten)]
            demo: Demo,
        }
        Self::Demo(Defaults::parse_from(["demo"]).demo)
    }
}
