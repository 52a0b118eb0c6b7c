//! A decision about a trip, as it is stored and published.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::plan::{Candidate, CandidateVerdict, ConsideredCandidate, CycleSize, Plan, TakenBy};
use super::unavailable::Unavailable;
use crate::geo::EtaSource;
use crate::platform::ids::{DriverId, TripId};
use crate::platform::match_policy::MatchPolicy;

/// A candidate as it is stored and published.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Candidate)]
pub struct CandidateRow {
    /// The driver.
    driver_id: DriverId,
    /// Great-circle distance to the pickup, in meters.
    #[schema(minimum = 0)]
    distance_m: i64,
    /// The drive to the pickup, in seconds.
    #[schema(minimum = 0)]
    eta_s: i64,
    /// What the drive was computed from. Decisions of an earlier version have estimates, and lack it.
    #[schema(required = false)]
    eta_source: EtaSource,
    /// What this pair adds to the sum that the cycle minimizes: the drive, in milliseconds. Decisions of an earlier version lack it.
    #[schema(minimum = 0, required = false)]
    cost_ms: i64,
    /// Age of the driver's position, in milliseconds of domain time.
    #[schema(minimum = 0)]
    position_age_ms: i64,
    /// The decision.
    verdict: CandidateVerdict,
    /// The trip that got this driver in the same cycle or was the first that was to be offered to them, or that the driver is busy with.
    /// Only with `taken_by_another`, `busy` and `refused`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    taken_by: Option<TripId>,
    /// The plan against an exchange of drivers with that trip. Only with `taken_by_another`, and if the plan gave the driver to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    exchange: Option<Exchange>,
}

/// The costs of two trips by the plan, and if they exchanged their drivers. A trip without a driver costs what leaving it out costs.
#[derive(Debug, Serialize, ToSchema)]
struct Exchange {
    /// Estimated drive of the driver to the other trip's pickup, in seconds.
    #[schema(minimum = 0)]
    eta_s: i64,
    /// The cost of both trips by the plan, in milliseconds.
    #[schema(minimum = 0)]
    cost_ms: i64,
    /// The cost of both trips after the exchange, in milliseconds. Under the policy `batched` never less than `cost_ms`.
    #[schema(minimum = 0)]
    exchanged_cost_ms: i64,
}

/// The match cycle of a decision, as it is stored and published.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = CycleSummary)]
pub struct CycleRow {
    /// How drivers were assigned.
    policy: MatchPolicy,
    /// Searching trips in the cycle.
    #[schema(minimum = 0)]
    trips: usize,
    /// Free drivers that at least one of them could be offered to.
    #[schema(minimum = 0)]
    drivers: usize,
    /// Pairs of a trip and a driver that were compared.
    #[schema(minimum = 0)]
    edges: usize,
    /// Real time to find the pairs and to assign, in microseconds. Writing the offers is not included.
    #[schema(minimum = 0)]
    computed_us: u64,
}

/// A decision about a trip, and what it took.
#[derive(Debug, Clone)]
pub struct Decision {
    /// The decision.
    pub plan: Plan,
    /// The real time that finding the edges and the assignment took.
    pub computed: Duration,
    /// The nearest drivers whom the trip could not have, of a decision without an offer.
    pub unavailable: Unavailable,
    /// The offers that the cycle has tried with drivers of the plan's order.
    attempts: HashMap<DriverId, Attempt>,
}

/// An offer to a driver that a cycle has tried, whether it was accepted by the database or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// The trip. A driver is tried once in a cycle.
    trip: TripId,
    /// Whether the database refused the offer.
    is_refused: bool,
}

/// The offers that a cycle has tried: the second choice of one trip may be the first choice of another.
#[derive(Debug, Default)]
pub struct Attempts(Mutex<HashMap<DriverId, Attempt>>);

impl Attempts {
    /// Records that the trip is about to be offered to the driver. Returns false if the cycle has tried the driver already.
    pub fn try_driver(&self, driver: DriverId, trip: TripId) -> bool {
        match self.lock().entry(driver) {
            Entry::Occupied(_) => false,
            Entry::Vacant(entry) => {
                entry.insert(Attempt { trip, is_refused: false });
                true
            }
        }
    }

