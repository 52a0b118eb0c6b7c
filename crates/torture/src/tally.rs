//! What the adversary has done: counted by kind, and written down in order.

use std::collections::BTreeMap;
use std::sync::Mutex;

use serde::Serialize;

use crate::clock::Stopwatch;
use crate::lock;

/// Lines of the schedule that are kept.
const SCHEDULE_MAX: usize = 20_000;

/// One thing that was done.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Deed {
    /// Milliseconds since the torture began, when it was over.
    pub at_ms: u128,
    /// What.
    pub what: String,
    /// Whether it struck anything.
    pub struck: bool,
}

/// Faults by kind, and the schedule. Only what struck is counted.
#[derive(Debug)]
pub(crate) struct Tally {
    since: Stopwatch,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    faults: BTreeMap<String, u64>,
    schedule: Vec<Deed>,
}

impl Tally {
    pub fn new() -> Self {
        Self { since: Stopwatch::start(), inner: Mutex::default() }
    }

    /// Something was done, and struck or not.
    pub fn note(&self, kind: &str, what: String, struck: bool) {
        let mut inner = lock(&self.inner);
        if struck {
            *inner.faults.entry(kind.to_owned()).or_default() += 1;
        }
        if inner.schedule.len() < SCHEDULE_MAX {
            inner.schedule.push(Deed { at_ms: self.since.elapsed().as_millis(), what, struck });
        }
    }

    pub fn faults(&self) -> BTreeMap<String, u64> {
        lock(&self.inner).faults.clone()
    }

    pub fn schedule(&self) -> Vec<Deed> {
        lock(&self.inner).schedule.clone()
    }
}
