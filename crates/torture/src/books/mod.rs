//! The books, compared: what the provider did, what our rows say, and what people were told. Pure, over what was read.

mod ours;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::Serialize;
use sqlx::types::Uuid;
use type_safe_id::{DynamicType, TypeSafeId};

use crate::people::{Asked, digest};
use crate::provider::{Intent, Refund};
pub(crate) use ours::{Ours, Payment};

/// Evidence that is given for one kind of violation.
const EVIDENCE_MAX: usize = 20;

/// What must never be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// More was taken for a trip than it costs, or twice for one purpose.
    DoubleCharge,
    /// Less was taken, and nobody knows.
    LostCharge,
    /// An amount is reserved on a card for a ride that is over.
    OrphanAuthorisation,
    /// A posting does not sum to zero, or clearing is not what the provider holds.
    UnbalancedPosting,
    /// More went back than was taken, the same refund twice, or another sum than we say.
    WrongRefund,
    /// The two sides tell different stories of one payment.
    BooksDiffer,
    /// A key has two effects, none although it was promised, or two answers.
    BrokenKey,
}

/// All kinds, so that a report names those of which there are none.
const KINDS: [Kind; 7] = [
    Kind::DoubleCharge,
    Kind::LostCharge,
    Kind::OrphanAuthorisation,
    Kind::UnbalancedPosting,
    Kind::WrongRefund,
    Kind::BooksDiffer,
    Kind::BrokenKey,
];

/// What was found of one kind.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Finding {
    /// How often.
    pub count: u64,
    /// The first ones, in words.
    pub evidence: Vec<String>,
}

/// What was found, by kind; every kind is there.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Findings(pub BTreeMap<Kind, Finding>);

impl Findings {
    fn none() -> Self {
        Self(KINDS.into_iter().map(|kind| (kind, Finding::default())).collect())
    }

    fn add(&mut self, kind: Kind, evidence: String) {
        let finding = self.0.entry(kind).or_default();
        finding.count += 1;
        if finding.evidence.len() < EVIDENCE_MAX {
            finding.evidence.push(evidence);
        }
    }

    /// Everything that was found.
    pub fn count(&self) -> u64 {
        self.0.values().map(|finding| finding.count).sum()
    }
}

/// Compares. Call it when nothing is under way any more.
pub(crate) fn compare(
    ours: &Ours,
    intents: &[Intent],
    refunds: &[Refund],
    record: &BTreeMap<String, Asked>,
) -> Findings {
    let mut findings = Findings::none();
    let books = Books::new(ours, intents, refunds);
    books.intents(&mut findings);
    books.trips(&mut findings);
    books.refunds(&mut findings);
    books.ledger(&mut findings);
    keys(ours, record, &mut findings);
    findings
}

/// Both sides, with the ways between them.
struct Books<'a> {
    ours: &'a Ours,
    intents: &'a [Intent],
    refunds: &'a [Refund],
    by_id: BTreeMap<Uuid, &'a Payment>,
    given_back: BTreeMap<&'a str, i64>,
}

impl<'a> Books<'a> {
    fn new(ours: &'a Ours, intents: &'a [Intent], refunds: &'a [Refund]) -> Self {
        let by_id = ours.payments.iter().map(|payment| (payment.id, payment)).collect();
        let mut given_back = BTreeMap::new();
        for refund in refunds.iter().filter(|refund| refund.status == "succeeded") {
            *given_back.entry(refund.payment_intent.as_deref().unwrap_or_default()).or_insert(0) += refund.amount;
        }
        Self { ours, intents, refunds, by_id, given_back }
    }

