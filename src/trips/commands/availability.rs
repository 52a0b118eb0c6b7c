//! A driver goes online or offline, or is taken offline.

use chrono::TimeDelta;
use serde_json::json;

use super::offers::{OfferEnding, end_offer};
use super::{Actor, Stamp, TransitionContext, lock_trip, notify_driver};
use crate::platform::clock::DomainTime;
use crate::platform::db::Tx;
use crate::platform::error::{Code, Error, Refusal, Result};
use crate::platform::ids::{DriverId, Id};
use crate::platform::leader;
use crate::platform::wake::Wake;
use crate::supply::commands::{self as supply, Vehicle};
use crate::trips::state_machine::State;
use crate::trips::store;

/// A driver's availability to be set.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the names say it")]
pub struct NewAvailability {
    pub driver_id: DriverId,
    pub available: bool,
    pub vehicle: Vehicle,
    pub stamp: Stamp,
}

/// Sets a driver's availability. Going offline withdraws a pending offer in the same transaction.
///
/// # Errors
/// 409 during a trip; 422 if a new driver omits name, class or plate.
pub async fn set_availability(tx: &mut Tx, new: &NewAvailability) -> Result<()> {
    let driver = new.driver_id;
    if !new.available {
        withdraw_own_offer(tx, driver, &new.stamp).await?;
    }
    supply::set_available(tx, driver, new.available, &new.vehicle, new.stamp.now).await?;
    // The driver's row is locked now. An offer made between the check above and this lock is visible here: retry. A later
    // offer finds the row locked, or the driver offline.
    if !new.available && store::engagement(tx, driver).await?.is_some() {
        return Err(Error::StaleWrite("engagement"));
    }
    tx.wake(Wake::Driver(driver.uuid()));
    Ok(())
}

/// The time without a position after which a driver without a trip is inactive. Long enough for a tunnel, a dead battery or a
/// change of phones.
pub const INACTIVE_AFTER: TimeDelta = TimeDelta::minutes(15);

/// An online driver who has sent no position since `before`, by the matcher's memory.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the names say it")]
pub struct InactiveDriver {
    pub driver_id: DriverId,
    pub before: DomainTime,
    pub epoch: i64,
    pub stamp: Stamp,
}

/// Takes an inactive driver offline. Their next availability brings them back; a position does not. Returns false if the driver came
/// online later, has an offer or a trip, or sends to another matcher.
///
/// # Errors
/// If the database fails.
pub async fn take_offline(tx: &mut Tx, inactive: &InactiveDriver) -> Result<bool> {
    let InactiveDriver { driver_id, before, epoch, stamp } = inactive;
    let term = leader::term(tx).await?;
    if term.epoch != *epoch || term.since >= *before || !supply::lock_online_since(tx, *driver_id, *before).await? {
        return Ok(false);
    }
    // An offer that is being written waits for the lock of the driver's row, and is then refused.
    if store::engagement(tx, *driver_id).await?.is_some() {
        return Ok(false);
    }
    let (available, vehicle) = (false, Vehicle::default());
    set_availability(tx, &NewAvailability { driver_id: *driver_id, available, vehicle, stamp: *stamp }).await?;
    notify_driver(tx, *driver_id, "driver.offline", json!({"because": "inactive"}), stamp).await?;
    Ok(true)
}

async fn withdraw_own_offer(tx: &mut Tx, driver: DriverId, stamp: &Stamp) -> Result<()> {
    let Some(engagement) = store::engagement(tx, driver).await? else { return Ok(()) };
    if engagement.is_ride {
        let detail = "Cannot go offline during a trip. Complete or cancel the trip first.";
        let refusal = Refusal::new(Code::DriverOnTrip, detail).with("trip_id", engagement.trip_id.to_string());
        return Err(refusal.into());
    }
    let trip = lock_trip(tx, engagement.trip_id).await?;
    let offer = store::pending_offer(tx, trip.id).await?.filter(|offer| offer.driver_id == driver);
    match offer {
        Some(offer) if trip.state == State::Offered => {
            let context = TransitionContext::new(Actor::Driver(driver), stamp);
            end_offer(tx, &trip, &offer, OfferEnding::withdrawn("driver_offline"), context).await?;
            Ok(())
        }
        // Decided while this transaction waited for the trip's lock.
        _ => Err(Error::StaleWrite("offer")),
    }
}
