//! The plan of a match cycle: for each searching trip the drivers to offer it to, best first. Pure.
//!
//! See `docs/decisions/batched-assignment.md`.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::assignment::{Edge, SkipCost, assign};
use crate::geo::Eta;
use crate::platform::clock::DomainTime;
use crate::platform::ids::{DriverId, TripId};
use crate::platform::match_policy::MatchPolicy;
use crate::platform::names::string_enum;

/// The longest drive to a pickup for which a driver is a candidate, in milliseconds.
pub const ETA_MAX_MS: i64 = 900_000;

/// The cost of leaving a trip without a driver in a cycle: no driver who could serve a trip serves one that has waited
/// three minutes less.
pub const SKIP_COST: SkipCost = SkipCost { eta_max_ms: ETA_MAX_MS, passed_over_max_ms: 180_000 };

/// A driver that a trip may be offered to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// The driver.
    pub driver: DriverId,
    /// Great-circle distance to the pickup, in meters.
    pub distance_m: i64,
    /// The drive to the pickup.
    pub eta: Eta,
    /// Age of the driver's position, in milliseconds of domain time.
    pub position_age_ms: i64,
}

/// A searching trip and its candidates.
#[derive(Debug, Clone, PartialEq)]
pub struct Search {
    /// The trip.
    pub trip: TripId,
    /// When it was first searched for.
    pub since: DomainTime,
    /// Drivers that must not be offered this trip again.
    pub excluded: HashSet<DriverId>,
    /// The candidates by their drive to the pickup, shortest first, including excluded ones.
    pub candidates: Vec<Candidate>,
}

string_enum! {
    /// The decision about a candidate.
    pub enum CandidateVerdict {
        /// The trip is offered to this driver.
        Chosen = "chosen",
        /// Another driver was chosen.
        Farther = "farther",
        /// Another trip of the cycle gets this driver, or was the first that was to be offered to them.
        TakenByAnother = "taken_by_another",
        /// The driver declined this trip, let its offer expire, or was unassigned from it.
        Excluded = "excluded",
        /// The driver has an offer or a trip. Only in a decision without an offer.
        Busy = "busy",
        /// The database refused an offer to this driver in this cycle: they were no longer free, or another transaction had locked them.
        Refused = "refused",
        /// The driver is free, and would come later than the rider waits. Only in a decision without an offer.
        TooLate = "too_late",
    }
}

/// A candidate with the decision about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConsideredCandidate {
    /// The candidate.
    pub candidate: Candidate,
    /// The decision.
    pub verdict: CandidateVerdict,
    /// The trip that gets this driver instead.
    pub taken_by: Option<TakenBy>,
}

/// Another trip of the cycle that gets a candidate, compared with an exchange: this trip gets the candidate, and the other one what
/// this trip has got, if that is one of its candidates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TakenBy {
    /// The trip.
    pub trip: TripId,
    /// The drive of the driver to that trip's pickup, in milliseconds.
    pub eta_ms: i64,
    /// The costs of both trips by the plan, in milliseconds.
    pub cost_ms: i64,
    /// The costs of both trips after the exchange. Never less under [`MatchPolicy::Batched`].
    pub exchanged_cost_ms: i64,
}

/// How large a match cycle is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CycleSize {
    /// Searching trips.
    pub trips: usize,
    /// Drivers whom at least one of the trips can be offered to.
    pub drivers: usize,
    /// Pairs of them.
    pub edges: usize,
}

/// The plan of one match cycle.
#[derive(Debug, PartialEq)]
pub struct CyclePlan {
    /// The longest waiting first.
    searches: Vec<Search>,
    /// The cost of leaving out each trip, in milliseconds.
    skip_ms: Vec<i64>,
    /// The driver of each trip.
    chosen: Vec<Option<DriverId>>,
    /// The index of the trip that gets a driver.
    taken: HashMap<DriverId, usize>,
    /// How it was planned.
    pub policy: MatchPolicy,
    /// The time of the cycle.
    pub now: DomainTime,
    /// Its size.
    pub size: CycleSize,
}

/// The decision for one trip. A cheap handle on the plan of the cycle.
#[derive(Debug, Clone)]
pub struct Plan {
    cycle: Arc<CyclePlan>,
    index: usize,
}

/// Plans a match cycle.
pub fn plan(policy: MatchPolicy, mut searches: Vec<Search>, now: DomainTime) -> Arc<CyclePlan> {
    searches.sort_by_key(|search| (search.since, search.trip));
    let skip_ms: Vec<i64> = searches.iter().map(|search| SKIP_COST.of(waited_ms(search, now))).collect();
    let drivers = drivers(&searches);
    let edges = edges(&searches, &drivers);
    let size = CycleSize { trips: searches.len(), drivers: drivers.len(), edges: edges.len() };
    let chosen = match policy {
        MatchPolicy::Nearest => nearest(&searches),
        MatchPolicy::Batched => {
            let assigned = assign(&skip_ms, drivers.len(), &edges);
            assigned.into_iter().map(|driver| driver.and_then(|index| drivers.get(index as usize).copied())).collect()
        }
    };
    let taken = chosen.iter().enumerate().filter_map(|(index, driver)| Some(((*driver)?, index))).collect();
    Arc::new(CyclePlan { searches, skip_ms, chosen, taken, policy, now, size })
}

/// Returns the drivers whom at least one trip can be offered to, by id.
fn drivers(searches: &[Search]) -> Vec<DriverId> {
    let mut drivers: Vec<DriverId> = searches.iter().flat_map(allowed).map(|candidate| candidate.driver).collect();
    drivers.sort_unstable();
    drivers.dedup();
    drivers
}

