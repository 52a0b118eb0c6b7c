//! The provider over HTTP, as its callers see it.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests")]

mod idempotency;
mod memory;
mod protocol;
mod races;
mod shapes;
mod sim;
mod states;
mod throughput;
mod webhooks;
