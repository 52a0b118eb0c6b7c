//! The one comparison of our books with the provider's, for the audit and for reconciliation: pure.
//!
//! Each difference has a [`Kind`], and at most one rule that repairs it, a [`Repair`].

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::kinds::{Kind, Repair};
use crate::payments::model::RefundState;
use crate::payments::{BookedIntent, BookedRefund, ProviderBooks, RefundStage, Stage, State};
use crate::platform::ids::{Id, PaymentId, RefundId, TripId};

/// A payment as our books have it. Amounts are minor units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OurPayment {
    /// Whose payment.
    pub id: PaymentId,
    /// For which trip.
    pub trip_id: TripId,
    /// The provider's name for it, once it has one.
    pub intent_id: Option<String>,
    /// What we know of it.
    pub state: State,
    /// ISO 4217.
    pub currency: String,
    /// What was asked of the provider.
    pub amount: i64,
    /// Captured.
    pub captured: i64,
    /// What the trip costs, as far as that is known; zero if it is free.
    pub trip_total: i64,
    /// Grows with every change of the payment.
    pub version: i64,
    /// Its trip is settled: the books have to agree.
    pub settled: bool,
    /// What went back of it, or is on its way.
    pub refunds: Vec<OurRefund>,
}

/// A refund as our books have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OurRefund {
    /// Its id.
    pub id: RefundId,
    /// The provider's name for it, once it has one.
    pub provider_id: Option<String>,
    /// Minor units.
    pub amount: i64,
    /// What we know of it.
    pub state: RefundState,
}

/// Something that the two books do not agree on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// In what.
    pub kind: Kind,
    /// The provider's id of the thing, where it has one, else ours. With the kind it says whether a difference is the same one.
    pub subject: String,
    /// Our payment; or the one that an intent claims to be for.
    pub payment_id: Option<PaymentId>,
    /// Its trip.
    pub trip_id: Option<TripId>,
    /// The provider's intent, if there is one.
    pub intent_id: Option<String>,
    /// Our refund, if it is about one that we know.
    pub refund_id: Option<RefundId>,
    /// ISO 4217, of the figures.
    pub currency: Option<String>,
    /// What our books say, and the provider's: minor units.
    pub figures: Option<(i64, i64)>,
    /// What differs; reads on from the subject.
    pub what: String,
    /// The rule that covers it.
    pub repair: Repair,
}

impl Difference {
    /// What makes it the same difference when it is seen again.
    pub fn key(&self) -> (Kind, &str) {
        (self.kind, &self.subject)
    }
}

/// Which payments are compared: those with this id or a later one; all if absent. Ids start with the moment of their making, so
/// this is a time on both sides: whatever the provider has for such a payment was made after it.
pub type From = Option<PaymentId>;

/// The provider's intents, those that concern us first, the others second: somebody else, who uses the provider's account too, made
/// them for no payment, and no payment of ours names them.
pub fn apart<'a>(ours: &[OurPayment], theirs: &'a ProviderBooks) -> (Vec<&'a BookedIntent>, Vec<&'a BookedIntent>) {
    let named: HashSet<&str> = ours.iter().filter_map(|payment| payment.intent_id.as_deref()).collect();
    theirs.intents.iter().partition(|intent| intent.is_marked || named.contains(intent.id.as_str()))
}

