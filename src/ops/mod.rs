//! Ops: whether everything is as it must be, and what a person has to look at. The audit of the contract's nine invariants, the
//! comparison of our books with the provider's, views of the ledger, and what is removed when it has been kept for long enough.
//!
//! It reads every room's tables and changes none of their facts: an audit that repairs hides what went wrong. What operators decide
//! about money is a command of `payments`, with an address here.

pub mod audit;
mod gauges;
pub mod model;
pub mod report;
mod resolve;
pub mod routes;
mod store;
pub mod worker;

pub use audit::Auditor;
pub use gauges::gauges;
pub use report::Report;
