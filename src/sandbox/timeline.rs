//! The timeline of a trip and its payments: requests, worker runs, calls, webhooks, events and postings in one order.
//!
//! The order is that of machine time. Events and postings have domain time as well. A posting has no machine time of its own: it is
//! written in the transaction of an event, and stands at that event.

use std::collections::BTreeSet;

use serde::Serialize;
use utoipa::ToSchema;

use super::sql_recorder::{RecordedRequest, Statement};
use super::store::{TimelineCall, TimelineEvent, TimelinePosting};
use crate::platform::clock::{DomainTime, MachineTime};
use crate::platform::ids::PaymentId;
use crate::platform::money::Money;
use crate::platform::names::string_enum;

/// The most items of a timeline: the newest.
pub const ITEMS_MAX: usize = 500;

/// The longest text of an item, characters.
const TEXT_CHARS_MAX: usize = 300;

string_enum! {
    /// What an item of a timeline is.
    pub enum TimelineKind {
        /// A request to the service.
        Request = "request",
        /// The part of a worker's run that was about the trip.
        WorkerRun = "worker_run",
        /// A call to the payment provider that changes something there.
        ProviderCall = "provider_call",
        /// An event of the provider, from its arrival until it was handled.
        WebhookIn = "webhook_in",
        /// An attempt to deliver an event to a subscriber.
        WebhookOut = "webhook_out",
        /// An event of the trip.
        TripEvent = "trip_event",
        /// An event of a payment.
        PaymentEvent = "payment_event",
        /// A posting in the ledger.
        Posting = "posting",
    }
}

/// An item of a timeline.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TimelineItem {
    /// What it is.
    kind: TimelineKind,
    /// What was requested, called or written.
    #[schema(max_length = 300, example = "POST /v1/trips")]
    label: String,
    /// How it ended: a status, an outcome, a change of state; `null` while it runs.
    #[schema(max_length = 300, example = "201")]
    outcome: Option<String>,
    /// The amount of a posting, its debits, or of an event of a payment; `null` if it is about none.
    amount: Option<Money>,
    /// What the provider or the subscriber answered, or the id of the provider's event; `null` if there is nothing to say.
    #[schema(max_length = 300)]
    detail: Option<String>,
    /// When it started (machine time). Of an event from before machine times were kept: its domain time.
    at: MachineTime,
    /// When it happened (domain time); `null` of what only the machine knows.
    domain_at: Option<DomainTime>,
    /// How long it took, microseconds; `null` of an event, and of what has not ended.
    #[schema(minimum = 0)]
    duration_us: Option<u64>,
    /// The trace that it belongs to; `null` if none was recorded.
    #[schema(max_length = 255, example = "4bf92f3577b34da6a3ce929d0e0e4736")]
    trace_id: Option<String>,
    /// The payment that it is about; `null` if it is about the trip.
    payment_id: Option<PaymentId>,
    /// The recorded statements of a request or a worker run.
    #[schema(max_items = 64)]
    statements: Vec<Statement>,
}

/// What a timeline is made of.
#[derive(Debug, Default)]
pub struct Sources {
    /// The events of the trip and its payments.
    pub events: Vec<TimelineEvent>,
    /// The calls to the provider.
    pub provider_calls: Vec<TimelineCall>,
    /// The provider's events.
    pub webhooks_in: Vec<TimelineCall>,
    /// The deliveries to subscribers.
    pub webhooks_out: Vec<TimelineCall>,
    /// The postings.
    pub postings: Vec<TimelinePosting>,
    /// How many older rows of the database are not among these.
    pub left_out: usize,
}

impl Sources {
    /// Returns the traces of everything in the database.
    pub fn trace_ids(&self) -> BTreeSet<String> {
        let calls = [&self.provider_calls, &self.webhooks_in, &self.webhooks_out].into_iter().flatten();
        let of_calls = calls.filter_map(|call| call.trace_id.clone());
        self.events.iter().filter_map(|event| event.trace_id.clone()).chain(of_calls).collect()
    }

    /// Returns the items, the oldest first, and how many older ones are left out.
    pub fn items(self, recorded: Vec<RecordedRequest>) -> (Vec<TimelineItem>, usize) {
        let Self { events, provider_calls, webhooks_in, webhooks_out, postings, left_out: not_read } = self;
        let mut items: Vec<_> = postings.into_iter().map(|posting| posting_item(posting, &events)).collect();
        items.extend(events.into_iter().map(event_item));
        items.extend(provider_calls.into_iter().map(|call| call_item(TimelineKind::ProviderCall, call)));
        items.extend(webhooks_in.into_iter().map(|call| call_item(TimelineKind::WebhookIn, call)));
        items.extend(webhooks_out.into_iter().map(|call| call_item(TimelineKind::WebhookOut, call)));
        items.extend(recorded.into_iter().map(recorded_item));
        items.sort_by_key(|item| item.at);
        let left_out = items.len().saturating_sub(ITEMS_MAX);
        (items.split_off(left_out), not_read + left_out)
    }
}

