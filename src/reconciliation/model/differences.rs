//! Compares our records with the provider's, for the audit and for reconciliation.
//!
//! Each difference has a [`DifferenceKind`] and at most one rule that repairs it, a [`RepairRule`].

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::disputes::compare_disputes;
use super::kinds::{DifferenceKind, RepairRule};
use crate::payments::model::{DisputeState, RefundState};
use crate::payments::{IntentRecord, IntentStage, PaymentState, ProviderRecords, RefundRecord, RefundStage};
use crate::platform::ids::{Id, PaymentId, RefundId, TripId};

/// A payment in our records. Amounts are minor units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalPayment {
    /// The payment's id.
    pub id: PaymentId,
    /// The trip that it pays for.
    pub trip_id: TripId,
    /// The provider's id of its intent, once known.
    pub intent_id: Option<String>,
    /// The payment's state.
    pub state: PaymentState,
    /// ISO 4217.
    pub currency: String,
    /// The amount requested from the provider.
    pub amount: i64,
    /// The captured amount.
    pub captured: i64,
    /// The dispute of its charge.
    pub dispute: Option<DisputeState>,
    /// The total of the trip; zero if it is free or the total is not known yet.
    pub trip_total: i64,
    /// Increases with every change of the payment.
    pub version: i64,
    /// Whether the trip is settled: only then both sides have to agree.
    pub settled: bool,
    /// Its refunds, made or pending.
    pub refunds: Vec<LocalRefund>,
}

/// A refund in our records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalRefund {
    /// The refund's id.
    pub id: RefundId,
    /// The provider's id of it, once known.
    pub provider_id: Option<String>,
    /// Minor units.
    pub amount: i64,
    /// The refund's state.
    pub state: RefundState,
}

/// A difference between our records and the provider's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// How the records differ.
    pub kind: DifferenceKind,
    /// The provider's id of the object if there is one, else ours. Kind and subject identify a difference.
    pub subject: String,
    /// Our payment, or the one that the intent names.
    pub payment_id: Option<PaymentId>,
    /// The payment's trip.
    pub trip_id: Option<TripId>,
    /// The provider's intent, if there is one.
    pub intent_id: Option<String>,
    /// Our refund, if the difference is about one.
    pub refund_id: Option<RefundId>,
    /// ISO 4217 code of the amounts.
    pub currency: Option<String>,
    /// The amounts in our records and in the provider's, minor units.
    pub amounts: Option<(i64, i64)>,
    /// What differs, as a predicate of the subject.
    pub detail: String,
    /// The rule that repairs it.
    pub repair: RepairRule,
}

impl Difference {
    /// Returns detail identifies the difference across runs.
    pub fn key(&self) -> (DifferenceKind, &str) {
        (self.kind, &self.subject)
    }
}

/// Splits the provider's intents into those that concern us and foreign ones. A foreign intent names no payment, and no payment
/// of ours names it: another system uses the same account.
pub fn partition_foreign<'a>(
    ours: &[LocalPayment],
    theirs: &'a ProviderRecords,
) -> (Vec<&'a IntentRecord>, Vec<&'a IntentRecord>) {
    let named: HashSet<&str> = ours.iter().filter_map(|payment| payment.intent_id.as_deref()).collect();
    theirs.intents.iter().partition(|intent| intent.is_marked || named.contains(intent.id.as_str()))
}

/// Returns the differences of settled payments, and of intents that name a payment that we do not have.
pub fn compare(ours: &[LocalPayment], theirs: &ProviderRecords) -> Vec<Difference> {
    let by_id: HashMap<PaymentId, &LocalPayment> = ours.iter().map(|payment| (payment.id, payment)).collect();
    let by_intent: HashMap<&str, &LocalPayment> =
        ours.iter().filter_map(|payment| Some((payment.intent_id.as_deref()?, payment))).collect();
    let intents: HashSet<&str> = theirs.intents.iter().map(|intent| intent.id.as_str()).collect();
    let settled = || ours.iter().filter(|payment| payment.settled);
    let missing = settled().filter_map(|payment| {
        let intent = payment.intent_id.as_deref().filter(|id| !intents.contains(id))?;
        let detail = "is named by a payment, and the provider does not list it".to_owned();
        Some(difference(payment, DifferenceKind::MissingAtProvider, intent, detail).with_intent(intent))
    });
    let of_intents = theirs.intents.iter().flat_map(|intent| {
        let owner = match intent.payment_id {
            Some(id) => by_id.get(&id),
            None => by_intent.get(intent.id.as_str()),
        };
        match owner {
            None if !intent.is_marked => vec![],
            None => vec![unknown_intent(intent)],
            Some(payment) if !payment.settled => vec![],
            Some(payment) if payment.intent_id.as_deref() == Some(&intent.id) => compare_own_intent(payment, intent),
            Some(payment) => compare_second_intent(payment, intent).into_iter().collect(),
        }
    });
    let of_refunds = compare_refunds(settled(), &theirs.refunds);
    missing.chain(of_intents).chain(of_refunds).chain(compare_disputes(settled(), &theirs.disputes)).collect()
}

