//! The plan of a round: which driver each searching trip asks, and in which order it goes on if the index was wrong. Pure.
//!
//! Trips choose in the order in which they have been waiting, each the nearest driver whom none before it has chosen. That is
//! greedy, not optimal: an assignment that minimises the sum of all pick-ups could do better in a crowd, and would need a
//! round to wait for the crowd. A page under `docs/decisions` says what would change our mind.

use std::collections::HashSet;

use crate::geo::Position;
use crate::geo::roads;
use crate::platform::clock::DomainTime;
use crate::platform::ids::{DriverId, TripId};
use crate::supply::Candidate;

/// The rings in which a driver is looked for, metres. The next one is only looked into when the one before is empty.
pub const RINGS_M: [i32; 4] = [1_000, 2_000, 4_000, 8_000];

/// Candidates looked at for one trip, besides those who were asked before. Enough for every other trip of a round to have
/// taken one.
pub const CANDIDATES_MAX: usize = 16;

/// A trip that searches, and who is near it.
#[derive(Debug, Clone)]
pub struct Search {
    /// The trip.
    pub trip: TripId,
    /// Where it starts.
    pub pickup: Position,
    /// Since when its rider has been waiting.
    pub since: DomainTime,
    /// Drivers who are not to be asked for it again.
    pub asked: HashSet<DriverId>,
    /// Drivers near it, nearest first, those of `asked` included.
    pub candidates: Vec<Candidate>,
}

/// What the plan made of one candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// He is asked.
    Chosen,
    /// Another one is nearer.
    Farther,
    /// A trip that has been waiting longer asks him.
    TakenByAnother,
    /// He declined this trip, or let it expire, or was lost to it.
    AskedBefore,
}

impl Verdict {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Chosen, Self::Farther, Self::TakenByAnother, Self::AskedBefore];

    /// The name in what is kept of a round.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Chosen => "chosen",
            Self::Farther => "farther",
            Self::TakenByAnother => "taken_by_another",
            Self::AskedBefore => "asked_before",
        }
    }
}

/// A candidate as it was seen, and what was made of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Considered {
    /// Who.
    pub driver_id: DriverId,
    /// Over the great circle to the pickup, metres.
    pub distance_m: i64,
    /// Estimated drive to the pickup, seconds.
    pub eta_s: i64,
    /// How old the position was, milliseconds.
    pub position_age_ms: i64,
    /// What was made of it.
    pub verdict: Verdict,
}

/// What a trip should do.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The trip.
    pub trip: TripId,
    /// Whom to ask: the first; and if the database says that he cannot be, the next.
    pub order: Vec<Candidate>,
    /// The ring in which the first was found; the widest if nobody was.
    pub radius_m: i32,
    /// Everybody who was looked at.
    pub considered: Vec<Considered>,
}

/// Plans a round.
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
        let verdict = if search.asked.contains(&candidate.driver) {
            Verdict::AskedBefore
        } else if taken.contains(&candidate.driver) {
            Verdict::TakenByAnother
        } else if order.is_empty() {
            Verdict::Chosen
        } else {
            Verdict::Farther
        };
        if matches!(verdict, Verdict::Chosen | Verdict::Farther) {
            order.push(*candidate);
        }
        considered.push(Considered {
            driver_id: candidate.driver,
            distance_m: candidate.distance_m.round() as i64,
            eta_s: roads::estimate(candidate.position, search.pickup).duration_s,
            position_age_ms: candidate.age_ms,
            verdict,
        });
    }
    let radius_m = order.first().map_or(RINGS_M[RINGS_M.len() - 1], |first: &Candidate| ring_m(first.distance_m));
    Plan { trip: search.trip, order, radius_m, considered }
}

/// The smallest ring that a distance is in.
fn ring_m(distance_m: f64) -> i32 {
    RINGS_M.into_iter().find(|ring_m| distance_m <= f64::from(*ring_m)).unwrap_or(RINGS_M[RINGS_M.len() - 1])
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

    fn search(trip: u128, since_s: i64, asked: &[u128], candidates: &[(u128, f64)]) -> Search {
        Search {
            trip: TripId::from(Uuid::from_u128(trip)),
            pickup: Position::new(40.7, -74.0).expect("in range"),
            since: DomainTime::new(DateTime::from_timestamp(since_s, 0).expect("in range")),
            asked: asked.iter().map(|n| driver(*n)).collect(),
            candidates: candidates.iter().map(|(n, distance_m)| candidate(*n, *distance_m)).collect(),
        }
    }

    fn choices(plans: &[Plan]) -> Vec<Option<DriverId>> {
        plans.iter().map(|plan| plan.order.first().map(|first| first.driver)).collect()
    }

    #[test]
    fn the_nearest_is_asked_and_the_rest_stand_by() {
        let plans = plan(vec![search(1, 0, &[], &[(7, 300.0), (8, 900.0)])]);
        assert_eq!(choices(&plans), [Some(driver(7))]);
        assert_eq!(plans[0].order.len(), 2);
        assert_eq!(plans[0].radius_m, 1_000);
        assert_eq!(
            plans[0].considered.iter().map(|c| c.verdict).collect::<Vec<_>>(),
            [Verdict::Chosen, Verdict::Farther]
        );
    }

    #[test]
    fn who_waits_longer_chooses_first() {
        let plans = plan(vec![search(1, 100, &[], &[(7, 10.0), (8, 900.0)]), search(2, 0, &[], &[(7, 3_000.0)])]);
        assert_eq!(plans[0].trip, TripId::from(Uuid::from_u128(2)));
        assert_eq!(choices(&plans), [Some(driver(7)), Some(driver(8))]);
        assert_eq!(plans[1].considered[0].verdict, Verdict::TakenByAnother);
        assert_eq!(plans[0].radius_m, 4_000);
    }

    #[test]
    fn nobody_is_asked_twice_and_nobody_near_is_a_plan_too() {
        let plans = plan(vec![search(1, 0, &[7], &[(7, 10.0)])]);
        assert_eq!(choices(&plans), [None]);
        assert_eq!(plans[0].considered[0].verdict, Verdict::AskedBefore);
        assert_eq!(plans[0].radius_m, 8_000);
    }

    proptest! {
        #[test]
        fn no_driver_is_the_first_choice_of_two_trips(
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