fn edges(searches: &[Search], drivers: &[DriverId]) -> Vec<Edge> {
    let indices: HashMap<DriverId, u32> = drivers.iter().copied().zip(0..).collect();
    let of_trip = |(search, trip)| {
        let indices = &indices;
        let edge = move |one: &Candidate| Edge { trip, driver: indices[&one.driver], eta_ms: one.eta.ms };
        allowed(search).map(edge)
    };
    searches.iter().zip(0..).flat_map(of_trip).collect()
}

/// Each trip in turn gets the nearest driver that no earlier one has.
fn nearest(searches: &[Search]) -> Vec<Option<DriverId>> {
    let mut taken = HashSet::new();
    let choose =
        |search: &Search| allowed(search).map(|candidate| candidate.driver).find(|driver| taken.insert(*driver));
    searches.iter().map(choose).collect()
}

fn allowed(search: &Search) -> impl Iterator<Item = &Candidate> {
    search.candidates.iter().filter(|candidate| !search.excluded.contains(&candidate.driver))
}

fn waited_ms(search: &Search, now: DomainTime) -> i64 {
    now.since(search.since).num_milliseconds().max(0)
}

impl CyclePlan {
    /// Returns the decisions, that of the trip that has waited longest first.
    pub fn plans(self: &Arc<Self>) -> Vec<Plan> {
        (0..self.searches.len()).map(|index| Plan { cycle: Arc::clone(self), index }).collect()
    }

    /// Returns the cost of a trip with this driver: the drive, or the skip cost if the trip cannot have the driver.
    fn cost_ms(&self, index: usize, driver: Option<DriverId>) -> i64 {
        let drive = driver.and_then(|driver| {
            let found = allowed(&self.searches[index]).find(|candidate| candidate.driver == driver);
            found.map(|candidate| candidate.eta.ms)
        });
        drive.unwrap_or(self.skip_ms[index])
    }
}

impl Plan {
    /// The trip.
    pub fn trip(&self) -> TripId {
        self.search().trip
    }

    /// The plan of the whole cycle.
    pub fn cycle(&self) -> &CyclePlan {
        &self.cycle
    }

    /// How long the trip had waited since it was first searched for, in milliseconds.
    pub fn waited_ms(&self) -> i64 {
        waited_ms(self.search(), self.cycle.now)
    }

    /// The cost of leaving the trip out, in milliseconds.
    pub fn skip_ms(&self) -> i64 {
        self.cycle.skip_ms[self.index]
    }

    /// Whether the plan leaves the trip without a driver.
    pub fn is_left_out(&self) -> bool {
        self.chosen().is_none()
    }

    /// Whether no free driver was a candidate but excluded ones.
    pub fn lacks_free_drivers(&self) -> bool {
        allowed(self.search()).next().is_none()
    }

    /// The number of candidates, including excluded ones.
    pub fn candidates(&self) -> usize {
        self.search().candidates.len()
    }

    /// Returns the drivers to offer the trip to: the first one, and the next one whenever the database refuses a driver. Empty if the
    /// trip is left out.
    pub fn order(&self) -> Vec<Candidate> {
        let Some(chosen) = self.chosen() else { return Vec::new() };
        let all = || self.search().candidates.iter().copied();
        let is_next = |candidate: &Candidate| self.verdict(candidate) == CandidateVerdict::Farther;
        all().filter(|candidate| candidate.driver == chosen).chain(all().filter(is_next)).collect()
    }

    /// Returns the first `max` candidates, the chosen one and `offered`, with the decision about each.
    pub fn considered(&self, max: usize, offered: Option<DriverId>) -> Vec<ConsideredCandidate> {
        let decide = |candidate: &Candidate| ConsideredCandidate {
            candidate: *candidate,
            verdict: self.verdict(candidate),
            taken_by: self.taken_by(candidate),
        };
        let is_wanted = |(index, candidate): &(usize, &Candidate)| {
            let driver = Some(candidate.driver);
            *index < max || driver == self.chosen() || driver == offered
        };
        self.search().candidates.iter().enumerate().filter(is_wanted).map(|(_, candidate)| decide(candidate)).collect()
    }

    fn search(&self) -> &Search {
        &self.cycle.searches[self.index]
    }

    fn chosen(&self) -> Option<DriverId> {
        self.cycle.chosen[self.index]
    }

    fn verdict(&self, candidate: &Candidate) -> CandidateVerdict {
        if self.search().excluded.contains(&candidate.driver) {
            CandidateVerdict::Excluded
        } else if self.chosen() == Some(candidate.driver) {
            CandidateVerdict::Chosen
        } else if self.cycle.taken.contains_key(&candidate.driver) {
            CandidateVerdict::TakenByAnother
        } else {
            CandidateVerdict::Farther
        }
    }

    fn taken_by(&self, candidate: &Candidate) -> Option<TakenBy> {
        if self.verdict(candidate) != CandidateVerdict::TakenByAnother {
            return None;
        }
        let (cycle, driver) = (&self.cycle, candidate.driver);
        let other = *cycle.taken.get(&driver)?;
        let eta_ms = cycle.cost_ms(other, Some(driver));
        Some(TakenBy {
            trip: cycle.searches[other].trip,
            eta_ms,
            cost_ms: eta_ms.saturating_add(cycle.cost_ms(self.index, self.chosen())),
            exchanged_cost_ms: candidate.eta.ms.saturating_add(cycle.cost_ms(other, self.chosen())),
        })
    }
}

#[cfg(test)]
mod tests;
