//! The HTTP API as a caller sees it: the published document, conventions, errors, bad input, authorization, secrets, streams.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../harness/mod.rs"]
mod harness;

mod authorization;
mod bad_input;
mod connections;
mod conventions;
mod driver_stream;
mod error_pages;
mod every_operation;
mod head;
mod metrics;
mod openapi;
mod secrets;
mod streams;