fn unknown_intent(intent: &IntentRecord) -> Difference {
    Difference {
        kind: DifferenceKind::UnknownToUs,
        subject: intent.id.clone(),
        payment_id: intent.payment_id,
        trip_id: None,
        intent_id: Some(intent.id.clone()),
        refund_id: None,
        currency: Some(intent.currency.clone()),
        amounts: Some((0, intent.amount_received)),
        detail: format!("belongs to no payment of ours; it is {}", intent.status),
        repair: RepairRule::None,
    }
}

pub(super) fn difference(payment: &LocalPayment, kind: DifferenceKind, subject: &str, detail: String) -> Difference {
    Difference {
        kind,
        subject: subject.to_owned(),
        payment_id: Some(payment.id),
        trip_id: Some(payment.trip_id),
        intent_id: payment.intent_id.clone(),
        refund_id: None,
        currency: None,
        amounts: None,
        detail,
        repair: RepairRule::None,
    }
}

impl Difference {
    fn with_intent(self, intent: &str) -> Self {
        Self { intent_id: Some(intent.to_owned()), ..self }
    }

    fn with_amounts(self, payment: &LocalPayment, (ours, theirs): (i64, i64)) -> Self {
        Self { currency: Some(payment.currency.clone()), amounts: Some((ours, theirs)), ..self }
    }

    fn with_repair(self, repair: RepairRule) -> Self {
        Self { repair, ..self }
    }
}

/// Returns the rule for a payment that lags behind, if its worker can still change it: a payment that is over never changes.
fn refresh(payment: &LocalPayment) -> RepairRule {
    if payment.state.is_terminal() { RepairRule::None } else { RepairRule::LookAgain }
}

/// Compares a payment with the intent that it names.
fn compare_own_intent(payment: &LocalPayment, intent: &IntentRecord) -> Vec<Difference> {
    let found = |kind, detail| difference(payment, kind, &intent.id, detail);
    if payment.currency != intent.currency {
        let detail = format!("is in {} here, in {} at the provider", payment.currency, intent.currency);
        return vec![found(DifferenceKind::CurrencyDiffers, detail)];
    }
    let mut all = Vec::new();
    if payment.amount != intent.amount {
        let amounts = (payment.amount, intent.amount);
        let detail = format!("was made for {} here, for {} at the provider", amounts.0, amounts.1);
        all.push(found(DifferenceKind::AmountDiffers, detail).with_amounts(payment, amounts));
    }
    let amounts = (payment.captured, intent.amount_received);
    let taken = |kind| {
        found(kind, format!("captured {} here, {} at the provider", amounts.0, amounts.1))
            .with_amounts(payment, amounts)
    };
    match amounts {
        (ours, theirs) if ours == theirs => {}
        (0, _) => all.push(taken(DifferenceKind::CapturedThereNotHere).with_repair(refresh(payment))),
        (_, 0) => all.push(taken(DifferenceKind::CapturedHereNotThere)),
        _ => all.push(taken(DifferenceKind::AmountDiffers)),
    }
    if intent.stage == IntentStage::Held {
        let detail = format!("holds {} {}, and the trip is over", intent.amount, intent.currency);
        let held = found(DifferenceKind::HeldThereTripOver, detail).with_amounts(payment, (0, intent.amount));
        all.push(held.with_repair(release_rule(payment)));
    }
    if all.is_empty() {
        all.extend(compare_states(payment, intent));
    }
    all
}

