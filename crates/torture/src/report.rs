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
    /// The verdict.
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
    /// How often each step of a payment was struck by each kind of fault at the provider; zeros are there, too.
    pub provider_steps: BTreeMap<&'static str, BTreeMap<&'static str, u64>>,
    /// Trips, by state; payments, by state; refunds, by state.
    pub trips: BTreeMap<String, u64>,
    pub payments: BTreeMap<String, u64>,
    pub refunds: BTreeMap<String, u64>,
    /// Debts that an operator gave up, and what they come to by currency, in minor units.
    pub write_offs: u64,
    pub written_off: BTreeMap<String, i64>,
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
    /// What should have happened, and did not: then nothing is proved.
    pub too_little: Vec<&'static str>,
    /// Our own comparison of the books.
    pub violations: Findings,
    /// What the service's own audit said.
    pub audit: Value,
    /// Every shape of a transaction that writes.
    pub shapes: Vec<Row>,
    /// What was done, in order.
    pub schedule: Vec<Deed>,
}

/// A run of this length has met everything that [`Report::too_little`] asks for.
const FULL_RUN_S: u64 = 60;

impl Report {
    /// The counts and the verdict, once everything else is known.
    pub fn judge(&mut self) {
        self.faults_in_all = self.faults.values().sum();
        self.too_little = self.too_little();
        self.clean = self.is_clean();
    }

    /// What should have happened in a run like this, and did not.
    fn too_little(&self) -> Vec<&'static str> {
        let has = |states: &BTreeMap<String, u64>, state: &str| states.get(state).is_some_and(|count| *count > 0);
        let is_full = self.seconds >= FULL_RUN_S;
        let asked_for = [
            (self.faults_in_all > 0, "no fault has struck"),
            (!is_full || has(&self.payments, "captured"), "no payment was captured"),
            (!is_full || has(&self.refunds, "succeeded"), "no refund was made"),
        ];
        asked_for.into_iter().filter(|(is_met, _)| !is_met).map(|(_, what)| what).collect()
    }

    /// The verdict: nothing is violated, nothing is left open, and enough has happened for that to mean something.
    fn is_clean(&self) -> bool {
        let nothing_is_left = self.open_trips.is_empty()
            && self.attention.is_empty()
            && self.died_by_themselves.is_empty()
            && self.unanswered == 0;
        let is_worth_something = self.too_little.is_empty();
        self.violations.count() == 0 && nothing_is_left && is_worth_something && self.audit["clean"] == true
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
        writeln!(f, "\nSteps at the provider, and what struck them")?;
        for (step, kinds) in &self.provider_steps {
            let struck = kinds.values().filter(|count| **count > 0).count();
            let missed: Vec<_> = kinds.iter().filter(|(_, count)| **count == 0).map(|(kind, _)| *kind).collect();
            let but = if missed.is_empty() { String::new() } else { format!("; not by {}", missed.join(", ")) };
            writeln!(f, "  {step:<8} by {struck} of {} kinds{but}", kinds.len())?;
        }
        writeln!(
            f,
            "\nTrips {}\nPayments {}\nRefunds {}",
            States(&self.trips),
            States(&self.payments),
            States(&self.refunds)
        )?;
        let sums: Vec<_> = self.written_off.iter().map(|(currency, sum)| format!(", {sum} {currency}")).collect();
        writeln!(f, "Written off {}{}", self.write_offs, sums.concat())?;
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
        for what in &self.too_little {
            writeln!(f, "Proves nothing: {what}")?;
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn counts(of: &str) -> BTreeMap<String, u64> {
        BTreeMap::from([(of.to_owned(), 1)])
    }

    fn report() -> Report {
        Report {
            clean: false,
            seed: 1,
            seconds: FULL_RUN_S,
            total_seconds: 0,
            faults_in_all: 0,
            faults: counts("kill -9 a service"),
            provider_faults: BTreeMap::new(),
            provider_steps: BTreeMap::new(),
            trips: counts("completed"),
            payments: counts("captured"),
            refunds: counts("succeeded"),
            write_offs: 0,
            written_off: BTreeMap::new(),
            keys: 1,
            sent: 1,
            unanswered: 0,
            refused: BTreeMap::new(),
            died_by_themselves: BTreeMap::new(),
            attention: Vec::new(),
            open_trips: Vec::new(),
            too_little: Vec::new(),
            violations: Findings::none(),
            audit: json!({"clean": true}),
            shapes: Vec::new(),
            schedule: Vec::new(),
        }
    }

    /// The verdict on a run that differs from a good one like this, and what it says.
    fn judged(change: impl FnOnce(&mut Report)) -> (bool, String) {
        let mut report = report();
        change(&mut report);
        report.judge();
        (report.clean, report.to_string())
    }

    #[test]
    fn a_run_in_which_nothing_happened_is_not_clean_and_says_so() {
        assert!(judged(|_| {}).0);
        let says = |(is_clean, text): (bool, String), what: &str| !is_clean && text.contains(what);
        assert!(says(judged(|report| report.faults.clear()), "no fault has struck"));
        assert!(says(judged(|report| report.faults.values_mut().for_each(|count| *count = 0)), "no fault has struck"));
        assert!(says(judged(|report| report.payments = counts("declined")), "no payment was captured"));
        assert!(says(judged(|report| report.refunds.clear()), "no refund was made"));
        let short = |report: &mut Report| {
            report.seconds = 20;
            report.refunds.clear();
        };
        assert!(judged(short).0, "a short run may be over before the first refund");
    }
}
