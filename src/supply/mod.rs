//! Supply: drivers, their last known positions, and the search for the nearest free ones.
//!
//! The index is a cache in memory. It never assigns a driver and never decides availability: the database does, when an offer is
//! written. It can be lost at any time, and is complete again after each driver's next position.

pub mod commands;
mod fleet;
mod index;
pub mod ingest;
pub mod routes;
pub mod store;
pub mod worker;

pub use fleet::{
    Candidate, Fleet, LastKnown, MAX_CANDIDATE_AGE_S, MAX_LEAD_S, OnlineDriver, PositionReport, PositionVerdict, Query,
    Status,
};
pub use index::Supply;
