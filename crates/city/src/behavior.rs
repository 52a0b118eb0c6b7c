//! The behavior of riders and drivers: shares and durations, in domain time.

use std::ops::Range;

use chrono::TimeDelta;
use rand::RngExt;
use rand::rngs::StdRng;

use crate::cli::{Habits, Reactions};
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
    /// How long riders wait for an assigned driver, from the assignment to the arrival; `None`: as long as it takes.
    pub pickup_patience: Option<Patience>,
    /// The time from the request after which every rider gives up, also with a driver on the way.
    pub gives_up_after_s: Option<f64>,
    /// The share of riders who are not at the pickup.
    pub no_show: f64,
    /// The share of cards that decline.
    pub card_declines: f64,
    /// How long drivers without a ride park before they cruise; `None` if they do not cruise.
    pub cruises_after_s: Option<Range<f64>>,
    /// The probability that an idle driver follows a hint.
    pub reposition: f64,
    /// Whether drivers report their position less often when domain time runs fast.
    pub reports_thinned: bool,
    /// Riders accept a quote with the probability multiplier^-elasticity.
    pub price_elasticity: f64,
}

/// A log-normal distribution of patience.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Patience {
    pub median_s: f64,
    /// The standard deviation of the logarithm.
    pub sigma: f64,
}

/// The patience of riders who have a driver: 16 % leave within 6 min 42 s, half within 10 min, 84 % within 15 min.
///
/// The median is the limit of NREL HIVE (`request_cancel_time_seconds: 600`). The shape and the spread are an assumption: there is no
/// public data of single riders, only of averages per hour (Wang, X. et al. 2019, *Customer behavioural modelling of order
/// cancellation in coupled ride-sourcing and taxi markets*, Transportation Research B, doi:10.1016/j.trb.2019.05.016).
const PICKUP_PATIENCE: Patience = Patience { median_s: 600.0, sigma: 0.4 };

/// When riders of NREL HIVE give up (`request_cancel_time_seconds` of its Manhattan scenario).
const HIVE_GIVES_UP_AFTER_S: f64 = 600.0;

impl Patience {
    /// Draws a patience, by the method of Box and Muller (1958).
    pub fn draw(self, random: &mut StdRng) -> TimeDelta {
        // The argument of the logarithm is never zero.
        let (radius, angle): (f64, f64) = (1.0 - random.random::<f64>(), random.random());
        let normal = (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos();
        seconds(self.median_s * (self.sigma * normal).exp())
    }
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
            pickup_patience: Some(PICKUP_PATIENCE),
            gives_up_after_s: None,
            no_show: 0.005,
            card_declines: 0.01,
            cruises_after_s: None,
            reposition: 0.0,
            reports_thinned: false,
            price_elasticity: 0.0,
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
    /// The behavior in a replay.
    pub fn new(habits: Habits, reactions: Reactions) -> Self {
        let behavior = match habits {
            Habits::Today => Self::default(),
            Habits::Hive => Self::hive(),
        };
        behavior.reacting(reactions)
    }

    /// The behavior in the procedural city, where drivers cruise.
    pub fn with_cruising(reactions: Reactions) -> Self {
        Self { cruises_after_s: Some(60.0..900.0), reports_thinned: true, ..Self::default() }.reacting(reactions)
    }

    /// The behavior in a burst: as in a replay, but every card is accepted and every rider shows up, so that no payment fails and
    /// no trip ends as a no-show unless the service is at fault.
    pub fn in_burst() -> Self {
        Self { card_declines: 0.0, no_show: 0.0, ..Self::default() }
    }

    /// The behavior in NREL HIVE: every driver accepts at once and stays at the dropoff, riders board at once, and give up when they
    /// are not picked up in time. Nothing else goes wrong.
    fn hive() -> Self {
        Self {
            accepts: 1.0,
            declines: 0.0,
            decides_after_s: 0.0..0.0,
            driver_cancels: 0.0,
            boards_after_s: 0.0..0.0,
            changes_mind: 0.0,
            impatient: 0.0,
            pickup_patience: None,
            gives_up_after_s: Some(HIVE_GIVES_UP_AFTER_S),
            no_show: 0.0,
            card_declines: 0.0,
            ..Self::default()
        }
    }

    fn reacting(self, Reactions { reposition, price_elasticity }: Reactions) -> Self {
        Self { reposition, price_elasticity, ..self }
    }

    /// Whether a rider accepts a price, for a random number from 0 to 1 that stands for what the ride is worth to them.
    ///
    /// The probability of accepting is multiplier^-E: a demand of constant elasticity E. Without surge every rider accepts.
    pub fn accepts_price(&self, multiplier: f64, draw: f64) -> bool {
        multiplier <= 1.0 || draw < multiplier.powf(-self.price_elasticity)
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

/// A random duration in a range of seconds; its start, if it is empty.
pub(crate) fn random_duration(range: &Range<f64>, random: &mut StdRng) -> TimeDelta {
    if range.is_empty() { seconds(range.start) } else { seconds(random.random_range(range.clone())) }
}

/// A random duration in the given share of cases, else none.
pub(crate) fn maybe_duration(share: f64, range: &Range<f64>, random: &mut StdRng) -> Option<TimeDelta> {
    // Both numbers are drawn in any case, so that the share does not affect later draws.
    let (happens, after) = (random.random_bool(share), random_duration(range, random));
    happens.then_some(after)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::as_seconds;
    use crate::random::seeded_random;

    #[test]
    fn hive_drivers_accept_at_once_and_riders_only_give_up() {
        let (hive, mut random) = (Behavior::new(Habits::Hive, Reactions::default()), seeded_random(1, "hive"));
        for _ in 0..1_000 {
            assert_eq!(hive.decide(&mut random), OfferDecision::Accept);
            assert_eq!(random_duration(&hive.decides_after_s, &mut random), TimeDelta::zero());
            assert_eq!(maybe_duration(hive.changes_mind, &hive.changes_mind_after_s, &mut random), None);
            assert_eq!(maybe_duration(hive.driver_cancels, &hive.driver_cancels_after_s, &mut random), None);
        }
        assert_eq!((hive.gives_up_after_s, hive.pickup_patience), (Some(600.0), None));
        assert!(hive.cruises_after_s.is_none() && hive.impatient + hive.no_show + hive.card_declines < f64::EPSILON);
    }

    #[test]
    fn patience_has_its_median_and_spread() {
        let mut random = seeded_random(1, "patience");
        let mut draws: Vec<f64> = (0..10_000).map(|_| as_seconds(PICKUP_PATIENCE.draw(&mut random))).collect();
        draws.sort_unstable_by(f64::total_cmp);
        for (place, expected_s) in [(1_587, 402.0), (5_000, 600.0), (8_413, 895.0)] {
            assert!((draws[place] / expected_s - 1.0).abs() < 0.03, "{place}: {} s", draws[place]);
        }
    }

    #[test]
    fn fewer_riders_accept_a_higher_price() {
        let behavior = |price_elasticity| Behavior { price_elasticity, ..Behavior::default() };
        assert!(behavior(5.0).accepts_price(1.0, 0.999) && behavior(5.0).accepts_price(0.8, 0.999));
        assert!(behavior(0.0).accepts_price(3.0, 0.999), "no elasticity, no effect");
        // 4^-0.5 is a half.
        assert!(behavior(0.5).accepts_price(4.0, 0.49) && !behavior(0.5).accepts_price(4.0, 0.51));
    }
}
