//! The behavior of riders and drivers: shares and durations, in domain time.

use std::ops::Range;

use chrono::TimeDelta;
use rand::RngExt;
use rand::rngs::StdRng;

use crate::clock::seconds;

/// Shares from 0 to 1, and durations in seconds.
#[derive(Debug, Clone)]
pub(crate) struct Behavior {
    /// The share of offers that drivers accept.
    pub accepts: f64,
    /// The share of offers that drivers decline; the rest expire.
    pub declines: f64,
    /// The time until a driver responds; well below the 15 s after which an offer expires.
    pub decides_after_s: Range<f64>,
    /// The share of accepted rides that the driver cancels, and the time after accepting.
    pub driver_cancels: f64,
    pub driver_cancels_after_s: Range<f64>,
    /// The time from the arrival to the PIN.
    pub boards_after_s: Range<f64>,
    /// The share of riders who cancel without a reason, and the time after the request.
    pub changes_mind: f64,
    pub changes_mind_after_s: Range<f64>,
    /// The share of riders who do not wait until the search ends, and how long they wait.
    pub impatient: f64,
    pub patience_s: Range<f64>,
    /// The longest wait for an assigned driver.
    pub pickup_patience_s: f64,
    /// The share of riders who are not at the pickup.
    pub no_show: f64,
    /// The share of cards that decline.
    pub card_declines: f64,
    /// How long drivers without a ride park before they cruise; `None` if they do not cruise.
    pub cruises_after_s: Option<Range<f64>>,
}

impl Default for Behavior {
    fn default() -> Self {
        Self {
            accepts: 0.92,
            declines: 0.05,
            decides_after_s: 1.0..6.0,
            driver_cancels: 0.02,
            driver_cancels_after_s: 5.0..90.0,
            boards_after_s: 8.0..40.0,
            changes_mind: 0.02,
            changes_mind_after_s: 5.0..240.0,
            impatient: 0.15,
            patience_s: 180.0..600.0,
            pickup_patience_s: 2_700.0,
            no_show: 0.005,
            card_declines: 0.01,
            cruises_after_s: None,
        }
    }
}

/// A driver's decision about an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OfferDecision {
    Accept,
    Decline,
    Ignore,
}

impl Behavior {
    /// The behavior in the procedural city, where drivers cruise.
    pub fn with_cruising() -> Self {
        Self { cruises_after_s: Some(60.0..900.0), ..Self::default() }
    }

    /// Draws the decision about an offer.
    pub fn decide(&self, random: &mut StdRng) -> OfferDecision {
        match random.random::<f64>() {
            draw if draw < self.accepts => OfferDecision::Accept,
            draw if draw < self.accepts + self.declines => OfferDecision::Decline,
            _ => OfferDecision::Ignore,
        }
    }
}

/// A random duration in a range of seconds.
pub(crate) fn random_duration(range: &Range<f64>, random: &mut StdRng) -> TimeDelta {
    seconds(random.random_range(range.clone()))
}

/// A random duration in the given share of cases, else none.
pub(crate) fn maybe_duration(share: f64, range: &Range<f64>, random: &mut StdRng) -> Option<TimeDelta> {
    // Both numbers are drawn in any case, so that the share does not affect later draws.
    let (happens, after) = (random.random_bool(share), random_duration(range, random));
    happens.then_some(after)
}
