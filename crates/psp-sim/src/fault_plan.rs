//! A plan of faults: draws the injections, and counts them.
//!
//! Each fault has its own random numbers, and draws once at every point where it applies. So the same plan with the same
//! seed injects the same faults at the same points, whatever else is planned.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::cards;
use crate::fault_kinds::{DELAY_MS_MAX, FaultGroup, FaultKind, FaultStep};
use crate::faults::{Fault, Injection, InjectionPoint};

/// The most faults of a plan: each is checked at every request.
pub const FAULTS_MAX: usize = 100;

/// The planned faults, and the counts of injections.
#[derive(Debug, Default)]
pub struct FaultPlan {
    seeds: Seeds,
    faults: Vec<PlannedFault>,
    /// Injections since the start, over all plans and the faults that callers asked for.
    injected: BTreeMap<FaultKind, u64>,
    /// The same, by the step of the request, which a fault on `any` does not name.
    steps: BTreeMap<FaultStep, BTreeMap<FaultKind, u64>>,
}

#[derive(Debug, Serialize)]
struct PlannedFault {
    #[serde(flatten)]
    fault: Fault,
    injected: u64,
    #[serde(skip)]
    random: StdRng,
}

/// The seeds of a plan.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Seeds {
    /// The seed for faults of requests.
    pub seed: u64,
    /// The seed for faults of webhooks.
    pub webhook_seed: u64,
}

/// The plan, as JSON of the control interface.
#[derive(Debug, Serialize)]
pub struct PlanView<'a> {
    #[serde(flatten)]
    seeds: Seeds,
    faults: &'a [PlannedFault],
    /// Injections by kind since the start, planned and asked for by callers.
    totals: &'a BTreeMap<FaultKind, u64>,
    /// The same, by step.
    steps: &'a BTreeMap<FaultStep, BTreeMap<FaultKind, u64>>,
}

impl FaultPlan {
    /// Replaces the plan, and keeps the totals. Expects checked faults.
    pub fn replace(&mut self, faults: Vec<Fault>, seeds: Seeds) {
        let plan = |(place, fault): (usize, Fault)| {
            let seed = if fault.kind.is_of_webhooks() { seeds.webhook_seed } else { seeds.seed };
            let digest = Sha256::new().chain_update(seed.to_le_bytes()).chain_update(place.to_le_bytes());
            PlannedFault { fault, injected: 0, random: StdRng::from_seed(digest.finalize().into()) }
        };
        self.faults = faults.into_iter().enumerate().map(plan).collect();
        self.seeds = seeds;
    }

    /// Draws the fault of this group to inject, and counts it: the one that the caller asked for, else the first of the
    /// plan that is drawn.
    pub fn inject(
        &mut self,
        group: FaultGroup,
        point: &InjectionPoint<'_>,
        by_caller: Option<Injection>,
    ) -> Option<Injection> {
        let own = by_caller.filter(|injection| injection.kind.group() == group && point.allows(injection.kind));
        let injection = own.or_else(|| {
            let of_group = self.faults.iter_mut().filter(|planned| planned.fault.kind.group() == group);
            let possible = of_group.filter(|planned| point.matches(&planned.fault));
            // All of them draw, so that none depends on the others.
            let drawn: Vec<_> = possible.filter_map(|planned| Some((planned.draw()?, planned))).collect();
            let (injection, planned) = drawn.into_iter().next()?;
            planned.injected += 1;
            Some(injection)
        })?;
        *self.injected.entry(injection.kind).or_default() += 1;
        *self.steps.entry(point.step).or_default().entry(injection.kind).or_default() += 1;
        Some(injection)
    }

    pub fn view(&self) -> PlanView<'_> {
        PlanView { seeds: self.seeds, faults: &self.faults, totals: &self.injected, steps: &self.steps }
    }
}

impl PlannedFault {
    /// Draws once; returns an injection if the draw hits and the limit is not reached.
    fn draw(&mut self) -> Option<Injection> {
        let is_drawn = self.random.random_bool(self.fault.share);
        let injection = Injection {
            kind: self.fault.kind,
            delay: self.delay(),
            decline: self.fault.decline().unwrap_or(cards::GENERIC_DECLINE),
            rejection: self.fault.rejection().unwrap_or_default(),
        };
        let is_below_limit = self.fault.times.is_none_or(|times| self.injected < times);
        (is_drawn && is_below_limit).then_some(injection)
    }

    fn delay(&mut self) -> Duration {
        let median_ms = self.fault.median_ms();
        match self.fault.p99_ms {
            Some(p99_ms) => delay_at(median_ms.max(1), p99_ms.max(1), standard_normal(&mut self.random)),
            None => Duration::from_millis(median_ms),
        }
    }
}

/// The 99th percentile of the standard normal distribution.
const Z_99: f64 = 2.326_347_874;

/// A log-normal delay: the median at `z` = 0, the 99th percentile at [`Z_99`]. The tail ends at 1.5 [`Z_99`] and at
/// [`DELAY_MS_MAX`].
fn delay_at(median_ms: u64, p99_ms: u64, z: f64) -> Duration {
    let median = Duration::from_millis(median_ms);
    let ratio = Duration::from_millis(p99_ms).div_duration_f64(median);
    median.mul_f64(ratio.powf((z / Z_99).min(1.5))).min(Duration::from_millis(DELAY_MS_MAX))
}

