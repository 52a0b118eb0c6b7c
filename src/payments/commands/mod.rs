//! What may be done to payments. Trips open, settle and release them, operators refund and resolve them, the provider's events
//! point at them. None of this calls the provider: it writes what is wanted, and the worker sees to it. What the worker itself
//! writes is in [`work`] and [`refunds`].

pub mod adopt;
mod news;
pub mod refunds;
pub mod resolve;
pub mod work;

use serde_json::json;
use uuid::Uuid;

use super::ledger::{self, Charge, Stamp};
use super::machine::{self, Refused};
use super::model::{Intent, Payment, Purpose, Refund, RefundState, State};
use super::store::{self, Insert, InsertRefund};
use crate::platform::clock::{DomainTime, MachineTime};
use crate::platform::db::Tx;
use crate::platform::error::{Code, Error, Refusal, Result};
use crate::platform::ids::{DriverId, PaymentId, RefundId, RiderId, TripId};
use crate::platform::money::Money;
use crate::platform::wake::Wake;

/// A payment to be opened.
#[derive(Debug, Clone)]
pub struct NewPayment {
    /// Its id.
    pub id: PaymentId,
    /// The trip that it pays for.
    pub trip_id: TripId,
    /// Who pays.
    pub rider_id: RiderId,
    /// Whom it is for, if it is a tip.
    pub driver_id: Option<DriverId>,
    /// What for.
    pub purpose: Purpose,
    /// [`Intent::Hold`] for a fare; [`Intent::Capture`] for what is owed already.
    pub intent: Intent,
    /// What to authorise; positive.
    pub amount: Money,
    /// The provider's name for what is charged, `pm_…`.
    pub method: String,
}

/// Opens a payment: `authorizing`, and the worker is on its way.
///
/// # Errors
/// If the trip has a live payment for this purpose (`one_live_payment_per_purpose`).
pub async fn open(tx: &mut Tx, new: &NewPayment, now: DomainTime, machine_now: MachineTime) -> Result<()> {
    let insert = Insert {
        id: new.id,
        trip_id: new.trip_id,
        rider_id: new.rider_id,
        driver_id: new.driver_id,
        purpose: new.purpose,
        replaces: None,
        intent: new.intent,
        amount: new.amount,
        method: &new.method,
        created_at: now,
        due_at: machine_now,
        // A fare's key is its trip's.
        key_id: tx.key_id().filter(|_| new.purpose == Purpose::Tip),
    };
    store::insert(tx, &insert).await?;
    tx.wake(Wake::Payments);
    Ok(())
}

/// A payment in the place of another one that has ended, of the same purpose and by the same method.
#[derive(Debug, Clone, Copy)]
struct Replacement {
    id: PaymentId,
    intent: Intent,
    /// Minor units.
    amount: i64,
}

/// Opens a payment in the place of `old`.
///
/// # Errors
/// `replaced_once` if there is one already.
async fn replace(
    tx: &mut Tx,
    old: &Payment,
    new: Replacement,
    now: DomainTime,
    machine_now: MachineTime,
) -> Result<()> {
    let insert = Insert {
        id: new.id,
        trip_id: old.trip_id,
        rider_id: old.rider_id,
        driver_id: old.driver_id,
        purpose: old.purpose,
        replaces: Some(old.id),
        intent: new.intent,
        amount: old.money(new.amount),
        method: &old.method,
        created_at: now,
        due_at: machine_now,
        key_id: None,
    };
    store::insert(tx, &insert).await?;
    tx.wake(Wake::Payments);
    Ok(())
}

/// What a trip costs in the end.
#[derive(Debug, Clone)]
pub struct Settlement {
    /// The trip.
    pub trip_id: TripId,
    /// Who pays.
    pub rider_id: RiderId,
    /// Who drove, if anybody did.
    pub driver_id: Option<DriverId>,
    /// What is owed; zero is nothing.
    pub total: Money,
    /// The driver's part of it, minor units; the rest is the platform's.
    pub driver_share: i64,
    /// The purpose of the payment for what the fare payment is not good for: [`Purpose::Remainder`] of a ride, [`Purpose::Fee`]
    /// for one that did not take place.
    pub rest: Purpose,
    /// The id of that payment, should one be needed.
    pub remainder_id: PaymentId,
    /// The id of the ledger's posting.
    pub posting_id: Uuid,
}

/// Settles a trip that is over: posts what is owed, has the fare payment captured up to what it is good for, and opens another
/// for the rest. A total of zero posts nothing, and releases.
///
/// # Errors
/// [`Error::Bug`] if the settlement does not add up or the trip has no fare payment; `posted_once` if the trip was settled before.
pub async fn settle(tx: &mut Tx, settlement: &Settlement, now: DomainTime, machine_now: MachineTime) -> Result<()> {
    let Settlement { trip_id, rider_id, driver_id, total, driver_share, rest, .. } = *settlement;
    if total.amount == 0 {
        return release(tx, trip_id, machine_now).await;
    }
    let payments = store::lock_of_trip(tx, trip_id).await?;
    let fare = payments.into_iter().rfind(|payment| payment.purpose == Purpose::Fare);
    let Some(fare) = fare.filter(|fare| fare.amount.currency == total.currency) else {
        return Err(Error::Bug(format!("{trip_id} has no fare payment in {}", total.currency)));
    };
    let charge = Charge { trip_id, rider_id, driver_id, total, driver_share };
    let posting = ledger::charge(&charge, Stamp { id: settlement.posting_id, at: now })
        .map_err(|error| Error::Bug(format!("{trip_id}: {error}")))?;
    store::post(tx, &posting).await?;

    let covered = cover(tx, &fare, total.amount, machine_now).await?;
    if covered < total.amount {
        let left = total.amount - covered;
        let another = NewPayment {
            id: settlement.remainder_id,
            trip_id,
            rider_id,
            driver_id: None,
            purpose: rest,
            intent: Intent::Capture(left),
            amount: fare.money(left),
            method: fare.method.clone(),
        };
        open(tx, &another, now, machine_now).await?;
    }
    Ok(())
}

