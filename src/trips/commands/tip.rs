//! A rider tips the driver.

use super::{Stamp, lock_trip};
use crate::payments::commands as payments;
use crate::payments::store as payment_store;
use crate::payments::{Goal, Payment, PaymentPurpose};
use crate::platform::db::Tx;
use crate::platform::error::{Code, Error, OnConstraint, Refusal, Result};
use crate::platform::ids::{PaymentId, RiderId, TripId};
use crate::platform::money::Money;
use crate::trips::state_machine::State;

/// The largest tip, minor units. Limits the damage of a typing error.
pub const TIP_MAX: i64 = 10_000;

/// A tip to be paid.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the names say it")]
pub struct NewTip {
    pub trip_id: TripId,
    pub rider_id: RiderId,
    pub payment_id: PaymentId,
    /// 1 to [`TIP_MAX`].
    pub amount: Money,
    /// Defaults to the payment method of the fare.
    pub payment_method: Option<String>,
    pub stamp: Stamp,
}

/// Opens the payment of a tip for a completed trip. The driver gets all of it once it is captured. A declined tip is no debt.
///
/// # Errors
/// 404 if the trip is another rider's; 409 `invalid_transition` if it is not completed; 409 `already_tipped`; 422 for an
/// amount out of range or in another currency.
pub async fn tip(tx: &mut Tx, new: &NewTip) -> Result<Payment> {
    let trip = lock_trip(tx, new.trip_id).await?;
    if trip.rider_id != new.rider_id {
        return Err(Refusal::not_found("trip").into());
    }
    check_amount(new.amount, trip.price)?;
    let Some(driver_id) = trip.driver_id.filter(|_| trip.state == State::Completed) else {
        let state = trip.state.as_str();
        let detail =
            format!("Cannot tip: the trip is {}. Only a completed trip can be tipped.", state.replace('_', " "));
        return Err(Refusal::new(Code::InvalidTransition, detail).with("state", state).into());
    };
    let payment_method = match &new.payment_method {
        Some(method) => method.clone(),
        None => {
            let fare = payment_store::payment(tx, trip.payment_id).await?;
            fare.ok_or_else(|| Error::Bug(format!("{} has no fare payment", trip.id)))?.method
        }
    };
    let payment = payments::NewPayment {
        id: new.payment_id,
        trip_id: trip.id,
        rider_id: trip.rider_id,
        driver_id: Some(driver_id),
        purpose: PaymentPurpose::Tip,
        goal: Goal::Capture(new.amount.amount),
        amount: new.amount,
        method: payment_method,
    };
    payments::open(tx, &payment, new.stamp.now, new.stamp.machine_now)
        .await
        .on_constraint("one_live_payment_per_purpose", || {
            Refusal::new(Code::AlreadyTipped, "The driver of this trip was tipped already. A trip takes one tip.")
        })?;
    let opened = payment_store::payment(tx, payment.id).await?;
    opened.ok_or_else(|| Error::Bug(format!("the new payment {} is missing", payment.id)))
}

fn check_amount(amount: Money, price: Money) -> Result<(), Refusal> {
    let (field, what, detail) = if amount.currency != price.currency {
        ("/amount/currency", "currency", format!("must be {}, like the fare", price.currency))
    } else if !(1..=TIP_MAX).contains(&amount.amount) {
        ("/amount/amount", "amount", format!("must be 1 to {TIP_MAX}"))
    } else {
        return Ok(());
    };
    Err(Refusal::new(Code::InvalidRequest, format!("The tip's {what} {detail}.")).field(field, detail))
}
