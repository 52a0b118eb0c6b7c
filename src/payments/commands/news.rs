//! What the outbox is told of payments and refunds: whose, which number, the state. No more: it may be read long after.

use serde_json::json;

use crate::payments::model::{Payment, Refund};
use crate::platform::clock::{DomainTime, MachineTime};
use crate::platform::db::Tx;
use crate::platform::error::Result;
use crate::platform::outbox;

/// Tells that a payment has reached another state, `at` (domain time). Its number is its version.
pub(super) async fn payment_changed(tx: &mut Tx, payment: &Payment, at: DomainTime, now: MachineTime) -> Result<()> {
    let news = json!({
        "at": at,
        "payment_id": payment.id,
        "trip_id": payment.trip_id,
        "rider_id": payment.rider_id,
        "purpose": payment.purpose.as_str(),
        "seq": payment.version,
        "state": payment.state.as_str(),
    });
    outbox::publish(tx, "payment.changed", payment.trip_id, news, now).await
}

/// Tells that a refund has ended, `at` (domain time). Its number is the version that its payment has now, `seq`.
pub(super) async fn refund_changed(
    tx: &mut Tx,
    (refund, payment): (&Refund, &Payment),
    seq: i64,
    at: DomainTime,
    now: MachineTime,
) -> Result<()> {
    let news = json!({
        "at": at,
        "refund_id": refund.id,
        "payment_id": payment.id,
        "trip_id": payment.trip_id,
        "rider_id": payment.rider_id,
        "seq": seq,
        "state": refund.state.as_str(),
    });
    outbox::publish(tx, "refund.changed", payment.trip_id, news, now).await
}
