//! The events: those that wait for delivery, and the last of those that don't any more, so that they can be sent again.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// How many events wait for delivery at most; beyond this the oldest is given up.
const PENDING_MAX: usize = 100_000;
/// How many are kept after their delivery, at some 1.5 KB each.
const SETTLED_MAX: usize = 10_000;

/// Something that happened, to be posted to the webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// `evt_…`
    pub id: String,
    /// Its type, `payment_intent.succeeded`.
    #[serde(default)]
    pub kind: String,
    /// The intent that it is about.
    #[serde(default)]
    pub payment_intent: String,
    /// The body of the request.
    pub payload: String,
    /// Somebody asked for it again: what its payment plans for it strikes no more.
    #[serde(default)]
    pub is_resent: bool,
}

/// All events that are remembered.
#[derive(Debug, Default)]
pub struct Mailbox {
    /// In the order in which they happened, or were sent again; by number, so that one in the middle can go.
    pending: BTreeMap<u64, Arc<Event>>,
    numbers: HashMap<String, u64>,
    /// Delivered, lost or given up; the one that was settled last at the end.
    settled: VecDeque<Arc<Event>>,
    /// The next number.
    seen: u64,
}

impl Mailbox {
    /// Puts a new event behind all others.
    pub fn put(&mut self, event: Arc<Event>) {
        self.numbers.insert(event.id.clone(), self.seen);
        self.pending.insert(self.seen, event);
        self.seen += 1;
        while self.pending.len() > PENDING_MAX
            && let Some((_, oldest)) = self.pending.pop_first()
        {
            self.numbers.remove(&oldest.id);
            tracing::warn!(event = oldest.id, "too many events wait for delivery: given up");
        }
    }

    /// Forgets all events. Numbers go on, so that whoever has read up to one misses none of the next.
    pub fn forget(&mut self) {
        self.pending.clear();
        self.numbers.clear();
        self.settled.clear();
    }

    /// Lets an event wait no longer.
    pub fn settle(&mut self, id: &str) {
        let pending = self.numbers.remove(id).and_then(|number| self.pending.remove(&number));
        self.settled.extend(pending);
        if self.settled.len() > SETTLED_MAX {
            self.settled.pop_front();
        }
    }

    /// Lets an event wait again, behind all others. O(n) in the settled ones.
    pub fn resend(&mut self, id: &str) {
        let settled = self.settled.iter().position(|event| event.id == id);
        let event = match settled {
            Some(place) => self.settled.remove(place),
            None => self.numbers.remove(id).and_then(|number| self.pending.remove(&number)),
        };
        if let Some(event) = event {
            self.put(Arc::new(Event { is_resent: true, ..Event::clone(&event) }));
        }
    }

    /// Whether the event is remembered. O(n) in the settled ones.
    pub fn knows(&self, id: &str) -> bool {
        self.numbers.contains_key(id) || self.settled.iter().any(|event| event.id == id)
    }

    /// The events that wait and are younger than `number`, with their numbers, oldest first.
    pub fn pending_from(&self, number: u64) -> impl Iterator<Item = (u64, &Arc<Event>)> {
        self.pending.range(number..).map(|(&number, event)| (number, event))
    }

    /// Those that wait, oldest first.
    pub fn pending(&self) -> impl ExactSizeIterator<Item = &Arc<Event>> + DoubleEndedIterator {
        self.pending.values()
    }

    /// Those that don't, the one that was settled first at the beginning.
    pub fn settled(&self) -> impl ExactSizeIterator<Item = &Arc<Event>> + DoubleEndedIterator {
        self.settled.iter()
    }
}
