//! The faults that were injected: counted by kind, and listed in order.

use std::collections::BTreeMap;
use std::sync::Mutex;

use launcher::clock::Stopwatch;
use serde::Serialize;

use crate::lock;

/// Entries that are kept.
const ENTRIES_MAX: usize = 20_000;

/// One injected fault.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct InjectedFault {
    /// Milliseconds from the start of the run to the end of the fault.
    pub at_ms: u128,
    pub what: String,
    /// Whether it affected anything.
    pub struck: bool,
}

/// The log. Only faults that struck are counted.
#[derive(Debug)]
pub(crate) struct FaultLog {
    since: Stopwatch,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    counts: BTreeMap<String, u64>,
    entries: Vec<InjectedFault>,
}

impl FaultLog {
    pub fn new() -> Self {
        Self { since: Stopwatch::start(), inner: Mutex::default() }
    }

    pub fn add(&self, kind: &str, what: String, struck: bool) {
        let mut inner = lock(&self.inner);
        if struck {
            *inner.counts.entry(kind.to_owned()).or_default() += 1;
        }
        if inner.entries.len() < ENTRIES_MAX {
            inner.entries.push(InjectedFault { at_ms: self.since.elapsed().as_millis(), what, struck });
        }
    }

    pub fn counts(&self) -> BTreeMap<String, u64> {
        lock(&self.inner).counts.clone()
    }

    pub fn entries(&self) -> Vec<InjectedFault> {
        lock(&self.inner).entries.clone()
    }
}