fn recorded_item(recorded: RecordedRequest) -> TimelineItem {
    let is_run = recorded.trip_id.is_some();
    TimelineItem {
        kind: if is_run { TimelineKind::WorkerRun } else { TimelineKind::Request },
        label: recorded.method.map_or_else(|| recorded.path.clone(), |method| format!("{method} {}", recorded.path)),
        outcome: recorded.status.map(|status| status.to_string()),
        amount: None,
        detail: None,
        at: recorded.started_at,
        domain_at: None,
        duration_us: recorded.duration_us,
        trace_id: Some(recorded.trace_id),
        payment_id: recorded.payment_id,
        statements: recorded.statements,
    }
}

fn event_item(event: TimelineEvent) -> TimelineItem {
    let kind = if event.payment_id.is_some() { TimelineKind::PaymentEvent } else { TimelineKind::TripEvent };
    let outcome = match event.from_state {
        Some(from) if from != event.state => format!("{from} → {}", event.state),
        _ => event.state,
    };
    TimelineItem {
        label: event.kind,
        outcome: Some(outcome),
        amount: event.amount.zip(event.currency).and_then(|(amount, currency)| money(amount, &currency)),
        domain_at: Some(event.at),
        trace_id: event.trace_id,
        payment_id: event.payment_id,
        ..instant(kind, event.made_at)
    }
}

fn call_item(kind: TimelineKind, call: TimelineCall) -> TimelineItem {
    let duration = call.finished_at.map(|finished| finished.since(call.started_at));
    TimelineItem {
        label: cut(call.name),
        outcome: Some(cut(call.outcome)),
        detail: call.detail.map(cut),
        duration_us: duration.and_then(|duration| duration.num_microseconds()).map(i64::unsigned_abs),
        trace_id: call.trace_id,
        payment_id: call.payment_id,
        ..instant(kind, call.started_at)
    }
}

/// Returns the item of a posting, at the last event that is not later in domain time, or else at the first one. That event has its trace if
/// both have the same time.
fn posting_item(posting: TimelinePosting, events: &[TimelineEvent]) -> TimelineItem {
    let before = events.iter().filter(|event| event.at <= posting.posted_at).max_by_key(|event| event.at);
    let near = before.or_else(|| events.iter().min_by_key(|event| event.at));
    let at = near.map_or_else(|| MachineTime::new(posting.posted_at.utc()), |event| event.made_at);
    let cause = before.filter(|event| event.at == posting.posted_at);
    TimelineItem {
        label: posting.kind,
        amount: money(posting.amount, &posting.currency),
        domain_at: Some(posting.posted_at),
        trace_id: cause.and_then(|event| event.trace_id.clone()),
        payment_id: cause.and_then(|event| event.payment_id),
        ..instant(TimelineKind::Posting, at)
    }
}

/// Truncates a text of the provider or a subscriber.
fn cut(text: String) -> String {
    text.chars().take(TEXT_CHARS_MAX).collect()
}

fn money(amount: i64, currency: &str) -> Option<Money> {
    Some(Money::new(amount, currency.parse().ok()?))
}

fn instant(kind: TimelineKind, at: MachineTime) -> TimelineItem {
    TimelineItem {
        kind,
        label: String::new(),
        outcome: None,
        amount: None,
        detail: None,
        at,
        domain_at: None,
        duration_us: None,
        trace_id: None,
        payment_id: None,
        statements: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn at(seconds: i64) -> DateTime<chrono::Utc> {
        DateTime::from_timestamp(seconds, 0).expect("in range")
    }

    fn event(seconds: i64, trace_id: &str) -> TimelineEvent {
        TimelineEvent {
            payment_id: None,
            kind: "complete".to_owned(),
            from_state: Some("in_progress".to_owned()),
            state: "completed".to_owned(),
            amount: None,
            currency: None,
            trace_id: Some(trace_id.to_owned()),
            // Domain time is a day ahead and runs ten times as fast.
            at: DomainTime::new(at(86_400 + 10 * seconds)),
            made_at: MachineTime::new(at(seconds)),
            total: 1,
        }
    }

    fn posting(domain_seconds: i64) -> TimelinePosting {
        let posted_at = DomainTime::new(at(domain_seconds));
        TimelinePosting { kind: "charge".to_owned(), amount: 700, currency: "USD".to_owned(), posted_at, total: 1 }
    }

    use TimelineKind::{Posting, TripEvent};

    #[test]
    fn posting_stands_at_the_event_of_its_transaction() {
        let events = vec![event(1, "a"), event(2, "b")];
        let sources =
            Sources { events, postings: vec![posting(86_420), posting(86_415), posting(86_405)], ..Sources::default() };
        let (items, left_out) = sources.items(Vec::new());
        let shown: Vec<_> =
            items.iter().map(|item| (item.kind, item.at.utc().timestamp(), item.trace_id.as_deref())).collect();
        let later = (Posting, 2, Some("b"));
        assert_eq!(
            shown,
            [(Posting, 1, None), (Posting, 1, None), (TripEvent, 1, Some("a")), later, (TripEvent, 2, Some("b"))]
        );
        assert_eq!((left_out, items[2].outcome.as_deref()), (0, Some("in_progress → completed")));
    }

    #[test]
    fn oldest_items_are_left_out() {
        let many = (0..).take(ITEMS_MAX + 3).map(|second| event(second, "a")).collect();
        let (items, left_out) = Sources { events: many, left_out: 4, ..Sources::default() }.items(Vec::new());
        assert_eq!((items.len(), left_out), (ITEMS_MAX, 3 + 4), "with those that were not read");
        assert_eq!(items[0].at, MachineTime::new(at(3)));
    }
}
