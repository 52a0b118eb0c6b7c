//! Payments: authorise → capture → refund. The trip says what it wants of a payment, in its own transaction; a worker moves the
//! payment there by asking the provider, and the ledger records what was charged, taken and given back.
//!
//! It never calls the provider inside a transaction, never takes a time-out for an answer, and never believes an event: what
//! became of a call is found out by asking. A call is committed before it is made. What is unknown stays unknown until it is
//! known, and a person sees what cannot be found out.
//!
//! For the rooms above: [`commands`] to open, settle and release payments, [`store::of_trip`] to read them, [`books`] to compare with the
//! provider's. News for them are the events `payment.authorized` and `payment.declined`, of fares only.

pub mod books;
pub mod commands;
pub mod gateway;
pub mod ledger;
pub mod machine;
pub mod model;
pub mod routes;
pub mod store;
pub mod views;
pub mod webhooks;
pub mod worker;

pub use books::{BookedIntent, BookedRefund, ProviderBooks, RefundStage, Stage, books};
pub use commands::{NewPayment, Settlement};
pub use gateway::Gateway;
pub use model::{Intent, Payment, Purpose, State};
pub use webhooks::WebhookSecrets;
pub use worker::PaymentsContext;
