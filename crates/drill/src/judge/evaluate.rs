//! Compares numbers with their limits, and judges what every run must keep.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::measures::{Measured, Unit, measure};
use super::model::{Among, CheckSpec, Limit};
use crate::stack::{CaseResult, RunResult};

/// Examples of a violated invariant that are named.
const EXAMPLES_MAX: usize = 3;

/// What a run is worth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Judgement {
    /// The seed of the run.
    pub seed: u64,
    /// Whether every check held.
    pub passed: bool,
    /// Each check: those of the pack in their order, then audit, contract and security.
    pub checks: Vec<CheckResult>,
}

/// A check's result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckResult {
    /// `check` (of the pack), `audit`, `contract` or `security`.
    pub kind: String,
    /// What must hold, in words.
    pub what: String,
    /// Whether it held.
    pub held: bool,
    /// What was seen, in words.
    pub seen: String,
    /// What was expected, in words.
    pub expected: String,
    /// The number that was seen, if there is one.
    pub value: Option<f64>,
}

impl Judgement {
    /// The checks that did not hold.
    pub fn failed(&self) -> impl Iterator<Item = &CheckResult> {
        self.checks.iter().filter(|check| !check.held)
    }
}

/// Whether a check compares with a healthy build on the same seed.
pub fn needs_healthy(checks: &[CheckSpec]) -> bool {
    checks.iter().any(|check| {
        let (limit, _) = limit_and_among(check);
        limit.times_healthy.is_some() || limit.of_healthy.is_some()
    })
}

/// Judges a run. `healthy` is a run of the healthy build on the same seed, for checks that compare with it.
pub fn judge(checks: &[CheckSpec], result: &RunResult, healthy: Option<&RunResult>) -> Judgement {
    let mut all: Vec<CheckResult> = checks.iter().map(|check| judge_check(check, result, healthy)).collect();
    if !result.audit.is_null() {
        all.extend(audit(&result.audit));
    }
    all.extend(suites(&result.contract));
    Judgement { seed: result.recording.seed, passed: all.iter().all(|check| check.held), checks: all }
}

/// Judges one check of a pack.
pub fn judge_check(check: &CheckSpec, result: &RunResult, healthy: Option<&RunResult>) -> CheckResult {
    let (limit, among) = limit_and_among(check);
    let measured = measure(check, result);
    let healthy = healthy.map(|healthy| measure(check, healthy));
    let healthy_value = healthy.as_ref().and_then(|healthy| healthy.value);
    let enough = measured.count >= among.count_min;
    let held = enough && measured.value.is_some_and(|value| holds(&limit, value, healthy_value));
    let mut seen = words(&measured);
    if let Some(value) = healthy_value.filter(|_| limit.times_healthy.is_some() || limit.of_healthy.is_some()) {
        seen = format!("{seen}; healthy build {}", in_unit(value, measured.unit));
    }
    let mut expected = expectation(&limit, measured.unit);
    if among.count_min > 1 {
        expected = format!("{expected}, of {} at least", among.count_min);
    }
    let what = check.what().to_owned();
    CheckResult { kind: "check".to_owned(), what, held, seen, expected, value: measured.value }
}

/// The limit of a check and what counts.
fn limit_and_among(check: &CheckSpec) -> (Limit, Among) {
    let none = Limit { at_most: Some(0.0), ..Limit::default() };
    let all = Limit { at_least: Some(1.0), ..Limit::default() };
    match check {
        CheckSpec::Outcome(check) => (check.limit, check.among.clone()),
        CheckSpec::Offers(check) => (check.limit, check.among.clone()),
        CheckSpec::Status(check) => (check.limit, check.among.clone()),
        CheckSpec::Latency(check) => (check.limit, check.among.clone()),
        CheckSpec::Throughput(check) => (check.limit, check.among.clone()),
        CheckSpec::Wait(check) => (check.limit, check.among.clone()),
        CheckSpec::Positions(check) => (check.limit, check.among.clone()),
        CheckSpec::Metric(check) => (check.limit, Among::default()),
        CheckSpec::Sql(check) => (check.limit.unwrap_or(none), Among::default()),
        CheckSpec::Delivered(check) => (check.limit.unwrap_or(all), check.among.clone()),
        CheckSpec::Own(check) => (none, check.among.clone()),
        CheckSpec::Restarts(check) => (check.limit, Among::default()),
        CheckSpec::Log(check) => (check.limit, Among::default()),
        CheckSpec::Recorded(check) => (none, check.among.clone()),
    }
}

