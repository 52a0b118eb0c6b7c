//! A plan of faults: who is struck is drawn here, and counted.
//!
//! Each fault has dice of its own, thrown once for every occasion that it could strike: the same plan with the same seed
//! strikes the same ones of the same occasions, whatever else is planned.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::cards;
use crate::faults::{DELAY_MS_MAX, Fault, Group, Kind, Occasion, Step, Strike};

/// How many faults a plan has at most: each is asked at every request.
pub const FAULTS_MAX: usize = 100;

/// What the provider has planned, and what it did. In memory: a restart heals.
#[derive(Debug, Default)]
pub struct Plan {
    seeds: Seeds,
    faults: Vec<Planned>,
    /// Since the start, over all plans, and with the faults that callers planned.
    struck: BTreeMap<Kind, u64>,
    /// The same, by the step that was struck, which a fault on `any` does not name.
    steps: BTreeMap<Step, BTreeMap<Kind, u64>>,
}

#[derive(Debug, Serialize)]
struct Planned {
    #[serde(flatten)]
    fault: Fault,
    /// How often.
    struck: u64,
    #[serde(skip)]
    dice: StdRng,
}

/// What the dice of a plan are made of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Seeds {
    /// For the faults of requests.
    pub seed: u64,
    /// For the faults of webhooks.
    pub webhook_seed: u64,
}

/// The plan as the control interface shows it.
#[derive(Debug, Serialize)]
pub struct Shown<'a> {
    #[serde(flatten)]
    seeds: Seeds,
    faults: &'a [Planned],
    /// How often each kind struck since the provider's start, whoever planned it.
    totals: &'a BTreeMap<Kind, u64>,
    /// The same, by step.
    steps: &'a BTreeMap<Step, BTreeMap<Kind, u64>>,
}

impl Plan {
    /// Replaces the plan; what struck so far stays counted. The faults are checked already.
    pub fn replace(&mut self, faults: Vec<Fault>, seeds: Seeds) {
        let plan = |(place, fault): (usize, Fault)| {
            let seed = if fault.kind.is_of_webhooks() { seeds.webhook_seed } else { seeds.seed };
            let digest = Sha256::new().chain_update(seed.to_le_bytes()).chain_update(place.to_le_bytes());
            Planned { fault, struck: 0, dice: StdRng::from_seed(digest.finalize().into()) }
        };
        self.faults = faults.into_iter().enumerate().map(plan).collect();
        self.seeds = seeds;
    }

    /// The fault of this group that strikes, counted: the caller's own if it planned one, else the first of the plan
    /// that the dice choose.
    pub fn strike(&mut self, group: Group, occasion: &Occasion<'_>, by_caller: Option<Strike>) -> Option<Strike> {
        let own = by_caller.filter(|strike| strike.kind.group() == group && occasion.allows(strike.kind));
        let strike = own.or_else(|| {
            let of_group = self.faults.iter_mut().filter(|planned| planned.fault.kind.group() == group);
            let possible = of_group.filter(|planned| occasion.is_struck_by(&planned.fault));
            // All of them throw, so that none of them depends on the others.
            let drawn: Vec<_> = possible.filter_map(|planned| Some((planned.throw()?, planned))).collect();
            let (strike, planned) = drawn.into_iter().next()?;
            planned.struck += 1;
            Some(strike)
        })?;
        *self.struck.entry(strike.kind).or_default() += 1;
        *self.steps.entry(occasion.step).or_default().entry(strike.kind).or_default() += 1;
        Some(strike)
    }

    /// What to show.
    pub fn shown(&self) -> Shown<'_> {
        Shown { seeds: self.seeds, faults: &self.faults, totals: &self.struck, steps: &self.steps }
    }
}

impl Planned {
    /// Throws the dice: the strike that this occasion means, if it does and may still.
    fn throw(&mut self) -> Option<Strike> {
        let is_meant = self.dice.random_bool(self.fault.share);
        let strike = Strike {
            kind: self.fault.kind,
            delay: self.delay(),
            decline: self.fault.decline().unwrap_or(cards::GENERIC_DECLINE),
        };
        let may_still = self.fault.times.is_none_or(|times| self.struck < times);
        (is_meant && may_still).then_some(strike)
    }

    fn delay(&mut self) -> Duration {
        let median_ms = self.fault.median_ms();
        match self.fault.p99_ms {
            Some(p99_ms) => delay_at(median_ms.max(1), p99_ms.max(1), standard_normal(&mut self.dice)),
            None => Duration::from_millis(median_ms),
        }
    }
}

/// The 99th percentile of the standard normal distribution.
const Z_99: f64 = 2.326_347_874;

/// A log-normal delay: the median at `z` = 0, the 99th percentile at [`Z_99`]. The tail is cut one half of the way further
/// out, and at [`DELAY_MS_MAX`].
fn delay_at(median_ms: u64, p99_ms: u64, z: f64) -> Duration {
    let median = Duration::from_millis(median_ms);
    let ratio = Duration::from_millis(p99_ms).div_duration_f64(median);
    median.mul_f64(ratio.powf((z / Z_99).min(1.5))).min(Duration::from_millis(DELAY_MS_MAX))
}

