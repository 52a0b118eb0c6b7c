//! The report of a run, as text and as JSON.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde_json::Value;

use crate::fault_injector::{FREEZE, HOLD_ROWS, LOSE_WAKES, alone};
use crate::fault_log::InjectedFault;
use crate::ledger_check::Violations;
use crate::wire::ShapeRecord;

/// The report.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct TortureReport {
    /// The result: see [`TortureReport::judge`].
    pub clean: bool,
    /// Repeats the run.
    pub seed: u64,
    /// How long faults were injected.
    pub seconds: u64,
    /// Duration of the whole run.
    pub total_seconds: u64,
    /// Faults that struck.
    pub fault_count: u64,
    /// The same by kind.
    pub faults: BTreeMap<String, u64>,
    /// Faults of the provider by kind, which are in `faults` too; empty without fault injection.
    pub provider_faults: BTreeMap<&'static str, u64>,
    /// How often each kind of fault struck each provider operation, including zeros.
    pub provider_operations: BTreeMap<&'static str, BTreeMap<&'static str, u64>>,
    /// Trips, by state; payments, by state; refunds, by state.
    pub trips: BTreeMap<String, u64>,
    pub payments: BTreeMap<String, u64>,
    pub refunds: BTreeMap<String, u64>,
    /// Number of write-offs, and their amounts by currency in minor units.
    pub write_offs: u64,
    pub written_off: BTreeMap<String, i64>,
    /// Keys that the actors sent, requests under these keys, and keys without a final response.
    pub keys: u64,
    pub sent: u64,
    pub unanswered: u64,
    /// Refusals by code.
    pub refused: BTreeMap<String, u64>,
    /// Processes that ended without an order.
    pub unexpected_exits: BTreeMap<&'static str, u64>,
    /// Payments and refunds that still need review, with the reason.
    pub needs_review: Vec<String>,
    /// Trips that did not end.
    pub open_trips: Vec<String>,
    /// What should have happened and did not, so that the run proves nothing.
    pub insufficient: Vec<&'static str>,
    /// Workers, trips and drivers that stood still under a fault that did not concern them.
    pub stood_still: Vec<String>,
    /// Violations that the comparison found.
    pub violations: Violations,
    /// Report of the service's own audit.
    pub audit: Value,
    /// Every transaction shape that writes.
    pub shapes: Vec<ShapeRecord>,
    /// Injected faults in order.
    pub schedule: Vec<InjectedFault>,
}

/// A run of this length must meet every condition of [`TortureReport::insufficient`].
const FULL_RUN_S: u64 = 60;

impl TortureReport {
    /// Sets the counts and the result, once everything else is set.
    pub fn judge(&mut self) {
        self.fault_count = self.faults.values().sum();
        self.insufficient = self.insufficient();
        self.clean = self.is_clean();
    }

    /// What should have happened in a run of this length, and did not.
    fn insufficient(&self) -> Vec<&'static str> {
        let struck = |kind: &str| self.faults.get(&alone(kind)).is_some_and(|count| *count > 0);
        let has = |states: &BTreeMap<String, u64>, state: &str| states.get(state).is_some_and(|count| *count > 0);
        let is_full = self.seconds >= FULL_RUN_S;
        let conditions = [
            (self.fault_count > 0, "no fault has struck"),
            (!is_full || has(&self.payments, "captured"), "no payment was captured"),
            (!is_full || has(&self.refunds, "succeeded"), "no refund was made"),
            (!is_full || struck(FREEZE), "no service was stopped in a transaction, alone"),
            (!is_full || struck(HOLD_ROWS), "no rows were held, alone"),
            (!is_full || struck(LOSE_WAKES), "no wake was lost, alone"),
        ];
        conditions.into_iter().filter(|(is_met, _)| !is_met).map(|(_, what)| what).collect()
    }

    /// Whether there is no violation, nothing is open, and enough has happened.
    fn is_clean(&self) -> bool {
        let is_settled = self.open_trips.is_empty()
            && self.needs_review.is_empty()
            && self.unexpected_exits.is_empty()
            && self.stood_still.is_empty()
            && self.unanswered == 0;
        self.violations.count() == 0 && is_settled && self.insufficient.is_empty() && self.audit["clean"] == true
    }

    /// Shapes that were cut on both sides, and all shapes.
    pub fn covered(&self) -> (usize, usize) {
        (self.shapes.iter().filter(|row| row.is_covered()).count(), self.shapes.len())
    }
}

