//! Refunds, by our records and by the provider's.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::types::Uuid;

use super::{Comparison, ViolationKind, Violations, type_id};
use crate::provider::Refund;

/// Failure code of a refund that an operator has closed. The provider need not have refused it.
const CLOSED: &str = "closed_by_an_operator";

/// Failure code of a refund of a disputed charge, which the provider refuses without making one.
const DISPUTED: &str = "charge_disputed";

impl Comparison<'_> {
    /// Checks every refund of the provider and every refund of ours.
    pub(super) fn refunds(&self, violations: &mut Violations) {
        let mut by_our_id: BTreeMap<&str, Vec<&Refund>> = BTreeMap::new();
        for refund in self.theirs.refunds.iter().filter(|refund| refund.status == "succeeded") {
            by_our_id.entry(refund.metadata.get("refund_id").map_or("", String::as_str)).or_default().push(refund);
        }
        let mut wrong = |what: String| violations.add(ViolationKind::WrongRefund, what);
        for (id, refunds) in by_our_id.iter().filter(|(_, refunds)| refunds.len() > 1) {
            wrong(format!("{id} was refunded {} times", refunds.len()));
        }
        for intent in &self.theirs.intents {
            let refunded = self.refunded.get(intent.id.as_str()).copied().unwrap_or(0);
            if refunded > intent.amount_received {
                wrong(format!("{} captured {} and refunded {refunded}", intent.id, intent.amount_received));
            }
        }
        let known: BTreeSet<String> = self.ours.refunds.iter().map(|refund| type_id("rfd", refund.id)).collect();
        for id in by_our_id.keys().filter(|id| !known.contains(**id)) {
            wrong(format!("the provider refunded '{id}', which is no refund of ours"));
        }
        self.our_refunds(&by_our_id, violations);
    }

    fn our_refunds(&self, by_our_id: &BTreeMap<&str, Vec<&Refund>>, violations: &mut Violations) {
        // Actors never ask for more than there is. So a refund fails only if the provider refused it, or failed it after it succeeded,
        // and then it is in its list; or if the charge is disputed.
        let failed =
            self.theirs.refunds.iter().filter(|refund| matches!(refund.status.as_str(), "failed" | "canceled"));
        let refused: BTreeSet<&str> =
            failed.filter_map(|refund| refund.metadata.get("refund_id")).map(String::as_str).collect();
        for refund in &self.ours.refunds {
            let id = type_id("rfd", refund.id);
            let due = if refund.state == "succeeded" { refund.amount } else { 0 };
            if refund.posted != due {
                let what =
                    format!("{id} is {}, and {} of it are posted, reversals deducted", refund.state, refund.posted);
                violations.add(ViolationKind::UnbalancedPosting, what);
            }
            let theirs = by_our_id.get(id.as_str()).and_then(|refunds| refunds.first());
            let of = type_id("pay", refund.payment_id);
            let mut wrong = |what: String| violations.add(ViolationKind::WrongRefund, format!("{id} of {of} {what}"));
            match (refund.state.as_str(), theirs) {
                ("succeeded", Some(theirs)) if theirs.amount == refund.amount => {
                    if refund.provider_refund_id.as_deref() != Some(&theirs.id) {
                        let what = format!("{id} of {of} is {} at the provider", theirs.id);
                        violations.add(ViolationKind::RecordsDiffer, what);
                    }
                }
                ("succeeded", theirs) => {
                    let theirs = theirs.map_or(0, |theirs| theirs.amount);
                    wrong(format!("refunded {} by our records, {theirs} by the provider's", refund.amount));
                }
                (state, Some(theirs)) => wrong(format!("is {state}, and {} were refunded", theirs.amount)),
                ("failed", None)
                    if refund.failure_code.as_deref() != Some(CLOSED)
                        && !refused.contains(id.as_str())
                        && !(refund.failure_code.as_deref() == Some(DISPUTED)
                            && self.is_disputed(refund.payment_id)) =>
                {
                    let code = refund.failure_code.as_deref().unwrap_or("no code");
                    wrong(format!("failed ({code}) by our records, and the provider never refused it"));
                }
                (_, None) => {}
            }
        }
    }

    /// Whether the provider has a dispute of the payment's charge.
    fn is_disputed(&self, payment: Uuid) -> bool {
        let intent = self.by_id.get(&payment).and_then(|payment| payment.provider_intent_id.as_ref());
        intent.is_some_and(|intent| self.theirs.disputed.contains(intent))
    }
}
