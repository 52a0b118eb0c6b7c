//! Compares the disputes of captured payments.

use std::collections::HashMap;

use super::differences::{Difference, LocalPayment, difference};
use super::kinds::{DifferenceKind, RepairRule};
use crate::payments::model::DisputeState;
use crate::payments::{DisputeRecord, PaymentState};

/// Returns the differences between the disputes that the provider lists and those in the records of settled payments.
///
/// The provider lists those of the run's scope only, so a dispute in our records alone is no difference.
pub(super) fn compare_disputes<'a>(
    settled: impl Iterator<Item = &'a LocalPayment>,
    theirs: &[DisputeRecord],
) -> Vec<Difference> {
    let mut of_intent: HashMap<&str, Vec<&DisputeRecord>> = HashMap::new();
    for dispute in theirs {
        of_intent.entry(dispute.intent_id.as_deref().unwrap_or_default()).or_default().push(dispute);
    }
    settled
        .filter_map(|payment| {
            let theirs = of_intent.get(payment.intent_id.as_deref()?)?;
            let there = DisputeState::most_severe(theirs.iter().map(|dispute| dispute.state))?;
            let dispute = theirs.iter().find(|dispute| dispute.state == there)?;
            (payment.dispute != Some(there)).then(|| {
                let here = payment.dispute.map_or("unknown", DisputeState::as_str);
                let detail = format!("is a dispute that is {there} at the provider, and {here} here");
                let found = difference(payment, DifferenceKind::DisputeDiffers, &dispute.id, detail);
                let is_captured = payment.state == PaymentState::Captured;
                Difference { repair: if is_captured { RepairRule::LookAgain } else { RepairRule::None }, ..found }
            })
        })
        .collect()
}
