//! A decision about a trip, as it is stored and published.

use std::collections::HashMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::plan::{Candidate, CandidateVerdict, ConsideredCandidate, CycleSize, Plan, TakenBy};
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
    /// The trip that got this driver in the same cycle, or that the driver is busy with. Only with `taken_by_another`, `busy` and
    /// `refused`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    taken_by: Option<TripId>,
    /// The plan against an exchange of drivers with that trip. Only with `taken_by_another`.
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
    /// The nearest busy drivers, of a decision without an offer.
    pub busy: Vec<Candidate>,
}

impl Decision {
    /// Makes a decision without busy drivers.
    pub fn new(plan: Plan, computed: Duration) -> Self {
        Self { plan, computed, busy: Vec::new() }
    }

    pub(super) fn cycle(&self) -> CycleRow {
        let cycle = self.plan.cycle();
        let CycleSize { trips, drivers, edges } = cycle.size;
        let computed_us = u64::try_from(self.computed.as_micros()).unwrap_or(u64::MAX);
        CycleRow { policy: cycle.policy, trips, drivers, edges, computed_us }
    }

    /// Returns the candidates of a decision that led to an offer.
    pub(super) fn candidates(&self) -> Vec<CandidateRow> {
        self.plan.considered(SAVED_MAX).into_iter().map(CandidateRow::from).collect()
    }

    /// Returns the candidates of a decision that led to no offer, and the trips that busy drivers are engaged on. The database has
    /// refused all drivers that the plan would have offered the trip to.
    pub(super) fn candidates_without_offer(&self, engagements: &HashMap<DriverId, TripId>) -> Vec<CandidateRow> {
        let engaged_on = |driver| engagements.get(&driver).copied().filter(|trip| *trip != self.plan.trip());
        let tried: Vec<DriverId> = self.tried().map(|candidate| candidate.driver).collect();
        let mut rows = self.candidates();
        for row in rows.iter_mut().filter(|row| tried.contains(&row.driver_id)) {
            (row.verdict, row.taken_by) = (CandidateVerdict::Refused, engaged_on(row.driver_id));
        }
        let busy = self.busy.iter().map(|candidate| {
            let considered =
                ConsideredCandidate { candidate: *candidate, verdict: CandidateVerdict::Busy, taken_by: None };
            CandidateRow { taken_by: engaged_on(candidate.driver), ..CandidateRow::from(considered) }
        });
        rows.extend(busy);
        rows
    }

    /// Returns the drivers whose engagements explain why there is no offer.
    pub fn unavailable_drivers(&self) -> Vec<DriverId> {
        self.tried().chain(self.busy.iter().copied()).map(|candidate| candidate.driver).collect()
    }

    fn tried(&self) -> impl Iterator<Item = Candidate> {
        self.plan.order().into_iter()
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
