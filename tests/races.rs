//! Races.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "races/course.rs"]
mod course;
mod harness;
#[path = "races/offers.rs"]
mod offers;
