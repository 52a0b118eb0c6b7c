//! The room's SQL. Whoever changes a payment or a refund holds the lock of its row; whoever works on it for the provider holds its
//! lease too. The guard stands in the `where`.
//!
//! Rows are locked `for no key update`: nobody changes their keys, and other rows go on referring to them meanwhile.

mod adopted;
mod attempts;
mod events;
mod leases;
mod ledger;
mod movements;
mod payments;
mod refunds;
mod resolutions;

pub use adopted::{Adopted, insert_adopted, name_refund};
pub use attempts::{
    Finished, Started, finish_attempt, forsake_attempts, forsake_refund_attempts, resolve_attempts,
    resolve_refund_attempts, start_attempt, unresolved_attempts, unresolved_refund_attempts,
};
pub use events::{
    DueEvent, event_counts, finish_event, insert_event, knows_intent, lock_due_event, next_event_due, put_off_event,
    set_aside_event,
};
pub use leases::{Lease, Pace, lease_payments, leased_payment, next_due, save_payment};
pub use ledger::post;
pub use movements::{Movement, movements};
pub use payments::{Insert, hint, insert, lock, lock_of_trip, of_trip, one, reserve_refund, want};
pub use refunds::{
    InsertRefund, insert_refund, lease_refunds, leased_refund, lock_refund, of_payment, refund, save_refund,
};
pub use resolutions::{Resolution, due_again, insert_resolution, refund_due_again, save_closed, save_closed_refund};
