//! The trips of a burst as their riders saw them: when they were searched for, and when a car came.

use chrono::{DateTime, TimeDelta, Utc};

use crate::rider::TripHistory;
use crate::web::api::TripState;

/// A time in which a trip had neither a driver nor an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Searching {
    pub from: DateTime<Utc>,
    pub until: DateTime<Utc>,
    /// When the trip was first searched for, anew after it had lost a driver.
    pub since: DateTime<Utc>,
}

/// The times in which a trip was searched for. A trip that never left the last one is searched for until `end`.
pub(super) fn searches(history: &TripHistory, end: DateTime<Utc>) -> Vec<Searching> {
    let ends = history.states.iter().skip(1).map(|(_, at)| *at).chain([end]);
    let (mut searches, mut before, mut since) = (Vec::new(), TripState::Requested, end);
    for ((state, from), until) in history.states.iter().zip(ends) {
        if *state == TripState::Searching {
            if before != TripState::Offered {
                since = *from;
            }
            searches.push(Searching { from: *from, until, since });
        }
        before = *state;
    }
    searches
}

/// How long the last search had lasted when the service gave up; `None` for another end, or after as many offers as a trip gets.
pub(super) fn gave_up_after(history: &TripHistory, offers_max: usize) -> Option<TimeDelta> {
    let (state, at) = history.states.last()?;
    let offers = history.states.iter().filter(|(state, _)| *state == TripState::Offered).count();
    let search = searches(history, *at).last().copied().filter(|_| *state == TripState::NoDriver)?;
    (offers < offers_max).then(|| *at - search.since)
}

/// The time from the last assignment to the driver's arrival.
pub(super) fn pickup_drive(history: &TripHistory) -> Option<TimeDelta> {
    let last = |wanted| history.states.iter().rev().find(|(state, _)| *state == wanted).map(|(_, at)| *at);
    let (assigned_at, arrived_at) = (last(TripState::Assigned)?, last(TripState::Arrived)?);
    (arrived_at >= assigned_at).then(|| arrived_at - assigned_at)
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    pub(in super::super) fn at(s: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(s, 0).unwrap()
    }

    pub(in super::super) fn history(id: &str, states: &[(TripState, i64)]) -> TripHistory {
        let states: Vec<_> = states.iter().map(|(state, s)| (*state, at(*s))).collect();
        TripHistory { trip_id: id.into(), requested_at: states[0].1, states, shown_eta: None }
    }

    #[test]
    fn search_keeps_its_start_across_offers_and_not_across_drivers() {
        use TripState::{Assigned, Offered, Requested, Searching as Search};
        let history = history(
            "t",
            &[(Requested, 0), (Search, 1), (Offered, 5), (Search, 9), (Offered, 12), (Assigned, 14), (Search, 60)],
        );
        let found = searches(&history, at(100));
        let search = |from, until, since| Searching { from: at(from), until: at(until), since: at(since) };
        assert_eq!(found, [search(1, 5, 1), search(9, 12, 1), search(60, 100, 60)]);
    }

    #[test]
    fn deadline_counts_from_the_first_search() {
        use TripState::{Cancelled, NoDriver, Offered, Requested, Searching as Search};
        let states = |end| [(Requested, 0), (Search, 1), (Offered, 5), (Search, 9), (end, 601)];
        assert_eq!(gave_up_after(&history("t", &states(NoDriver)), 20), Some(TimeDelta::seconds(600)));
        assert_eq!(gave_up_after(&history("t", &states(NoDriver)), 1), None, "as many offers as a trip gets");
        assert_eq!(gave_up_after(&history("t", &states(Cancelled)), 20), None);
    }

    #[test]
    fn pickup_drive_is_that_of_the_last_driver() {
        use TripState::{Arrived, Assigned, Completed, Requested, Searching as Search};
        let twice = [(Requested, 0), (Assigned, 5), (Search, 30), (Assigned, 50), (Arrived, 90), (Completed, 200)];
        assert_eq!(pickup_drive(&history("t", &twice)), Some(TimeDelta::seconds(40)));
        assert_eq!(pickup_drive(&history("t", &twice[..4])), None);
    }
}
