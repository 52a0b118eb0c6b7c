//! What happens in the city, counted as it happens.

use std::collections::BTreeMap;
use std::sync::Mutex;

use chrono::TimeDelta;

use crate::clock::as_seconds;
use crate::sync::lock;

/// All counters of one run. One lock for all: it is held for an addition, a few thousand times a second.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    counts: Mutex<Counts>,
}

/// The counters themselves.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts {
    /// Drivers who have come online.
    pub online: u64,
    /// Riders who have set out to ask for a ride.
    pub departed: u64,
    /// Rides that got a driver at least once.
    pub matched: u64,
    /// Riders whose ride is over, one way or another.
    pub finished: u64,
    /// Riders who are without a driver right now.
    pub waiting: u64,
    pub offers: Offers,
    /// Drivers who accepted and then thought better of it.
    pub driver_cancelled: u64,
    /// Positions by what became of them: the service's verdict, or `failed`.
    pub positions: BTreeMap<String, u64>,
    /// By problem code, or `connection`, `timeout`, `unreadable`.
    pub http_errors: BTreeMap<String, u64>,
    pub lateness: Lateness,
    pub empty_m: f64,
    pub loaded_m: f64,
    /// Drives for which the map had no connection.
    pub drives_off_streets: u64,
}

/// Offers by what the driver made of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Offers {
    /// All that reached a driver.
    pub received: u64,
    /// Accepted, and the ride is the driver's.
    pub accepted: u64,
    /// Declined.
    pub declined: u64,
    /// Left alone until they expired.
    pub ignored: u64,
    /// Meant to be accepted, but expired on the way to the driver or back.
    #[serde(skip)]
    pub expired_in_transit: u64,
    /// Meant to be accepted, but withdrawn or taken meanwhile.
    pub lost: u64,
}

impl Tally {
    /// Changes the counters.
    pub fn count(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut lock(&self.counts));
    }

    /// The counters as they are now.
    pub fn counts(&self) -> Counts {
        lock(&self.counts).clone()
    }

    /// A call that failed.
    pub fn http_error(&self, code: &str) {
        self.count(|counts| bump(&mut counts.http_errors, code));
    }

    /// A position that was sent.
    pub fn position(&self, verdict: &str) {
        self.count(|counts| bump(&mut counts.positions, verdict));
    }
}

fn bump(counters: &mut BTreeMap<String, u64>, name: &str) {
    match counters.get_mut(name) {
        Some(counter) => *counter += 1,
        None => _ = counters.insert(name.to_owned(), 1),
    }
}

/// How much later than planned the city did what it does at fixed times, in domain time.
///
/// Millions of samples in bounded memory: counts per hundredth of a second, and everything above a minute in the last one.
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
    /// One tick that was so late; an early one was not late.
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

    /// The lateness that the given share of all ticks stayed within, in seconds, rounded up to the next hundredth.
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
    fn lateness_is_known_to_a_hundredth() {
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
