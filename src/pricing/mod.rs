//! Pricing: the price of a ride, and quotes. Owns every rule that turns meters and seconds into money. Never charges a rider
//! (`payments` does, called by `trips`). How to change a price: `docs/how-to/change-a-price.md`.

pub mod commands;
pub mod model;
pub mod routes;
pub mod store;

pub use model::{Fare, Tariff, driver_share, price, waiting_charge};
pub use store::{Quote, RETENTION};