/// Returns the rule for an authorization that outlived its trip.
fn release_rule(payment: &LocalPayment) -> RepairRule {
    match payment.state {
        PaymentState::Declined | PaymentState::Voided | PaymentState::AuthExpired => RepairRule::CancelIntent,
        PaymentState::Authorizing | PaymentState::Capturing | PaymentState::Voiding => RepairRule::LookAgain,
        PaymentState::Authorized if payment.trip_total == 0 => RepairRule::Release,
        // The money may still be owed: the trip was not free, or the capture failed.
        PaymentState::Authorized | PaymentState::Captured | PaymentState::CaptureFailed => RepairRule::None,
    }
}

/// Compares the states of two sides whose amounts agree.
fn compare_states(payment: &LocalPayment, intent: &IntentRecord) -> Option<Difference> {
    let differs = |kind| {
        let detail = format!("is {} at the provider, and {} here", intent.status, payment.state.as_str());
        Some(difference(payment, kind, &intent.id, detail))
    };
    let is_over = payment.state.is_terminal();
    match intent.stage {
        IntentStage::Confirmable if is_over => {
            Some(differs(DifferenceKind::OpenThereOverHere)?.with_repair(RepairRule::CancelIntent))
        }
        IntentStage::Canceled | IntentStage::Captured if is_over => None,
        IntentStage::Confirmable
        | IntentStage::Held
        | IntentStage::Captured
        | IntentStage::Canceled
        | IntentStage::Transient => Some(differs(DifferenceKind::StateDiffers)?.with_repair(refresh(payment))),
    }
}

/// Compares a payment with an intent that was made for it and that it does not name.
fn compare_second_intent(payment: &LocalPayment, intent: &IntentRecord) -> Option<Difference> {
    let found = |kind, detail: String| difference(payment, kind, &intent.id, detail).with_intent(&intent.id);
    // The payment's worker may still find it and record it.
    let may_be_own = payment.intent_id.is_none() && !payment.state.is_terminal();
    if may_be_own && intent.stage != IntentStage::Canceled {
        let detail =
            format!("is {}, and its payment is {} and knows of no intent", intent.status, payment.state.as_str());
        return Some(found(DifferenceKind::IntentMissingHere, detail));
    }
    let own = payment.intent_id.as_deref().unwrap_or("none");
    match intent.stage {
        IntentStage::Canceled => None,
        IntentStage::Captured => {
            let kind =
                if payment.captured > 0 { DifferenceKind::ChargedTwice } else { DifferenceKind::CapturedThereNotHere };
            let detail = format!("took {}, and is not the payment's intent, which is {own}", intent.amount_received);
            Some(found(kind, detail).with_amounts(payment, (0, intent.amount_received)))
        }
        IntentStage::Held => {
            let detail =
                format!("holds {} {}, and is not the payment's intent, which is {own}", intent.amount, intent.currency);
            let held = found(DifferenceKind::HeldThereTripOver, detail).with_amounts(payment, (0, intent.amount));
            Some(held.with_repair(RepairRule::CancelIntent))
        }
        IntentStage::Confirmable => {
            let detail = format!("is {}, and is not the payment's intent, which is {own}", intent.status);
            Some(found(DifferenceKind::DuplicateIntents, detail).with_repair(RepairRule::CancelIntent))
        }
        IntentStage::Transient => {
            let detail = format!("is {}, and is not the payment's intent, which is {own}", intent.status);
            Some(found(DifferenceKind::StateDiffers, detail))
        }
    }
}

/// Compares the refunds of settled payments, in both directions.
fn compare_refunds<'a>(settled: impl Iterator<Item = &'a LocalPayment>, theirs: &[RefundRecord]) -> Vec<Difference> {
    let mut of_intent: HashMap<&str, Vec<&RefundRecord>> = HashMap::new();
    for refund in theirs {
        of_intent.entry(refund.intent_id.as_deref().unwrap_or_default()).or_default().push(refund);
    }
    settled
        .flat_map(|payment| {
            let theirs = payment.intent_id.as_deref().and_then(|id| of_intent.get(id));
            compare_refunds_of(payment, theirs.map_or(&[], Vec::as_slice))
        })
        .collect()
}

