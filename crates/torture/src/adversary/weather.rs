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

/// First visits of a step that are planned at a time. More at once would be an outage and not a visit.
const VISITS_MAX: usize = 3;

/// The steps that every payment takes. The others are few in a run, and each of those is struck by what it has still to meet.
const FIRST_STEPS: [&str; 2] = ["create", "confirm"];

/// How likely a first step that is to be visited is struck: it is taken often, and should sometimes go well.
const FIRST_STEPS_SHARE: f64 = 0.3;

/// Hanging calls end before or after the services' own time limit of ten seconds.
const HANGS_MS: std::ops::Range<u64> = 2_000..13_000;

/// Which step is struck.
const STEPS: [&str; 8] = ["create", "confirm", "capture", "cancel", "refund", "get", "list", "any"];

/// The steps that only look.
const LOOK_UPS: [&str; 2] = ["get", "list"];

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
pub(crate) fn day(dice: &mut StdRng, visits: &Visits, struck: &BTreeMap<Cell, u64>) -> Value {
    let count = match dice.random_range(0..10) {
        0..3 => 0,
        3..7 => 2,
        _ => 5,
    };
    let mut faults = visits.next(dice, struck);
    faults.extend((0..count).map(|_| request(dice)));
    if count > 0 {
        faults.push(webhook(dice));
        faults.push(json!({"on": "any", "kind": "latency", "p50_ms": 10, "p99_ms": dice.random_range(50..900)}));
    }
    Value::Array(faults)
}

/// The order in which the kinds visit each step. It stays the same for a whole torture, so that a visit that was not made on one
/// day is planned for the next one, too.
#[derive(Debug)]
pub(crate) struct Visits([[&'static str; REQUESTS.len()]; MOVES.len()]);

impl Visits {
    pub fn new(seed: u64) -> Self {
        let mut dice = crate::dice::dice(seed, "visits");
        Self(MOVES.map(|_| {
            let mut kinds = REQUESTS;
            kinds.shuffle(&mut dice);
            kinds
        }))
    }

    /// What is left of them, for the time after the torture: of the steps that are few, all at once and for certain. A payment's
    /// first steps are as on any other day, because time flies then, and a ride that is not authorised within a minute has failed.
    pub fn left(&self, dice: &mut StdRng, struck: &BTreeMap<Cell, u64>) -> Value {
        let mut faults = self.next(dice, struck);
        faults.retain(|fault| FIRST_STEPS.iter().any(|step| fault["on"] == *step));
        let of_few = self.open(struck, REQUESTS.len()).filter(|(place, _)| !FIRST_STEPS.contains(&MOVES[*place]));
        faults.extend(of_few.map(|(place, kind)| visit(dice, place, kind)));
        Value::Array(faults)
    }

    /// The next ones.
    fn next(&self, dice: &mut StdRng, struck: &BTreeMap<Cell, u64>) -> Vec<Value> {
        self.open(struck, VISITS_MAX).map(|(place, kind)| visit(dice, place, kind)).collect()
    }

    /// Of each step the first so many kinds that have not struck it yet.
    fn open(&self, struck: &BTreeMap<Cell, u64>, of_each: usize) -> impl Iterator<Item = (usize, &'static str)> {
        self.0.iter().enumerate().flat_map(move |(place, kinds)| {
            let is_open = move |kind: &&str| !struck.contains_key(&(MOVES[place].to_owned(), (*kind).to_owned()));
            kinds.iter().copied().filter(is_open).take(of_each).map(move |kind| (place, kind))
        })
    }
}

fn visit(dice: &mut StdRng, place: usize, kind: &str) -> Value {
    let share = if FIRST_STEPS.contains(&MOVES[place]) { FIRST_STEPS_SHARE } else { 1.0 };
    let mut fault = json!({"on": MOVES[place], "kind": kind, "share": share, "times": 1});
    if kind.starts_with("hang") {
        fault["ms"] = json!(dice.random_range(HANGS_MS));
    }
    fault
}

fn request(dice: &mut StdRng) -> Value {
    let step = STEPS.choose(dice).copied().unwrap_or("any");
    let share = dice.random_range(0.05..0.45);
    if step == "confirm" && dice.random_bool(0.2) {
        return json!({"on": step, "kind": "decline", "code": "insufficient_funds", "share": share / 2.0});
    }
    let mut kind = REQUESTS.choose(dice).copied().unwrap_or("error_503");
    // A look-up has no work that could fail: the simulator refuses a plan that says so.
    while LOOK_UPS.contains(&step) && kind.starts_with("error_500") {
        kind = REQUESTS.choose(dice).copied().unwrap_or("error_503");
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dice::dice;

    #[test]
    fn no_day_asks_for_what_the_simulator_refuses() {
        let (mut dice, visits) = (dice(1, "days"), Visits::new(1));
        for _ in 0..1_000 {
            let day = day(&mut dice, &visits, &BTreeMap::new());
            for fault in day.as_array().into_iter().flatten() {
                let word = |member: &str| fault[member].as_str().unwrap_or_default();
                assert!(!(LOOK_UPS.contains(&word("on")) && word("kind").starts_with("error_500")), "{fault}");
            }
        }
    }

    #[test]
    fn a_visit_stays_planned_until_it_was_made() {
        let (mut dice, visits) = (dice(1, "days"), Visits::new(1));
        let cell = |fault: &Value| {
            let word = |member: &str| fault[member].as_str().unwrap_or_default().to_owned();
            (word("on"), word("kind"))
        };
        let mut struck = BTreeMap::new();
        let first: Vec<Cell> = visits.next(&mut dice, &struck).iter().map(cell).collect();
        assert_eq!(first.len(), VISITS_MAX * MOVES.len());
        struck.insert(first[0].clone(), 1);
        let second: Vec<Cell> = visits.next(&mut dice, &struck).iter().map(cell).collect();
        assert!(first[1..].iter().all(|cell| second.contains(cell)) && !second.contains(&first[0]));
        assert_eq!(second.len(), first.len());
        let left = visits.left(&mut dice, &struck);
        assert_eq!(left.as_array().map(Vec::len), Some(2 * VISITS_MAX + 3 * REQUESTS.len()));
    }
}
