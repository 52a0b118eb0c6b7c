//! Where the drivers are: the last position of everybody online, and the free ones nearest to a place.
//!
//! What this room says about a driver is a hint from memory. It never assigns anybody, never decides who is available (the
//! database does, when the offer is written), and can be lost at any moment: it fills again within one round of positions.

pub mod commands;
mod fleet;
mod index;
pub mod routes;
pub mod store;
pub mod worker;

pub use fleet::{Candidate, Fleet, LastKnown, MAX_CANDIDATE_AGE_S, MAX_LEAD_S, Query, Report, Seen, Status, Verdict};
pub use index::Supply;
