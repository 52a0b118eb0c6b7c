//! What deadlines and missing positions do to a trip.

use super::offers::{OfferEnding, end_offer};
use super::{Actor, Stamp, TransitionContext, apply, lock_trip};
use crate::platform::db::Tx;
use crate::platform::error::{Error, Result};
use crate::platform::ids::TripId;
use crate::platform::leader;
use crate::supply::KnownPosition;
use crate::trips::offer::Decision;
use crate::trips::state_machine::{Command, CommandKind, Trip, UNRESPONSIVE_AFTER, allowed_commands};
use crate::trips::store;

/// Applies the command of a trip's passed deadline. Returns false if no deadline has passed.
///
/// # Errors
/// If the database fails.
pub async fn apply_deadline(tx: &mut Tx, id: TripId, stamp: &Stamp) -> Result<bool> {
    let trip = lock_trip(tx, id).await?;
    let Some(command) = trip.due(stamp.now) else { return Ok(false) };
    if command == Command::Expire {
        let offer = store::pending_offer(tx, id).await?;
        let offer = offer.ok_or_else(|| Error::impossible_row("trips", "state", id, "offered, without an offer"))?;
        let ending = OfferEnding::of(Decision::Expire);
        end_offer(tx, &trip, &offer, ending, TransitionContext::new(Actor::System, stamp)).await?;
    } else {
        apply(tx, &trip, &command, TransitionContext::new(Actor::System, stamp)).await?;
    }
    Ok(true)
}

/// Unassigns an unresponsive driver. `known` is from the matcher's memory. Returns false if the driver is responsive after all, or
/// no longer assigned.
///
/// # Errors
/// If the database fails.
pub async fn driver_unresponsive(tx: &mut Tx, id: TripId, known: &KnownPosition, stamp: &Stamp) -> Result<bool> {
    let trip = lock_trip(tx, id).await?;
    let applies = allowed_commands(trip.state).contains(&CommandKind::DriverUnresponsive);
    if !applies || !is_unresponsive(tx, &trip, known).await? {
        return Ok(false);
    }
    apply(tx, &trip, &Command::DriverUnresponsive, TransitionContext::new(Actor::System, stamp)).await?;
    Ok(true)
}

/// Returns whether the trip's driver has sent no position for [`UNRESPONSIVE_AFTER`].
pub(super) async fn is_unresponsive(tx: &mut Tx, trip: &Trip, known: &KnownPosition) -> Result<bool> {
    if trip.driver_id != Some(known.driver) {
        return Ok(false);
    }
    let term = leader::term(tx).await?;
    Ok(known.silence(trip.assigned_at, &term) >= UNRESPONSIVE_AFTER)
}
