//! The commands on payments: trips open, settle and release them, operators refund and resolve them, the provider's events make
//! them due. None of them calls the provider; the worker does, by [`operation`].

mod events;
mod history;
pub mod import;
pub mod operation;
pub mod resolve;

use serde_json::json;
use uuid::Uuid;

use self::history::ChangedAt;
use super::ledger::{self, PostingStamp, TripCharge};
use super::model::{CallPool, Goal, Hint, Payment, PaymentPurpose, PaymentState, Refund, RefundState};
use super::state_machine::{self, GoalRefused};
use super::store::{self, InsertPayment, InsertRefund};
use crate::platform::clock::{DomainTime, MachineTime};
use crate::platform::db::Tx;
use crate::platform::error::{Code, Error, IfMatch, Refusal, Result, check_version};
use crate::platform::ids::{DriverId, PaymentId, RefundId, RiderId, TripId};
use crate::platform::money::Money;
use crate::platform::wake::Wake;

/// A payment to open.
#[derive(Debug, Clone)]
pub struct NewPayment {
    /// The payment's id.
    pub id: PaymentId,
    /// The trip.
    pub trip_id: TripId,
    /// The rider who pays.
    pub rider_id: RiderId,
    /// The recipient of a tip.
    pub driver_id: Option<DriverId>,
    /// What it is for.
    pub purpose: PaymentPurpose,
    /// [`Goal::Hold`] for a fare; [`Goal::Capture`] for what is owed already.
    pub goal: Goal,
    /// The amount to authorize; positive.
    pub amount: Money,
    /// The provider's payment method, `pm_…`.
    pub method: String,
}

/// Opens a payment, `authorizing` and due.
///
/// # Errors
/// `one_live_payment_per_purpose` if the trip has a live payment for this purpose.
pub async fn open(tx: &mut Tx, new: &NewPayment, now: DomainTime, machine_now: MachineTime) -> Result<()> {
    let insert = InsertPayment {
        id: new.id,
        trip_id: new.trip_id,
        rider_id: new.rider_id,
        driver_id: new.driver_id,
        purpose: new.purpose,
        replaces: None,
        goal: new.goal,
        amount: new.amount,
        method: &new.method,
        created_at: now,
        due_at: machine_now,
        // Other payments share their trip's key.
        key_id: tx.key_id().filter(|_| new.purpose == PaymentPurpose::Tip),
    };
    insert_payment(tx, &insert).await
}

/// Inserts a payment with its first event, and wakes the worker.
async fn insert_payment(tx: &mut Tx, new: &InsertPayment<'_>) -> Result<()> {
    store::insert_payment(tx, new).await?;
    let at = ChangedAt { domain: new.created_at, machine: new.due_at };
    history::opened(tx, new.id, new.amount.amount, at).await?;
    tx.wake(CallPool::of(PaymentState::Authorizing, new.goal).wake());
    Ok(())
}

/// A payment that replaces one that has ended, with its purpose and method.
#[derive(Debug, Clone, Copy)]
struct Replacement {
    id: PaymentId,
    goal: Goal,
    /// Minor units.
    amount: i64,
}

/// Opens a payment that replaces `old`.
///
/// # Errors
/// `replaced_once` if `old` has a replacement.
async fn replace(
    tx: &mut Tx,
    old: &Payment,
    new: Replacement,
    now: DomainTime,
    machine_now: MachineTime,
) -> Result<()> {
    let insert = InsertPayment {
        id: new.id,
        trip_id: old.trip_id,
        rider_id: old.rider_id,
        driver_id: old.driver_id,
        purpose: old.purpose,
        replaces: Some(old.id),
        goal: new.goal,
        amount: old.money(new.amount),
        method: &old.method,
        created_at: now,
        due_at: machine_now,
        key_id: None,
    };
    insert_payment(tx, &insert).await
}

