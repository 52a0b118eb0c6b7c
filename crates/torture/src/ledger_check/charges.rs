//! What trips cost, against what was captured for them.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::types::Uuid;

use super::records::WriteOff;
use super::{Comparison, ViolationKind, Violations, type_id};
use crate::actors::declines;

impl Comparison<'_> {
    /// Checks every failed capture. The provider releases an expired hold by itself. If our goal was release, the money was
    /// there: a capture without a response was taken for a refused one.
    pub(super) fn failed_captures(&self, violations: &mut Violations) {
        for intent in self.theirs.intents.iter().filter(|intent| intent.was_released_on_request()) {
            if let Some(payment) = self.payment(intent).filter(|payment| payment.state == "capture_failed") {
                let what = format!("{} was held by {}, and we released it", type_id("pay", payment.id), intent.id);
                violations.add(ViolationKind::LostCharge, what);
            }
        }
    }

    /// Checks every trip that is over, against what the provider captured for it.
    pub(super) fn trips(&self, violations: &mut Violations) {
        let mut paid: BTreeMap<Uuid, (i64, i64)> = BTreeMap::new();
        let corrected = self.corrected();
        for intent in &self.theirs.intents {
            // An intent without a payment is reported elsewhere. Tips come on top of the trip's total.
            if let Some(payment) = self.payment(intent).filter(|payment| payment.purpose != "tip") {
                let (captured, refunded) = paid.entry(payment.trip_id).or_default();
                *captured += intent.amount_received;
                *refunded += corrected.get(intent.id.as_str()).copied().unwrap_or(0);
            }
        }
        let mut written_off: BTreeMap<Uuid, i64> = BTreeMap::new();
        for WriteOff { trip_id, amount, .. } in &self.ours.write_offs {
            *written_off.entry(*trip_id).or_default() += amount;
        }
        for trip in self.ours.trips.iter().filter(|trip| trip.is_over) {
            let (captured, refunded) = paid.get(&trip.id).copied().unwrap_or_default();
            let total = trip.total.unwrap_or(0);
            let id = type_id("trip", trip.id);
            let summary = format!("{id} ({}) costs {total}, {captured} were captured", trip.state);
            if captured - refunded > total {
                let what = format!("{summary} and {refunded} refunded without a request");
                violations.add(ViolationKind::DoubleCharge, what);
            }
            if trip.state == "completed" && trip.total.is_none() {
                violations.add(ViolationKind::LostCharge, format!("{id} is completed and has no total"));
            }
            let written_off = written_off.get(&trip.id).copied().unwrap_or(0);
            if captured + written_off < total && !self.waits_for_review(trip.id) {
                violations.add(ViolationKind::LostCharge, format!("{summary}, and the debt is not recorded"));
            }
        }
    }

    /// Checks every write-off. It is right only if the bank refuses the card: anything else can be retried once all faults are over.
    pub(super) fn write_offs(&self, violations: &mut Violations) {
        for WriteOff { payment_id, amount, .. } in &self.ours.write_offs {
            let payment = self.by_id.get(payment_id);
            let is_declined =
                payment.is_some_and(|payment| declines(&payment.payment_method)) || self.was_declined(*payment_id);
            if !is_declined {
                let id = type_id("pay", *payment_id);
                let what = format!("{amount} of {id} were written off, and no bank declined it");
                violations.add(ViolationKind::LostCharge, what);
            }
        }
    }

    /// Amounts that the service refunded by itself, by intent. An operator's refund does not make a double charge right.
    fn corrected(&self) -> BTreeMap<&str, i64> {
        let automatic = self.ours.refunds.iter().filter(|refund| refund.is_automatic);
        let automatic: BTreeSet<String> = automatic.map(|refund| type_id("rfd", refund.id)).collect();
        let mut sums = BTreeMap::new();
        for refund in self.theirs.refunds.iter().filter(|refund| refund.status == "succeeded") {
            if refund.metadata.get("refund_id").is_some_and(|id| automatic.contains(id)) {
                *sums.entry(refund.payment_intent.as_deref().unwrap_or_default()).or_default() += refund.amount;
            }
        }
        sums
    }

    /// Whether a bank declined this payment, by the provider's records: a charge that did not even reserve an amount.
    fn was_declined(&self, payment: Uuid) -> bool {
        let mut intents = self.theirs.intents.iter();
        intents.any(|intent| intent.was_declined() && self.payment(intent).is_some_and(|of| of.id == payment))
    }

    /// Whether a payment of the trip waits for an operator.
    fn waits_for_review(&self, trip: Uuid) -> bool {
        self.ours.payments.iter().any(|payment| payment.trip_id == trip && payment.needs_review.is_some())
    }
}
