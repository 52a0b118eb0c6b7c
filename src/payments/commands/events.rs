//! Events about payments and refunds: ids, a sequence number, the state. Nothing more, because they may be read much later.

use serde_json::json;

use crate::payments::model::{Payment, Refund};
use crate::platform::clock::{DomainTime, MachineTime};
use crate::platform::db::Tx;
use crate::platform::error::Result;
use crate::platform::outbox;

/// Publishes that a payment changed its state at `at`. The sequence number is its version.
pub(super) async fn payment_changed(tx: &mut Tx, payment: &Payment, at: DomainTime, now: MachineTime) -> Result<()> {
    let payload = json!({
        "at": at,
        "payment_id": payment.id,
        "trip_id": payment.trip_id,
        "rider_id": payment.rider_id,
        "purpose": payment.purpose.as_str(),
        "seq": payment.version,
        "state": payment.state.as_str(),
    });
    outbox::publish(tx, "payment.changed", payment.trip_id, payload, now).await
}

/// Publishes that a refund ended at `at`. The sequence number, `seq`, is the version of its payment after that.
pub(super) async fn refund_changed(
    tx: &mut Tx,
    (refund, payment): (&Refund, &Payment),
    seq: i64,
    at: DomainTime,
    now: MachineTime,
) -> Result<()> {
    let payload = json!({
        "at": at,
        "refund_id": refund.id,
        "payment_id": payment.id,
        "trip_id": payment.trip_id,
        "rider_id": payment.rider_id,
        "seq": seq,
        "state": refund.state.as_str(),
    });
    outbox::publish(tx, "refund.changed", payment.trip_id, payload, now).await
}
