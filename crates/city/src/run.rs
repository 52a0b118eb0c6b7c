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

/// A departure that lies farther back has been jumped over. Far more than a busy machine is ever late.
const JUMPED_OVER: TimeDelta = TimeDelta::minutes(10);

/// What becomes of the departures that a jump of the clock has gone past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missed {
    /// All of them depart at once: a replay has to account for every request.
    DepartAtOnce,
    /// The city has slept: they depart after the jump, as far apart as before it. An endless demand needs this, or a jump of
    /// a year would send out a year's riders.
    DepartLater,
}

impl Missed {
    /// By how much the departures move when the next one was to be at `departs_at`, and it is `now`.
    fn moves(self, departs_at: DateTime<Utc>, now: DateTime<Utc>) -> TimeDelta {
        let late = now - departs_at;
        if self == Self::DepartLater && late > JUMPED_OVER { late } else { TimeDelta::zero() }
    }
}

/// Lets riders depart at their times after `opened`, hands over each ride that ends, and returns when all have ended, or
/// three hours of domain time after the last departure. Riders who are still on their way then are dropped.
pub(crate) async fn serve(
    world: &Arc<World>,
    mut opened: DateTime<Utc>,
    demand: impl Iterator<Item = Request>,
    missed: Missed,
    mut ended: impl FnMut(Ending),
) {
    let mut demand = demand.peekable();
    let mut riders = JoinSet::new();
    let mut last_departure = opened;
    loop {
        if let Some(request) = demand.peek() {
            opened += missed.moves(opened + request.departs_after, world.clock.now());
        }
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_jump_of_a_year_moves_the_departures_of_an_endless_demand_and_of_no_replay() {
        let due = DateTime::from_timestamp(0, 0).unwrap();
        let year = TimeDelta::days(365);
        assert_eq!(Missed::DepartLater.moves(due, due + year), year);
        assert_eq!(Missed::DepartAtOnce.moves(due, due + year), TimeDelta::zero());
        // Late by what a busy machine is late, or not due yet.
        for now in [due + TimeDelta::seconds(30), due, due - year] {
            assert_eq!(Missed::DepartLater.moves(due, now), TimeDelta::zero());
        }
    }
}