/// A standard normal number, by the Box-Muller method.
fn standard_normal(random: &mut StdRng) -> f64 {
    // 1 - [0, 1) is in (0, 1]: the logarithm needs more than zero.
    let radius = (-2.0 * (1.0 - random.random_range(0.0..1.0_f64)).ln()).sqrt();
    radius * (std::f64::consts::TAU * random.random_range(0.0..1.0_f64)).cos()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use serde_json::json;

    use super::*;

    fn plan(faults: serde_json::Value, seed: u64) -> FaultPlan {
        let mut plan = FaultPlan::default();
        plan.replace(serde_json::from_value(faults).unwrap(), Seeds { seed, webhook_seed: seed });
        plan
    }

    fn at(step: FaultStep) -> InjectionPoint<'static> {
        InjectionPoint { step, payment_intent: None, charges_card: step == FaultStep::Confirm }
    }

    /// Which of 100 captures get a fault of the response.
    fn injected(plan: &mut FaultPlan) -> Vec<bool> {
        (0..100).map(|_| plan.inject(FaultGroup::Response, &at(FaultStep::Capture), None).is_some()).collect()
    }

    #[test]
    fn same_seed_repeats_the_injections_and_another_seed_does_not() {
        let faults = json!([{ "on": "capture", "kind": "reset_after", "share": 0.3 }]);
        let first = injected(&mut plan(faults.clone(), 1));
        assert_eq!(first, injected(&mut plan(faults.clone(), 1)));
        assert_ne!(first, injected(&mut plan(faults, 2)));
        let count = first.iter().filter(|&&injected| injected).count();
        assert!((15..45).contains(&count), "{count} of 100 at a share of 0.3");
    }

    #[test]
    fn other_planned_faults_change_no_injection() {
        let fault = json!({ "on": "capture", "kind": "reset_after", "share": 0.3 });
        let alone = injected(&mut plan(json!([fault]), 1));
        let other = json!({ "on": "any", "kind": "latency", "share": 0.5 });
        let mut with_other = plan(json!([fault, other]), 1);
        let draw = |_| {
            with_other.inject(FaultGroup::Latency, &at(FaultStep::Confirm), None);
            with_other.inject(FaultGroup::Response, &at(FaultStep::Capture), None).is_some()
        };
        assert_eq!((0..100).map(draw).collect::<Vec<_>>(), alone);
    }

    #[test]
    fn faults_of_a_group_draw_independently_and_the_first_drawn_is_injected() {
        let draws = |share_of_first: f64| {
            let faults = json!([
                { "on": "any", "kind": "reset_before", "share": share_of_first },
                { "on": "any", "kind": "reset_after", "share": 0.5 },
            ]);
            let mut plan = plan(faults, 1);
            let draw =
                |_| plan.inject(FaultGroup::Response, &at(FaultStep::Capture), None).map(|injection| injection.kind);
            (0..100).map(draw).collect::<Vec<_>>()
        };
        let (alone, together) = (draws(0.0), draws(0.5));
        let count = |kind| together.iter().filter(|&&drawn| drawn == kind).count();
        // The first gets a half, the second a half of the rest. Equal random numbers would leave the second nothing.
        assert!((35..65).contains(&count(Some(FaultKind::ResetBefore))), "{together:?}");
        assert!((12..38).contains(&count(Some(FaultKind::ResetAfter))), "{together:?}");
        for (alone, together) in alone.into_iter().zip(&together) {
            let expected = if *together == Some(FaultKind::ResetBefore) { *together } else { alone };
            assert_eq!(*together, expected);
        }
    }

    #[test]
    fn fault_is_injected_at_its_step_and_at_most_as_often_as_its_limit() {
        let mut plan = plan(
            json!([
                { "on": "confirm", "kind": "decline", "times": 2 },
                { "on": "any", "kind": "error_500", "payment_intent": "pi_1", "times": 1 },
            ]),
            1,
        );
        let mut draw = |point: &InjectionPoint<'_>| {
            plan.inject(FaultGroup::Execution, point, None).map(|injection| injection.kind)
        };
        let unpaid = InjectionPoint { charges_card: false, ..at(FaultStep::Confirm) };
        let of_one = InjectionPoint { payment_intent: Some("pi_1"), ..at(FaultStep::Cancel) };
        assert_eq!(draw(&at(FaultStep::Capture)), None);
        assert_eq!(draw(&unpaid), None, "nothing to decline");
        assert_eq!(
            [(); 3].map(|()| draw(&at(FaultStep::Confirm))),
            [Some(FaultKind::Decline), Some(FaultKind::Decline), None]
        );
        assert_eq!([(); 2].map(|()| draw(&of_one)), [Some(FaultKind::Error500), None]);
        let shown = serde_json::to_value(plan.view()).unwrap();
        assert_eq!(shown["totals"], json!({ "decline": 2, "error_500": 1 }));
        assert_eq!(shown["faults"][0]["injected"], 2);
        assert_eq!(shown["steps"], json!({ "confirm": { "decline": 2 }, "cancel": { "error_500": 1 } }));
    }

    #[test]
    fn latency_has_the_planned_percentiles() {
        let faults = json!([{ "on": "any", "kind": "latency", "p50_ms": 100, "p99_ms": 1000 }]);
        let mut plan = plan(faults, 1);
        let draw = |_| plan.inject(FaultGroup::Latency, &at(FaultStep::Get), None).unwrap().delay.as_millis();
        let mut delays: Vec<u128> = (0..10_000).map(draw).collect();
        delays.sort_unstable();
        assert!((90..110).contains(&delays[5_000]), "median {}", delays[5_000]);
        assert!((850..1150).contains(&delays[9_900]), "99th percentile {}", delays[9_900]);
        assert!(delays[9_999] <= 3_163, "the tail is bounded");
    }
}