/// By the method of Box and Muller.
fn standard_normal(dice: &mut StdRng) -> f64 {
    // From (0, 1], for the logarithm.
    let radius = (-2.0 * (1.0 - dice.random_range(0.0..1.0_f64)).ln()).sqrt();
    radius * (std::f64::consts::TAU * dice.random_range(0.0..1.0_f64)).cos()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use serde_json::json;

    use super::*;

    fn plan(faults: serde_json::Value, seed: u64) -> Plan {
        let mut plan = Plan::default();
        plan.replace(serde_json::from_value(faults).unwrap(), Seeds { seed, webhook_seed: seed });
        plan
    }

    fn at(step: Step) -> Occasion<'static> {
        Occasion { step, payment_intent: None, charges: step == Step::Confirm }
    }

    /// Which of 100 captures are struck at the door.
    fn struck(plan: &mut Plan) -> Vec<bool> {
        (0..100).map(|_| plan.strike(Group::Door, &at(Step::Capture), None).is_some()).collect()
    }

    #[test]
    fn a_seed_repeats_the_strikes_and_another_one_does_not() {
        let faults = json!([{ "on": "capture", "kind": "reset_after", "share": 0.3 }]);
        let first = struck(&mut plan(faults.clone(), 1));
        assert_eq!(first, struck(&mut plan(faults.clone(), 1)));
        assert_ne!(first, struck(&mut plan(faults, 2)));
        let count = first.iter().filter(|&&struck| struck).count();
        assert!((15..45).contains(&count), "{count} of 100 at a share of 0.3");
    }

    #[test]
    fn what_else_is_planned_moves_no_strike() {
        let fault = json!({ "on": "capture", "kind": "reset_after", "share": 0.3 });
        let alone = struck(&mut plan(json!([fault]), 1));
        let other = json!({ "on": "any", "kind": "latency", "share": 0.5 });
        let mut with_other = plan(json!([fault, other]), 1);
        let draw = |_| {
            with_other.strike(Group::Pace, &at(Step::Confirm), None);
            with_other.strike(Group::Door, &at(Step::Capture), None).is_some()
        };
        assert_eq!((0..100).map(draw).collect::<Vec<_>>(), alone);
    }

    #[test]
    fn faults_of_a_group_throw_their_own_dice_and_the_first_one_strikes() {
        let draws = |share_of_first: f64| {
            let faults = json!([
                { "on": "any", "kind": "reset_before", "share": share_of_first },
                { "on": "any", "kind": "reset_after", "share": 0.5 },
            ]);
            let mut plan = plan(faults, 1);
            let draw = |_| plan.strike(Group::Door, &at(Step::Capture), None).map(|strike| strike.kind);
            (0..100).map(draw).collect::<Vec<_>>()
        };
        let (alone, together) = (draws(0.0), draws(0.5));
        let count = |kind| together.iter().filter(|&&drawn| drawn == kind).count();
        // A half is struck by the first; of the other half, a half by the second. Equal dice would leave it nothing.
        assert!((35..65).contains(&count(Some(Kind::ResetBefore))), "{together:?}");
        assert!((12..38).contains(&count(Some(Kind::ResetAfter))), "{together:?}");
        for (alone, together) in alone.into_iter().zip(&together) {
            let expected = if *together == Some(Kind::ResetBefore) { *together } else { alone };
            assert_eq!(*together, expected);
        }
    }

    #[test]
    fn a_fault_strikes_what_it_names_and_no_more_often_than_it_may() {
        let mut plan = plan(
            json!([
                { "on": "confirm", "kind": "decline", "times": 2 },
                { "on": "any", "kind": "error_500", "payment_intent": "pi_1", "times": 1 },
            ]),
            1,
        );
        let mut work = |occasion: &Occasion<'_>| plan.strike(Group::Work, occasion, None).map(|strike| strike.kind);
        let unpaid = Occasion { charges: false, ..at(Step::Confirm) };
        let of_one = Occasion { payment_intent: Some("pi_1"), ..at(Step::Cancel) };
        assert_eq!(work(&at(Step::Capture)), None);
        assert_eq!(work(&unpaid), None, "nothing to decline");
        assert_eq!([(); 3].map(|()| work(&at(Step::Confirm))), [Some(Kind::Decline), Some(Kind::Decline), None]);
        assert_eq!([(); 2].map(|()| work(&of_one)), [Some(Kind::Error500), None]);
        let shown = serde_json::to_value(plan.shown()).unwrap();
        assert_eq!(shown["totals"], json!({ "decline": 2, "error_500": 1 }));
        assert_eq!(shown["faults"][0]["struck"], 2);
        assert_eq!(shown["steps"], json!({ "confirm": { "decline": 2 }, "cancel": { "error_500": 1 } }));
    }

    #[test]
    fn latency_has_the_percentiles_that_were_asked_for() {
        let faults = json!([{ "on": "any", "kind": "latency", "p50_ms": 100, "p99_ms": 1000 }]);
        let mut plan = plan(faults, 1);
        let draw = |_| plan.strike(Group::Pace, &at(Step::Get), None).unwrap().delay.as_millis();
        let mut delays: Vec<u128> = (0..10_000).map(draw).collect();
        delays.sort_unstable();
        assert!((90..110).contains(&delays[5_000]), "median {}", delays[5_000]);
        assert!((850..1150).contains(&delays[9_900]), "99th percentile {}", delays[9_900]);
        assert!(delays[9_999] <= 3_163, "the tail is bounded");
    }
}
