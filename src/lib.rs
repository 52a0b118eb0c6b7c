//! A ride-matching service to learn from: nearest drivers, trips, and money that survives.
//!
//! Each folder is a module, and a module imports only from layers below it: `ARCHITECTURE.md` has the drawing.

mod api;
pub mod audit;
pub mod demand;
pub mod dispatch;
pub mod geo;
pub mod payments;
pub mod platform;
pub mod pricing;
pub mod reconciliation;
#[cfg(feature = "sandbox")]
pub mod sandbox;
pub mod startup;
pub mod supply;
pub mod trips;
pub mod webhooks;
mod workers;

pub use api::openapi::document;
