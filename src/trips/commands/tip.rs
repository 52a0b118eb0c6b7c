//! A rider thanks the driver.

use super::{Stamp, locked};
use crate::payments::commands as payments;
use crate::payments::store as payment_store;
use crate::payments::{Intent, Payment, Purpose};
use crate::platform::db::Tx;
use crate::platform::error::{Code, Error, OnConstraint, Refusal, Result};
use crate::platform::ids::{PaymentId, RiderId, TripId};
use crate::platform::money::Money;
use crate::trips::machine::State;

/// The most that can be given, minor units: a slip of the finger must not be a month's wages.
pub const TIP_MAX: i64 = 10_000;

/// A tip to be.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the names say it")]
pub struct NewTip {
    pub trip_id: TripId,
    pub rider_id: RiderId,
    pub payment_id: PaymentId,
    /// 1 to [`TIP_MAX`].
    pub amount: Money,
    /// What is charged; what the fare was charged to if absent.
    pub payment_method: Option<String>,
    pub stamp: Stamp,
}

/// Opens the payment of a tip for a completed trip. All of it is the driver's, once it is captured; one that is declined is no debt.
///
/// # Errors
/// 404 if the trip is not the rider's; 409 `invalid_transition` if it is not completed; 409 `already_tipped`; 422 for an amount
/// out of range or in another currency.
pub async fn tip(tx: &mut Tx, new: &NewTip) -> Result<Payment> {
    let trip = locked(tx, new.trip_id).await?;
    if trip.rider_id != new.rider_id {
        return Err(Refusal::not_found("trip").into());
    }
    check_amount(new.amount, trip.price)?;
    let Some(driver_id) = trip.driver_id.filter(|_| trip.state == State::Completed) else {
        let state = trip.state.as_str();
        let detail = format!("The trip is {state}: a driver is tipped when the ride is completed.");
        return Err(Refusal::new(Code::InvalidTransition, detail).with("state", state).into());
    };
    let payment_method = match &new.payment_method {
        Some(method) => method.clone(),
        None => {
            let fare = payment_store::one(tx, trip.payment_id).await?;
            fare.ok_or_else(|| Error::Bug(format!("{} has no fare payment", trip.id)))?.method
        }
    };
    let payment = payments::NewPayment {
        id: new.payment_id,
        trip_id: trip.id,
        rider_id: trip.rider_id,
        driver_id: Some(driver_id),
        purpose: Purpose::Tip,
        intent: Intent::Capture(new.amount.amount),
        amount: new.amount,
        method: payment_method,
    };
    payments::open(tx, &payment, new.stamp.now, new.stamp.machine_now)
        .await
        .on_constraint("one_live_payment_per_purpose", || {
            Refusal::new(Code::AlreadyTipped, "You have tipped the driver of this trip.")
        })?;
    let opened = payment_store::one(tx, payment.id).await?;
    opened.ok_or_else(|| Error::Bug(format!("{} is not there", payment.id)))
}

fn check_amount(amount: Money, price: Money) -> Result<(), Refusal> {
    let (field, detail) = if amount.currency != price.currency {
        ("/amount/currency", format!("must be {}, like the fare", price.currency))
    } else if !(1..=TIP_MAX).contains(&amount.amount) {
        ("/amount/amount", format!("must be 1 to {TIP_MAX}"))
    } else {
        return Ok(());
    };
    Err(Refusal::new(Code::InvalidRequest, "That is not a tip that can be given.").field(field, detail))
}