/// Has `fare` captured as far as it goes, and says how far that is, minor units.
async fn cover(tx: &mut Tx, fare: &Payment, total: i64, now: MachineTime) -> Result<i64> {
    let capture = total.min(fare.amount.amount);
    match machine::want(fare, Intent::Capture(capture)) {
        Ok(state) => {
            store::want(tx, fare, Intent::Capture(capture), state, now).await?;
            tx.wake(Wake::Payments);
            Ok(capture)
        }
        // Somebody has taken it at the provider already.
        Err(Refused) if fare.state == State::Captured => Ok(total.min(fare.captured)),
        // Declined or expired: all of it has to be asked for again.
        Err(Refused) => Ok(0),
    }
}

/// Releases what is held for a trip that ended without a charge. What is being authorised is released when its answer is there.
///
/// # Errors
/// If the database does not answer.
pub async fn release(tx: &mut Tx, trip_id: TripId, now: MachineTime) -> Result<()> {
    for payment in store::lock_of_trip(tx, trip_id).await? {
        if let Ok(state) = machine::want(&payment, Intent::Release) {
            store::want(tx, &payment, Intent::Release, state, now).await?;
            tx.wake(Wake::Payments);
        }
    }
    Ok(())
}

/// A refund to be made.
#[derive(Debug, Clone)]
pub struct NewRefund {
    /// Its id.
    pub id: RefundId,
    /// The payment that it is a part of.
    pub payment_id: PaymentId,
    /// How much, positive; everything that is left if absent.
    pub amount: Option<Money>,
    /// The version that the payment must have, if the caller cares.
    pub if_version: Option<i64>,
}

/// Asks for a refund: `pending`, and the worker is on its way. Its amount is reserved under the payment's lock, so that refunds
/// never exceed what was captured, pending ones included.
///
/// # Errors
/// 404 without such a payment; 409 `not_refundable` if it is not captured or has not so much left; 412; 422 for another currency.
pub async fn refund(
    tx: &mut Tx,
    new: &NewRefund,
    now: DomainTime,
    machine_now: MachineTime,
) -> Result<(Payment, Refund)> {
    let payment = store::lock(tx, new.payment_id).await?.ok_or_else(|| Refusal::not_found("payment"))?;
    check_version(&payment, new.if_version)?;
    let amount = refundable(&payment, new.amount)?;
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
    tx.wake(Wake::Payments);
    let refund = Refund {
        id: new.id,
        payment_id: payment.id,
        amount,
        state: RefundState::Pending,
        provider_refund_id: None,
        failure_code: None,
        attention: None,
        failures: 0,
        another_key: false,
        lease_token: 0,
    };
    Ok((payment, refund))
}

/// Checks `If-Match`.
fn check_version(payment: &Payment, if_version: Option<i64>) -> Result<(), Refusal> {
    match if_version {
        Some(version) if version != payment.version => {
            let detail = format!("The payment's version is {}.", payment.version);
            Err(Refusal::new(Code::VersionMismatch, detail))
        }
        _ => Ok(()),
    }
}

/// What a refund of `wanted` amounts to, minor units.
fn refundable(payment: &Payment, wanted: Option<Money>) -> Result<i64, Refusal> {
    let left = payment.refundable();
    let refused = |detail: String| {
        Refusal::new(Code::NotRefundable, detail)
            .with("state", payment.state.as_str())
            .with("refundable", json!(payment.money(left)))
    };
    if payment.state != State::Captured {
        return Err(refused(format!("The payment is {}: nothing was captured.", payment.state.as_str())));
    }
    let wanted = wanted.unwrap_or(payment.money(left));
    if wanted.currency != payment.amount.currency {
        let detail = format!("must be {}, like the payment", payment.amount.currency);
        return Err(Refusal::new(Code::InvalidRequest, "A refund has the payment's currency.")
            .field("/amount/currency", detail));
    }
    match wanted.amount {
        amount if (1..=left).contains(&amount) => Ok(amount),
        amount if amount > left => Err(refused(format!("{left} of it can be refunded, and {amount} was asked for."))),
        _ if left == 0 => Err(refused("All of it is refunded, or about to be.".to_owned())),
        _ => {
            Err(Refusal::new(Code::InvalidRequest, "A refund is of something.")
                .field("/amount/amount", "must be positive"))
        }
    }
}

/// The provider has news of one of its intents: has it looked at. What is unknown, or has ended, is left alone.
///
/// # Errors
/// If the database does not answer.
pub async fn hint(tx: &mut Tx, provider_intent: &str, now: MachineTime) -> Result<()> {
    if store::hint(tx, provider_intent, now).await? > 0 {
        tx.wake(Wake::Payments);
    }
    Ok(())
}
