//! Trips: one trip from request to receipt. Owns the state machines of trips and offers, the engagements of drivers and the
//! history behind the event streams. Never chooses a driver (`dispatch` does) and never calls the payment provider
//! (`payments` does; trips reacts to its events in the outbox).

pub mod commands;
mod eta;
pub mod model;
pub mod offer;
pub mod routes;
pub mod state_machine;
pub mod store;
pub mod views;
pub mod watch;
pub mod worker;

pub use commands::{Actor, Stamp};
pub use model::{State, Trip};
pub use offer::Offer;
pub use store::RETENTION;
pub use watch::TripWatch;
