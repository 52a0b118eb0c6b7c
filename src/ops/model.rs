//! What the audit judges, and the comparison of two sets of books: pure.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::TimeDelta;

use crate::payments::BookedIntent;
use crate::platform::clock::MachineTime;
use crate::platform::ids::{PaymentId, TripId};

/// What must always hold, in the contract's order. The names are stable: reports, dashboards and `docs/audit.md` use them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Invariant {
    /// One active trip per driver and per rider; engagements agree with offers and trips.
    Engagements,
    /// One accepted offer per trip, one pending offer per driver, none on a trip that is over.
    Offers,
    /// The payments of a trip sum to its receipt, or somebody knows of the debt; what was free cost nothing.
    Receipts,
    /// Every posting sums to zero, and each account holds what the payments say.
    Ledger,
    /// Refunds within what was captured, captures within what was authorised.
    Limits,
    /// One effect per idempotency key, and no effect without one.
    Keys,
    /// The events of a trip are a gapless, legal walk that ends in its state.
    Events,
    /// The provider's books equal ours, and no authorisation is left open on a trip that is over.
    Provider,
    /// No delivery, lease or unknown attempt is older than its limit.
    StaleWork,
}

impl Invariant {
    /// All nine.
    pub const ALL: [Self; 9] = [
        Self::Engagements,
        Self::Offers,
        Self::Receipts,
        Self::Ledger,
        Self::Limits,
        Self::Keys,
        Self::Events,
        Self::Provider,
        Self::StaleWork,
    ];

    /// The name in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Engagements => "engagements",
            Self::Offers => "offers",
            Self::Receipts => "receipts",
            Self::Ledger => "ledger",
            Self::Limits => "limits",
            Self::Keys => "keys",
            Self::Events => "events",
            Self::Provider => "provider",
            Self::StaleWork => "stale_work",
        }
    }
}

/// Deliveries, leases, due payments and refunds, and calls under way may lie this long after their time. A delivery that fails
/// is tried for two and a half minutes before it is given up, and holds back the later ones of its trip; a call takes seconds.
const LATE: TimeDelta = TimeDelta::minutes(5);

/// An attempt whose end nobody knows is asked after for this long; then the provider's memory of the key is about to end
/// (24 h), and it is a person's.
const UNKNOWN: TimeDelta = TimeDelta::hours(23);

/// A webhook that has not been delivered is given up after three days; a day more means that nobody does it.
const UNDELIVERED: TimeDelta = TimeDelta::days(4);

/// The effect of an idempotency key that is younger than this must still have its key. An hour less than keys are kept.
const KEYED: TimeDelta = TimeDelta::hours(23);

/// Moments before which something is too old, for one audit.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Work whose time was before this is late.
    pub late: MachineTime,
    /// Attempts begun before this should be known by now.
    pub unknown: MachineTime,
    /// Webhooks on their way since before this should have been given up.
    pub undelivered: MachineTime,
    /// Effects made after this still have their key.
    pub keyed: MachineTime,
}

impl Limits {
    /// The limits as of `now`.
    pub fn at(now: MachineTime) -> Self {
        Self { late: now - LATE, unknown: now - UNKNOWN, undelivered: now - UNDELIVERED, keyed: now - KEYED }
    }
}

/// Something that breaks an invariant: an example that a person can act on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// Which one.
    pub invariant: Invariant,
    /// The thing at fault: its id, as it is written on the wire.
    pub subject: String,
    /// The trip it belongs to.
    pub trip_id: Option<TripId>,
    /// What is wrong with it: reads on from the subject.
    pub what: String,
}

/// What breaks one invariant: how much, and the first few.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// How many.
    pub violations: u64,
    /// At most twenty.
    pub examples: Vec<Example>,
}

/// Sums of money in minor units, by currency.
pub type Sums = BTreeMap<String, i64>;

/// A payment as our books have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OurPayment {
    /// Whose payment.
    pub id: PaymentId,
    /// For which trip.
    pub trip_id: TripId,
    /// The provider's name for it, once it has one.
    pub intent_id: Option<String>,
    /// ISO 4217.
    pub currency: String,
    /// Captured, minor units.
    pub captured: i64,
    /// Given back, minor units.
    pub refunded: i64,
    /// Grows with every change of the payment.
    pub version: i64,
    /// Its trip is settled: the books have to agree.
    pub settled: bool,
}

