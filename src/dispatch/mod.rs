//! Dispatch: decides which driver is offered which trip.
//!
//! A match cycle matches the backlog, which is all searching trips, with all free drivers: it asks `supply` for candidates, plans with
//! a pure function, and has `trips` write the offers. Dispatch never assigns a driver: the driver does, by accepting. It saves every decision for `explain`.
//! The zone cycle computes surge from demand and free drivers, and sends idle drivers hints where demand is short of cars.

pub mod assignment;
pub mod backlog;
pub mod candidates;
pub mod decision;
pub mod hints;
pub mod plan;
pub mod routes;
pub mod store;
pub mod unavailable;
pub mod wait;
pub mod worker;
pub mod zone_cycle;

pub use store::RETENTION;
