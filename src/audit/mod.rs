//! The audit: checks the nine invariants of the service on live data.
//!
//! It reads the tables of every module in one snapshot, then the provider's records, and reports what breaks an invariant. It
//! never repairs: an audit that repairs hides the fault.

mod auditor;
mod model;
mod report;
pub mod routes;
mod store;

pub use auditor::{AuditConfig, Auditor};
pub use report::{AuditReport, ProviderCheck};
