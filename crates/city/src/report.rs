//! The report of a replay: a table, and JSON.

use std::collections::BTreeMap;
use std::fmt::{self, Display};

use chrono::{NaiveDateTime, TimeDelta};
use serde::Serialize;

use crate::clock::as_seconds;
use crate::metrics::{MatchLatencyReport, Quantiles, rounded};
use crate::model::RejectedRow;
use crate::rider::RideOutcome;
use crate::statistics::{Counts, Offers};
use crate::web::api::{Audit, Captured, TripState};

/// The limit of the 99th percentile of the lateness, in domain seconds. Beyond it, the run measures this machine instead of
/// the service.
const LATENESS_MAX_S: f64 = 1.0;

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
    /// The time from the request to the driver's arrival, of served requests; `null` if there are none.
    pub pickup_wait_s: Option<WaitQuantiles>,
    /// The time from the authorization to the written offer, in real time; `null` if there are no offers.
    pub match_latency: Option<MatchLatencyReport>,
    /// The lateness of position reports, in seconds of domain time.
    pub lateness: LatenessReport,
    /// Whether the lateness was too high (p99 above 1 s) for the run to measure the service.
    pub degraded: bool,
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
        self.degraded = lateness.p99_s > LATENESS_MAX_S;
        self.offers = counts.offers;
        self.offers_expired_in_transit = counts.offers.expired_in_transit;
        self.driver_cancelled = counts.driver_cancelled;
        self.positions.clone_from(&counts.positions);
        self.http_errors.clone_from(&counts.http_errors);
        self.deadhead_km = rounded(counts.deadhead_m / 1000.0);
        self.loaded_km = rounded(counts.loaded_m / 1000.0);
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
    let count = |state| rides.iter().filter(|ride| ride.state == Some(state)).count() as u64;
    let mut outcomes = Outcomes {
        served: count(TripState::Completed),
        no_driver: count(TripState::NoDriver),
        cancelled: count(TripState::Cancelled),
        declined: count(TripState::PaymentFailed),
        no_show: count(TripState::NoShow),
        aborted: count(TripState::Aborted),
        unaccounted: 0,
    };
    let Outcomes { served, no_driver, cancelled, declined, no_show, aborted, .. } = outcomes;
    outcomes.unaccounted = requests.saturating_sub(served + no_driver + cancelled + declined + no_show + aborted);
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

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut row = |name: &str, value: &dyn Display| writeln!(f, "{name:<28}{value}");
        let Outcomes { served, no_driver, cancelled, declined, no_show, aborted, unaccounted } = self.outcomes;
        row("scenario", &format_args!("{}, {} to {}", self.scenario, self.from, self.until))?;
        row("vehicles, seed", &format_args!("{}, {}", self.vehicles, self.seed))?;
        row("time scale, wall time", &format_args!("{}, {} s", self.time_scale, self.wall_s))?;
        if self.interrupted {
            row("", &"interrupted")?;
        }
        row("requests", &self.requests)?;
        row("rejected rows, streets", &format_args!("{}, {}", self.rejected_rows.len(), self.skipped_streets))?;
        row("served", &format_args!("{served} ({:.1} %)", share(served, self.requests)))?;
        row("no driver", &no_driver)?;
        row("cancelled, no-show", &format_args!("{cancelled}, {no_show}"))?;
        row("declined, aborted", &format_args!("{declined}, {aborted}"))?;
        row("unaccounted", &unaccounted)?;
        match self.pickup_wait_s {
            Some(WaitQuantiles { p50, p90, p99 }) => {
                row("pickup wait p50/p90/p99", &format_args!("{p50} / {p90} / {p99} s"))?
            }
            None => row("pickup wait", &"no pickups")?,
        }
        if let Some(MatchLatencyReport { all, by_batch_size }) = &self.match_latency {
            row("match latency", all)?;
            let mut by_batch_size: Vec<_> = by_batch_size.iter().collect();
            by_batch_size.sort_by_key(|(batch_size, _)| lower_bound(batch_size));
            for (batch_size, quantiles) in by_batch_size {
                row(&format!("  in match cycles of {batch_size}"), quantiles)?;
            }
        }
        let verdict = if self.degraded { "degraded" } else { "not degraded" };
        row(
            "lateness of positions",
            &format_args!("p99 {} s, max {} s: {verdict}", self.lateness.p99_s, self.lateness.max_s),
        )?;
        let Offers { received, accepted, declined, ignored, expired_in_transit, lost } = self.offers;
        row(
            "offers",
            &format_args!("{received}: {accepted} accepted, {declined} declined, {ignored} ignored, {lost} lost"),
        )?;
        row("offers expired in transit", &expired_in_transit)?;
        row("cancelled by the driver", &self.driver_cancelled)?;
        row("deadhead, loaded", &format_args!("{} km, {} km", self.deadhead_km, self.loaded_km))?;
        row("positions", &counters(&self.positions))?;
        row("HTTP errors", &counters(&self.http_errors))?;
        match (&self.captured, &self.audit) {
            (Some(captured), Some(audit)) => {
                row("captured, minor units", &format_args!("service {}", counters(&captured.service)))?;
                row("", &format_args!("provider {}", counters(&captured.provider)))?;
                row("audit", &counters(audit))?;
                row("", if self.clean { &"clean" } else { &"NOT CLEAN" })
            }
            _ => row("audit", &"could not be read"),
        }
    }
}

impl Display for Quantiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { count, p50_ms, p99_ms } = self;
        write!(f, "p50 {p50_ms} ms, p99 {p99_ms} ms of real time ({count} offers)")
    }
}

/// The lower bound of a size class such as `2-5`, for sorting.
fn lower_bound(batch_size: &str) -> u64 {
    let digits: String = batch_size.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or(u64::MAX)
}

fn counters(counters: &BTreeMap<String, impl Display>) -> String {
    let each: Vec<String> = counters.iter().map(|(name, count)| format!("{name} {count}")).collect();
    if each.is_empty() { "none".into() } else { each.join(", ") }
}

#[allow(clippy::cast_precision_loss, reason = "a percentage")]
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
