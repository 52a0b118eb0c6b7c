//! The JSON of `GET /sim/state`: every payment with every movement of money, for a comparison with the caller's records.
//!
//! Currencies are upper-case here; in the protocol they are lower-case.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::Serialize;

use crate::model::{Intent, Metadata, Minor, Movement, MovementKind, Refund, UnixSeconds};
use crate::records::Records;

/// The records at one moment. Cheap: the objects are shared.
pub struct StateSnapshot {
    intents: Vec<Arc<Intent>>,
    refunds: Vec<Arc<Refund>>,
    events: usize,
    events_pending: usize,
    idempotency_keys: usize,
}

impl StateSnapshot {
    /// A snapshot of all records, or of one `payment_intent` with its refunds.
    pub fn of(records: &Records, payment_intent: Option<&str>) -> Self {
        let events_pending = records.events().pending().len();
        let is_wanted = |id: &str| payment_intent.is_none_or(|wanted| wanted == id);
        let (intents, refunds) = (records.intents().all(), records.refunds().all());
        Self {
            intents: intents.iter().filter(|intent| is_wanted(&intent.id)).cloned().collect(),
            refunds: refunds.iter().filter(|refund| is_wanted(&refund.payment_intent)).cloned().collect(),
            events: events_pending + records.events().finished().len(),
            events_pending,
            idempotency_keys: records.keys(),
        }
    }

    pub fn view(&self) -> StateView<'_> {
        let mut refunds_of: HashMap<&str, Vec<&Refund>> = HashMap::new();
        for refund in &self.refunds {
            refunds_of.entry(&refund.payment_intent).or_default().push(refund);
        }
        let mut totals = Totals::default();
        for intent in &self.intents {
            totals.add(intent);
        }
        let payment = |intent| payment(intent, refunds_of.remove(intent.id.as_str()).unwrap_or_default());
        StateView {
            payment_intents: self.intents.iter().map(Arc::as_ref).map(payment).collect(),
            refunds: self.refunds.iter().map(|refund| refund_view(refund)).collect(),
            events: self.events,
            events_pending: self.events_pending,
            idempotency_keys: self.idempotency_keys,
            totals,
        }
    }
}

#[derive(Serialize)]
pub struct StateView<'a> {
    payment_intents: Vec<Payment<'a>>,
    refunds: Vec<RefundView<'a>>,
    /// The number of events, including those that wait for delivery.
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
struct RefundView<'a> {
    id: &'a str,
    payment_intent: &'a str,
    amount: Minor,
    currency: String,
    status: &'static str,
    metadata: &'a Metadata,
    created: UnixSeconds,
    idempotency_key: Option<&'a str>,
}

/// Sums over all payments by currency, in minor units; zero sums are left out.
#[derive(Debug, Default, Serialize)]
struct Totals {
    /// Captured, before refunds.
    captured: BTreeMap<String, Minor>,
    refunded: BTreeMap<String, Minor>,
    /// Authorized, and neither captured nor released.
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

/// A refund is later than every other movement, so that appending refunds keeps the order.
fn payment<'a>(intent: &'a Intent, refunds: Vec<&Refund>) -> Payment<'a> {
    // A refund that failed moved no money in the end.
    let refunded = refunds.into_iter().filter(|refund| refund.failure_reason.is_none()).map(|refund| Movement {
        kind: MovementKind::Refunded,
        amount: refund.amount,
        at: refund.created_s,
        idempotency_key: refund.idempotency_key.clone(),
    });
    Payment {
        id: &intent.id,
        status: intent.status.name(),
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

fn refund_view(refund: &Refund) -> RefundView<'_> {
    RefundView {
        id: &refund.id,
        payment_intent: &refund.payment_intent,
        amount: refund.amount,
        currency: refund.currency.to_ascii_uppercase(),
        status: refund.status(),
        metadata: &refund.metadata,
        created: refund.created_s,
        idempotency_key: refund.idempotency_key.as_deref(),
    }
}
