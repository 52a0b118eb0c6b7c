//! Reconciliation: compares our payment records with the provider's, on a schedule and on request.
//!
//! It records each difference as a finding, applies the repair rule that covers it, and leaves the rest to operators. Repairs
//! are commands of `payments`; each is recorded. It never changes intents that were not made for a payment of this service:
//! another system may use the same account.

mod commands;
pub(crate) mod compare;
pub mod model;
pub mod routes;
mod store;
pub mod worker;

pub use store::RETENTION;
pub(crate) use store::unsettled_trips;
pub use worker::ReconciliationContext;
