//! Dispatch: decides which driver is offered which trip.
//!
//! A match cycle reads the searching trips, asks `supply` for drivers near each, plans with a pure function, and has `trips` write
//! the offers. Dispatch never assigns a driver: the driver does, by accepting. It saves every decision for `explain`.

pub mod plan;
pub mod routes;
pub mod store;
pub mod worker;
