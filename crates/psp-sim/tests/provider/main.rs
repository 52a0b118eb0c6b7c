//! Tests of psp-sim over HTTP.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests")]

mod control;
mod deliveries;
mod durability;
mod faults;
mod harness;
mod idempotency;
mod late_changes;
mod object_shapes;
mod payment_status;
mod protocol;
mod races;
mod random_faults;
mod readme;
mod receiver;
mod state;
mod throughput;
mod webhooks;
