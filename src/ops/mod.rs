//! Ops: whether everything is as it must be, and what a person has to look at. The audit of the contract's nine invariants,
//! reconciliation with the provider's books, views of the ledger, and what is removed when it has been kept for long enough.
//!
//! It reads every room's tables and changes none of their facts by itself. The audit only looks: one that repairs hides what
//! went wrong. Reconciliation repairs what a rule covers, by the payments' own commands, and writes down what it did. What operators
//! decide about money is a command of `payments`, with an address here.

pub mod audit;
mod commands;
mod compare;
mod gauges;
pub mod model;
pub mod report;
pub mod routes;
mod store;
pub mod worker;

pub use audit::Auditor;
pub use gauges::gauges;
pub use report::Report;
pub use worker::reconciliation::Reconciler;
