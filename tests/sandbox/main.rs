//! The sandbox and the program: controls, the console, triggers and the command line.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../harness/mod.rs"]
mod harness;

mod console;
mod console_feeds;
mod controls;
mod environment;
mod program;
mod rehearsal;