    /// Records that the database refused the offer to this driver.
    pub fn refused(&self, driver: DriverId) {
        if let Some(attempt) = self.lock().get_mut(&driver) {
            attempt.is_refused = true;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<DriverId, Attempt>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Decision {
    /// Makes a decision without busy drivers.
    pub fn new(plan: Plan, computed: Duration) -> Self {
        Self { plan, computed, unavailable: Unavailable::default(), attempts: HashMap::new() }
    }

    /// Adds what the cycle has tried until now with the drivers that the trip was to be offered to.
    #[must_use]
    pub fn after(self, attempts: &Attempts) -> Self {
        let attempts = attempts.lock();
        let of_driver = |candidate: Candidate| Some((candidate.driver, *attempts.get(&candidate.driver)?));
        Self { attempts: self.plan.order().into_iter().filter_map(of_driver).collect(), ..self }
    }

    pub(super) fn cycle(&self) -> CycleRow {
        let cycle = self.plan.cycle();
        let CycleSize { trips, drivers, edges } = cycle.size;
        let computed_us = u64::try_from(self.computed.as_micros()).unwrap_or(u64::MAX);
        CycleRow { policy: cycle.policy, trips, drivers, edges, computed_us }
    }

    /// Returns the candidates of a decision that led to an offer to `offered`. The drivers before them in the plan's order were tried too.
    pub(super) fn candidates(&self, offered: DriverId) -> Vec<CandidateRow> {
        self.considered(Some(offered), &HashMap::new())
    }

    /// Returns the candidates of a decision that led to no offer, and the trips that drivers are engaged on who are not free. Each driver
    /// that the plan would have offered the trip to was tried, for this trip or for another one first.
    pub(super) fn candidates_without_offer(&self, engagements: &HashMap<DriverId, TripId>) -> Vec<CandidateRow> {
        let mut rows = self.considered(None, engagements);
        let unavailable = |(candidate, verdict): (&Candidate, CandidateVerdict)| {
            let considered = ConsideredCandidate { candidate: *candidate, verdict, taken_by: None };
            let taken_by = self.engaged_on(candidate.driver, engagements).filter(|_| verdict == CandidateVerdict::Busy);
            CandidateRow { taken_by, ..CandidateRow::from(considered) }
        };
        let Unavailable { busy, too_late } = &self.unavailable;
        let busy = busy.iter().map(|candidate| (candidate, CandidateVerdict::Busy));
        let too_late = too_late.iter().map(|candidate| (candidate, CandidateVerdict::TooLate));
        rows.extend(busy.chain(too_late).map(unavailable));
        rows
    }

    /// Returns the drivers whose engagements explain why there is no offer.
    pub fn unavailable_drivers(&self) -> Vec<DriverId> {
        let refused = self.attempts.iter().filter(|(_, attempt)| attempt.is_refused).map(|(driver, _)| *driver);
        refused.chain(self.unavailable.busy.iter().map(|candidate| candidate.driver)).collect()
    }

    /// Returns the candidates of the plan. What was tried with a driver counts more than what was planned.
    fn considered(&self, offered: Option<DriverId>, engagements: &HashMap<DriverId, TripId>) -> Vec<CandidateRow> {
        let row = |considered: ConsideredCandidate| {
            let driver = considered.candidate.driver;
            let planned = CandidateRow::from(considered);
            if Some(driver) == offered {
                return CandidateRow { verdict: CandidateVerdict::Chosen, ..planned };
            }
            let (verdict, taken_by) = match self.attempts.get(&driver) {
                None => return planned,
                Some(Attempt { is_refused: true, .. }) => {
                    (CandidateVerdict::Refused, self.engaged_on(driver, engagements))
                }
                Some(Attempt { trip, .. }) => (CandidateVerdict::TakenByAnother, Some(*trip)),
            };
            CandidateRow { verdict, taken_by, ..planned }
        };
        self.plan.considered(SAVED_MAX, offered).into_iter().map(row).collect()
    }

    fn engaged_on(&self, driver: DriverId, engagements: &HashMap<DriverId, TripId>) -> Option<TripId> {
        engagements.get(&driver).copied().filter(|trip| *trip != self.plan.trip())
    }
}

/// The most candidates saved for one trip in one cycle: the nearest.
const SAVED_MAX: usize = 32;

impl From<ConsideredCandidate> for CandidateRow {
    fn from(considered: ConsideredCandidate) -> Self {
        let ConsideredCandidate { candidate, verdict, taken_by } = considered;
        let exchange = |other: TakenBy| Exchange {
            eta_s: whole_seconds(other.eta_ms),
            cost_ms: other.cost_ms,
            exchanged_cost_ms: other.exchanged_cost_ms,
        };
        Self {
            driver_id: candidate.driver,
            distance_m: candidate.distance_m,
            eta_s: candidate.eta.seconds(),
            eta_source: candidate.eta.source,
            cost_ms: candidate.eta.ms,
            position_age_ms: candidate.position_age_ms,
            verdict,
            taken_by: taken_by.map(|other| other.trip),
            exchange: taken_by.map(exchange),
        }
    }
}

fn whole_seconds(ms: i64) -> i64 {
    (ms + 999) / 1_000
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use chrono::DateTime;
    use uuid::Uuid;

    use super::super::plan::{Search, plan};
    use super::*;
    use crate::geo::Eta;
    use crate::platform::clock::DomainTime;

    fn driver(n: u128) -> DriverId {
        DriverId::from(Uuid::from_u128(n))
    }

    fn trip(n: u128) -> TripId {
        TripId::from(Uuid::from_u128(n))
    }

    /// The decision for trip 1, whose drivers 7, 8 and 9 are farther and farther away.
    fn decision() -> Decision {
        let now = DomainTime::new(DateTime::UNIX_EPOCH);
        let candidate = |(n, eta_s): (u128, i64)| Candidate {
            driver: driver(n),
            distance_m: 5 * eta_s,
            eta: Eta { ms: 1_000 * eta_s, source: EtaSource::Estimate },
            position_age_ms: 0,
        };
        let candidates = [(7, 60), (8, 120), (9, 180)].into_iter().map(candidate).collect();
        let search = Search { trip: trip(1), since: now, excluded: HashSet::new(), candidates };
        let plans = plan(MatchPolicy::Batched, vec![search], now).plans();
        Decision::new(plans.into_iter().next().expect("one trip"), Duration::ZERO)
    }

    fn verdicts(rows: &[CandidateRow]) -> Vec<(CandidateVerdict, Option<TripId>)> {
        rows.iter().map(|row| (row.verdict, row.taken_by)).collect()
    }

    use CandidateVerdict::{Chosen, Farther, Refused, TakenByAnother};

    #[test]
    fn driver_whom_another_trip_tried_first_was_not_asked_and_is_not_refused() {
        let attempts = Attempts::default();
        assert!(attempts.try_driver(driver(7), trip(1)) && attempts.try_driver(driver(8), trip(2)));
        assert!(!attempts.try_driver(driver(8), trip(1)), "a driver is tried once in a cycle");
        attempts.refused(driver(7));
        assert!(attempts.try_driver(driver(9), trip(3)));
        attempts.refused(driver(9));
        let decision = decision().after(&attempts);
        let engagements = HashMap::from([(driver(7), trip(4)), (driver(9), trip(1))]);
        let rows = decision.candidates_without_offer(&engagements);
        assert_eq!(
            verdicts(&rows),
            [(Refused, Some(trip(4))), (TakenByAnother, Some(trip(2))), (Refused, None)],
            "the third was refused to another trip, and is engaged on this one"
        );
    }

    #[test]
    fn driver_with_the_offer_is_chosen_and_one_before_them_refused() {
        let attempts = Attempts::default();
        assert!(attempts.try_driver(driver(7), trip(1)));
        attempts.refused(driver(7));
        assert!(attempts.try_driver(driver(8), trip(1)));
        let rows = decision().after(&attempts).candidates(driver(8));
        assert_eq!(verdicts(&rows), [(Refused, None), (Chosen, None), (Farther, None)]);
    }
}