/// Every difference between the two books, over the payments of settled trips in scope, and intents that were made for a payment
/// that we know nothing of.
pub fn compare(ours: &[OurPayment], theirs: &ProviderBooks, from: From) -> Vec<Difference> {
    let payments: HashMap<PaymentId, &OurPayment> = ours.iter().map(|payment| (payment.id, payment)).collect();
    let by_name: HashMap<&str, &OurPayment> =
        ours.iter().filter_map(|payment| Some((payment.intent_id.as_deref()?, payment))).collect();
    let intents: HashSet<&str> = theirs.intents.iter().map(|intent| intent.id.as_str()).collect();
    let settled = || ours.iter().filter(|payment| payment.settled);
    let lost = settled().filter_map(|payment| {
        let intent = payment.intent_id.as_deref().filter(|id| !intents.contains(id))?;
        let what = "is named by a payment, and the provider does not list it".to_owned();
        Some(of(payment, Kind::MissingAtProvider, intent, what).at(intent))
    });
    let in_scope = |intent: &&BookedIntent| intent.payment_id >= from || intent.payment_id.is_none();
    let strange = theirs.intents.iter().filter(in_scope).flat_map(|intent| {
        let owner = match intent.payment_id {
            Some(id) => payments.get(&id),
            None => by_name.get(intent.id.as_str()),
        };
        match owner {
            None if !intent.is_marked => vec![],
            None => vec![unknown(intent)],
            Some(payment) if !payment.settled => vec![],
            Some(payment) if payment.intent_id.as_deref() == Some(&intent.id) => own_intent(payment, intent),
            Some(payment) => second_intent(payment, intent).into_iter().collect(),
        }
    });
    lost.chain(strange).chain(refunds(settled(), &theirs.refunds)).collect()
}

fn unknown(intent: &BookedIntent) -> Difference {
    Difference {
        kind: Kind::UnknownToUs,
        subject: intent.id.clone(),
        payment_id: intent.payment_id,
        trip_id: None,
        intent_id: Some(intent.id.clone()),
        refund_id: None,
        currency: Some(intent.currency.clone()),
        figures: Some((0, intent.amount_received)),
        what: format!("belongs to no payment of ours; it is {}", intent.status),
        repair: Repair::None,
    }
}

fn of(payment: &OurPayment, kind: Kind, subject: &str, what: String) -> Difference {
    Difference {
        kind,
        subject: subject.to_owned(),
        payment_id: Some(payment.id),
        trip_id: Some(payment.trip_id),
        intent_id: payment.intent_id.clone(),
        refund_id: None,
        currency: None,
        figures: None,
        what,
        repair: Repair::None,
    }
}

impl Difference {
    fn at(self, intent: &str) -> Self {
        Self { intent_id: Some(intent.to_owned()), ..self }
    }

    fn by(self, payment: &OurPayment, (ours, theirs): (i64, i64)) -> Self {
        Self { currency: Some(payment.currency.clone()), figures: Some((ours, theirs)), ..self }
    }

    fn covered_by(self, repair: Repair) -> Self {
        Self { repair, ..self }
    }
}

/// What the worker can still do by itself: a payment that has ended never changes again.
fn look_again(payment: &OurPayment) -> Repair {
    if payment.state.is_terminal() { Repair::None } else { Repair::LookAgain }
}

/// In what a payment differs from the intent that it names.
fn own_intent(payment: &OurPayment, intent: &BookedIntent) -> Vec<Difference> {
    let found = |kind, what| of(payment, kind, &intent.id, what);
    if payment.currency != intent.currency {
        let what = format!("is in {} here, in {} at the provider", payment.currency, intent.currency);
        return vec![found(Kind::CurrencyDiffers, what)];
    }
    let mut all = Vec::new();
    if payment.amount != intent.amount {
        let figures = (payment.amount, intent.amount);
        let what = format!("was made for {} here, for {} at the provider", figures.0, figures.1);
        all.push(found(Kind::AmountDiffers, what).by(payment, figures));
    }
    let figures = (payment.captured, intent.amount_received);
    let taken =
        |kind| found(kind, format!("captured {} here, {} at the provider", figures.0, figures.1)).by(payment, figures);
    match figures {
        (ours, theirs) if ours == theirs => {}
        (0, _) => all.push(taken(Kind::CapturedThereNotHere).covered_by(look_again(payment))),
        (_, 0) => all.push(taken(Kind::CapturedHereNotThere)),
        _ => all.push(taken(Kind::AmountDiffers)),
    }
    if intent.stage == Stage::Held {
        let what = format!("holds {} {}, and the trip is over", intent.amount, intent.currency);
        let held = found(Kind::HeldThereTripOver, what).by(payment, (0, intent.amount));
        all.push(held.covered_by(release(payment)));
    }
    if all.is_empty() {
        all.extend(stage(payment, intent));
    }
    all
}

