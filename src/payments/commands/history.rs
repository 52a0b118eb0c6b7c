//! The history of a payment: each change of its state, its goal and its refunds writes one event, in the transaction of the change.

use uuid::Uuid;

use crate::payments::model::{Goal, Payment, PaymentEventKind, PaymentState, RefundState};
use crate::payments::store::{self, NewPaymentEvent};
use crate::platform::clock::{DomainTime, MachineTime};
use crate::platform::db::Tx;
use crate::platform::error::Result;
use crate::platform::ids::{PaymentId, RefundId};

/// Both times of a change.
#[derive(Debug, Clone, Copy)]
pub(super) struct ChangedAt {
    pub(super) domain: DomainTime,
    pub(super) machine: MachineTime,
}

/// Records a new payment of `amount` minor units.
pub(super) async fn opened(tx: &mut Tx, payment_id: PaymentId, amount: i64, at: ChangedAt) -> Result<()> {
    store::insert_payment_event(tx, &event(payment_id, (PaymentEventKind::Opened, None), Some(amount), at)).await
}

/// Records that the trip has set the goal of a payment that was as `before`.
pub(super) async fn goal_set(tx: &mut Tx, before: &Payment, goal: Goal, at: ChangedAt) -> Result<()> {
    let kind = (PaymentEventKind::GoalSet, Some(before.state));
    store::insert_payment_event(tx, &event(before.id, kind, goal.capture_amount(), at)).await
}

/// Records a change of the state. `attempt_id` is the call whose result changed it; `None` after a look-up or an operator's decision.
pub(super) async fn state_changed(
    tx: &mut Tx,
    before: &Payment,
    after: &Payment,
    attempt_id: Option<Uuid>,
    at: ChangedAt,
) -> Result<()> {
    let amount = match after.state {
        PaymentState::Captured => Some(after.captured),
        PaymentState::Authorized | PaymentState::Capturing => Some(after.authorized),
        PaymentState::Authorizing
        | PaymentState::Declined
        | PaymentState::Voiding
        | PaymentState::Voided
        | PaymentState::AuthExpired
        | PaymentState::CaptureFailed => None,
    };
    let kind = (PaymentEventKind::StateChanged, Some(before.state));
    let event = NewPaymentEvent { attempt_id, ..event(before.id, kind, amount, at) };
    store::insert_payment_event(tx, &event).await
}

/// Records the state of a refund: requested, succeeded or failed. A refund leaves the state of its payment, captured, as it is.
pub(super) async fn refund_is(
    tx: &mut Tx,
    (payment_id, refund_id, amount): (PaymentId, RefundId, i64),
    state: RefundState,
    attempt_id: Option<Uuid>,
    at: ChangedAt,
) -> Result<()> {
    let kind = match state {
        RefundState::Pending => PaymentEventKind::RefundRequested,
        RefundState::Succeeded => PaymentEventKind::RefundSucceeded,
        RefundState::Failed => PaymentEventKind::RefundFailed,
    };
    let event = event(payment_id, (kind, Some(PaymentState::Captured)), Some(amount), at);
    store::insert_payment_event(tx, &NewPaymentEvent { refund_id: Some(refund_id), attempt_id, ..event }).await
}

fn event(
    payment_id: PaymentId,
    (kind, from): (PaymentEventKind, Option<PaymentState>),
    amount: Option<i64>,
    at: ChangedAt,
) -> NewPaymentEvent {
    NewPaymentEvent {
        payment_id,
        kind,
        from,
        amount: amount.filter(|amount| *amount > 0),
        refund_id: None,
        attempt_id: None,
        at: at.domain,
        made_at: at.machine,
    }
}
