//! Webhooks to subscribers: operators register endpoints, and changes of trips, payments and refunds are delivered to them.
//!
//! A change arrives through the outbox, becomes an event with a fixed body, and is delivered to each endpoint that subscribes to
//! its type: signed, at least once, in no guaranteed order. The module never makes a call inside a transaction and never calls
//! addresses of a private network. A body contains only ids, a state and a sequence number; a receiver that needs more calls the
//! API with a token. `docs/webhooks.md` is for receivers and operators.

pub mod commands;
pub mod model;
pub mod routes;
pub mod signature;
mod store;
mod views;
pub mod worker;

pub use store::RETENTION;
pub use worker::WebhooksContext;
