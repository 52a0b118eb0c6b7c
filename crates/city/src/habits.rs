//! How people behave: the shares and times by which riders and drivers decide. All times are domain time.

use std::ops::Range;

use chrono::TimeDelta;
use rand::RngExt;
use rand::rngs::StdRng;

use crate::clock::seconds;

/// Shares are between 0 and 1, times in seconds.
#[derive(Debug, Clone)]
pub(crate) struct Habits {
    /// Drivers accept this share of offers,
    pub accepts: f64,
    /// decline this share, and leave the others to expire.
    pub declines: f64,
    /// How long a driver looks at an offer; well within the 15 s that it lives.
    pub thinks_s: Range<f64>,
    /// Share of accepted rides that the driver cancels, and when after accepting.
    pub driver_cancels: f64,
    pub driver_cancels_after_s: Range<f64>,
    /// From the car's arrival to the PIN.
    pub boards_s: Range<f64>,
    /// Share of riders who change their minds whatever happens, and when after asking.
    pub changes_mind: f64,
    pub changes_mind_after_s: Range<f64>,
    /// Share of riders who don't wait until the service gives up, and how long they do.
    pub impatient: f64,
    pub patience_s: Range<f64>,
    /// Nobody waits longer than this for a car that was promised.
    pub pickup_patience_s: f64,
    /// Share of riders who are not at the pickup.
    pub no_show: f64,
    /// Share of cards that decline.
    pub card_declines: f64,
    /// Whether drivers without a ride drive about, and how long they stand before.
    pub cruises_after_s: Option<Range<f64>>,
}

impl Default for Habits {
    fn default() -> Self {
        Self {
            accepts: 0.92,
            declines: 0.05,
            thinks_s: 1.0..6.0,
            driver_cancels: 0.02,
            driver_cancels_after_s: 5.0..90.0,
            boards_s: 8.0..40.0,
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

/// What a driver makes of an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mind {
    Accept,
    Decline,
    Ignore,
}

impl Habits {
    /// Drivers of the procedural city don't stand still.
    pub fn cruising() -> Self {
        Self { cruises_after_s: Some(60.0..900.0), ..Self::default() }
    }

    /// Whether to take an offer.
    pub fn mind(&self, dice: &mut StdRng) -> Mind {
        match dice.random::<f64>() {
            luck if luck < self.accepts => Mind::Accept,
            luck if luck < self.accepts + self.declines => Mind::Decline,
            _ => Mind::Ignore,
        }
    }
}

/// A length of time within a range of seconds.
pub(crate) fn within(range: &Range<f64>, dice: &mut StdRng) -> TimeDelta {
    seconds(dice.random_range(range.clone()))
}

/// Perhaps a length of time: in so many of all cases.
pub(crate) fn perhaps(share: f64, range: &Range<f64>, dice: &mut StdRng) -> Option<TimeDelta> {
    // Both throws are made in any case, so that one habit's share doesn't shift the dice of the next.
    let (happens, after) = (dice.random_bool(share), within(range, dice));
    happens.then_some(after)
}
