//! Compares the provider's records, our rows, and the responses that the actors received. Pure functions over what was read.

mod charges;
mod keys;
mod records;
mod refunds;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::Serialize;
use sqlx::types::Uuid;
use type_safe_id::{DynamicType, TypeSafeId};

use crate::actors::KeyHistory;
use crate::provider::{Intent, ProviderRecords};
pub(crate) use records::{OurRecords, Payment};

/// Evidence that is kept for one kind of violation.
const EVIDENCE_MAX: usize = 20;

/// A kind of violation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ViolationKind {
    /// More was captured for a trip than it costs, or twice for one purpose.
    DoubleCharge,
    /// Less was captured than was due, and the difference is not recorded.
    LostCharge,
    /// An amount is held on a card for a trip that is over.
    OrphanAuthorization,
    /// A posting does not sum to zero, or the clearing account differs from the provider's balance.
    UnbalancedPosting,
    /// More was refunded than captured, one refund was made twice, or amounts differ.
    WrongRefund,
    /// The two sides contradict each other about a payment.
    RecordsDiffer,
    /// A key has two effects, none although it succeeded, or two responses.
    BrokenKey,
}

/// All kinds: a report lists those with a count of zero, too.
const KINDS: [ViolationKind; 7] = [
    ViolationKind::DoubleCharge,
    ViolationKind::LostCharge,
    ViolationKind::OrphanAuthorization,
    ViolationKind::UnbalancedPosting,
    ViolationKind::WrongRefund,
    ViolationKind::RecordsDiffer,
    ViolationKind::BrokenKey,
];

/// The violations of one kind.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct ViolationSummary {
    pub count: u64,
    /// The first ones, in words.
    pub evidence: Vec<String>,
}

/// All violations, by kind; every kind has an entry.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Violations(pub BTreeMap<ViolationKind, ViolationSummary>);

impl Violations {
    pub fn none() -> Self {
        Self(KINDS.into_iter().map(|kind| (kind, ViolationSummary::default())).collect())
    }

    fn add(&mut self, kind: ViolationKind, evidence: String) {
        let summary = self.0.entry(kind).or_default();
        summary.count += 1;
        if summary.evidence.len() < EVIDENCE_MAX {
            summary.evidence.push(evidence);
        }
    }

    pub fn count(&self) -> u64 {
        self.0.values().map(|summary| summary.count).sum()
    }
}

/// Compares all records. Nothing may be in progress any more.
pub(crate) fn compare(
    ours: &OurRecords,
    theirs: &ProviderRecords,
    history: &BTreeMap<String, KeyHistory>,
) -> Violations {
    let mut violations = Violations::none();
    let comparison = Comparison::new(ours, theirs);
    comparison.intents(&mut violations);
    comparison.our_payments(&mut violations);
    comparison.refused_calls(&mut violations);
    comparison.failed_captures(&mut violations);
    comparison.write_offs(&mut violations);
    comparison.trips(&mut violations);
    comparison.refunds(&mut violations);
    comparison.ledger(&mut violations);
    keys::check(ours, history, &mut violations);
    violations
}

/// Both sides, indexed.
struct Comparison<'a> {
    ours: &'a OurRecords,
    theirs: &'a ProviderRecords,
    by_id: BTreeMap<Uuid, &'a Payment>,
    /// Refunded amounts, by the provider's intent.
    refunded: BTreeMap<&'a str, i64>,
}

impl<'a> Comparison<'a> {
    fn new(ours: &'a OurRecords, theirs: &'a ProviderRecords) -> Self {
        let by_id = ours.payments.iter().map(|payment| (payment.id, payment)).collect();
        let mut refunded = BTreeMap::new();
        for refund in theirs.refunds.iter().filter(|refund| refund.status == "succeeded") {
            *refunded.entry(refund.payment_intent.as_deref().unwrap_or_default()).or_insert(0) += refund.amount;
        }
        Self { ours, theirs, by_id, refunded }
    }

