//! What trips cost, against what was taken for them.

use std::collections::BTreeMap;

use sqlx::types::Uuid;

use super::{Books, Findings, Kind, name};

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
        for intent in &self.theirs.intents {
            // What belongs to no payment is reported as such; tips are on top of what a trip costs.
            if let Some(payment) = self.payment(intent).filter(|payment| payment.purpose != "tip") {
                let (taken, back) = paid.entry(payment.trip_id).or_default();
                *taken += intent.amount_received;
                *back += self.given_back.get(intent.id.as_str()).copied().unwrap_or(0);
            }
        }
        for trip in self.ours.trips.iter().filter(|trip| trip.is_over) {
            let (taken, back) = paid.get(&trip.id).copied().unwrap_or_default();
            let total = trip.total.unwrap_or(0);
            let what = || format!("{} ({}) costs {total}, {taken} were taken", name("trip", trip.id), trip.state);
            if taken - back > total {
                findings.add(Kind::DoubleCharge, format!("{} and {back} given back", what()));
            }
            let forgiven = self.ours.written_off.get(&trip.id).copied().unwrap_or(0);
            if taken + forgiven < total && !self.debt_is_known(trip.id) {
                findings.add(Kind::LostCharge, format!("{}, and nobody knows of the debt", what()));
            }
        }
    }

    /// Whether one of a trip's payments says that it failed, or waits for a person.
    fn debt_is_known(&self, trip: Uuid) -> bool {
        self.ours.payments.iter().filter(|payment| payment.trip_id == trip).any(|payment| {
            payment.attention.is_some()
                || matches!(payment.state.as_str(), "declined" | "auth_expired" | "capture_failed")
        })
    }
}
