//! The report of an audit, as JSON and as a table.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use utoipa::ToSchema;

use super::model::{CheckResult, CheckResults, Invariant, ViolationExample};
use crate::platform::clock::MachineTime;
use crate::platform::ids::TripId;
use crate::platform::names::string_enum;
use crate::reconciliation::compare::WindowScan;
use crate::reconciliation::model::differences::Difference;
use crate::reconciliation::model::{CurrencyTotals, add_amount};

/// The most examples for one invariant.
const EXAMPLES_MAX: usize = 20;

/// The result of an audit.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AuditReport {
    /// Whether no invariant is violated and the provider's records were checked; for an audit that waits, also whether no trip is
    /// unsettled.
    pub clean: bool,
    /// The time of the snapshot (machine time).
    pub checked_at: MachineTime,
    /// The number of violations by invariant. Every invariant is listed.
    #[schema(value_type = BTreeMap<String, u64>)]
    #[schema(example = json!({"engagements": 0, "offers": 0, "receipts": 0, "ledger": 0, "limits": 0, "keys": 0, "events": 0,
                              "provider": 0, "stale_work": 0}))]
    pub violations: BTreeMap<Invariant, u64>,
    /// The number of trips that are over and have open work that is not yet late. The invariants about money skip them.
    pub unsettled: u64,
    /// Whether the provider's records could be read.
    pub provider: ProviderCheck,
    /// The number of drivers whose status in the driver index differed from the database for a second; `null` if this process is not
    /// the matcher, which keeps the index. The index is a cache, which the matcher repairs every ten seconds: a difference delays offers
    /// to a driver, and breaks no invariant.
    pub index_differences: Option<u64>,
    /// The captured amounts.
    pub captured: Captured,
    /// Up to twenty violations for each invariant.
    #[schema(max_items = 180)]
    pub examples: Vec<ExampleBody>,
}

string_enum! {
    /// Whether an audit could read the provider's records.
    pub enum ProviderCheck {
        /// The records were compared.
        Checked = "checked",
        /// The provider did not answer. The result is unknown, so the audit is not clean.
        Unchecked = "unchecked",
    }
}

/// The captured amounts in minor units, by currency. While trips are being paid, the two sides differ by the payments in progress.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(example = json!({"service": {"USD": 123_400}, "provider": {"USD": 123_400}}))]
pub struct Captured {
    /// Captured according to our records.
    #[schema(value_type = BTreeMap<String, i64>)]
    pub service: CurrencyTotals,
    /// Captured according to the provider's records; empty if they could not be read.
    #[schema(value_type = BTreeMap<String, i64>)]
    pub provider: CurrencyTotals,
}

/// One violation of an invariant.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ExampleBody {
    /// The invariant.
    pub invariant: Invariant,
    /// The id of the object at fault.
    #[schema(max_length = 255, example = "pay_01jd3n9k8zf4r8x2v5m7q0w1et")]
    pub subject: String,
    /// The trip that the object belongs to; `null` without one.
    pub trip_id: Option<TripId>,
    /// What is wrong, as a predicate of the subject.
    #[schema(max_length = 1000, example = "captured 1000 here, 900 at the provider")]
    pub detail: String,
}

impl AuditReport {
    /// Builds the report. With `must_be_settled`, an unsettled trip makes it unclean.
    pub(super) fn new(comparison: &RecordComparison, results: CheckResults, must_be_settled: bool) -> Self {
        let mut violations: BTreeMap<_, _> = Invariant::ALL.into_iter().map(|invariant| (invariant, 0)).collect();
        let mut examples = Vec::new();
        for (invariant, result) in results.0 {
            violations.insert(invariant, result.violations);
            examples.extend(result.examples.into_iter().map(ExampleBody::from));
        }
        let has_none = violations.values().all(|count| *count == 0);
        let is_checked = comparison.is_checked;
        Self {
            clean: has_none && is_checked && (comparison.unsettled == 0 || !must_be_settled),
            checked_at: comparison.checked_at,
            violations,
            unsettled: u64::try_from(comparison.unsettled).unwrap_or(u64::MAX),
            provider: if is_checked { ProviderCheck::Checked } else { ProviderCheck::Unchecked },
            index_differences: None,
            captured: Captured {
                service: comparison.captured_here.clone(),
                provider: comparison.captured_at_provider.clone(),
            },
            examples,
        }
    }

