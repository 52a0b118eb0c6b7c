//! A driver goes online or offline.

use super::offers::{Ending, end_offer};
use super::{Actor, Cause, Stamp, locked};
use crate::platform::db::Tx;
use crate::platform::error::{Code, Error, Refusal, Result};
use crate::platform::ids::{DriverId, Id};
use crate::platform::wake::Wake;
use crate::supply::commands::{self as supply, Vehicle};
use crate::trips::machine::State;
use crate::trips::store;

/// What the driver wants.
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
/// 409 on a trip, 422 if a new driver does not say name, class and plate.
pub async fn set_availability(tx: &mut Tx, new: &NewAvailability) -> Result<()> {
    let driver = new.driver_id;
    if !new.available {
        let_go(tx, driver, &new.stamp).await?;
    }
    supply::set_available(tx, driver, new.available, &new.vehicle, new.stamp.now).await?;
    // The row of the driver is locked now. An offer made between the look above and this lock is seen here, and the work
    // starts again; one that comes later waits for the lock and finds the driver offline.
    if !new.available && store::engagement(tx, driver).await?.is_some() {
        return Err(Error::Overtaken("engagement"));
    }
    tx.wake(Wake::Driver(driver.uuid()));
    Ok(())
}

async fn let_go(tx: &mut Tx, driver: DriverId, stamp: &Stamp) -> Result<()> {
    let Some(engagement) = store::engagement(tx, driver).await? else { return Ok(()) };
    if engagement.is_ride {
        return Err(Refusal::new(
            Code::DriverOnTrip,
            "You are on a trip. Complete it, or cancel it, and then go offline.",
        )
        .with("trip_id", engagement.trip_id.to_string())
        .into());
    }
    let trip = locked(tx, engagement.trip_id).await?;
    let offer = store::pending_offer(tx, trip.id).await?.filter(|offer| offer.driver_id == driver);
    match offer {
        Some(offer) if trip.state == State::Offered => {
            let cause = Cause::new(Actor::Driver(driver), stamp);
            end_offer(tx, &trip, &offer, Ending::withdrawn("driver_offline"), cause).await?;
            Ok(())
        }
        // Decided while we waited for the trip's lock.
        _ => Err(Error::Overtaken("offer")),
    }
}
