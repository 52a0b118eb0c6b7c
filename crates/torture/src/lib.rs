//! Torture: riders and drivers use the service while a seeded adversary kills, cuts, pauses and starves everything it stands
//! on. Then everything heals, time passes, and the books are compared on both sides.
//!
//! The service is a black box: processes, signals, sockets, its public interface. What is known of the inside is the tables
//! in which the books are. [`wire`] stands by itself, and tests use it too.

mod adversary;
mod books;
mod cli;
mod clock;
mod database;
mod dice;
mod keeper;
mod line;
mod peace;
mod people;
mod process;
mod provider;
mod report;
mod run;
mod stack;
mod tally;
mod valve;
pub mod wire;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use cli::Cli;
pub use line::Line;
pub use run::run;
pub use valve::{Mode, Passage, Valve, Way};

/// Any error. Whoever sees one here is a person at a terminal.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What a thread that panicked has left is still the truth: every critical section here is a single step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
