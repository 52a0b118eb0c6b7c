//! Crashes, lost connections, idempotency keys, and the guards that hold when everything else fails.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../harness/mod.rs"]
mod harness;

mod connections;
mod crash;
mod guards;
mod idempotency;
mod kill_points;
