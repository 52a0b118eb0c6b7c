//! The provider's fault plans. Like transaction shapes, provider operations are covered: every operation is struck once by every
//! kind of fault. Some plans have random faults on top.

use std::collections::BTreeMap;

use psp_sim::{FaultKind, FaultStep};
use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use serde_json::{Value, json};

use crate::provider::Cell;

/// The operations that change something at the provider.
pub(crate) const OPERATIONS: [FaultStep; 5] =
    [FaultStep::Create, FaultStep::Confirm, FaultStep::Capture, FaultStep::Cancel, FaultStep::Refund];

/// The operations that only read.
const READS: [FaultStep; 2] = [FaultStep::Get, FaultStep::List];

/// The operations of every payment. The others are rare in a run: each is struck by a kind that has not struck it yet.
const FREQUENT: [FaultStep; 2] = [FaultStep::Create, FaultStep::Confirm];

/// Probability that a planned fault strikes a frequent operation, which should sometimes succeed.
const FREQUENT_SHARE: f64 = 0.3;

/// Kinds that are planned for one operation at a time. More would be an outage.
const PLANNED_MAX: usize = 3;

/// Codes of a capture or a cancellation that was rejected. None proves that the hold is gone: it has to be kept.
const REJECTIONS: [&str; 4] =
    ["payment_intent_invalid_parameter", "parameter_unknown", "lock_timeout", "payment_intent_unexpected_state"];

/// Strikes of a fault that an operator has to look at, in a plan. More would leave operators little else to do.
const REVIEWED_MAX: u64 = 2;

/// Hanging calls end before or after the services' timeout of 10 s.
const HANGS_MS: std::ops::Range<u64> = 2_000..13_000;

/// The kinds of faults that strike an operation. Declines and latency are normal, and are planned apart. A rejected create, confirm or
/// refund is a refusal like any other.
pub(crate) fn kinds_of(operation: FaultStep) -> Vec<FaultKind> {
    let of_requests = FaultKind::ALL.iter().copied().filter(|kind| !kind.is_of_webhooks());
    let strikes = |kind: &FaultKind| match kind {
        FaultKind::Latency | FaultKind::Decline => false,
        FaultKind::Rejected => matches!(operation, FaultStep::Capture | FaultStep::Cancel),
        kind => kind.own_steps().is_none_or(|steps| steps.contains(&operation)),
    };
    of_requests.filter(strikes).collect()
}

/// Draws the next fault plan, in the form of the simulator. `struck`: what is covered.
pub(crate) fn plan(random: &mut StdRng, coverage: &Coverage, struck: &BTreeMap<Cell, u64>) -> Value {
    let count = match random.random_range(0..10) {
        0..3 => 0,
        3..7 => 2,
        _ => 5,
    };
    let mut faults = coverage.next(random, struck);
    faults.extend((0..count).map(|_| request_fault(random)));
    if count > 0 {
        faults.push(webhook_fault(random));
        let p99_ms = random.random_range(50..900);
        faults.push(json!({"on": FaultStep::Any, "kind": FaultKind::Latency, "p50_ms": 10, "p99_ms": p99_ms}));
    }
    Value::Array(faults)
}

/// The order in which kinds of faults strike each operation. It is fixed for a run: what has not struck stays planned.
#[derive(Debug)]
pub(crate) struct Coverage(BTreeMap<FaultStep, Vec<FaultKind>>);

impl Coverage {
    pub fn new(seed: u64) -> Self {
        let mut random = crate::random::random(seed, "coverage");
        let kinds = |operation| {
            let mut kinds = kinds_of(operation);
            kinds.shuffle(&mut random);
            // A refund that gets a stored 500 is retried for minutes before an operator sees it. The earlier, the better.
            kinds.sort_by_key(|kind| !(operation == FaultStep::Refund && is_500(*kind)));
            (operation, kinds)
        };
        Self(OPERATIONS.into_iter().map(kinds).collect())
    }

    /// Plans all that is not covered, for the time after the last fault: for rare operations everything at once and for certain.
    /// Frequent ones stay as before, because the domain clock runs fast then, and an authorization must not take a minute.
    pub fn remaining(&self, random: &mut StdRng, struck: &BTreeMap<Cell, u64>) -> Value {
        let frequent = self.uncovered(struck, PLANNED_MAX).filter(|(operation, _)| FREQUENT.contains(operation));
        let rare = self.uncovered(struck, usize::MAX).filter(|(operation, _)| !FREQUENT.contains(operation));
        frequent.chain(rare).map(|cell| fault(random, cell)).collect()
    }

    fn next(&self, random: &mut StdRng, struck: &BTreeMap<Cell, u64>) -> Vec<Value> {
        self.uncovered(struck, PLANNED_MAX).map(|cell| fault(random, cell)).collect()
    }

    /// Returns, for each operation, the first `of_each` kinds that have not struck it.
    fn uncovered(&self, struck: &BTreeMap<Cell, u64>, of_each: usize) -> impl Iterator<Item = Cell> {
        self.0.iter().flat_map(move |(operation, kinds)| {
            let cells = kinds.iter().map(|kind| (*operation, *kind));
            cells.filter(|cell| !struck.contains_key(cell)).take(of_each)
        })
    }
}

