//! What time does: payments not decided, offers not answered, searches without end, drivers not heard of.

use super::offers::{Ending, end_offer};
use super::{Actor, Cause, Stamp, advance, locked};
use crate::platform::clock::DomainTime;
use crate::platform::db::Tx;
use crate::platform::error::Result;
use crate::platform::ids::{DriverId, TripId};
use crate::trips::machine::{Command, SILENT_AFTER, State};
use crate::trips::offer::Decision;
use crate::trips::store;

/// Does to a trip what its deadline says, if the deadline has passed. True if it did.
///
/// # Errors
/// If the database does not answer.
pub async fn time_passed(tx: &mut Tx, id: TripId, stamp: &Stamp) -> Result<bool> {
    let trip = locked(tx, id).await?;
    let Some(command) = trip.due(stamp.now) else { return Ok(false) };
    if command == Command::Expire {
        if let Some(offer) = store::pending_offer(tx, id).await? {
            end_offer(tx, &trip, &offer, Ending::of(Decision::Expire), Cause::new(Actor::System, stamp)).await?;
        }
    } else {
        advance(tx, &trip, &command, Cause::new(Actor::System, stamp)).await?;
    }
    Ok(true)
}

/// Takes the trip away from a driver who has not been heard of, unless `heard_at`, from memory, knows better. True if it did.
///
/// # Errors
/// If the database does not answer.
pub async fn driver_silent(
    tx: &mut Tx,
    (id, driver): (TripId, DriverId),
    heard_at: Option<DomainTime>,
    stamp: &Stamp,
) -> Result<bool> {
    let trip = locked(tx, id).await?;
    let is_waiting = matches!(trip.state, State::Assigned | State::Arrived) && trip.driver_id == Some(driver);
    let known = store::last_heard(tx, driver).await?;
    let heard = heard_at.into_iter().chain(trip.assigned_at).fold(known, DomainTime::max);
    if !is_waiting || stamp.now.since(heard) < SILENT_AFTER {
        return Ok(false);
    }
    advance(tx, &trip, &Command::DriverSilent, Cause::new(Actor::System, stamp)).await?;
    Ok(true)
}
