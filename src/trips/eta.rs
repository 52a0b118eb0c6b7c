//! How long a trip's car still drives: to the pickup, then to the end of the ride.

use super::state_machine::{State, Trip, UNRESPONSIVE_AFTER};
use crate::geo::{Eta, Position, Router, StreetMap};
use crate::platform::Platform;
use crate::platform::error::{Error, Result};
use crate::supply::{LastKnown, Supply, known_position};

/// Returns where a trip's car is driving; `None` without a car, and while it waits at the pickup.
pub fn destination(state: State, pickup: Position, dropoff: Position) -> Option<Position> {
    match state {
        State::Assigned => Some(pickup),
        State::InProgress => Some(dropoff),
        _ => None,
    }
}

/// Computes drives on a thread of its own, because a long one on a large map takes milliseconds.
///
/// # Errors
/// If the thread fails.
pub async fn drives(platform: &Platform, map: StreetMap, ends: Vec<(Position, Position)>) -> Result<Vec<Eta>> {
    if ends.is_empty() {
        return Ok(Vec::new());
    }
    let computed = tokio::task::spawn_blocking(move || {
        ends.into_iter().map(|(from, to)| map.eta_between(from, to)).collect::<Vec<_>>()
    });
    let etas = computed.await.map_err(|error| Error::Bug(format!("the drives of trips: {error}")))?;
    for eta in &etas {
        platform.metrics.drives.with_label_values(&[eta.source.as_str()]).inc();
    }
    Ok(etas)
}

/// Returns the last position of a trip's driver, unless it is so old that the driver is unresponsive.
///
/// # Errors
/// If the database does not answer.
pub async fn recent_position(platform: &Platform, supply: &Supply, trip: &Trip) -> Result<Option<LastKnown>> {
    let Some(driver) = trip.driver_id.filter(|_| trip.state.has_driver()) else { return Ok(None) };
    let known = known_position(platform, supply, driver).await?.last;
    Ok(known.filter(|known| known.age(platform.clock.domain()) <= UNRESPONSIVE_AFTER))
}

/// Returns how long the car of a trip still drives from a position; `None` if it drives nowhere.
///
/// # Errors
/// If the computation fails.
pub async fn current(
    platform: &Platform,
    router: &Router,
    trip: &Trip,
    known: Option<LastKnown>,
) -> Result<Option<Eta>> {
    let ends = known.and_then(|known| Some((known.position, destination(trip.state, trip.pickup, trip.dropoff)?)));
    Ok(drives(platform, router.map(), ends.into_iter().collect()).await?.pop())
}
