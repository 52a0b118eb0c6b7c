//! Crashes, lost connections, idempotency keys, and the guards that hold when everything else fails.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../harness/mod.rs"]
mod harness;

mod checkpoint_size;
mod connections;
mod crash;
mod guards;
mod held_locks;
mod idempotency;
mod kill_points;
mod matcher_change;
mod retention;
mod unreadable_rows;
mod worker_runs;
