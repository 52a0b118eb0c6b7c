//! Payments, refunds and webhooks: the provider and its failures, reconciliation, and the audit.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../harness/mod.rs"]
mod harness;

mod audit;
mod audit_program;
mod bad_money;
mod captures;
mod fixtures;
mod generated_trips;
mod history;
mod late_changes;
mod provider;
mod reconciliation;
mod refunds;
mod resolve;
mod stale_leases;
mod webhook_orders;
mod webhooks_in;
mod webhooks_out;