/// The final cost of a trip.
#[derive(Debug, Clone)]
pub struct Settlement {
    /// The trip.
    pub trip_id: TripId,
    /// The rider who pays.
    pub rider_id: RiderId,
    /// The driver of the ride; `None` if there was none.
    pub driver_id: Option<DriverId>,
    /// What is owed; may be zero.
    pub total: Money,
    /// The driver's share, minor units; the rest is the platform's.
    pub driver_share: i64,
    /// The purpose of the payment for what the fare payment does not cover: [`PaymentPurpose::Remainder`] for a ride,
    /// [`PaymentPurpose::Fee`] for a cancellation.
    pub remainder_purpose: PaymentPurpose,
    /// The id of that payment, should one be needed.
    pub remainder_id: PaymentId,
    /// The id of the ledger posting.
    pub posting_id: Uuid,
}

/// Settles a finished trip: posts what is owed, captures it from the fare payment, and opens a payment for the rest. A total of zero
/// posts nothing, and releases the fare payment.
///
/// # Errors
/// [`Error::Bug`] if the settlement is inconsistent or the trip has no fare payment; `posted_once` if the trip is settled already.
pub async fn settle(tx: &mut Tx, settlement: &Settlement, now: DomainTime, machine_now: MachineTime) -> Result<()> {
    let Settlement { trip_id, rider_id, driver_id, total, driver_share, remainder_purpose, .. } = *settlement;
    if total.amount == 0 {
        return release(tx, trip_id, now, machine_now).await;
    }
    let payments = store::lock_payments_of_trip(tx, trip_id).await?;
    let fare = payments.into_iter().rfind(|payment| payment.purpose == PaymentPurpose::Fare);
    let Some(fare) = fare.filter(|fare| fare.amount.currency == total.currency) else {
        return Err(Error::Bug(format!("{trip_id} has no fare payment in {}", total.currency)));
    };
    let charge = TripCharge { trip_id, rider_id, driver_id, total, driver_share };
    let posting = ledger::charge(&charge, PostingStamp { id: settlement.posting_id, at: now })
        .map_err(|error| Error::Bug(format!("{trip_id}: {error}")))?;
    store::post(tx, &[posting]).await?;

    let covered = capture_fare(tx, &fare, total.amount, ChangedAt { domain: now, machine: machine_now }).await?;
    if covered < total.amount {
        let left = total.amount - covered;
        let remainder = NewPayment {
            id: settlement.remainder_id,
            trip_id,
            rider_id,
            driver_id: None,
            purpose: remainder_purpose,
            goal: Goal::Capture(left),
            amount: fare.money(left),
            method: fare.method.clone(),
        };
        open(tx, &remainder, now, machine_now).await?;
    }
    Ok(())
}

/// Sets the goal of capturing `total` from `fare`, as far as it suffices; returns the covered amount, minor units.
async fn capture_fare(tx: &mut Tx, fare: &Payment, total: i64, at: ChangedAt) -> Result<i64> {
    let amount = total.min(fare.amount.amount);
    match state_machine::set_goal(fare, Goal::Capture(amount)) {
        Ok(state) => {
            store::set_goal(tx, fare, Goal::Capture(amount), state, at.machine).await?;
            history::goal_set(tx, fare, Goal::Capture(amount), at).await?;
            tx.wake(Wake::Settlement);
            Ok(amount)
        }
        // Captured in the provider's dashboard.
        Err(GoalRefused) if fare.state == PaymentState::Captured => Ok(total.min(fare.captured)),
        // Declined or expired: the remainder payment covers all of it.
        Err(GoalRefused) => Ok(0),
    }
}

/// Releases the payments of a trip that ended without a charge. An authorization in progress is released once it is answered.
///
/// # Errors
/// If the database fails.
pub async fn release(tx: &mut Tx, trip_id: TripId, now: DomainTime, machine_now: MachineTime) -> Result<()> {
    for payment in store::lock_payments_of_trip(tx, trip_id).await? {
        if let Ok(state) = state_machine::set_goal(&payment, Goal::Release) {
            store::set_goal(tx, &payment, Goal::Release, state, machine_now).await?;
            let at = ChangedAt { domain: now, machine: machine_now };
            history::goal_set(tx, &payment, Goal::Release, at).await?;
            tx.wake(Wake::Settlement);
        }
    }
    Ok(())
}

/// A refund to make.
#[derive(Debug, Clone)]
pub struct NewRefund {
    /// The refund's id.
    pub id: RefundId,
    /// The payment.
    pub payment_id: PaymentId,
    /// A positive amount; `None`: all that is left.
    pub amount: Option<Money>,
    /// The versions that the payment may have.
    pub if_version: IfMatch,
}

