//! What a torture reports: to people, and as JSON.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde_json::Value;

use crate::books::Findings;
use crate::tally::Deed;
use crate::wire::Row;

/// What was done, what was survived, and what was not.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Report {
    /// See [`Report::is_clean`].
    pub clean: bool,
    /// What repeats it.
    pub seed: u64,
    /// How long the adversary was loose.
    pub seconds: u64,
    /// How long it took in all.
    pub total_seconds: u64,
    /// Faults that struck.
    pub faults_in_all: u64,
    /// By kind.
    pub faults: BTreeMap<String, u64>,
    /// Bad days of the provider, by kind; nothing if this provider has none. They are in `faults`, too.
    pub provider_faults: BTreeMap<String, u64>,
    /// Trips, by state; payments, by state; refunds, by state.
    pub trips: BTreeMap<String, u64>,
    pub payments: BTreeMap<String, u64>,
    pub refunds: BTreeMap<String, u64>,
    /// Keys that our own people sent, how often they sent them, and how many were never answered.
    pub keys: u64,
    pub sent: u64,
    pub unanswered: u64,
    /// What they were refused, by code.
    pub refused: BTreeMap<String, u64>,
    /// Processes that ended without being told to.
    pub died_by_themselves: BTreeMap<&'static str, u64>,
    /// Payments and refunds that wait for a person, and what for.
    pub attention: Vec<String>,
    /// Trips that did not end.
    pub open_trips: Vec<String>,
    /// Our own comparison of the books.
    pub violations: Findings,
    /// What the service's own audit said.
    pub audit: Value,
    /// Every shape of a transaction that writes.
    pub shapes: Vec<Row>,
    /// What was done, in order.
    pub schedule: Vec<Deed>,
}

impl Report {
    /// The verdict: nothing is violated, and nothing is left open.
    pub fn is_clean(&self) -> bool {
        let nothing_is_left = self.open_trips.is_empty()
            && self.attention.is_empty()
            && self.died_by_themselves.is_empty()
            && self.unanswered == 0;
        self.violations.count() == 0 && nothing_is_left && self.audit["clean"] == true
    }

    /// Shapes that were cut on both sides, and all.
    pub fn visited(&self) -> (usize, usize) {
        (self.shapes.iter().filter(|row| row.is_visited()).count(), self.shapes.len())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nTransaction shapes: {} of {} cut on both sides", self.visited().0, self.visited().1)?;
        writeln!(f, "  {:>7} {:>6} {:>5}  what it writes", "met", "before", "after")?;
        for row in &self.shapes {
            writeln!(f, "  {:>7} {:>6} {:>5}  {}  {}", row.met, row.cut_before, row.cut_after, row.digest, row.label)?;
        }
        writeln!(f, "\nFaults that struck: {}", self.faults_in_all)?;
        for (kind, count) in &self.faults {
            writeln!(f, "  {count:>7}  {kind}")?;
        }
        if self.provider_faults.is_empty() {
            writeln!(f, "  this provider had no bad days: it does not know /sim/faults")?;
        }
        writeln!(
            f,
            "\nTrips {}\nPayments {}\nRefunds {}",
            States(&self.trips),
            States(&self.payments),
            States(&self.refunds)
        )?;
        writeln!(
            f,
            "Keys of our own people: {}, sent {} times, {} never answered",
            self.keys, self.sent, self.unanswered
        )?;
        writeln!(f, "Refused {}", States(&self.refused))?;
        if !self.died_by_themselves.is_empty() {
            writeln!(f, "Processes that ended by themselves {}", States(&self.died_by_themselves))?;
        }
        for (title, list) in [("Waits for a person", &self.attention), ("Did not end", &self.open_trips)] {
            for one in list {
                writeln!(f, "{title}: {one}")?;
            }
        }
        writeln!(f, "\nViolations")?;
        for (kind, finding) in &self.violations.0 {
            let kind = serde_json::to_value(kind).unwrap_or_default();
            writeln!(f, "  {:>7}  {}", finding.count, kind.as_str().unwrap_or_default().replace('_', " "))?;
            for evidence in &finding.evidence {
                writeln!(f, "           {evidence}")?;
            }
        }
        writeln!(f, "  the service's own audit: {}", if self.audit["clean"] == true { "clean" } else { "NOT clean" })?;
        if self.audit["clean"] != true {
            writeln!(f, "{:#}", self.audit)?;
        }
        let verdict = if self.clean { "survived" } else { "FAILED" };
        writeln!(
            f,
            "\n{verdict}: {} faults in {} s, seed {}, {} s in all",
            self.faults_in_all, self.seconds, self.seed, self.total_seconds
        )
    }
}

/// Counts by name, on one line.
struct States<'a, K>(&'a BTreeMap<K, u64>);

impl<K: fmt::Display> fmt::Display for States<'_, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sum: u64 = self.0.values().sum();
        write!(f, "{sum}")?;
        for (index, (state, count)) in self.0.iter().enumerate() {
            write!(f, "{} {count} {state}", if index == 0 { ":" } else { "," })?;
        }
        Ok(())
    }
}