/// What is to be done about an authorisation that outlived its trip.
fn release(payment: &OurPayment) -> Repair {
    match payment.state {
        State::Declined | State::Voided | State::AuthExpired => Repair::CancelIntent,
        State::Authorizing | State::Capturing | State::Voiding => Repair::LookAgain,
        State::Authorized if payment.trip_total == 0 => Repair::Release,
        // Somebody may still want to take it: the trip was not free, or taking it failed.
        State::Authorized | State::Captured | State::CaptureFailed => Repair::None,
    }
}

/// Two sides whose amounts agree, and whose states may not.
fn stage(payment: &OurPayment, intent: &BookedIntent) -> Option<Difference> {
    let differs = |kind| {
        let what = format!("is {} at the provider, and {} here", intent.status, payment.state.as_str());
        Some(of(payment, kind, &intent.id, what))
    };
    let is_over = payment.state.is_terminal();
    match intent.stage {
        Stage::Confirmable if is_over => Some(differs(Kind::OpenThereOverHere)?.covered_by(Repair::CancelIntent)),
        Stage::Canceled | Stage::Taken if is_over => None,
        Stage::Confirmable | Stage::Held | Stage::Taken | Stage::Canceled | Stage::Unclear => {
            Some(differs(Kind::StateDiffers)?.covered_by(look_again(payment)))
        }
    }
}

/// What is wrong with an intent that was made for a payment, and that the payment does not name.
fn second_intent(payment: &OurPayment, intent: &BookedIntent) -> Option<Difference> {
    let found = |kind, what: String| of(payment, kind, &intent.id, what).at(&intent.id);
    // It may yet be found to be the payment's own.
    let is_wanted = payment.intent_id.is_none() && !payment.state.is_terminal();
    if is_wanted && intent.stage != Stage::Canceled {
        let what =
            format!("is {}, and its payment is {} and knows of no intent", intent.status, payment.state.as_str());
        return Some(found(Kind::IntentMissingHere, what));
    }
    let own = payment.intent_id.as_deref().unwrap_or("none");
    match intent.stage {
        Stage::Canceled => None,
        Stage::Taken => {
            let kind = if payment.captured > 0 { Kind::ChargedTwice } else { Kind::CapturedThereNotHere };
            let what = format!("took {}, and is not the payment's intent, which is {own}", intent.amount_received);
            Some(found(kind, what).by(payment, (0, intent.amount_received)))
        }
        Stage::Held => {
            let what =
                format!("holds {} {}, and is not the payment's intent, which is {own}", intent.amount, intent.currency);
            let held = found(Kind::HeldThereTripOver, what).by(payment, (0, intent.amount));
            Some(held.covered_by(Repair::CancelIntent))
        }
        Stage::Confirmable => {
            let what = format!("is {}, and is not the payment's intent, which is {own}", intent.status);
            Some(found(Kind::DuplicateIntents, what).covered_by(Repair::CancelIntent))
        }
        Stage::Unclear => {
            let what = format!("is {}, and is not the payment's intent, which is {own}", intent.status);
            Some(found(Kind::StateDiffers, what))
        }
    }
}

/// In what the refunds of settled payments differ, both ways.
fn refunds<'a>(settled: impl Iterator<Item = &'a OurPayment>, theirs: &[BookedRefund]) -> Vec<Difference> {
    let mut of_intent: HashMap<&str, Vec<&BookedRefund>> = HashMap::new();
    for refund in theirs {
        of_intent.entry(refund.intent_id.as_deref().unwrap_or_default()).or_default().push(refund);
    }
    settled
        .flat_map(|payment| {
            let theirs = payment.intent_id.as_deref().and_then(|id| of_intent.get(id));
            refunds_of(payment, theirs.map_or(&[], Vec::as_slice))
        })
        .collect()
}

