//! What a replay reports: a table for people, JSON for programs.

use std::collections::BTreeMap;
use std::fmt::{self, Display};

use chrono::{NaiveDateTime, TimeDelta};
use serde::Serialize;

use crate::clock::as_seconds;
use crate::metrics::{MatchLatencyReport, Quantiles, rounded};
use crate::rider::Ending;
use crate::source::RejectedRow;
use crate::tally::{Counts, Offers};
use crate::web::api::{Audit, Captured, TripState};

/// A run whose ticks are later than this, in domain seconds, at the 99th percentile, shows the machine and not the service.
const LATENESS_MAX_S: f64 = 1.0;

/// The report of one replay. Times are domain time unless they say otherwise.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The scenario's name: its folder.
    pub scenario: String,
    /// From, inclusive, in the scenario's time.
    pub from: NaiveDateTime,
    /// Until, exclusive, in the scenario's time.
    pub until: NaiveDateTime,
    /// Seed of all chance.
    pub seed: u64,
    /// Domain seconds per real second.
    pub time_scale: f64,
    /// Drivers.
    pub vehicles: usize,
    /// How long the replay took in real seconds, settling included.
    pub wall_s: f64,
    /// Whether somebody stopped it before its end.
    pub interrupted: bool,

    /// Requests within the window.
    pub requests: u64,
    /// Rows of the scenario that could not be used.
    pub rejected_rows: Vec<RejectedRow>,
    /// Junctions and segments of the map that could not be used.
    pub skipped_streets: usize,
    /// How the requests ended.
    #[serde(flatten)]
    pub endings: Endings,
    /// From the request to the driver's arrival, for served requests; `null` when there is none.
    pub pickup_wait_s: Option<Waits>,
    /// From authorised to the offer being written, in real time; `null` when the service measured none.
    pub match_latency: Option<MatchLatencyReport>,
    /// How late the city's own ticks were, in seconds of domain time.
    pub lateness: LatenessReport,
    /// Whether ticks were so late (p99 above 1 s) that the run says little about the service.
    pub degraded: bool,
    /// What drivers made of their offers.
    pub offers: Offers,
    /// Offers that a driver would have accepted, but that ran out on the way.
    pub offers_expired_in_transit: u64,
    /// Rides that a driver cancelled after accepting.
    pub driver_cancelled: u64,
    /// Positions sent, by the service's verdict.
    pub positions: BTreeMap<String, u64>,
    /// Failed calls by problem code; `connection`, `timeout`, `unreadable` are the client's own.
    pub http_errors: BTreeMap<String, u64>,
    /// Driven without a rider.
    pub empty_km: f64,
    /// Driven with a rider.
    pub loaded_km: f64,
    /// Drives for which the streets had no connection.
    pub drives_off_streets: u64,
    /// Fares captured, in minor units by currency; `null` when the audit could not be read.
    pub captured: Option<Captured>,
    /// Violations of each invariant, and `unsettled`; `null` when the audit could not be read.
    pub audit: Option<BTreeMap<String, u64>>,
    /// Trips on which work was still due when the audit was read last.
    pub unsettled: Option<u64>,
    /// Whether the service called its audit clean.
    pub clean: bool,
}

/// Requests by how they ended; together with `unaccounted` they are all requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Endings {
    /// Driven to where they wanted.
    pub served: u64,
    /// Nobody could be found.
    pub no_driver: u64,
    /// Cancelled by the rider.
    pub cancelled: u64,
    /// The payment method declined.
    pub declined: u64,
    /// Not at the pickup.
    pub no_show: u64,
    /// Aborted by the operator.
    pub aborted: u64,
    /// Everything else, and that must be nothing.
    pub unaccounted: u64,
}

/// Waiting times in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Waits {
    /// Half of the riders waited no longer.
    pub p50: f64,
    /// Nine of ten riders waited no longer.
    pub p90: f64,
    /// All riders but one in a hundred waited no longer.
    pub p99: f64,
}

/// Lateness in seconds of domain time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LatenessReport {
    /// All ticks but one in a hundred were no later.
    pub p99_s: f64,
    /// The latest.
    pub max_s: f64,
}

impl Report {
    /// Takes over what was counted on the streets.
    pub(crate) fn count(&mut self, counts: &Counts) {
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
        self.empty_km = rounded(counts.empty_m / 1000.0);
        self.loaded_km = rounded(counts.loaded_m / 1000.0);
        self.drives_off_streets = counts.drives_off_streets;
    }

