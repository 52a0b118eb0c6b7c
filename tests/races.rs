//! Races over HTTP: two of something at the same time, each a thousand times, judged by the answers and by the audit. And for each
//! constraint that they lean on, a test that takes it away and sees what happens then.
//!
//! - [`offers`], [`trips`]: the races. With `RIDEMATCH_RACE_ROUNDS=10000` they run ten times as long.
//! - [`belts`]: constraints that hold alone, or when what stands before them is cut.
//! - [`forbidden`]: constraints whose absence no race would notice, because a lock always comes first.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "races/belts.rs"]
mod belts;
#[path = "races/course.rs"]
mod course;
#[path = "races/forbidden.rs"]
mod forbidden;
mod harness;
#[path = "races/offers.rs"]
mod offers;
#[path = "races/trips.rs"]
mod trips;
#[path = "audit/world.rs"]
mod world;
