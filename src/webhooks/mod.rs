//! Webhooks: tells others what happens here. Operators register endpoints; what happens to trips, payments and refunds comes
//! through the outbox, becomes an event with a body that never changes again, and is delivered to each endpoint that wants it:
//! signed, at least once, in no promised order.
//!
//! It never speaks with anybody inside a transaction, never with addresses of our own network, and never tells more than ids, a
//! state and its number: who wants to know more asks the API, with a token. `docs/webhooks.md` is for receivers and operators.

pub mod commands;
pub mod model;
pub mod routes;
pub mod signature;
mod store;
mod views;
pub mod worker;

pub use worker::WebhooksContext;
