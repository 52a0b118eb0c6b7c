//! The report of a replay: a table, and JSON.

mod table;

use std::collections::BTreeMap;

use chrono::{NaiveDateTime, TimeDelta};
use serde::Serialize;

use crate::cli::{Habits, Policy};
use crate::clock::as_seconds;
use crate::metrics::{MatchLatencyReport, rounded};
use crate::model::RejectedRow;
use crate::quality::{Degradation, Quality, degradations};
use crate::rider::{RideEnd, RideOutcome};
use crate::statistics::{Counts, Offers};
use crate::web::api::{Audit, Captured, TripState};

/// The report of a replay. Times are domain time unless stated otherwise.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The name of the scenario: its folder.
    pub scenario: String,
    /// The start of the window, inclusive, in the time of the scenario.
    pub from: NaiveDateTime,
    /// The end of the window, exclusive, in the time of the scenario.
    pub until: NaiveDateTime,
    /// The seed of all random numbers.
    pub seed: u64,
    /// What the run varies.
    pub settings: Settings,
    /// Domain seconds per real second.
    pub time_scale: f64,
    /// The number of drivers.
    pub vehicles: usize,
    /// The duration of the replay in real seconds, including settling.
    pub wall_s: f64,
    /// Whether the replay was interrupted.
    pub interrupted: bool,

    /// The number of requests in the window.
    pub requests: u64,
    /// The rows of the scenario that could not be used.
    pub rejected_rows: Vec<RejectedRow>,
    /// The number of junctions and segments of the map that could not be used.
    pub skipped_streets: usize,
    /// The outcomes of the requests.
    #[serde(flatten)]
    pub outcomes: Outcomes,
    /// The figures to compare with other runs.
    #[serde(flatten)]
    pub quality: Quality,
    /// The time from the request to the driver's arrival, of served requests; `null` if there are none.
    pub pickup_wait_s: Option<WaitQuantiles>,
    /// The time from the authorization to the written offer, in real time; `null` if there are no offers.
    pub match_latency: Option<MatchLatencyReport>,
    /// The lateness of position reports, in seconds of domain time.
    pub lateness: LatenessReport,
    /// Whether the run measures this machine instead of the service.
    pub degraded: bool,
    /// Why: the lateness was too high (p99 above 1 s), or more than one in a thousand offers expired in transit.
    pub degraded_by: Vec<Degradation>,
    /// The outcomes of offers.
    pub offers: Offers,
    /// Offers that a driver would have accepted, but that expired on the way.
    pub offers_expired_in_transit: u64,
    /// Rides that a driver cancelled after accepting.
    pub driver_cancelled: u64,
    /// Position reports, by the verdict of the service.
    pub positions: BTreeMap<String, u64>,
    /// Failed calls by problem code; `connection`, `timeout` and `unreadable` are errors of the client.
    pub http_errors: BTreeMap<String, u64>,
    /// Distance driven without a rider.
    pub deadhead_km: f64,
    /// The part of it that was driven to the places of hints.
    pub repositioning_km: f64,
    /// Hints that a driver followed.
    pub hints_followed: u64,
    /// Quotes with surge.
    pub surge_quotes: u64,
    /// Distance driven with a rider.
    pub loaded_km: f64,
    /// Routes for which the map has no connection.
    pub drives_off_streets: u64,
    /// Fares captured, in minor units by currency; `null` when the audit could not be read.
    pub captured: Option<Captured>,
    /// Violations of each invariant, and `unsettled`; `null` when the audit could not be read.
    pub audit: Option<BTreeMap<String, u64>>,
    /// Trips with pending work at the last audit.
    pub unsettled: Option<u64>,
    /// Whether the audit is clean.
    pub clean: bool,
}

/// What the runs of an experiment vary.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Settings {
    /// The habits of riders and drivers.
    pub behavior: Habits,
    /// How the service assigns drivers to trips; `null`: its own configuration.
    pub policy: Option<Policy>,
    /// The latest estimated pickup after the request, in seconds, as the service is configured; `null`: no limit.
    pub pickup_within_s: Option<u32>,
    /// Whether the streets were published to the service.
    pub streets: bool,
    /// The probability that an idle driver follows a hint.
    pub reposition: f64,
    /// The price elasticity of riders.
    pub price_elasticity: f64,
}

