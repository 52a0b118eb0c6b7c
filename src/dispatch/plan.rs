//! The plan of a match cycle: for each searching trip the drivers to offer it to, best first. Pure.
//!
//! Trips choose in the order of their waiting time; each takes the nearest driver that no earlier trip has taken. This is a
//! greedy assignment. A minimum-cost assignment would shorten the sum of all pickups in a dense batch, but has to wait for the
//! batch to form. See `docs/decisions/greedy-plan.md`.

use std::collections::HashSet;

use crate::geo::Position;
use crate::geo::roads;
use crate::platform::clock::DomainTime;
use crate::platform::ids::{DriverId, TripId};
use crate::platform::names::string_enum;
use crate::supply::Candidate;

/// The maximum great-circle distance from the pickup to a candidate, in meters.
pub const SEARCH_RADIUS_M: f64 = 8_000.0;

/// The maximum number of candidates per trip, excluded drivers not counted.
///
/// Enough to find a free one when the other trips of a match cycle have taken the nearest.
pub const CANDIDATES_MAX: usize = 16;

/// A searching trip and the drivers near it.
#[derive(Debug, Clone)]
pub struct Search {
    /// The trip.
    pub trip: TripId,
    /// The pickup.
    pub pickup: Position,
    /// When the rider requested the trip.
    pub since: DomainTime,
    /// Drivers that must not be offered this trip again.
    pub excluded: HashSet<DriverId>,
    /// Drivers near the pickup, nearest first, including excluded ones.
    pub candidates: Vec<Candidate>,
}

string_enum! {
    /// The decision about a candidate.
    pub enum CandidateVerdict {
        /// The trip is offered to this driver.
        Chosen = "chosen",
        /// Another driver is nearer.
        Farther = "farther",
        /// A trip that has waited longer chose this driver.
        TakenByAnother = "taken_by_another",
        /// The driver declined this trip, let its offer expire, or was unassigned from it.
        Excluded = "excluded",
    }
}

/// A driver that a match cycle considered for a trip.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ConsideredCandidate {
    /// The driver.
    pub driver_id: DriverId,
    /// Great-circle distance to the pickup, in meters.
    pub distance_m: i64,
    /// Estimated drive to the pickup, in seconds.
    pub eta_s: i64,
    /// Age of the driver's position, in milliseconds of domain time.
    pub position_age_ms: i64,
    /// The decision.
    pub verdict: CandidateVerdict,
}

/// The decision for one trip.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The trip.
    pub trip: TripId,
    /// The drivers to offer it to: the first one, and the next one whenever the database refuses a driver.
    pub order: Vec<Candidate>,
    /// All candidates, with the decision about each.
    pub considered: Vec<ConsideredCandidate>,
}

/// Plans a match cycle.
pub fn plan(mut searches: Vec<Search>) -> Vec<Plan> {
    searches.sort_by_key(|search| (search.since, search.trip));
    let mut taken = HashSet::new();
    searches
        .into_iter()
        .map(|search| {
            let plan = plan_one(&search, &taken);
            taken.extend(plan.order.first().map(|first| first.driver));
            plan
        })
        .collect()
}

fn plan_one(search: &Search, taken: &HashSet<DriverId>) -> Plan {
    let mut order = Vec::new();
    let mut considered = Vec::with_capacity(search.candidates.len());
    for candidate in &search.candidates {
        let verdict = if search.excluded.contains(&candidate.driver) {
            CandidateVerdict::Excluded
        } else if taken.contains(&candidate.driver) {
            CandidateVerdict::TakenByAnother
        } else if order.is_empty() {
            CandidateVerdict::Chosen
        } else {
            CandidateVerdict::Farther
        };
        if matches!(verdict, CandidateVerdict::Chosen | CandidateVerdict::Farther) {
            order.push(*candidate);
        }
        considered.push(ConsideredCandidate {
            driver_id: candidate.driver,
            distance_m: candidate.distance_m.round() as i64,
            eta_s: roads::estimate(candidate.position, search.pickup).duration_s,
            position_age_ms: candidate.age_ms,
            verdict,
        });
    }
    Plan { trip: search.trip, order, considered }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::platform::class::VehicleClass;

    fn driver(n: u128) -> DriverId {
        DriverId::from(Uuid::from_u128(n))
    }

    fn candidate(n: u128, distance_m: f64) -> Candidate {
        let position = Position::new(40.7, -74.0).expect("in range");
        Candidate { driver: driver(n), class: VehicleClass::Standard, position, distance_m, age_ms: 1_000 }
    }

    fn search(trip: u128, since_s: i64, excluded: &[u128], candidates: &[(u128, f64)]) -> Search {
        Search {
            trip: TripId::from(Uuid::from_u128(trip)),
            pickup: Position::new(40.7, -74.0).expect("in range"),
            since: DomainTime::new(DateTime::from_timestamp(since_s, 0).expect("in range")),
            excluded: excluded.iter().map(|n| driver(*n)).collect(),
            candidates: candidates.iter().map(|(n, distance_m)| candidate(*n, *distance_m)).collect(),
        }
    }

    fn choices(plans: &[Plan]) -> Vec<Option<DriverId>> {
        plans.iter().map(|plan| plan.order.first().map(|first| first.driver)).collect()
    }

    #[test]
    fn nearest_driver_is_chosen_and_the_others_are_next_in_order() {
        let plans = plan(vec![search(1, 0, &[], &[(7, 300.0), (8, 900.0)])]);
        assert_eq!(choices(&plans), [Some(driver(7))]);
        assert_eq!(plans[0].order.len(), 2);
        assert_eq!(
            plans[0].considered.iter().map(|c| c.verdict).collect::<Vec<_>>(),
            [CandidateVerdict::Chosen, CandidateVerdict::Farther]
        );
    }

    #[test]
    fn trip_that_waits_longest_chooses_first() {
        let plans = plan(vec![search(1, 100, &[], &[(7, 10.0), (8, 900.0)]), search(2, 0, &[], &[(7, 3_000.0)])]);
        assert_eq!(plans[0].trip, TripId::from(Uuid::from_u128(2)));
        assert_eq!(choices(&plans), [Some(driver(7)), Some(driver(8))]);
        assert_eq!(plans[1].considered[0].verdict, CandidateVerdict::TakenByAnother);
    }

    #[test]
    fn excluded_driver_is_not_chosen_again() {
        let plans = plan(vec![search(1, 0, &[7], &[(7, 10.0)])]);
        assert_eq!(choices(&plans), [None]);
        assert_eq!(plans[0].considered[0].verdict, CandidateVerdict::Excluded);
    }

    proptest! {
        #[test]
        fn no_driver_is_first_in_order_for_two_trips(
            searches in prop::collection::vec((0..50_i64, prop::collection::vec(0..12_u128, 0..8)), 1..12),
        ) {
            let searches = searches.into_iter().enumerate().map(|(n, (since, drivers))| {
                let near: Vec<_> = drivers.into_iter().collect::<HashSet<_>>().into_iter().map(|d| (d, 10.0 * d as f64)).collect();
                search(n as u128, since, &[], &near)
            });
            let plans = plan(searches.collect());
            let chosen: Vec<_> = choices(&plans).into_iter().flatten().collect();
            prop_assert_eq!(chosen.iter().collect::<HashSet<_>>().len(), chosen.len());
        }
    }
}