    /// Adds the comparison of the driver index with the database.
    pub(super) fn with_index(self, index_differences: Option<u64>) -> Self {
        Self { index_differences, ..self }
    }
}

impl From<ViolationExample> for ExampleBody {
    fn from(example: ViolationExample) -> Self {
        let ViolationExample { invariant, subject, trip_id, detail } = example;
        Self { invariant, subject, trip_id, detail }
    }
}

/// What the comparison with the provider has shown, besides the differences.
#[derive(Debug)]
pub(super) struct RecordComparison {
    /// When it began.
    checked_at: MachineTime,
    /// Whether the provider's records could be read: otherwise the result is unknown.
    is_checked: bool,
    /// The number of trips that are over and have open work.
    unsettled: usize,
    /// The captured amounts in our records.
    captured_here: CurrencyTotals,
    /// The captured amounts in the provider's records, without foreign intents.
    captured_at_provider: CurrencyTotals,
}

impl RecordComparison {
    /// Creates a comparison of no window.
    pub(super) fn new(checked_at: MachineTime, unsettled: usize) -> Self {
        let (captured_here, captured_at_provider) = (CurrencyTotals::new(), CurrencyTotals::new());
        Self { checked_at, is_checked: true, unsettled, captured_here, captured_at_provider }
    }

    /// Adds a window.
    pub(super) fn add(&mut self, scan: &WindowScan) {
        for (totals, window) in [
            (&mut self.captured_here, &scan.captured_here),
            (&mut self.captured_at_provider, &scan.captured_at_provider),
        ] {
            window.iter().for_each(|(currency, amount)| add_amount(totals, currency, *amount));
        }
    }

    /// Returns the comparison after a window of the provider's records could not be read.
    pub(super) fn unchecked(self) -> Self {
        Self { is_checked: false, captured_at_provider: CurrencyTotals::new(), ..self }
    }
}

/// Returns the differences that involve money as violations of [`Invariant::Provider`].
pub(super) fn provider_result(differences: &[Difference]) -> CheckResult {
    let violations: Vec<_> = differences.iter().filter(|difference| difference.kind.involves_money()).collect();
    let example = |difference: &&Difference| ViolationExample {
        invariant: Invariant::Provider,
        subject: subject(difference),
        trip_id: difference.trip_id,
        detail: format!("{}: {} {}", difference.kind, difference.subject, difference.detail),
    };
    CheckResult {
        violations: u64::try_from(violations.len()).unwrap_or(u64::MAX),
        examples: violations.iter().take(EXAMPLES_MAX).map(example).collect(),
    }
}

/// Returns the id of our payment if there is one, else of the provider's intent.
fn subject(difference: &Difference) -> String {
    match difference.payment_id {
        Some(payment) => payment.to_string(),
        None => format!("intent {}", difference.subject),
    }
}

impl fmt::Display for AuditReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "invariant    violations")?;
        for (invariant, count) in &self.violations {
            let is_unchecked = *invariant == Invariant::Provider && self.provider == ProviderCheck::Unchecked;
            let count = if is_unchecked { "unchecked".to_owned() } else { count.to_string() };
            writeln!(f, "{invariant:<12} {count:>10}")?;
        }
        writeln!(f, "\n{:<12} {:>10}", "unsettled", self.unsettled)?;
        if let Some(count) = self.index_differences {
            writeln!(f, "{:<12} {count:>10}", "index")?;
        }
        let Captured { service, provider } = &self.captured;
        writeln!(f, "captured: {} by the service, {} by the provider", amounts(service), amounts(provider))?;
        if !self.examples.is_empty() {
            writeln!(f)?;
        }
        for ExampleBody { invariant, subject, trip_id, detail } in &self.examples {
            let trip = trip_id.map(|id| id.to_string()).filter(|id| id != subject);
            let trip = trip.map(|id| format!(" ({id})")).unwrap_or_default();
            writeln!(f, "{invariant}: {subject} {detail}{trip}")?;
        }
        let verdict = if self.clean { "clean" } else { "NOT CLEAN" };
        writeln!(f, "\n{verdict}, as of {}", self.checked_at)
    }
}

fn amounts(totals: &CurrencyTotals) -> String {
    let texts: Vec<_> = totals.iter().map(|(currency, amount)| format!("{amount} {currency}")).collect();
    if texts.is_empty() { "nothing".to_owned() } else { texts.join(", ") }
}
