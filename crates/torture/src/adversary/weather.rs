//! The provider's days: mostly fair, some bad in one way, a few bad in several.

use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::{Value, json};

/// Which step is struck.
const STEPS: [&str; 8] = ["create", "confirm", "capture", "cancel", "refund", "get", "list", "any"];

/// What strikes requests.
const REQUESTS: [&str; 10] = [
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

/// The next day's faults, as the simulator takes them.
pub(crate) fn day(dice: &mut StdRng) -> Value {
    let count = match dice.random_range(0..10) {
        0..3 => 0,
        3..7 => 2,
        _ => 5,
    };
    let mut faults: Vec<Value> = (0..count).map(|_| request(dice)).collect();
    if count > 0 {
        faults.push(webhook(dice));
        faults.push(json!({"on": "any", "kind": "latency", "p50_ms": 10, "p99_ms": dice.random_range(50..900)}));
    }
    Value::Array(faults)
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
        // On both sides of the services' time limit of ten seconds; few, because each holds a worker up.
        fault["ms"] = json!(dice.random_range(1_000..14_000));
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
