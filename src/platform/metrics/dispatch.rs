//! The metrics of matching.

use std::time::Duration;

use chrono::TimeDelta;
use prometheus::{HistogramVec, IntCounterVec, IntGauge};

use super::{Registrar, Result};

/// The buckets of waits that may last minutes, seconds.
const WAIT_BUCKETS_S: [f64; 16] =
    [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 20.0, 60.0, 180.0, 600.0, 1_800.0];

/// The buckets of the sizes of match cycles.
const SIZE_BUCKETS: [f64; 12] =
    [1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1_000.0, 3_000.0, 10_000.0, 30_000.0, 100_000.0, 300_000.0];

/// The metrics of matching.
#[derive(Debug)]
#[expect(missing_docs, reason = "each metric has a help text")]
pub struct DispatchMetrics {
    pub match_latency: HistogramVec,
    pub candidates_refused: IntCounterVec,
    pub backlog_trips: IntGauge,
    pub backlog_repairs: IntCounterVec,
    cycle_duration: HistogramVec,
    cycle_size: HistogramVec,
    match_wait: HistogramVec,
}

impl DispatchMetrics {
    pub(super) fn new(make: &Registrar<'_>) -> Result<Self> {
        Ok(Self {
            match_latency: make.histogram(
                "ridematch_match_latency_seconds",
                "Time from the payment's authorization to the first offer, by the number of trips matched in one cycle",
                &["batch_size"],
            )?,
            candidates_refused: make.counter(
                "ridematch_candidates_refused_total",
                "Candidates that were free in the index but not in the database, by reason",
                &["reason"],
            )?,
            backlog_trips: make.gauge("ridematch_backlog_trips", "Searching trips in the matcher's memory")?,
            backlog_repairs: make.counter(
                "ridematch_backlog_repairs_total",
                "Trips that differed between the matcher's backlog and the database for a second, by kind: missing or ended",
                &["kind"],
            )?,
            cycle_duration: make.histogram(
                "ridematch_match_cycle_duration_seconds",
                "Duration of a match cycle, by phase: candidates, assignment or writes",
                &["phase"],
            )?,
            cycle_size: make.histogram_in(
                "ridematch_match_cycle_size",
                "Size of a match cycle, by what is counted: trips, drivers, or edges, which are the pairs that are compared",
                &["of"],
                &SIZE_BUCKETS,
            )?,
            match_wait: make.histogram_in(
                "ridematch_match_wait_seconds",
                "Real time from the start of a search to its offer, by what the trip waited for: a driver, or the service",
                &["for"],
                &WAIT_BUCKETS_S,
            )?,
        })
    }

    /// Records the size of a match cycle.
    pub fn observe_size(&self, trips: usize, drivers: usize, edges: usize) {
        for (of, count) in [("trips", trips), ("drivers", drivers), ("edges", edges)] {
            self.cycle_size.with_label_values(&[of]).observe(count as f64);
        }
    }

    /// Records how long a trip waited for a driver or for the service.
    pub fn observe_wait(&self, waited_for: &str, waited: TimeDelta) {
        let waited = waited.to_std().unwrap_or_default();
        self.match_wait.with_label_values(&[waited_for]).observe(waited.as_secs_f64());
    }

    /// Records how long a phase of a match cycle took.
    pub fn observe_phase(&self, phase: &str, took: Duration) {
        self.cycle_duration.with_label_values(&[phase]).observe(took.as_secs_f64());
    }
}
