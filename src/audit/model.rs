//! The invariants, and what a check of one returns.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use uuid::Uuid;

use crate::platform::clock::MachineTime;
use crate::platform::ids::TripId;
use crate::platform::names::string_enum;
use crate::reconciliation::model::SettlementLimits;

string_enum! {
    /// A condition that always holds, in the order of the contract; `docs/audit.md` explains each. The names are stable.
    pub enum Invariant as "InvariantName" {
        /// A driver and a rider have at most one active trip; engagements agree with offers and trips.
        Engagements = "engagements",
        /// A trip has at most one accepted offer, a driver at most one pending offer, and a trip that is over none.
        Offers = "offers",
        /// The payments of a trip sum to its receipt or the debt is recorded; a free trip cost nothing.
        Receipts = "receipts",
        /// Every posting sums to zero, and every account balance matches the payments.
        Ledger = "ledger",
        /// Refunds do not exceed captures, and captures do not exceed authorizations.
        Limits = "limits",
        /// An idempotency key has one effect, and every effect has a key.
        Keys = "keys",
        /// The events of a trip are numbered without gaps, are legal transitions, and end in the trip's state; those of a refund end in its.
        Events = "events",
        /// The provider's records match ours, and no authorization is open for a trip that is over.
        Provider = "provider",
        /// No delivery, lease or unknown attempt is older than its limit.
        StaleWork = "stale_work",
    }
}

/// The age at which a webhook delivery counts as stuck: the sweep discards it after three days, and one day more means that no
/// process sweeps.
const UNDELIVERED_AFTER: TimeDelta = TimeDelta::days(4);

/// The age up to which an effect must still have its idempotency key: keys are kept for one hour more.
const KEY_EXPECTED_FOR: TimeDelta = TimeDelta::hours(23);

/// The times that one audit measures ages against.
#[derive(Debug, Clone, Copy)]
pub struct AuditLimits {
    /// Work and attempts from before these times are late.
    pub work: SettlementLimits,
    /// A webhook delivery scheduled before this should have been made or discarded.
    pub undelivered: MachineTime,
    /// An effect made after this must still have its key.
    pub keyed: MachineTime,
}

impl AuditLimits {
    /// Returns the limits as of `now`.
    pub fn at(now: MachineTime) -> Self {
        Self { work: SettlementLimits::at(now), undelivered: now - UNDELIVERED_AFTER, keyed: now - KEY_EXPECTED_FOR }
    }
}

/// One violation, as an example that an operator can act on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViolationExample {
    /// The broken invariant.
    pub invariant: Invariant,
    /// The published id of the object at fault.
    pub subject: String,
    /// The trip that the object belongs to.
    pub trip_id: Option<TripId>,
    /// What is wrong, as a predicate of the subject.
    pub detail: String,
}

/// The result of checking one invariant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckResult {
    /// The number of violations.
    pub violations: u64,
    /// The first violations, at most twenty.
    pub examples: Vec<ViolationExample>,
}

/// The most examples of one invariant.
const EXAMPLES_MAX: usize = 20;

/// The results of an audit by invariant.
#[derive(Debug, Clone, Default)]
pub struct CheckResults(pub BTreeMap<Invariant, CheckResult>);

impl CheckResults {
    /// Adds the results of a window.
    pub fn add(&mut self, results: impl IntoIterator<Item = (Invariant, CheckResult)>) {
        for (invariant, result) in results {
            let total = self.0.entry(invariant).or_default();
            total.violations = total.violations.saturating_add(result.violations);
            let room = EXAMPLES_MAX.saturating_sub(total.examples.len());
            total.examples.extend(result.examples.into_iter().take(room));
        }
    }
}

/// The trips whose ids are `first` or greater, and less than `end`; also the idempotency keys, whose ids start with their time too.
#[derive(Debug, Clone, Copy)]
pub struct TripWindow {
    /// The first id.
    pub first: Uuid,
    /// The end, which does not belong to it.
    pub end: Uuid,
}