fn compare_refunds_of(payment: &LocalPayment, theirs: &[&RefundRecord]) -> Vec<Difference> {
    let there = |ours: &LocalRefund| theirs.iter().any(|refund| is_same(ours, refund));
    let missing = payment.refunds.iter().filter(|ours| {
        // A refund without a provider id was not made yet, or failed.
        (ours.provider_id.is_some() || ours.state == RefundState::Succeeded) && !there(ours)
    });
    let missing = missing.map(|ours| {
        let subject = ours.provider_id.clone().unwrap_or_else(|| ours.id.to_string());
        let detail = format!("is {} here, and the provider does not list it", ours.state.as_str());
        let found = difference(payment, DifferenceKind::RefundMissingThere, &subject, detail)
            .with_amounts(payment, (ours.amount, 0));
        Difference { refund_id: Some(ours.id), ..found }
    });
    let both = theirs.iter().filter_map(|refund| match payment.refunds.iter().find(|ours| is_same(ours, refund)) {
        Some(ours) => compare_refund(payment, ours, refund),
        None if refund.stage == RefundStage::Failed => None,
        None => {
            let detail = format!("gives {} back, and our records do not contain it", refund.amount);
            let found = difference(payment, DifferenceKind::RefundMissingHere, &refund.id, detail)
                .with_amounts(payment, (0, refund.amount));
            let is_captured = payment.state == PaymentState::Captured;
            Some(found.with_repair(if is_captured { RepairRule::AdoptRefund } else { RepairRule::None }))
        }
    });
    missing.chain(both).collect()
}

/// Returns whether both records are of one refund. Ours is matched by its own id only until the provider's id is known: two
/// refunds of the provider with one id of ours are two refunds.
pub fn is_same(ours: &LocalRefund, theirs: &RefundRecord) -> bool {
    match &ours.provider_id {
        Some(id) => *id == theirs.id,
        None => theirs.refund_id == Some(ours.id),
    }
}

fn compare_refund(payment: &LocalPayment, ours: &LocalRefund, theirs: &RefundRecord) -> Option<Difference> {
    let found = |kind, detail| {
        let found = difference(payment, kind, &theirs.id, detail).with_amounts(payment, (ours.amount, theirs.amount));
        Difference { refund_id: Some(ours.id), ..found }
    };
    if ours.amount != theirs.amount {
        let detail = format!("gives {} back here, {} at the provider", ours.amount, theirs.amount);
        return Some(found(DifferenceKind::RefundAmountDiffers, detail));
    }
    let repair = match (ours.state, theirs.stage) {
        (RefundState::Succeeded, RefundStage::Succeeded)
        | (RefundState::Failed, RefundStage::Failed)
        | (RefundState::Pending, RefundStage::Pending) => return None,
        (RefundState::Pending, RefundStage::Succeeded | RefundStage::Failed) => match ours.provider_id {
            Some(_) => RepairRule::LookAgain,
            None => RepairRule::AdoptRefund,
        },
        // It failed after it had succeeded.
        (RefundState::Succeeded, RefundStage::Failed) => RepairRule::LookAgain,
        // Our refund never becomes that.
        (RefundState::Succeeded, RefundStage::Pending)
        | (RefundState::Failed, RefundStage::Pending | RefundStage::Succeeded) => RepairRule::None,
    };
    let there = match theirs.stage {
        RefundStage::Pending => "pending",
        RefundStage::Succeeded => "succeeded",
        RefundStage::Failed => "failed",
    };
    let detail = format!("is {} here, {there} at the provider", ours.state.as_str());
    Some(found(DifferenceKind::RefundStateDiffers, detail).with_repair(repair))
}

/// Keeps the differences whose local payment is the same in both reads of our side.
///
/// A payment that changed while the provider's records were read is not compared, nor is one that was created after our
/// first read.
pub fn retain_unchanged(
    differences: Vec<Difference>,
    before: &[LocalPayment],
    after: &[LocalPayment],
) -> Vec<Difference> {
    let by_id = |payments: &[LocalPayment]| -> HashMap<Uuid, LocalPayment> {
        payments.iter().map(|payment| (payment.id.uuid(), payment.clone())).collect()
    };
    let (before, after) = (by_id(before), by_id(after));
    let is_unchanged = |difference: &Difference| match difference.payment_id.map(Id::uuid) {
        None => true,
        Some(id) => before.get(&id) == after.get(&id),
    };
    differences.into_iter().filter(is_unchanged).collect()
}

#[cfg(test)]
#[path = "differences_tests.rs"]
mod tests;
