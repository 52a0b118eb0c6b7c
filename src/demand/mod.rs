//! Demand: where rides are requested, over time. Counts requests per cell in bounded memory, by all processes together, and keeps the surge
//! multipliers that follow from demand and supply.
//!
//! It never sees a driver and never sets a price: the matcher passes the free drivers in, `pricing` asks for the multiplier of a place, and a
//! quote keeps the one that it was made with.

pub mod commands;
pub mod model;
pub mod routes;
pub mod sketch;
mod state;
pub mod store;
pub mod surge;
pub mod views;
pub mod worker;
pub mod zones;

pub use model::{Override, PlaceSurge};
pub use state::Demand;
pub use store::RETENTION;
