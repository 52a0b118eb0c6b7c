//! The counters of a run.

use std::collections::BTreeMap;
use std::sync::Mutex;

use chrono::{DateTime, TimeDelta, Utc};

use crate::clock::as_seconds;
use crate::sync::lock;

/// The counters of a run, shared by all tasks. One lock suffices: it is held for an addition, a few thousand times a
/// second.
#[derive(Debug, Default)]
pub(crate) struct Statistics {
    counts: Mutex<Counts>,
    /// Every offer, if they are kept. A city without an end keeps none.
    offer_log: Mutex<Option<Vec<ReceivedOffer>>>,
}

/// An offer that reached a driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReceivedOffer {
    pub trip_id: String,
    /// The name of the vehicle.
    pub driver: String,
    pub at: DateTime<Utc>,
}

/// The counters.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts {
    /// Drivers who have come online.
    pub online: u64,
    /// Riders who have requested a ride.
    pub departed: u64,
    /// Rides that were assigned a driver at least once.
    pub matched: u64,
    /// Riders whose ride has ended.
    pub finished: u64,
    /// Riders without a driver at the moment.
    pub waiting: u64,
    pub offers: Offers,
    /// Rides that the driver cancelled after accepting.
    pub driver_cancelled: u64,
    /// Position reports by the verdict of the service, or `failed`.
    pub positions: BTreeMap<String, u64>,
    /// Failed calls by problem code, or `connection`, `timeout`, `unreadable`.
    pub http_errors: BTreeMap<String, u64>,
    pub lateness: Lateness,
    pub deadhead_m: f64,
    /// The part of `deadhead_m` that was driven to the places of hints.
    pub repositioned_m: f64,
    pub loaded_m: f64,
    /// Driving times of all cars within the window, in seconds.
    pub to_pickup_s: f64,
    pub loaded_s: f64,
    /// Hints that a driver followed.
    pub hints_followed: u64,
    /// Quotes with surge.
    pub surge_quotes: u64,
    /// Routes for which the map has no connection.
    pub drives_off_streets: u64,
}

/// Offers by their outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Offers {
    /// Offers that reached a driver.
    pub received: u64,
    pub accepted: u64,
    pub declined: u64,
    /// Ignored until they expired.
    pub ignored: u64,
    /// The driver would have accepted, but the offer expired on the way to the driver or back.
    #[serde(skip)]
    pub expired_in_transit: u64,
    /// The driver would have accepted, but the offer was withdrawn or another driver has the trip.
    pub lost: u64,
}

impl Statistics {
    /// Changes the counters.
    pub fn count(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut lock(&self.counts));
    }

    /// A copy of the counters.
    pub fn counts(&self) -> Counts {
        lock(&self.counts).clone()
    }

    /// Keeps every offer from now on.
    pub fn keep_offers(&self) {
        lock(&self.offer_log).get_or_insert_default();
    }

    /// Adds an offer to those that are kept, if they are.
    pub fn log_offer(&self, offer: impl FnOnce() -> ReceivedOffer) {
        if let Some(log) = &mut *lock(&self.offer_log) {
            log.push(offer());
        }
    }

    /// The offers that were kept.
    pub fn kept_offers(&self) -> Vec<ReceivedOffer> {
        lock(&self.offer_log).clone().unwrap_or_default()
    }

    /// Counts a failed call.
    pub fn http_error(&self, code: &str) {
        self.count(|counts| increment(&mut counts.http_errors, code));
    }

    /// Counts a position report.
    pub fn position(&self, verdict: &str) {
        self.count(|counts| increment(&mut counts.positions, verdict));
    }
}

fn increment(counters: &mut BTreeMap<String, u64>, name: &str) {
    match counters.get_mut(name) {
        Some(counter) => *counter += 1,
        None => _ = counters.insert(name.to_owned(), 1),
    }
}

/// The lateness of position reports, in domain time.
///
/// A histogram with bounded memory: counts per hundredth of a second, with everything above a minute in the last bucket.
#[derive(Debug, Clone)]
pub(crate) struct Lateness {
    hundredths: Vec<u64>,
    samples: u64,
    max_s: f64,
}

const HUNDREDTHS_MAX: usize = 6_000;

impl Default for Lateness {
    fn default() -> Self {
        Self { hundredths: vec![0; HUNDREDTHS_MAX + 1], samples: 0, max_s: 0.0 }
    }
}

impl Lateness {
    /// Records the lateness of a report; a negative one counts as zero.
    pub fn record(&mut self, late: TimeDelta) {
        let late_s = as_seconds(late).max(0.0);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast from float saturates")]
        let hundredth = (late_s * 100.0) as usize;
        self.hundredths[hundredth.min(HUNDREDTHS_MAX)] += 1;
        self.samples += 1;
        self.max_s = self.max_s.max(late_s);
    }

    pub fn max_s(&self) -> f64 {
        self.max_s
    }

    /// The quantile of the lateness in seconds, rounded up to the next hundredth.
    pub fn quantile_s(&self, share: f64) -> f64 {
        #[allow(clippy::cast_precision_loss, reason = "a share of a count")]
        let rank = self.samples as f64 * share;
        let mut seen = 0;
        for (hundredth, count) in (1_u32..).zip(&self.hundredths) {
            seen += count;
            #[allow(clippy::cast_precision_loss, reason = "a share of a count")]
            if seen as f64 >= rank {
                return (f64::from(hundredth) / 100.0).min(self.max_s);
            }
        }
        self.max_s
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_exact_to_a_hundredth() {
        let mut lateness = Lateness::default();
        assert!(lateness.quantile_s(0.99).abs() < 1e-9);
        (0..1_000).for_each(|ms| lateness.record(TimeDelta::milliseconds(ms)));
        assert!((lateness.quantile_s(0.5) - 0.5).abs() < 0.011);
        assert!((lateness.quantile_s(0.99) - 0.99).abs() < 0.011);
        lateness.record(TimeDelta::hours(1));
        lateness.record(TimeDelta::seconds(-5));
        assert!((lateness.max_s() - 3_600.0).abs() < 1e-9);
    }
}
