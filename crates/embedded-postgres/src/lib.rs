//! A private PostgreSQL (14 or newer) for a demo, a test run or a build step.
//!
//! Nothing has to be installed or configured. The crate finds the server's programs on the machine, or fetches them. The
//! server listens only on a Unix socket in a directory of mode 0700. It stops when its owner ends, for any reason,
//! including `kill -9`.
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
//! For tests, [`TestCluster::shared`] makes a database for each test, a copy of a template that is prepared once.
//!
//! It needs a Unix system with `/bin/sh`, `mkfifo` and `id`, and a tokio runtime with time and I/O enabled.
//!
//! A module imports only from modules above it in this list:
//!
//! - `installation` (server binaries), `error`, `account` (who runs the server), `files`, `waiting`
//! - `fetch` (package clients), `search` (find or fetch binaries)
//! - `lifetime_pipe` (stops the server with its owners), `data_dir` (ownership and data), `server` (databases)
//! - `cluster` (start and stop), `testing` (databases for tests)

mod account;
mod cluster;
mod data_dir;
mod error;
mod fetch;
mod files;
mod installation;
mod lifetime_pipe;
mod search;
mod server;
mod testing;
mod waiting;

pub use cluster::{Cluster, Settings};
pub use data_dir::Storage;
pub use error::Error;
pub use files::default_data_dir;
pub use installation::MAJOR_MIN;
pub use search::{BIN_DIR_VARIABLE, Search};
pub use server::Server;
pub use testing::{Database, TEST_DATABASE_URL_VARIABLE, TestCluster};
pub use waiting::Progress;