/// Whether a number is within its limits. Without a healthy run, comparisons with one do not hold.
fn holds(limit: &Limit, value: f64, healthy: Option<f64>) -> bool {
    let Limit { at_least, at_most, times_healthy, of_healthy } = *limit;
    let is_few = match (at_most, times_healthy) {
        (None, None) => true,
        (at_most, None) => at_most.is_some_and(|most| value <= most),
        (at_most, Some(times)) => {
            at_most.is_some_and(|most| value <= most) || healthy.is_some_and(|healthy| value <= healthy * times)
        }
    };
    let is_much = of_healthy.is_none_or(|share| healthy.is_some_and(|healthy| value >= healthy * share));
    is_few && is_much && at_least.is_none_or(|least| value >= least)
}

fn words(measured: &Measured) -> String {
    let Measured { value, count, unit, detail } = measured;
    let Some(value) = value else {
        return if detail.is_empty() { "nothing that counts".to_owned() } else { detail.clone() };
    };
    let number = match unit {
        Unit::Share(what) => format!("{} of {count} {what}", in_unit(*value, *unit)),
        Unit::Milliseconds | Unit::DomainSeconds => format!("{} over {count}", in_unit(*value, *unit)),
        Unit::PerSecond | Unit::Number(_) | Unit::Plain => in_unit(*value, *unit),
    };
    if detail.is_empty() { number } else { format!("{number} ({detail})") }
}

fn in_unit(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Share(_) => format!("{:.1} %", value * 100.0),
        Unit::Milliseconds => format!("{value:.0} ms"),
        Unit::DomainSeconds => format!("{value:.0} s"),
        Unit::PerSecond => format!("{value:.1} per second"),
        Unit::Number(what) => format!("{value:.0} {what}"),
        Unit::Plain => format!("{}", (value * 1_000.0).round() / 1_000.0),
    }
}

fn expectation(limit: &Limit, unit: Unit) -> String {
    let Limit { at_least, at_most, times_healthy, of_healthy } = *limit;
    let parts = [
        at_least.map(|least| format!("at least {}", in_unit(least, unit))),
        at_most.map(|most| format!("at most {}", in_unit(most, unit))),
        times_healthy.map(|times| format!("at most {times} times the healthy build")),
        of_healthy.map(|share| format!("at least {:.0} % of the healthy build", share * 100.0)),
    ];
    let joint = if at_most.is_some() && times_healthy.is_some() { " or " } else { " and " };
    parts.into_iter().flatten().collect::<Vec<_>>().join(joint)
}

/// The audit of the clean checkout: one result for each invariant that does not hold, or one for all.
fn audit(report: &Value) -> Vec<CheckResult> {
    let result = |what: &str, held: bool, seen: String| CheckResult {
        kind: "audit".to_owned(),
        what: what.to_owned(),
        held,
        seen,
        expected: "no violation".to_owned(),
        value: None,
    };
    let Some(violations) = report["violations"].as_object() else {
        return vec![result("The audit can be run.", false, report.as_str().unwrap_or("no report").to_owned())];
    };
    let mut results = Vec::new();
    for (invariant, count) in violations.iter().filter(|(_, count)| count.as_u64() != Some(0)) {
        let of_invariant = |example: &&Value| example["invariant"] == invariant.as_str();
        let examples = report["examples"].as_array().into_iter().flatten().filter(of_invariant).take(EXAMPLES_MAX);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let examples: Vec<String> =
            examples.map(|example| format!("{}: {}", text(&example["subject"]), text(&example["detail"]))).collect();
        let what = format!("Invariant {invariant} holds.");
        results.push(result(&what, false, format!("{count} violations ({})", examples.join("; "))));
    }
    if results.is_empty() {
        let checked = report["provider"] == "checked";
        let seen = if checked { "no violation" } else { "the provider's records could not be read" };
        results.push(result("Every invariant of the audit holds.", checked, seen.to_owned()));
    }
    results
}

/// The suites: one result for each case that does not hold, or one for each suite.
fn suites(cases: &[CaseResult]) -> Vec<CheckResult> {
    let mut results = Vec::new();
    for suite in ["contract", "security"] {
        let of_suite: Vec<_> = cases.iter().filter(|case| case.suite == suite).collect();
        let failed: Vec<_> = of_suite.iter().filter(|case| !case.held).collect();
        let result = |what: &str, held: bool, seen: &str| CheckResult {
            kind: suite.to_owned(),
            what: what.to_owned(),
            held,
            seen: seen.to_owned(),
            expected: "as published".to_owned(),
            value: None,
        };
        if failed.is_empty() && !of_suite.is_empty() {
            results.push(result(&format!("The {suite} suite passes."), true, &format!("{} cases", of_suite.len())));
        }
        results.extend(failed.iter().map(|case| result(&case.what, false, &case.seen)));
    }
    results
}

#[cfg(test)]
#[path = "evaluate_tests.rs"]
mod tests;
