//! What was given back, by both sides.

use std::collections::{BTreeMap, BTreeSet};

use super::{Books, Findings, Kind, name};
use crate::provider::Refund;

/// The reason of a refund that an operator has closed: nobody says that the provider refused it.
const GIVEN_UP: &str = "closed_by_an_operator";

impl Books<'_> {
    /// Every refund of theirs, and every refund of ours.
    pub(super) fn refunds(&self, findings: &mut Findings) {
        let mut by_ours: BTreeMap<&str, Vec<&Refund>> = BTreeMap::new();
        for refund in self.theirs.refunds.iter().filter(|refund| refund.status == "succeeded") {
            by_ours.entry(refund.metadata.get("refund_id").map_or("", String::as_str)).or_default().push(refund);
        }
        for (id, refunds) in &by_ours {
            if refunds.len() > 1 {
                findings.add(Kind::WrongRefund, format!("{id} was given back {} times", refunds.len()));
            }
        }
        for intent in &self.theirs.intents {
            let back = self.given_back.get(intent.id.as_str()).copied().unwrap_or(0);
            if back > intent.amount_received {
                let what = format!("{} took {} and gave back {back}", intent.id, intent.amount_received);
                findings.add(Kind::WrongRefund, what);
            }
        }
        // Nobody asks for more than there is, so that nothing but the provider's own trouble fails a refund: it is in its list.
        let failed =
            self.theirs.refunds.iter().filter(|refund| matches!(refund.status.as_str(), "failed" | "canceled"));
        let refused: BTreeSet<&str> =
            failed.filter_map(|refund| refund.metadata.get("refund_id")).map(String::as_str).collect();
        for refund in &self.ours.refunds {
            let id = name("rfd", refund.id);
            let theirs = by_ours.get(id.as_str()).and_then(|refunds| refunds.first());
            let of = name("pay", refund.payment_id);
            match (refund.state.as_str(), theirs) {
                ("succeeded", Some(theirs)) if theirs.amount == refund.amount => {
                    if refund.provider_id.as_deref() != Some(&theirs.id) {
                        findings.add(Kind::BooksDiffer, format!("{id} of {of} is {} at the provider", theirs.id));
                    }
                }
                ("succeeded", theirs) => {
                    let theirs = theirs.map_or(0, |theirs| theirs.amount);
                    findings.add(
                        Kind::WrongRefund,
                        format!("{id} of {of} gave back {} by our books, {theirs} by theirs", refund.amount),
                    );
                }
                (state, Some(theirs)) => {
                    findings.add(
                        Kind::WrongRefund,
                        format!("{id} of {of} is {state}, and {} were given back", theirs.amount),
                    );
                }
                ("failed", None)
                    if refund.failure_code.as_deref() != Some(GIVEN_UP) && !refused.contains(id.as_str()) =>
                {
                    let why = refund.failure_code.as_deref().unwrap_or("for no reason");
                    findings.add(
                        Kind::WrongRefund,
                        format!("{id} of {of} failed ({why}) by our books, and the provider never refused it"),
                    );
                }
                (_, None) => {}
            }
        }
        let known: Vec<String> = self.ours.refunds.iter().map(|refund| name("rfd", refund.id)).collect();
        for id in by_ours.keys().filter(|id| !known.iter().any(|known| known == *id)) {
            findings.add(Kind::WrongRefund, format!("the provider gave back '{id}', which is no refund of ours"));
        }
    }
}
