//! Pricing: what a ride costs, and the promise of a price. It owns every rule that turns metres and seconds into money, and
//! the quotes. It never charges anybody: that is `payments`, told by `trips`.

pub mod commands;
pub mod model;
pub mod routes;
pub mod store;

pub use model::{Fare, Tariff, driver_share, price, waiting_charge};
pub use store::Quote;
