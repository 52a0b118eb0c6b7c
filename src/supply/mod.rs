//! Supply: drivers, their last known positions, and the search for the nearest free ones.
//!
//! The index is a cache in the matcher's memory. It never assigns a driver and never decides availability: the database does, when
//! an offer is written. It can be lost at any time, and is complete again after each driver's next position. The checkpoint of its
//! positions is for the next matcher, and for processes that have no index.

pub mod checkpoint;
pub mod commands;
mod fleet;
mod index;
pub mod ingest;
mod known_position;
mod nearby;
pub mod routes;
pub mod store;
pub mod worker;

pub use fleet::{
    Candidate, Fleet, FreeDriver, IndexDifference, LastKnown, MAX_CANDIDATE_AGE_S, MAX_LEAD_S, OnlineDriver,
    PositionReport, PositionVerdict, Query, Status, differing,
};
pub use index::Supply;
pub use known_position::{KnownPosition, known_position};
pub use nearby::CarHandles;
