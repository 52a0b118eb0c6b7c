//! The books, compared: what the provider did, what our rows say, and what people were told. Pure, over what was read.

mod debts;
mod ours;
mod promises;
mod refunds;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::Serialize;
use sqlx::types::Uuid;
use type_safe_id::{DynamicType, TypeSafeId};

use crate::people::Asked;
use crate::provider::{Intent, Theirs};
pub(crate) use ours::{Ours, Payment};

/// Evidence that is given for one kind of violation.
const EVIDENCE_MAX: usize = 20;

/// What must never be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// More was taken for a trip than it costs, or twice for one purpose.
    DoubleCharge,
    /// Less was taken than could be, or nobody knows that it was less.
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
    /// Nothing.
    pub fn none() -> Self {
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
pub(crate) fn compare(ours: &Ours, theirs: &Theirs, record: &BTreeMap<String, Asked>) -> Findings {
    let mut findings = Findings::none();
    let books = Books::new(ours, theirs);
    books.intents(&mut findings);
    books.refusals(&mut findings);
    books.holds_given_up(&mut findings);
    books.write_offs(&mut findings);
    books.trips(&mut findings);
    books.refunds(&mut findings);
    books.ledger(&mut findings);
    promises::keys(ours, record, &mut findings);
    findings
}

/// Both sides, with the ways between them.
struct Books<'a> {
    ours: &'a Ours,
    theirs: &'a Theirs,
    by_id: BTreeMap<Uuid, &'a Payment>,
    given_back: BTreeMap<&'a str, i64>,
}

impl<'a> Books<'a> {
    fn new(ours: &'a Ours, theirs: &'a Theirs) -> Self {
        let by_id = ours.payments.iter().map(|payment| (payment.id, payment)).collect();
        let mut given_back = BTreeMap::new();
        for refund in theirs.refunds.iter().filter(|refund| refund.status == "succeeded") {
            *given_back.entry(refund.payment_intent.as_deref().unwrap_or_default()).or_insert(0) += refund.amount;
        }
        Self { ours, theirs, by_id, given_back }
    }

    /// Our payment for an intent, by what the intent says of itself.
    fn payment(&self, intent: &Intent) -> Option<&'a Payment> {
        self.by_id.get(&uuid(intent.metadata.get("payment_id")?)?).copied()
    }

    /// Every intent of theirs, and every payment of ours.
    fn intents(&self, findings: &mut Findings) {
        let mut taken: BTreeMap<(Uuid, &str), Vec<&str>> = BTreeMap::new();
        for intent in &self.theirs.intents {
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
        let theirs: BTreeMap<&str, &Intent> =
            self.theirs.intents.iter().map(|intent| (intent.id.as_str(), intent)).collect();
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

    /// Every call that we say was refused: none may have moved money. What is only not known, as after a time-out, is no refusal.
    fn refusals(&self, findings: &mut Findings) {
        for call in self.ours.refused.iter().filter(|call| self.theirs.moved_by.contains(&call.key)) {
            let of = name("pay", call.payment_id);
            let what =
                format!("{} of {of} ({}) was refused by our books, and done by theirs", call.operation, call.key);
            findings.add(Kind::BooksDiffer, what);
        }
    }

    fn ledger(&self, findings: &mut Findings) {
        for (posting, currency, sum) in &self.ours.unbalanced {
            findings.add(Kind::UnbalancedPosting, format!("posting {posting} sums to {sum} {currency}"));
        }
        let mut theirs: BTreeMap<String, i64> = BTreeMap::new();
        for intent in &self.theirs.intents {
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