/// Something that the two books do not agree on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Our payment, if there is one.
    pub payment_id: Option<PaymentId>,
    /// Its trip.
    pub trip_id: Option<TripId>,
    /// The provider's intent, if there is one.
    pub intent_id: Option<String>,
    /// What differs.
    pub what: String,
}

/// Sums amounts by currency.
pub fn sums<'a>(amounts: impl Iterator<Item = (&'a str, i64)>) -> Sums {
    amounts.fold(Sums::new(), |mut sums, (currency, amount)| {
        let sum = sums.entry(currency.to_owned()).or_default();
        *sum = sum.saturating_add(amount);
        sums
    })
}

/// Every difference between the two books, over the payments of settled trips, and intents that we know nothing of.
pub fn compare(ours: &[OurPayment], theirs: &[BookedIntent]) -> Vec<Difference> {
    let payments: HashMap<PaymentId, &OurPayment> = ours.iter().map(|payment| (payment.id, payment)).collect();
    let intents: HashSet<&str> = theirs.iter().map(|intent| intent.id.as_str()).collect();
    let lost = ours.iter().filter(|payment| payment.settled).filter_map(|payment| {
        let intent_id = payment.intent_id.as_deref().filter(|id| !intents.contains(id))?;
        Some(difference(Some(payment), Some(intent_id), "the provider does not know this intent".to_owned()))
    });
    let strange = theirs.iter().flat_map(|intent| {
        let payment = intent.payment_id.and_then(|id| payments.get(&id).copied());
        let what = match payment {
            None => vec!["the intent belongs to no payment of ours".to_owned()],
            Some(payment) if !payment.settled => vec![],
            Some(payment) => disagreements(payment, intent),
        };
        what.into_iter().map(move |what| match payment {
            None => Difference { payment_id: intent.payment_id, ..difference(None, Some(&intent.id), what) },
            payment => difference(payment, Some(&intent.id), what),
        })
    });
    lost.chain(strange).collect()
}

fn difference(payment: Option<&OurPayment>, intent_id: Option<&str>, what: String) -> Difference {
    Difference {
        payment_id: payment.map(|payment| payment.id),
        trip_id: payment.map(|payment| payment.trip_id),
        intent_id: intent_id.map(str::to_owned),
        what,
    }
}

/// What the two sides of one payment disagree on.
fn disagreements(payment: &OurPayment, intent: &BookedIntent) -> Vec<String> {
    if payment.intent_id.as_deref() != Some(&intent.id) {
        // One that was made by a call whose answer was lost, and never confirmed, holds nothing: it does no harm.
        return if has_money(intent) {
            vec!["there is money on an intent that is not the payment's".to_owned()]
        } else {
            vec![]
        };
    }
    let mut found = Vec::new();
    if intent.is_open() {
        found.push("the authorisation is still open, and the trip is over".to_owned());
    }
    if payment.currency != intent.currency {
        found.push(format!("in {} here, in {} at the provider", payment.currency, intent.currency));
    }
    for (word, ours, theirs) in
        [("captured", payment.captured, intent.amount_received), ("refunded", payment.refunded, intent.amount_refunded)]
    {
        if ours != theirs {
            found.push(format!("{word} {ours} here, {theirs} at the provider"));
        }
    }
    found
}

/// Whether any money has moved on an intent, or may.
fn has_money(intent: &BookedIntent) -> bool {
    intent.is_open() || intent.amount_received != 0
}

/// Leaves the differences that are still ones: our side of a payment did not move while the provider's books were read, and
/// an intent of a payment that we did not know at first is not merely younger than the look at our own books.
pub fn confirm(differences: Vec<Difference>, before: &[OurPayment], after: &[OurPayment]) -> Vec<Difference> {
    let by_id =
        |books: &[OurPayment]| books.iter().map(|payment| (payment.id, payment.clone())).collect::<HashMap<_, _>>();
    let (before, after) = (by_id(before), by_id(after));
    let stands = |difference: &Difference| match difference.payment_id {
        None => true,
        Some(id) => before.get(&id) == after.get(&id),
    };
    differences.into_iter().filter(stands).collect()
}

#[cfg(test)]
#[path = "model_tests.rs"]
mod tests;
