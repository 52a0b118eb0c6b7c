//! A ride-matching service to learn from: nearest drivers, trips, and money that survives.
//!
//! The source tree is the whiteboard drawing of the system: `ARCHITECTURE.md` has the picture. Every folder is a room, and a room
//! imports only from floors below it.

pub mod dispatch;
mod document;
mod doors;
pub mod geo;
pub mod ops;
pub mod payments;
pub mod platform;
pub mod pricing;
pub mod sandbox;
pub mod startup;
pub mod supply;
pub mod trips;
pub mod webhooks;
mod workers;

pub use document::document;