impl fmt::Display for TortureReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nTransaction shapes: {} of {} cut on both sides", self.covered().0, self.covered().1)?;
        writeln!(f, "  {:>7} {:>6} {:>5}  what it writes", "seen", "before", "after")?;
        for row in &self.shapes {
            writeln!(f, "  {:>7} {:>6} {:>5}  {}  {}", row.seen, row.cut_before, row.cut_after, row.digest, row.label)?;
        }
        writeln!(f, "\nFaults that struck: {}", self.fault_count)?;
        for (kind, count) in &self.faults {
            writeln!(f, "  {count:>7}  {kind}")?;
        }
        if self.provider_faults.is_empty() {
            writeln!(f, "  none of the provider: it has no /sim/faults")?;
        }
        writeln!(f, "\nProvider operations, and the kinds of faults that struck them")?;
        for (step, kinds) in &self.provider_operations {
            let struck = kinds.values().filter(|count| **count > 0).count();
            let missed: Vec<_> = kinds.iter().filter(|(_, count)| **count == 0).map(|(kind, _)| *kind).collect();
            let rest = if missed.is_empty() { String::new() } else { format!("; not by {}", missed.join(", ")) };
            writeln!(f, "  {step:<8} by {struck} of {} kinds{rest}", kinds.len())?;
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
            "Keys of the actors: {}, sent {} times, {} without a final response",
            self.keys, self.sent, self.unanswered
        )?;
        writeln!(f, "Refused {}", States(&self.refused))?;
        if !self.unexpected_exits.is_empty() {
            writeln!(f, "Processes that ended without an order {}", States(&self.unexpected_exits))?;
        }
        for (title, list) in [
            ("Needs review", &self.needs_review),
            ("Did not end", &self.open_trips),
            ("Stood still", &self.stood_still),
        ] {
            for one in list {
                writeln!(f, "{title}: {one}")?;
            }
        }
        for what in &self.insufficient {
            writeln!(f, "Proves nothing: {what}")?;
        }
        writeln!(f, "\nViolations")?;
        for (kind, summary) in &self.violations.0 {
            let kind = serde_json::to_value(kind).unwrap_or_default();
            writeln!(f, "  {:>7}  {}", summary.count, kind.as_str().unwrap_or_default().replace('_', " "))?;
            for evidence in &summary.evidence {
                writeln!(f, "           {evidence}")?;
            }
        }
        writeln!(f, "  the service's own audit: {}", if self.audit["clean"] == true { "clean" } else { "NOT clean" })?;
        if self.audit["clean"] != true {
            writeln!(f, "{:#}", self.audit)?;
        }
        let result = if self.clean { "survived" } else { "FAILED" };
        writeln!(
            f,
            "\n{result}: {} faults in {} s, seed {}, {} s in all",
            self.fault_count, self.seconds, self.seed, self.total_seconds
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

    fn report() -> TortureReport {
        TortureReport {
            clean: false,
            seed: 1,
            seconds: FULL_RUN_S,
            total_seconds: 0,
            fault_count: 0,
            faults: [FREEZE, HOLD_ROWS, LOSE_WAKES].map(|kind| (alone(kind), 1)).into(),
            provider_faults: BTreeMap::new(),
            provider_operations: BTreeMap::new(),
            trips: counts("completed"),
            payments: counts("captured"),
            refunds: counts("succeeded"),
            write_offs: 0,
            written_off: BTreeMap::new(),
            keys: 1,
            sent: 1,
            unanswered: 0,
            refused: BTreeMap::new(),
            unexpected_exits: BTreeMap::new(),
            needs_review: Vec::new(),
            open_trips: Vec::new(),
            insufficient: Vec::new(),
            stood_still: Vec::new(),
            violations: Violations::none(),
            audit: json!({"clean": true}),
            shapes: Vec::new(),
            schedule: Vec::new(),
        }
    }

    /// Returns the result and the text of a clean report after a change.
    fn judged(change: impl FnOnce(&mut TortureReport)) -> (bool, String) {
        let mut report = report();
        change(&mut report);
        report.judge();
        (report.clean, report.to_string())
    }

    #[test]
    fn run_in_which_something_stood_still_is_not_clean() {
        let (is_clean, text) = judged(|report| report.stood_still.push("the worker outbox ran 0 times".into()));
        assert!(!is_clean && text.contains("Stood still: the worker outbox ran 0 times"));
    }

    #[test]
    fn run_without_faults_or_money_is_not_clean() {
        assert!(judged(|_| {}).0);
        let fails_with = |(is_clean, text): (bool, String), what: &str| !is_clean && text.contains(what);
        assert!(fails_with(judged(|report| report.faults.clear()), "no fault has struck"));
        assert!(fails_with(
            judged(|report| report.faults.values_mut().for_each(|count| *count = 0)),
            "no fault has struck"
        ));
        assert!(fails_with(judged(|report| report.payments = counts("declined")), "no payment was captured"));
        assert!(fails_with(judged(|report| report.refunds.clear()), "no refund was made"));
        for kind in [FREEZE, HOLD_ROWS, LOSE_WAKES] {
            let without = judged(|report| report.faults.retain(|name, _| *name != alone(kind)));
            assert!(fails_with(without, "Proves nothing: no "), "{kind}");
        }
        let short = |report: &mut TortureReport| {
            report.seconds = 20;
            report.refunds.clear();
        };
        assert!(judged(short).0, "a short run may be over before the first refund");
    }
}
