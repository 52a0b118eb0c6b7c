//! A private PostgreSQL, 14 or newer, for whoever needs one: a demo, a test run, a build step.
//!
//! Nothing has to be installed or configured. The server's programs are found on the machine or else fetched, the
//! server listens on a Unix socket in a directory of mode 0700 and nowhere else, and it stops when its owner is gone,
//! whatever that died of.
//!
//! ```no_run
//! # async fn example() -> Result<(), embedded_postgres::Error> {
//! use embedded_postgres::{Cluster, Settings};
//!
//! let cluster = Cluster::start(Settings::kept("/var/lib/example")).await?;
//! cluster.server().ensure_database("example").await?;
//! let url = cluster.url("example"); // for sqlx, or psql
//! cluster.stop().await
//! # }
//! ```
//!
//! A test asks [`TestCluster::shared`] for a database of its own, a copy of a template that is prepared once.
//!
//! It needs a Unix system with `/bin/sh`, `mkfifo` and `id`, and a tokio runtime with time and I/O enabled.

mod account;
mod cluster;
mod error;
mod fetch;
mod files;
mod home;
mod installation;
mod leash;
mod search;
mod server;
mod testing;

pub use cluster::{Cluster, Progress, Settings, Storage};
pub use error::Error;
pub use files::default_data_dir;
pub use installation::MAJOR_MIN;
pub use search::{BIN_DIR_VARIABLE, Search};
pub use server::Server;
pub use testing::{Database, TEST_DATABASE_URL_VARIABLE, TestCluster};