    /// Returns our payment for an intent, by the intent's metadata.
    fn payment(&self, intent: &Intent) -> Option<&'a Payment> {
        self.by_id.get(&uuid(intent.metadata.get("payment_id")?)?).copied()
    }

    /// Checks every intent of the provider.
    fn intents(&self, violations: &mut Violations) {
        let mut charged: BTreeMap<(Uuid, &str), Vec<&str>> = BTreeMap::new();
        for intent in &self.theirs.intents {
            let Intent { id, status, amount_received: captured, .. } = intent;
            let payment = self.payment(intent);
            let mut double = |what: String| violations.add(ViolationKind::DoubleCharge, what);
            if *captured > 0 {
                match payment {
                    Some(payment) => charged.entry((payment.trip_id, &payment.purpose)).or_default().push(id),
                    None => double(format!("{id} captured {captured} for no payment of ours")),
                }
            }
            if let Some(payment) = payment
                && payment.provider_intent_id.as_ref() != Some(id)
                && *captured > 0
            {
                let known = payment.provider_intent_id.as_deref().unwrap_or("no intent");
                double(format!("{id} captured {captured} for {}, which has {known}", type_id("pay", payment.id)));
            }
            if status == "requires_capture" {
                let of = match payment {
                    None => "no payment of ours".to_owned(),
                    Some(payment) => format!("{}, which is {}", type_id("pay", payment.id), payment.state),
                };
                violations.add(ViolationKind::OrphanAuthorization, format!("{id} is held for {of}"));
            }
        }
        for ((trip, purpose), ids) in charged.iter().filter(|(_, ids)| ids.len() > 1) {
            let what = format!("{} was charged for its {purpose} by {}", type_id("trip", *trip), ids.join(" and "));
            violations.add(ViolationKind::DoubleCharge, what);
        }
    }

    /// Checks amount, currency and dispute of every payment of ours.
    fn our_payments(&self, violations: &mut Violations) {
        let theirs: BTreeMap<&str, &Intent> =
            self.theirs.intents.iter().map(|intent| (intent.id.as_str(), intent)).collect();
        for payment in &self.ours.payments {
            let (id, ours) = (type_id("pay", payment.id), payment.captured_amount);
            let intent = payment.provider_intent_id.as_deref().and_then(|id| theirs.get(id));
            let captured = intent.map_or(0, |intent| intent.amount_received);
            if ours != captured {
                let kind = if ours > captured { ViolationKind::LostCharge } else { ViolationKind::DoubleCharge };
                violations.add(kind, format!("{id} captured {ours} by our records, {captured} by the provider's"));
            }
            let disputed_there =
                payment.provider_intent_id.as_ref().is_some_and(|intent| self.theirs.disputed.contains(intent));
            if payment.dispute.is_some() != disputed_there {
                let what =
                    if disputed_there { "is disputed there, and not here" } else { "is disputed here, and not there" };
                violations.add(ViolationKind::RecordsDiffer, format!("{id} {what}"));
            }
            if let Some(intent) = intent
                && !intent.currency.eq_ignore_ascii_case(&payment.currency)
            {
                violations.add(ViolationKind::RecordsDiffer, format!("{id} is in {} there", intent.currency));
            }
        }
    }

    /// Checks every call that we recorded as refused: none may have moved money. An unknown outcome is no refusal.
    fn refused_calls(&self, violations: &mut Violations) {
        for call in self.ours.refused.iter().filter(|call| self.theirs.moved_by.contains(&call.provider_key)) {
            let (of, key) = (type_id("pay", call.payment_id), &call.provider_key);
            let what = format!("{} of {of} ({key}) was refused by our records, done by theirs", call.operation);
            violations.add(ViolationKind::RecordsDiffer, what);
        }
    }

    fn ledger(&self, violations: &mut Violations) {
        for (posting, currency, sum) in &self.ours.unbalanced {
            let what = format!("posting {posting} sums to {sum} {currency}");
            violations.add(ViolationKind::UnbalancedPosting, what);
        }
        let mut theirs: BTreeMap<String, i64> = BTreeMap::new();
        for intent in &self.theirs.intents {
            let refunded = self.refunded.get(intent.id.as_str()).copied().unwrap_or(0);
            *theirs.entry(intent.currency.to_ascii_uppercase()).or_default() += intent.amount_received - refunded;
        }
        theirs.retain(|_, sum| *sum != 0);
        let mut ours = self.ours.clearing.clone();
        ours.retain(|_, sum| *sum != 0);
        if ours != theirs {
            let what = format!("clearing holds {ours:?}, the provider {theirs:?}");
            violations.add(ViolationKind::UnbalancedPosting, what);
        }
    }
}

/// The UUID in a TypeID.
pub(crate) fn uuid(id: &str) -> Option<Uuid> {
    id.parse::<TypeSafeId<DynamicType>>().ok().map(|id| id.uuid())
}

/// A UUID as the TypeID of the public interface.
pub(crate) fn type_id(prefix: &str, id: Uuid) -> String {
    match DynamicType::new(prefix) {
        Ok(prefix) => TypeSafeId::from_type_and_uuid(prefix, id).to_string(),
        // Prefixes are constants of this crate.
        Err(_) => id.to_string(),
    }
}
