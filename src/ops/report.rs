//! What an audit says: as JSON, and as a table.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use utoipa::ToSchema;

use super::compare::Comparison;
use super::model::books::Difference;
use super::model::{Example, Found, Invariant, Sums};
use crate::platform::clock::MachineTime;
use crate::platform::http::names::published;
use crate::platform::ids::TripId;

/// Examples that are given for one invariant.
const EXAMPLES_MAX: usize = 20;

/// The result of an audit.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Report {
    /// Nothing is violated, the provider's books were checked, and, where it was waited for, nothing is unsettled.
    pub clean: bool,
    /// The moment of the snapshot (machine time).
    pub checked_at: MachineTime,
    /// How often each invariant is violated, by its name. All of them are here.
    #[schema(example = json!({"engagements": 0, "offers": 0, "receipts": 0, "ledger": 0, "limits": 0, "keys": 0, "events": 0,
                              "provider": 0, "stale_work": 0}))]
    pub violations: BTreeMap<&'static str, u64>,
    /// Trips that are over and have unfinished work, not yet late. Invariants about money do not judge them.
    pub unsettled: u64,
    /// Whether the provider answered.
    pub provider: ProviderCheck,
    /// What was captured.
    pub captured: Captured,
    /// Up to twenty for each invariant, for a person to act on.
    #[schema(max_items = 180)]
    pub examples: Vec<ExampleBody>,
}

/// Whether the provider's books could be read: `checked`, they were; `unchecked`, the provider did not answer, so nothing is known,
/// and that is not clean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProviderCheck {
    /// They were.
    Checked,
    /// The provider did not answer: nothing is known, and that is not clean.
    Unchecked,
}

impl ProviderCheck {
    /// From whether it was.
    pub(super) fn from_checked(is_checked: bool) -> Self {
        if is_checked { Self::Checked } else { Self::Unchecked }
    }
}

/// What was captured in all, minor units by currency. While trips are being paid the two sides differ by what is under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(example = json!({"service": {"USD": 123_400}, "provider": {"USD": 123_400}}))]
pub struct Captured {
    /// By our books.
    #[schema(value_type = BTreeMap<String, i64>)]
    pub service: Sums,
    /// By the provider's; empty when they could not be read.
    #[schema(value_type = BTreeMap<String, i64>)]
    pub provider: Sums,
}

published! {
    /// What must always hold; `docs/audit.md` explains each.
    InvariantName = Invariant::ALL.iter().map(|invariant| invariant.as_str());
}

/// One thing that breaks an invariant.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ExampleBody {
    /// The invariant's name.
    #[schema(value_type = InvariantName)]
    pub invariant: &'static str,
    /// The id of the thing at fault.
    #[schema(max_length = 255, example = "pay_01jd3n9k8zf4r8x2v5m7q0w1et")]
    pub subject: String,
    /// The trip it belongs to; `null` if it belongs to none.
    pub trip_id: Option<TripId>,
    /// What is wrong with it; reads on from the subject.
    #[schema(max_length = 1000, example = "captured 1000 here, 900 at the provider")]
    pub what: String,
}

impl Report {
    /// Puts a report together. `settled`: what is unsettled makes it unclean.
    pub(super) fn new(books: &Comparison, found: Vec<(Invariant, Found)>, settled: bool) -> Self {
        let mut violations: BTreeMap<_, _> =
            Invariant::ALL.into_iter().map(|invariant| (invariant.as_str(), 0)).collect();
        let mut examples = Vec::new();
        for (invariant, found) in found {
            violations.insert(invariant.as_str(), found.violations);
            examples.extend(found.examples.into_iter().map(ExampleBody::from));
        }
        let unbroken = violations.values().all(|count| *count == 0);
        Self {
            clean: unbroken && books.unchecked.is_none() && (books.unsettled == 0 || !settled),
            checked_at: books.checked_at,
            violations,
            unsettled: u64::try_from(books.unsettled).unwrap_or(u64::MAX),
            provider: ProviderCheck::from_checked(books.unchecked.is_none()),
            captured: Captured { service: books.ours.clone(), provider: books.theirs.clone() },
            examples,
        }
    }
}

impl From<Example> for ExampleBody {
    fn from(example: Example) -> Self {
        let Example { invariant, subject, trip_id, what } = example;
        Self { invariant: invariant.as_str(), subject, trip_id, what }
    }
}

/// The differences between the books that money is in, as violations.
pub(super) fn found(differences: &[Difference]) -> Found {
    let violations: Vec<_> = differences.iter().filter(|difference| !difference.kind.is_harmless()).collect();
    let example = |difference: &&Difference| Example {
        invariant: Invariant::Provider,
        subject: subject(difference),
        trip_id: difference.trip_id,
        what: format!("{}: {} {}", difference.kind.as_str(), difference.subject, difference.what),
    };
    Found {
        violations: u64::try_from(violations.len()).unwrap_or(u64::MAX),
        examples: violations.iter().take(EXAMPLES_MAX).map(example).collect(),
    }
}

/// Our payment where there is one, else the provider's intent.
fn subject(difference: &Difference) -> String {
    match difference.payment_id {
        Some(payment) => payment.to_string(),
        None => format!("intent {}", difference.subject),
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "invariant    violations")?;
        for invariant in Invariant::ALL {
            let name = invariant.as_str();
            let is_unchecked = invariant == Invariant::Provider && self.provider == ProviderCheck::Unchecked;
            let count = self.violations.get(name).copied().unwrap_or_default();
            let count = if is_unchecked { "unchecked".to_owned() } else { count.to_string() };
            writeln!(f, "{name:<12} {count:>10}")?;
        }
        writeln!(f, "\n{:<12} {:>10}", "unsettled", self.unsettled)?;
        writeln!(
            f,
            "captured: {} by the service, {} by the provider",
            sums(&self.captured.service),
            sums(&self.captured.provider)
        )?;
        if !self.examples.is_empty() {
            writeln!(f)?;
        }
        for ExampleBody { invariant, subject, trip_id, what } in &self.examples {
            let trip = trip_id.map(|id| id.to_string()).filter(|id| id != subject);
            let trip = trip.map(|id| format!(" ({id})")).unwrap_or_default();
            writeln!(f, "{invariant}: {subject} {what}{trip}")?;
        }
        let verdict = if self.clean { "clean" } else { "NOT CLEAN" };
        writeln!(f, "\n{verdict}, as of {}", self.checked_at)
    }
}

fn sums(sums: &Sums) -> String {
    let texts: Vec<_> = sums.iter().map(|(currency, amount)| format!("{amount} {currency}")).collect();
    if texts.is_empty() { "nothing".to_owned() } else { texts.join(", ") }
}
