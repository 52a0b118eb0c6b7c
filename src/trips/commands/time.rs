//! What deadlines and missing positions do to a trip.

use super::offers::{OfferEnding, end_offer};
use super::{Actor, Stamp, TransitionContext, apply, lock_trip};
use crate::platform::clock::DomainTime;
use crate::platform::db::Tx;
use crate::platform::error::Result;
use crate::platform::ids::{DriverId, TripId};
use crate::trips::offer::Decision;
use crate::trips::state_machine::{Command, CommandKind, UNRESPONSIVE_AFTER, allowed_commands};
use crate::trips::store;

/// Applies the command of a trip's passed deadline. Returns false if no deadline has passed.
///
/// # Errors
/// If the database fails.
pub async fn apply_deadline(tx: &mut Tx, id: TripId, stamp: &Stamp) -> Result<bool> {
    let trip = lock_trip(tx, id).await?;
    let Some(command) = trip.due(stamp.now) else { return Ok(false) };
    if command == Command::Expire {
        if let Some(offer) = store::pending_offer(tx, id).await? {
            let ending = OfferEnding::of(Decision::Expire);
            end_offer(tx, &trip, &offer, ending, TransitionContext::new(Actor::System, stamp)).await?;
        }
    } else {
        apply(tx, &trip, &command, TransitionContext::new(Actor::System, stamp)).await?;
    }
    Ok(true)
}

/// Unassigns an unresponsive driver. `last_seen_at` is the newest position in memory, which the database may not have yet.
/// Returns false if the driver is responsive after all, or no longer assigned.
///
/// # Errors
/// If the database fails.
pub async fn driver_unresponsive(
    tx: &mut Tx,
    (id, driver): (TripId, DriverId),
    last_seen_at: Option<DomainTime>,
    stamp: &Stamp,
) -> Result<bool> {
    let trip = lock_trip(tx, id).await?;
    let applies = allowed_commands(trip.state).contains(&CommandKind::DriverUnresponsive);
    let stored = store::last_seen(tx, driver).await?;
    let last_seen = last_seen_at.into_iter().chain(trip.assigned_at).fold(stored, DomainTime::max);
    if !applies || trip.driver_id != Some(driver) || stamp.now.since(last_seen) < UNRESPONSIVE_AFTER {
        return Ok(false);
    }
    apply(tx, &trip, &Command::DriverUnresponsive, TransitionContext::new(Actor::System, stamp)).await?;
    Ok(true)
}