    /// Our payment for an intent, by what the intent says of itself.
    fn payment(&self, intent: &Intent) -> Option<&'a Payment> {
        self.by_id.get(&uuid(intent.metadata.get("payment_id")?)?).copied()
    }

    /// Every intent of theirs, and every payment of ours.
    fn intents(&self, findings: &mut Findings) {
        let mut taken: BTreeMap<(Uuid, &str), Vec<&str>> = BTreeMap::new();
        for intent in self.intents {
            let Intent { id, status, amount_received: received, .. } = intent;
            let payment = self.payment(intent);
            if *received > 0 {
                match payment {
                    Some(payment) => taken.entry((payment.trip_id, &payment.purpose)).or_default().push(id),
                    None => findings.add(Kind::DoubleCharge, format!("{id} took {received} for no payment of ours")),
                }
            }
            if status == "requires_capture" {
                let why = match payment {
                    None => "no payment of ours".to_owned(),
                    Some(payment) => format!("{}, which is {}", name("pay", payment.id), payment.state),
                };
                findings.add(Kind::OrphanAuthorisation, format!("{id} is held for {why}"));
            }
            if let Some(payment) = payment
                && payment.intent_id.as_ref() != Some(id)
                && *received > 0
            {
                let known = payment.intent_id.as_deref().unwrap_or("no intent");
                let what = format!("{id} took {received} for {}, which knows of {known}", name("pay", payment.id));
                findings.add(Kind::DoubleCharge, what);
            }
        }
        for ((trip, purpose), ids) in taken.iter().filter(|(_, ids)| ids.len() > 1) {
            let what = format!("{} was charged for its {purpose} by {}", name("trip", *trip), ids.join(" and "));
            findings.add(Kind::DoubleCharge, what);
        }
        let theirs: BTreeMap<&str, &Intent> = self.intents.iter().map(|intent| (intent.id.as_str(), intent)).collect();
        for payment in &self.ours.payments {
            let intent = payment.intent_id.as_deref().and_then(|id| theirs.get(id));
            let received = intent.map_or(0, |intent| intent.amount_received);
            if payment.captured != received {
                let what =
                    format!("{} took {} by our books, {received} by theirs", name("pay", payment.id), payment.captured);
                findings.add(if payment.captured > received { Kind::LostCharge } else { Kind::DoubleCharge }, what);
            }
            if let Some(intent) = intent
                && !intent.currency.eq_ignore_ascii_case(&payment.currency)
            {
                findings.add(Kind::BooksDiffer, format!("{} is in {}", name("pay", payment.id), intent.currency));
            }
        }
    }

    /// Every trip that is over, against what the provider took for it.
    fn trips(&self, findings: &mut Findings) {
        let mut paid: BTreeMap<Uuid, (i64, i64)> = BTreeMap::new();
        for intent in self.intents {
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

    fn refunds(&self, findings: &mut Findings) {
        let mut by_ours: BTreeMap<&str, Vec<&Refund>> = BTreeMap::new();
        for refund in self.refunds.iter().filter(|refund| refund.status == "succeeded") {
            by_ours.entry(refund.metadata.get("refund_id").map_or("", String::as_str)).or_default().push(refund);
        }
        for (id, refunds) in &by_ours {
            if refunds.len() > 1 {
                findings.add(Kind::WrongRefund, format!("{id} was given back {} times", refunds.len()));
            }
        }
        for intent in self.intents {
            let back = self.given_back.get(intent.id.as_str()).copied().unwrap_or(0);
            if back > intent.amount_received {
                let what = format!("{} took {} and gave back {back}", intent.id, intent.amount_received);
                findings.add(Kind::WrongRefund, what);
            }
        }
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
                (_, None) => {}
            }
        }
        let known: Vec<String> = self.ours.refunds.iter().map(|refund| name("rfd", refund.id)).collect();
        for id in by_ours.keys().filter(|id| !known.iter().any(|known| known == *id)) {
            findings.add(Kind::WrongRefund, format!("the provider gave back '{id}', which is no refund of ours"));
        }
    }

    fn ledger(&self, findings: &mut Findings) {
        for (posting, currency, sum) in &self.ours.unbalanced {
            findings.add(Kind::UnbalancedPosting, format!("posting {posting} sums to {sum} {currency}"));
        }
        let mut theirs: BTreeMap<String, i64> = BTreeMap::new();
        for intent in self.intents {
            let back = self.given_back.get(intent.id.as_str()).copied().unwrap_or(0);
            *theirs.entry(intent.currency.to_ascii_uppercase()).or_default() += intent.amount_received - back;
        }
        theirs.retain(|_, sum| *sum != 0);
        let ours: BTreeMap<String, i64> =
            self.ours.clearing.iter().filter(|(_, sum)| **sum != 0).map(|(code, sum)| (code.clone(), *sum)).collect();
        if ours != theirs {
            findings.add(Kind::UnbalancedPosting, format!("clearing holds {ours:?}, the provider {theirs:?}"));
        }
    }
}

/// What people were told, against what was kept.
fn keys(ours: &Ours, record: &BTreeMap<String, Asked>, findings: &mut Findings) {
    for (key, asked) in record {
        let mut broken = |what: String| findings.add(Kind::BrokenKey, format!("{key} ({}) {what}", asked.what));
        if asked.successes.len() > 1 {
            broken(format!("was answered in {} ways", asked.successes.len()));
        }
        if asked.refusals.iter().any(|code| code == "idempotency_key_reused") {
            broken("was refused as another request's key".to_owned());
        }
        match (ours.keys.get(key), asked.successes.first()) {
            (Some(kept), Some((status, body))) => {
                if kept.status != *status || digest(&kept.body) != *body {
                    broken(format!("was answered with {status}, and another answer is kept"));
                }
                if kept.effects > 1 {
                    broken(format!("has {} effects", kept.effects));
                }
                if kept.status == 201 && kept.effects == 0 && !asked.what.ends_with("/tip") {
                    broken("was answered with 201, and nothing was made".to_owned());
                }
            }
            (None, Some((status, _))) => broken(format!("was answered with {status}, and is not known any more")),
            // One that was sent before, and not answered, may be done after another was refused: nothing wrong with that.
            (Some(_), None) if !asked.refusals.is_empty() && asked.heard == asked.sent => {
                broken(format!("was refused with {:?}, and it was done", asked.refusals));
            }
            _ => {}
        }
    }
}

/// The UUID in a TypeID.
fn uuid(id: &str) -> Option<Uuid> {
    id.parse::<TypeSafeId<DynamicType>>().ok().map(|id| id.uuid())
}

/// A UUID as the TypeID that the interface speaks of.
pub(crate) fn name(prefix: &str, id: Uuid) -> String {
    match DynamicType::new(prefix) {
        Ok(prefix) => TypeSafeId::from_type_and_uuid(prefix, id).to_string(),
        // Prefixes are constants of this crate.
        Err(_) => id.to_string(),
    }
}
