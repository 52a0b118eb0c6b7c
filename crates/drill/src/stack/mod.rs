//! The processes of a run: a database, the provider simulator and the service, with what a load needs beside them.
//!
//! - `model` (what a run needs and returns), `database` (one cluster, a database per run), `run_dir` (logs and files)
//! - `processes` (provider and services)
//! - `journal` (what happened to processes), `subscriber` (receives webhooks), `prober` (restarts a service that does not answer)
//! - `schedule` (provider faults and events of the load), `metrics` (reads `/metrics`), `states` (trips and offers in the database)
//! - `run` (one run from start to end), `serve` (a stack that keeps running), `served` (reads and stops such a stack)

mod database;
mod journal;
pub(crate) mod metrics;
pub mod model;
mod prober;
mod processes;
mod run;
mod run_dir;
mod schedule;
pub mod serve;
pub mod served;
mod states;
mod subscriber;

pub use model::{CaseResult, Programs, Rows, RunResult, RunSpec};
pub use processes::{PROVIDER_KEY, Stack};
pub(crate) use run::LoadRun;
pub use run::run;
pub use run_dir::remove_run_dirs;
pub use serve::{ServeCommand, ServedState, serve};
pub use served::Served;
pub(crate) use states::read_states;