/// Requests a refund, `pending` and due. Its amount is reserved under the payment's lock, so refunds never exceed the captured
/// amount, pending ones included.
///
/// # Errors
/// 404 without such a payment; 409 `not_refundable` if it is not captured or too little is left; 409 `payment_disputed`; 412; 422 for
/// another currency.
pub async fn refund(
    tx: &mut Tx,
    new: &NewRefund,
    now: DomainTime,
    machine_now: MachineTime,
) -> Result<(Payment, Refund)> {
    let payment = store::lock_payment(tx, new.payment_id).await?.ok_or_else(|| Refusal::not_found("payment"))?;
    check_version("payment", payment.version, &new.if_version)?;
    let amount = refund_amount(&payment, new.amount)?;
    check_undisputed(&payment)?;
    store::reserve_refund(tx, &payment, amount).await?;
    let insert = InsertRefund {
        id: new.id,
        payment_id: payment.id,
        amount,
        key_id: tx.key_id(),
        created_at: now,
        due_at: machine_now,
    };
    store::insert_refund(tx, &insert).await?;
    let at = ChangedAt { domain: now, machine: machine_now };
    history::refund_is(tx, (payment.id, new.id, amount), RefundState::Pending, None, at).await?;
    tx.wake(Wake::Settlement);
    let refund = Refund {
        id: new.id,
        payment_id: payment.id,
        provider_intent_id: payment.provider_intent_id.clone(),
        amount,
        state: RefundState::Pending,
        provider_refund_id: None,
        failure_code: None,
        needs_review: None,
        failures: 0,
        allow_new_key: false,
        lease_token: 0,
        trip_id: payment.trip_id,
        trace_id: None,
    };
    Ok((payment, refund))
}

/// Checks that the provider takes refunds of the payment. The cardholder's bank returns a disputed charge by itself, so a refund would
/// return it twice.
fn check_undisputed(payment: &Payment) -> Result<(), Refusal> {
    let Some(dispute) = payment.open_dispute() else { return Ok(()) };
    let detail = format!("Cannot refund: the charge is disputed, and the dispute is {dispute}.");
    Err(Refusal::new(Code::PaymentDisputed, detail).with("dispute", dispute.as_str()))
}

/// Returns the amount of a requested refund, minor units.
fn refund_amount(payment: &Payment, requested: Option<Money>) -> Result<i64, Refusal> {
    let left = payment.refundable();
    let refused = |detail: String| {
        Refusal::new(Code::NotRefundable, detail)
            .with("state", payment.state.as_str())
            .with("refundable", json!(payment.money(left)))
    };
    if payment.state != PaymentState::Captured {
        return Err(refused(format!("Cannot refund: the payment is {}, not captured.", payment.state)));
    }
    let requested = requested.unwrap_or(payment.money(left));
    if requested.currency != payment.amount.currency {
        let detail = format!("must be {}, the payment's currency", payment.amount.currency);
        return Err(Refusal::new(Code::InvalidRequest, format!("`amount.currency` {detail}."))
            .field("/amount/currency", detail));
    }
    match requested.amount {
        amount if (1..=left).contains(&amount) => Ok(amount),
        amount if amount > left => {
            Err(refused(format!("Cannot refund {requested}: {} can be refunded.", payment.money(left))))
        }
        _ if left == 0 => Err(refused("Cannot refund: everything is refunded, or pending.".to_owned())),
        _ => Err(Refusal::new(Code::InvalidRequest, "`amount.amount` must be positive.")
            .field("/amount/amount", "must be positive")),
    }
}

/// Makes the payment with this provider intent due, and its refunds, as far as what the hint is about can have changed them. A look-up
/// in progress may have been too early, so another one follows it.
///
/// # Errors
/// If the database fails.
pub async fn recheck_intent(tx: &mut Tx, intent_id: &str, hint: Hint, now: MachineTime) -> Result<()> {
    if store::make_due(tx, intent_id, hint, now).await? > 0 {
        CallPool::ALL.into_iter().for_each(|pool| tx.wake(pool.wake()));
    }
    Ok(())
}
