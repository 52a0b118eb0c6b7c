//! What trips cost, against what was taken for them.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::types::Uuid;

use super::ours::WriteOff;
use super::{Books, Findings, Kind, name};
use crate::people::declines;

impl Books<'_> {
    /// Every payment that could not be captured. The provider lets a hold go by itself when its time is over; where it was told to,
    /// the money was there, and a capture that was merely not answered was taken for one that was refused.
    pub(super) fn holds_given_up(&self, findings: &mut Findings) {
        for intent in self.theirs.intents.iter().filter(|intent| intent.was_released_on_demand()) {
            if let Some(payment) = self.payment(intent).filter(|payment| payment.state == "capture_failed") {
                let pay = name("pay", payment.id);
                findings.add(Kind::LostCharge, format!("{pay} was held by {}, and we gave it up", intent.id));
            }
        }
    }

    /// Every trip that is over, against what the provider took for it.
    pub(super) fn trips(&self, findings: &mut Findings) {
        let mut paid: BTreeMap<Uuid, (i64, i64)> = BTreeMap::new();
        let corrected = self.corrected();
        for intent in &self.theirs.intents {
            // What belongs to no payment is reported as such; tips are on top of what a trip costs.
            if let Some(payment) = self.payment(intent).filter(|payment| payment.purpose != "tip") {
                let (taken, back) = paid.entry(payment.trip_id).or_default();
                *taken += intent.amount_received;
                *back += corrected.get(intent.id.as_str()).copied().unwrap_or(0);
            }
        }
        let mut forgiven: BTreeMap<Uuid, i64> = BTreeMap::new();
        for WriteOff { trip_id, amount, .. } in &self.ours.written_off {
            *forgiven.entry(*trip_id).or_default() += amount;
        }
        for trip in self.ours.trips.iter().filter(|trip| trip.is_over) {
            let (taken, back) = paid.get(&trip.id).copied().unwrap_or_default();
            let total = trip.total.unwrap_or(0);
            let what = || format!("{} ({}) costs {total}, {taken} were taken", name("trip", trip.id), trip.state);
            if taken - back > total {
                findings.add(Kind::DoubleCharge, format!("{} and {back} given back of itself", what()));
            }
            if trip.state == "completed" && trip.total.is_none() {
                findings.add(
                    Kind::LostCharge,
                    format!("{} is completed, and nobody knows what it costs", name("trip", trip.id)),
                );
            }
            let forgiven = forgiven.get(&trip.id).copied().unwrap_or(0);
            if taken + forgiven < total && !self.waits_for_a_person(trip.id) {
                findings.add(Kind::LostCharge, format!("{}, and nobody knows of the debt", what()));
            }
        }
    }

    /// Every debt that was given up. A person may do that only where there is nothing to be had: the bank refuses the card.
    /// Whatever else has failed, it can be asked for again once all is well.
    pub(super) fn write_offs(&self, findings: &mut Findings) {
        for WriteOff { payment_id, amount, .. } in &self.ours.written_off {
            let payment = self.by_id.get(payment_id);
            let declines = payment.is_some_and(|payment| declines(&payment.method)) || self.was_declined(*payment_id);
            if !declines {
                let what = format!("{amount} of {} were written off, and no bank refused it", name("pay", *payment_id));
                findings.add(Kind::LostCharge, what);
            }
        }
    }

    /// What went back of each intent because the service took too much and knew it. What an operator gives back is a gift, and
    /// makes no second charge right.
    fn corrected(&self) -> BTreeMap<&str, i64> {
        let own = self.ours.refunds.iter().filter(|refund| refund.is_its_own);
        let own: BTreeSet<String> = own.map(|refund| name("rfd", refund.id)).collect();
        let mut sums = BTreeMap::new();
        for refund in self.theirs.refunds.iter().filter(|refund| refund.status == "succeeded") {
            if refund.metadata.get("refund_id").is_some_and(|id| own.contains(id)) {
                *sums.entry(refund.payment_intent.as_deref().unwrap_or_default()).or_default() += refund.amount;
            }
        }
        sums
    }

    /// Whether the provider knows of a bank that refused this payment: a charge that did not even reserve anything.
    fn was_declined(&self, payment: Uuid) -> bool {
        let mut intents = self.theirs.intents.iter();
        intents.any(|intent| intent.was_declined() && self.payment(intent).is_some_and(|of| of.id == payment))
    }

    /// Whether one of a trip's payments waits for a person.
    fn waits_for_a_person(&self, trip: Uuid) -> bool {
        self.ours.payments.iter().any(|payment| payment.trip_id == trip && payment.attention.is_some())
    }
}