    /// Takes over the service's audit.
    pub(crate) fn judge(&mut self, audit: Option<Audit>) {
        let Some(Audit { clean, mut violations, unsettled, captured }) = audit else {
            return;
        };
        self.clean = clean && unsettled == 0 && violations.values().all(|count| *count == 0);
        violations.insert("unsettled".into(), unsettled);
        self.unsettled = Some(unsettled);
        self.captured = Some(captured);
        self.audit = Some(violations);
    }

    /// Whether every request is accounted for and the books are clean.
    pub fn is_good(&self) -> bool {
        self.endings.unaccounted == 0 && self.clean
    }
}

/// Sorts rides by how they ended.
pub(crate) fn endings(requests: u64, rides: &[Ending]) -> Endings {
    let count = |state| rides.iter().filter(|ride| ride.state == Some(state)).count() as u64;
    let mut endings = Endings {
        served: count(TripState::Completed),
        no_driver: count(TripState::NoDriver),
        cancelled: count(TripState::Cancelled),
        declined: count(TripState::PaymentFailed),
        no_show: count(TripState::NoShow),
        aborted: count(TripState::Aborted),
        unaccounted: 0,
    };
    let Endings { served, no_driver, cancelled, declined, no_show, aborted, .. } = endings;
    endings.unaccounted = requests.saturating_sub(served + no_driver + cancelled + declined + no_show + aborted);
    endings
}

/// Quantiles of waiting times; `None` of none.
pub(crate) fn waits(rides: &[Ending]) -> Option<Waits> {
    let mut waits: Vec<TimeDelta> = rides.iter().filter_map(|ride| ride.pickup_wait).collect();
    waits.sort_unstable();
    // The smallest wait that at least so many percent stay within.
    let within = |percent: usize| waits.get((waits.len() * percent).div_ceil(100).max(1) - 1);
    let seconds = |percent| Some(rounded(as_seconds(*within(percent)?)));
    Some(Waits { p50: seconds(50)?, p90: seconds(90)?, p99: seconds(99)? })
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut row = |name: &str, value: &dyn Display| writeln!(f, "{name:<28}{value}");
        let Endings { served, no_driver, cancelled, declined, no_show, aborted, unaccounted } = self.endings;
        row("scenario", &format_args!("{}, {} to {}", self.scenario, self.from, self.until))?;
        row("vehicles, seed", &format_args!("{}, {}", self.vehicles, self.seed))?;
        row("time scale, wall time", &format_args!("{}, {} s", self.time_scale, self.wall_s))?;
        if self.interrupted {
            row("", &"stopped before its end")?;
        }
        row("requests", &self.requests)?;
        row("rejected rows, streets", &format_args!("{}, {}", self.rejected_rows.len(), self.skipped_streets))?;
        row("served", &format_args!("{served} ({:.1} %)", share(served, self.requests)))?;
        row("no driver", &no_driver)?;
        row("cancelled, no-show", &format_args!("{cancelled}, {no_show}"))?;
        row("declined, aborted", &format_args!("{declined}, {aborted}"))?;
        row("unaccounted", &unaccounted)?;
        match self.pickup_wait_s {
            Some(Waits { p50, p90, p99 }) => row("pickup wait p50/p90/p99", &format_args!("{p50} / {p90} / {p99} s"))?,
            None => row("pickup wait", &"nobody was picked up")?,
        }
        if let Some(MatchLatencyReport { all, by_burst }) = &self.match_latency {
            row("match latency", all)?;
            let mut by_burst: Vec<_> = by_burst.iter().collect();
            by_burst.sort_by_key(|(burst, _)| least(burst));
            for (burst, quantiles) in by_burst {
                row(&format!("  in rounds of {burst}"), quantiles)?;
            }
        }
        let verdict = if self.degraded { "degraded" } else { "not degraded" };
        row("ticks late by", &format_args!("p99 {} s, max {} s: {verdict}", self.lateness.p99_s, self.lateness.max_s))?;
        let Offers { received, accepted, declined, ignored, expired_in_transit, lost } = self.offers;
        row(
            "offers",
            &format_args!("{received}: {accepted} accepted, {declined} declined, {ignored} ignored, {lost} lost"),
        )?;
        row("offers expired in transit", &expired_in_transit)?;
        row("cancelled by the driver", &self.driver_cancelled)?;
        row("empty, loaded", &format_args!("{} km, {} km", self.empty_km, self.loaded_km))?;
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

/// The least number of a size class such as `2-5`, to sort by.
fn least(burst: &str) -> u64 {
    let digits: String = burst.chars().take_while(char::is_ascii_digit).collect();
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