fn fault(random: &mut StdRng, (operation, kind): Cell) -> Value {
    let share = if FREQUENT.contains(&operation) { FREQUENT_SHARE } else { 1.0 };
    let mut fault = json!({"on": operation, "kind": kind, "share": share, "times": 1});
    if hangs(kind) {
        fault["ms"] = json!(random.random_range(HANGS_MS));
    }
    if kind == FaultKind::Rejected {
        fault["code"] = json!(REJECTIONS.choose(random));
    }
    fault
}

fn request_fault(random: &mut StdRng) -> Value {
    let steps: Vec<_> = FaultStep::ALL.iter().copied().filter(|step| *step != FaultStep::Webhook).collect();
    let step = steps.choose(random).copied().unwrap_or(FaultStep::Any);
    let share = random.random_range(0.05..0.45);
    if step == FaultStep::Confirm && random.random_bool(0.2) {
        return json!({"on": step, "kind": FaultKind::Decline, "code": "insufficient_funds", "share": share / 2.0});
    }
    let mut kinds = kinds_of(step);
    // The simulator refuses a 500 of a read. One of a refund takes minutes, and is planned once.
    kinds.retain(|kind| !is_500(*kind) || !(READS.contains(&step) || step == FaultStep::Refund));
    let kind = kinds.choose(random).copied().unwrap_or(FaultKind::Error503);
    let mut fault = json!({"on": step, "kind": kind, "share": share});
    if hangs(kind) {
        // Few, because each blocks a worker.
        fault["ms"] = json!(random.random_range(HANGS_MS));
        fault["times"] = json!(4);
    }
    if kind == FaultKind::Rejected {
        fault["code"] = json!(REJECTIONS.choose(random));
    }
    if is_reviewed(kind) {
        fault["times"] = json!(REVIEWED_MAX);
    }
    fault
}

fn webhook_fault(random: &mut StdRng) -> Value {
    let kinds: Vec<_> = FaultKind::ALL.iter().copied().filter(|kind| kind.is_of_webhooks()).collect();
    let kind = kinds.choose(random).copied().unwrap_or(FaultKind::Lost);
    let mut fault = json!({"on": FaultStep::Webhook, "kind": kind, "share": random.random_range(0.2..0.9)});
    if kind == FaultKind::Late {
        fault["ms"] = json!(random.random_range(500..15_000));
    }
    fault
}

fn hangs(kind: FaultKind) -> bool {
    matches!(kind, FaultKind::HangBefore | FaultKind::HangAfter)
}

fn is_reviewed(kind: FaultKind) -> bool {
    matches!(kind, FaultKind::Rejected | FaultKind::RefundFails | FaultKind::Disputed)
}

fn is_500(kind: FaultKind) -> bool {
    matches!(kind, FaultKind::Error500 | FaultKind::Error500After)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::random::random;

    fn cell(fault: &Value) -> Cell {
        let word = |member: &str| fault[member].as_str().unwrap();
        (FaultStep::parse(word("on")).unwrap(), FaultKind::parse(word("kind")).unwrap())
    }

    #[test]
    fn no_plan_has_a_500_of_a_read() {
        let (mut random, coverage) = (random(1, "plans"), Coverage::new(1));
        for _ in 0..1_000 {
            let plan = plan(&mut random, &coverage, &BTreeMap::new());
            for (step, kind) in plan.as_array().into_iter().flatten().map(cell) {
                assert!(!READS.contains(&step) || !is_500(kind), "{step:?} {kind:?}");
            }
        }
    }

    #[test]
    fn fault_stays_planned_until_it_strikes() {
        let (mut random, coverage) = (random(1, "plans"), Coverage::new(1));
        let mut struck = BTreeMap::new();
        let first: Vec<Cell> = coverage.next(&mut random, &struck).iter().map(cell).collect();
        assert_eq!(first.len(), PLANNED_MAX * OPERATIONS.len());
        struck.insert(first[0], 1);
        let second: Vec<Cell> = coverage.next(&mut random, &struck).iter().map(cell).collect();
        assert!(first[1..].iter().all(|cell| second.contains(cell)) && !second.contains(&first[0]));
        assert_eq!(second.len(), first.len());
        let remaining = coverage.remaining(&mut random, &struck);
        let rare = OPERATIONS.iter().filter(|operation| !FREQUENT.contains(operation));
        let rare: usize = rare.map(|operation| kinds_of(*operation).len()).sum();
        assert_eq!(remaining.as_array().map(Vec::len), Some(2 * PLANNED_MAX + rare));
    }

    #[test]
    fn captures_are_rejected_and_disputed_and_refunds_fail() {
        let cells = |kind| OPERATIONS.into_iter().filter(|step| kinds_of(*step).contains(&kind)).collect::<Vec<_>>();
        assert_eq!(cells(FaultKind::Rejected), [FaultStep::Capture, FaultStep::Cancel]);
        assert_eq!(cells(FaultKind::RefundFails), [FaultStep::Refund]);
        assert_eq!(cells(FaultKind::Disputed), [FaultStep::Capture]);
        let mut random = random(1, "codes");
        let rejection = fault(&mut random, (FaultStep::Capture, FaultKind::Rejected));
        assert!(REJECTIONS.contains(&rejection["code"].as_str().unwrap()));
    }

    #[test]
    fn stored_500s_of_refunds_come_first() {
        for seed in 0..20 {
            let kinds = &Coverage::new(seed).0[&FaultStep::Refund];
            assert!(kinds[..2].iter().all(|kind| is_500(*kind)), "{kinds:?}");
        }
    }
}
