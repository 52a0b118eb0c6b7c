//! Fault injection: riders and drivers use the service while a seeded fault injector kills, cuts, pauses and overloads everything
//! it depends on. Then all faults end, time passes, and the records of both sides are compared.
//!
//! The service is a black box: processes, signals, sockets and its public interface. Only the comparison reads its tables. [`wire`]
//! can be used by itself.

mod actors;
mod cli;
mod database;
mod fault_injector;
mod fault_log;
mod ledger_check;
mod provider;
mod random;
mod report;
mod run;
mod settle;
mod stack;
mod stadium;
pub mod wire;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use cli::{Cli, Command, Stadium};
pub use launcher::BoxError;
pub use run::run;
pub use stadium::run as run_stadium;

/// Locks a mutex, also after a panic: every critical section here is a single step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
