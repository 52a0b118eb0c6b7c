//! The provider's days. Like transaction shapes, the steps of a payment are visited: every step is struck once by every kind of
//! fault as soon as it is taken. On top of that some days are fair, and some are bad in other ways.

use std::collections::BTreeMap;

use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use serde_json::{Value, json};

use crate::provider::Cell;

/// The steps that change something at the provider.
pub(crate) const MOVES: [&str; 5] = ["create", "confirm", "capture", "cancel", "refund"];

/// First visits that are planned at a time. More at once would be an outage and not a visit.
const VISITS_MAX: usize = 12;

/// How likely a step that is to be visited is struck when it is taken: it is taken often, and should sometimes go well.
const VISIT_SHARE: f64 = 0.3;

/// Hanging calls end before or after the services' own time limit of ten seconds.
const HANGS_MS: std::ops::Range<u64> = 2_000..13_000;

/// Which step is struck.
const STEPS: [&str; 8] = ["create", "confirm", "capture", "cancel", "refund", "get", "list", "any"];

/// What strikes requests.
pub(crate) const REQUESTS: [&str; 10] = [
    "hang_before",
    "hang_after",
    "error_500",
    "error_500_after",
    "error_503",
    "rate_limited",
    "reset_before",
    "reset_after",
    "malformed",
    "unknown_status",
];

/// What strikes webhooks.
const WEBHOOKS: [&str; 6] = ["lost", "late", "doubled", "reordered", "wrong_signature", "old_time_stamp"];

/// The next day's faults, as the simulator takes them. `struck`: what has been visited.
pub(crate) fn day(dice: &mut StdRng, struck: &BTreeMap<Cell, u64>) -> Value {
    let count = match dice.random_range(0..10) {
        0..3 => 0,
        3..7 => 2,
        _ => 5,
    };
    let mut faults = visits(dice, struck);
    faults.extend((0..count).map(|_| request(dice)));
    if count > 0 {
        faults.push(webhook(dice));
        faults.push(json!({"on": "any", "kind": "latency", "p50_ms": 10, "p99_ms": dice.random_range(50..900)}));
    }
    Value::Array(faults)
}

/// Some of the steps and kinds that have not met yet, to meet once.
fn visits(dice: &mut StdRng, struck: &BTreeMap<Cell, u64>) -> Vec<Value> {
    let all = MOVES.iter().flat_map(|step| REQUESTS.iter().map(move |kind| (*step, *kind)));
    let mut open: Vec<_> =
        all.filter(|(step, kind)| !struck.contains_key(&((*step).to_owned(), (*kind).to_owned()))).collect();
    open.shuffle(dice);
    open.truncate(VISITS_MAX);
    open.into_iter()
        .map(|(step, kind)| {
            let mut fault = json!({"on": step, "kind": kind, "share": VISIT_SHARE, "times": 1});
            if kind.starts_with("hang") {
                fault["ms"] = json!(dice.random_range(HANGS_MS));
            }
            fault
        })
        .collect()
}

fn request(dice: &mut StdRng) -> Value {
    let step = STEPS.choose(dice).copied().unwrap_or("any");
    let share = dice.random_range(0.05..0.45);
    if step == "confirm" && dice.random_bool(0.2) {
        return json!({"on": step, "kind": "decline", "code": "insufficient_funds", "share": share / 2.0});
    }
    let kind = REQUESTS.choose(dice).copied().unwrap_or("error_503");
    let mut fault = json!({"on": step, "kind": kind, "share": share});
    if kind.starts_with("hang") {
        // Few, because each holds a worker up.
        fault["ms"] = json!(dice.random_range(HANGS_MS));
        fault["times"] = json!(4);
    }
    fault
}

fn webhook(dice: &mut StdRng) -> Value {
    let kind = WEBHOOKS.choose(dice).copied().unwrap_or("lost");
    let mut fault = json!({"on": "webhook", "kind": kind, "share": dice.random_range(0.2..0.9)});
    if kind == "late" {
        fault["ms"] = json!(dice.random_range(500..15_000));
    }
    fault
}
