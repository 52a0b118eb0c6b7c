//! A private PostgreSQL for whoever needs one: a demo, a test run, a build step.

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
