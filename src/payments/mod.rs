//! Payments: authorize → capture → refund. A trip sets the goal of a payment in its own transaction. A worker moves the payment there
//! by calling the provider. The ledger records what was charged, captured and refunded.
//!
//! It never calls the provider inside a transaction, never takes a time-out for a result, and never uses what an event says. A call is
//! committed before it is made. An unknown result stays unknown until a look-up shows it, or an operator decides.
//!
//! For the modules above: [`commands`] to open, settle and release payments, [`store::payments_of_trip`] to read them,
//! [`record_page`] and [`records_of`] to compare with the provider's. Trips react to the events `payment.authorized` and `payment.declined`, which
//! are published for fares only.

pub mod commands;
pub mod ledger;
pub mod model;
pub mod provider;
pub mod routes;
pub mod state_machine;
pub mod store;
pub mod views;
pub mod webhooks;
pub mod worker;

pub use commands::{NewPayment, Settlement};
pub use model::{Goal, Payment, PaymentPurpose, PaymentState};
pub use provider::ProviderClient;
pub use provider::records::{
    CreatedRange, DisputeRecord, IntentRecord, IntentStage, ProviderRecords, RecordList, RefundRecord, RefundStage,
    intent_record, record_page, records_of,
};
pub use store::RETENTION;
pub use webhooks::WebhookSecrets;
pub use worker::PaymentsContext;
