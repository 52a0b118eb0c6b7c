//! What an on-call engineer can read of a running drill. Everything is as it is: figures of the running load, the service's own log and
//! metrics, the database's own views, and the history of the exported tree. Each value prints itself for a terminal and is written as JSON.
//!
//! - `figures` (the last minute of the load), `metrics` (changes of `/metrics`), `logs` (the service's log)
//! - `database` (sessions, locks, statements, tables, read-only queries), `deploys` (`git log`)

pub mod database;
pub mod deploys;
pub mod figures;
pub mod logs;
pub mod metrics;
mod table;

pub use database::{DatabaseActivity, QueryRows};
pub use deploys::{Deploy, deploys};
pub use figures::Figures;
pub use logs::{LogFilter, LogLine};
pub use metrics::MetricChange;
