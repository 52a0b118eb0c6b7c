//! Races over HTTP: two concurrent requests, a thousand times, checked by the responses and the audit. And for each constraint that
//! they depend on, a test without it.
//!
//! - [`offers`], [`trips`]: the races. `RIDEMATCH_RACE_ROUNDS=10000` runs them ten times as long.
//! - [`constraint_backstops`]: constraints that hold alone, or after the checks in front of them are removed.
//! - [`forbidden_rows`]: constraints that no race reaches, because a lock always comes first.
#![allow(clippy::unwrap_used, reason = "tests")]

mod constraint_backstops;
mod forbidden_rows;
mod offers;
mod race_harness;
mod trips;
