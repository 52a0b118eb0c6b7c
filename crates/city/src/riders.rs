//! The riders of a run, from the first departure to the end of the last ride.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::task::JoinSet;

use crate::model::Request;
use crate::rider::{RideOutcome, ride};
use crate::run_context::RunContext;

/// The longest time from a departure to the end of the ride. A search takes up to ten minutes, at most four times; a rider
/// hardly ever waits for the pickup for more than 45 minutes; a ride across the city takes less than an hour.
const LAST_RIDE_MAX: TimeDelta = TimeDelta::hours(3);

/// A departure more overdue than this was skipped by a jump of the clock. A busy machine is never this late.
const JUMP_MIN: TimeDelta = TimeDelta::minutes(10);

/// What happens with departures that a jump of the clock has skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SkippedDepartures {
    /// All depart at once: a replay has to account for every request.
    AtOnce,
    /// They depart after the jump, with the same distances. Otherwise a jump of a year would send out the riders of a year.
    Later,
}

impl SkippedDepartures {
    /// The delay of all later departures, if the next one was due at `departs_at`.
    fn delay(self, departs_at: DateTime<Utc>, now: DateTime<Utc>) -> TimeDelta {
        let late = now - departs_at;
        if self == Self::Later && late > JUMP_MIN { late } else { TimeDelta::zero() }
    }
}

/// Runs the riders of `demand`, who depart at their times after `opened`, and calls `ended` for each ended ride. Returns
/// when all rides have ended, or three hours of domain time after the last departure.
pub(crate) async fn run_riders(
    context: &Arc<RunContext>,
    mut opened: DateTime<Utc>,
    demand: impl Iterator<Item = Request>,
    skipped: SkippedDepartures,
    mut ended: impl FnMut(RideOutcome),
) {
    let mut demand = demand.peekable();
    let mut riders = JoinSet::new();
    let mut last_departure = opened;
    loop {
        if let Some(request) = demand.peek() {
            opened += skipped.delay(opened + request.departs_after, context.clock.now());
        }
        let departs_at = demand.peek().map(|request| opened + request.departs_after);
        let wakes_at = departs_at.unwrap_or(last_departure + LAST_RIDE_MAX);
        tokio::select! {
            Some(outcome) = riders.join_next() => ended(outcome.unwrap_or_else(|error| {
                tracing::error!("a rider's task failed: {error}");
                RideOutcome::default()
            })),
            () = context.clock.sleep_until(wakes_at), if departs_at.is_some() || !riders.is_empty() => {
                let Some(request) = demand.next() else { return };
                last_departure = wakes_at;
                riders.spawn(ride(context.clone(), request));
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
    fn clock_jump_delays_departures_of_endless_demand_but_not_of_a_replay() {
        let due = DateTime::from_timestamp(0, 0).unwrap();
        let year = TimeDelta::days(365);
        assert_eq!(SkippedDepartures::Later.delay(due, due + year), year);
        assert_eq!(SkippedDepartures::AtOnce.delay(due, due + year), TimeDelta::zero());
        // Late on a busy machine, or not due yet.
        for now in [due + TimeDelta::seconds(30), due, due - year] {
            assert_eq!(SkippedDepartures::Later.delay(due, now), TimeDelta::zero());
        }
    }
}
