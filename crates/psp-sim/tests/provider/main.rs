//! The provider over HTTP, as its callers see it.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests")]

mod books;
mod control;
mod deliveries;
mod faults;
mod idempotency;
mod memory;
mod protocol;
mod races;
mod readme;
mod receiver;
mod shapes;
mod sim;
mod states;
mod storm;
mod throughput;
mod webhooks;
