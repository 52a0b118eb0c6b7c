//! Trips: one trip from request to receipt. It owns the machines of trips and offers, the engagement of drivers, and the history
//! that the streams show. It never chooses a driver (that is `dispatch`) and never speaks with the payment provider (that is
//! `payments`, which it tells what is owed, and from which it hears through the outbox).

pub mod commands;
pub mod machine;
pub mod model;
pub mod offer;
pub mod routes;
pub mod store;
pub mod views;
pub mod worker;

pub use commands::{Actor, Stamp};
pub use model::{State, Trip};
pub use offer::Offer;
