//! The module's SQL.
//!
//! A transaction that changes a payment or a refund holds the lock of its row; one that records a provider call holds its lease too.
//! The guards are in the `where` clauses. Rows are locked `for no key update`: their keys never change, so other rows can reference
//! them meanwhile.

mod attempts;
mod events;
mod history;
mod leases;
mod ledger;
mod ledger_views;
mod movements;
mod payments;
mod refunds;
mod resolutions;
mod retention;

pub use attempts::{
    FinishedAttempt, StartedAttempt, expire_attempts, finish_attempt, resolve_attempts, start_attempt,
    unresolved_attempts,
};
pub use events::{
    DueEvent, due_events, event_counts, finish_event, insert_event, knows_intent, lock_due_event, next_event_due,
    postpone_event, set_aside_event,
};
pub use history::{NewPaymentEvent, PaymentEvent, insert_payment_event, payment_events};
pub use leases::{
    LeaseQuery, RetrySchedule, lease_payments, lease_refunds, lock_leased_payment, lock_leased_refund, next_due,
    save_payment, save_refund,
};
pub use ledger::post;
pub use ledger_views::{AccountBalance, LedgerFilter, LedgerLine, PostedEntries, accounts, chart, postings};
pub use movements::{PaymentMovement, movements};
pub use payments::{
    InsertPayment, insert_payment, lock_payment, lock_payments_of_trip, make_due, payment, payments_of_trip,
    reserve_refund, set_goal,
};
pub use refunds::{
    InsertRefund, insert_imported, insert_refund, lock_refund, refund, refunds_of_payment, set_provider_refund_id,
};
pub use resolutions::{ResolutionRow, close_payment, close_refund, insert_resolution, retry_payment, retry_refund};
pub use retention::RETENTION;