/// Requests by outcome; the sum is the number of requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Outcomes {
    /// The trip was completed.
    pub served: u64,
    /// No driver was found.
    pub no_driver: u64,
    /// Cancelled by the rider.
    pub cancelled: u64,
    /// The payment method declined.
    pub declined: u64,
    /// The rider was not at the pickup.
    pub no_show: u64,
    /// Aborted by the operator.
    pub aborted: u64,
    /// The rider did not accept the price.
    pub lost_to_price: u64,
    /// All others; must be zero.
    pub unaccounted: u64,
}

/// Quantiles of waiting times, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct WaitQuantiles {
    /// The median.
    pub p50: f64,
    /// The 90th percentile.
    pub p90: f64,
    /// The 99th percentile.
    pub p99: f64,
}

/// Lateness in seconds of domain time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LatenessReport {
    /// The 99th percentile.
    pub p99_s: f64,
    /// The maximum.
    pub max_s: f64,
}

impl Report {
    /// Adds the counters of the run.
    pub(crate) fn set_counts(&mut self, counts: &Counts) {
        let lateness = LatenessReport {
            p99_s: rounded(counts.lateness.quantile_s(0.99)),
            max_s: rounded(counts.lateness.max_s()),
        };
        self.lateness = lateness;
        self.degraded_by = degradations(counts);
        self.degraded = !self.degraded_by.is_empty();
        self.offers = counts.offers;
        self.offers_expired_in_transit = counts.offers.expired_in_transit;
        self.driver_cancelled = counts.driver_cancelled;
        self.positions.clone_from(&counts.positions);
        self.http_errors.clone_from(&counts.http_errors);
        self.deadhead_km = rounded(counts.deadhead_m / 1000.0);
        self.repositioning_km = rounded(counts.repositioned_m / 1000.0);
        self.loaded_km = rounded(counts.loaded_m / 1000.0);
        self.hints_followed = counts.hints_followed;
        self.surge_quotes = counts.surge_quotes;
        self.drives_off_streets = counts.drives_off_streets;
    }

    /// Adds the audit of the service.
    pub(crate) fn set_audit(&mut self, audit: Option<Audit>) {
        let Some(Audit { clean, mut violations, unsettled, captured }) = audit else {
            return;
        };
        self.clean = clean && unsettled == 0 && violations.values().all(|count| *count == 0);
        violations.insert("unsettled".into(), unsettled);
        self.unsettled = Some(unsettled);
        self.captured = Some(captured);
        self.audit = Some(violations);
    }

    /// Whether every request is accounted for and the audit is clean.
    pub fn is_success(&self) -> bool {
        self.outcomes.unaccounted == 0 && self.clean
    }
}

/// Counts the outcomes.
pub(crate) fn outcomes(requests: u64, rides: &[RideOutcome]) -> Outcomes {
    let count = |end| rides.iter().filter(|ride| ride.end == end).count() as u64;
    let mut outcomes = Outcomes {
        served: count(RideEnd::Trip(TripState::Completed)),
        no_driver: count(RideEnd::Trip(TripState::NoDriver)),
        cancelled: count(RideEnd::Trip(TripState::Cancelled)),
        declined: count(RideEnd::Trip(TripState::PaymentFailed)),
        no_show: count(RideEnd::Trip(TripState::NoShow)),
        aborted: count(RideEnd::Trip(TripState::Aborted)),
        lost_to_price: count(RideEnd::LostToPrice),
        unaccounted: 0,
    };
    let Outcomes { served, no_driver, cancelled, declined, no_show, aborted, lost_to_price, .. } = outcomes;
    let accounted = served + no_driver + cancelled + declined + no_show + aborted + lost_to_price;
    outcomes.unaccounted = requests.saturating_sub(accounted);
    outcomes
}

/// The quantiles of the waiting times; `None` without any.
pub(crate) fn waits(rides: &[RideOutcome]) -> Option<WaitQuantiles> {
    let mut waits: Vec<TimeDelta> = rides.iter().filter_map(|ride| ride.pickup_wait).collect();
    waits.sort_unstable();
    // The nearest-rank percentile.
    let within = |percent: usize| waits.get((waits.len() * percent).div_ceil(100).max(1) - 1);
    let seconds = |percent| Some(rounded(as_seconds(*within(percent)?)));
    Some(WaitQuantiles { p50: seconds(50)?, p90: seconds(90)?, p99: seconds(99)? })
}

pub(crate) use table::counters;

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
