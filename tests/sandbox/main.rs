//! The sandbox and the program: controls, the console, the design book, triggers and the command line.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../harness/mod.rs"]
mod harness;

mod book;
mod console;
mod console_feeds;
mod controls;
mod environment;
mod pair;
mod program;
mod rehearsal;