fn refunds_of(payment: &OurPayment, theirs: &[&BookedRefund]) -> Vec<Difference> {
    let there = |ours: &OurRefund| theirs.iter().any(|refund| is_same(ours, refund));
    let lost = payment.refunds.iter().filter(|ours| {
        // One that has no name there was not made yet, or failed.
        (ours.provider_id.is_some() || ours.state == RefundState::Succeeded) && !there(ours)
    });
    let lost = lost.map(|ours| {
        let subject = ours.provider_id.clone().unwrap_or_else(|| ours.id.to_string());
        let what = format!("is {} here, and the provider does not list it", ours.state.as_str());
        let found = of(payment, Kind::RefundMissingThere, &subject, what).by(payment, (ours.amount, 0));
        Difference { refund_id: Some(ours.id), ..found }
    });
    let both = theirs.iter().filter_map(|refund| match payment.refunds.iter().find(|ours| is_same(ours, refund)) {
        Some(ours) => same_refund(payment, ours, refund),
        None if refund.stage == RefundStage::Failed => None,
        None => {
            let what = format!("gives {} back, and our books know nothing of it", refund.amount);
            let found = of(payment, Kind::RefundMissingHere, &refund.id, what).by(payment, (0, refund.amount));
            let is_captured = payment.state == State::Captured;
            Some(found.covered_by(if is_captured { Repair::AdoptRefund } else { Repair::None }))
        }
    });
    lost.chain(both).collect()
}

/// Whether a refund of ours is the provider's. Ours goes by its id until it knows the provider's: two of theirs with one id of
/// ours are two refunds.
fn is_same(ours: &OurRefund, theirs: &BookedRefund) -> bool {
    match &ours.provider_id {
        Some(id) => *id == theirs.id,
        None => theirs.refund_id == Some(ours.id),
    }
}

fn same_refund(payment: &OurPayment, ours: &OurRefund, theirs: &BookedRefund) -> Option<Difference> {
    let found = |kind, what| {
        let found = of(payment, kind, &theirs.id, what).by(payment, (ours.amount, theirs.amount));
        Difference { refund_id: Some(ours.id), ..found }
    };
    if ours.amount != theirs.amount {
        let what = format!("gives {} back here, {} at the provider", ours.amount, theirs.amount);
        return Some(found(Kind::RefundAmountDiffers, what));
    }
    let repair = match (ours.state, theirs.stage) {
        (RefundState::Succeeded, RefundStage::Succeeded)
        | (RefundState::Failed, RefundStage::Failed)
        | (RefundState::Pending, RefundStage::Pending) => return None,
        (RefundState::Pending, _) if ours.provider_id.is_none() => Repair::AdoptRefund,
        (RefundState::Pending, _) => Repair::LookAgain,
        // Ours has ended, and never changes again.
        (RefundState::Succeeded | RefundState::Failed, _) => Repair::None,
    };
    let there = match theirs.stage {
        RefundStage::Pending => "pending",
        RefundStage::Succeeded => "succeeded",
        RefundStage::Failed => "failed",
    };
    let what = format!("is {} here, {there} at the provider", ours.state.as_str());
    Some(found(Kind::RefundStateDiffers, what).covered_by(repair))
}

/// Leaves the differences that are still ones: our side of a payment did not move while the provider's books were read, and
/// an intent of a payment that we did not know at first is not merely younger than the look at our own books.
pub fn confirm(differences: Vec<Difference>, before: &[OurPayment], after: &[OurPayment]) -> Vec<Difference> {
    let by_id = |books: &[OurPayment]| -> HashMap<Uuid, OurPayment> {
        books.iter().map(|payment| (payment.id.uuid(), payment.clone())).collect()
    };
    let (before, after) = (by_id(before), by_id(after));
    let stands = |difference: &Difference| match difference.payment_id.map(Id::uuid) {
        None => true,
        Some(id) => before.get(&id) == after.get(&id),
    };
    differences.into_iter().filter(stands).collect()
}

#[cfg(test)]
#[path = "books_tests.rs"]
mod tests;
