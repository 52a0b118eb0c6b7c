//! The books as they are shown to whoever compares them with its own: every payment with every movement of money.
//!
//! Currencies are upper-case here, as accountants write them; in the protocol they are lower-case.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::Serialize;

use crate::books::Books;
use crate::model::{Intent, Metadata, Minor, Movement, MovementKind, Refund, UnixSeconds};

/// The values of the books at one moment. Cheap to take: they are shared.
pub struct Snapshot {
    intents: Vec<Arc<Intent>>,
    refunds: Vec<Arc<Refund>>,
    events: usize,
    events_pending: usize,
    idempotency_keys: usize,
}

impl Snapshot {
    /// The books as they are; `payment_intent` alone if one is named, with its refunds.
    pub fn of(books: &Books, payment_intent: Option<&str>) -> Self {
        let events_pending = books.events().pending().len();
        let is_wanted = |id: &str| payment_intent.is_none_or(|wanted| wanted == id);
        let (intents, refunds) = (books.intents().all(), books.refunds().all());
        Self {
            intents: intents.iter().filter(|intent| is_wanted(&intent.id)).cloned().collect(),
            refunds: refunds.iter().filter(|refund| is_wanted(&refund.payment_intent)).cloned().collect(),
            events: events_pending + books.events().settled().len(),
            events_pending,
            idempotency_keys: books.keys(),
        }
    }

    /// The books to show. O(n) in payments and refunds.
    pub fn shown(&self) -> Shown<'_> {
        let mut refunds_of: HashMap<&str, Vec<&Refund>> = HashMap::new();
        for refund in &self.refunds {
            refunds_of.entry(&refund.payment_intent).or_default().push(refund);
        }
        let mut totals = Totals::default();
        for intent in &self.intents {
            totals.add(intent);
        }
        let payment = |intent| payment(intent, refunds_of.remove(intent.id.as_str()).unwrap_or_default());
        Shown {
            payment_intents: self.intents.iter().map(Arc::as_ref).map(payment).collect(),
            refunds: self.refunds.iter().map(|refund| shown_refund(refund)).collect(),
            events: self.events,
            events_pending: self.events_pending,
            idempotency_keys: self.idempotency_keys,
            totals,
        }
    }
}

/// The whole books.
#[derive(Serialize)]
pub struct Shown<'a> {
    payment_intents: Vec<Payment<'a>>,
    refunds: Vec<ShownRefund<'a>>,
    /// How many events are remembered; those that wait for delivery are among them.
    events: usize,
    events_pending: usize,
    idempotency_keys: usize,
    totals: Totals,
}

#[derive(Serialize)]
struct Payment<'a> {
    id: &'a str,
    status: &'static str,
    amount: Minor,
    currency: String,
    amount_capturable: Minor,
    amount_received: Minor,
    refunded: Minor,
    metadata: &'a Metadata,
    created: UnixSeconds,
    movements: Vec<Movement>,
}

#[derive(Serialize)]
struct ShownRefund<'a> {
    id: &'a str,
    payment_intent: &'a str,
    amount: Minor,
    currency: String,
    status: &'static str,
    metadata: &'a Metadata,
    created: UnixSeconds,
    idempotency_key: Option<&'a str>,
}

/// Sums over all payments by currency, in minor units; a currency without money is left out.
#[derive(Debug, Default, Serialize)]
struct Totals {
    /// Taken, whatever went back since.
    captured: BTreeMap<String, Minor>,
    /// Given back.
    refunded: BTreeMap<String, Minor>,
    /// Reserved, neither taken nor released.
    authorized_open: BTreeMap<String, Minor>,
}

impl Totals {
    fn add(&mut self, intent: &Intent) {
        let sums = [
            (&mut self.captured, intent.received()),
            (&mut self.refunded, intent.refunded()),
            (&mut self.authorized_open, intent.capturable()),
        ];
        for (sums, amount) in sums {
            if amount > 0 {
                *sums.entry(intent.currency.to_ascii_uppercase()).or_default() += amount;
            }
        }
    }
}

/// Refunds come after everything else that moves, so that appending them keeps the order.
fn payment<'a>(intent: &'a Intent, refunds: Vec<&Refund>) -> Payment<'a> {
    let refunded = refunds.into_iter().map(|refund| Movement {
        kind: MovementKind::Refunded,
        amount: refund.amount,
        at: refund.created_s,
        idempotency_key: refund.idempotency_key.clone(),
    });
    Payment {
        id: &intent.id,
        status: intent.stage.name(),
        amount: intent.amount,
        currency: intent.currency.to_ascii_uppercase(),
        amount_capturable: intent.capturable(),
        amount_received: intent.received(),
        refunded: intent.refunded(),
        metadata: &intent.metadata,
        created: intent.created_s,
        movements: intent.movements.iter().cloned().chain(refunded).collect(),
    }
}

fn shown_refund(refund: &Refund) -> ShownRefund<'_> {
    ShownRefund {
        id: &refund.id,
        payment_intent: &refund.payment_intent,
        amount: refund.amount,
        currency: refund.currency.to_ascii_uppercase(),
        status: "succeeded",
        metadata: &refund.metadata,
        created: refund.created_s,
        idempotency_key: refund.idempotency_key.as_deref(),
    }
}
