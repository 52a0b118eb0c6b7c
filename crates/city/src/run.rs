//! The riders of one run, from the first departure to the end of the last ride.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::task::JoinSet;

use crate::rider::{Ending, ride};
use crate::source::Request;
use crate::world::World;

/// By then every ride is over: the service looks for a driver for ten minutes, at most four times, nobody waits for a car
/// longer than 45 minutes, and no ride across a city takes an hour.
const LAST_RIDE_WITHIN: TimeDelta = TimeDelta::hours(3);

/// Lets riders depart at their times after `opened`, hands over each ride that ends, and returns when all have ended, or
/// three hours of domain time after the last departure. Riders who are still on their way then are dropped.
pub(crate) async fn serve(
    world: &Arc<World>,
    opened: DateTime<Utc>,
    demand: impl Iterator<Item = Request>,
    mut ended: impl FnMut(Ending),
) {
    let mut demand = demand.peekable();
    let mut riders = JoinSet::new();
    let mut last_departure = opened;
    loop {
        let departs_at = demand.peek().map(|request| opened + request.departs_after);
        let wakes_at = departs_at.unwrap_or(last_departure + LAST_RIDE_WITHIN);
        tokio::select! {
            Some(ending) = riders.join_next() => ended(ending.unwrap_or_else(|error| {
                tracing::error!("a rider is lost: {error}");
                Ending::unknown()
            })),
            () = world.clock.sleep_until(wakes_at), if departs_at.is_some() || !riders.is_empty() => {
                let Some(request) = demand.next() else { return };
                last_departure = wakes_at;
                riders.spawn(ride(world.clone(), request));
            }
            else => return,
        }
    }
}
