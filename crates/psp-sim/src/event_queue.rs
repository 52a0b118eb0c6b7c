//! The webhook events: those that wait for delivery, and the last finished ones, which can be sent again.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The most events that wait for delivery; beyond this the oldest is discarded.
const PENDING_MAX: usize = 100_000;
/// The most finished events that are kept, at about 1.5 KB each.
const FINISHED_MAX: usize = 10_000;

/// An event for the webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// `evt_…`
    pub id: String,
    /// The type, `payment_intent.succeeded`.
    pub kind: String,
    /// The id of its intent.
    pub payment_intent: String,
    /// The body of the request.
    pub payload: String,
    /// It was sent again on request: the fault that its payment asks for no longer applies.
    pub is_resent: bool,
}

#[derive(Debug, Default)]
pub struct EventQueue {
    /// Waiting events by number, in the order in which they were added.
    pending: BTreeMap<u64, Arc<Event>>,
    numbers: HashMap<String, u64>,
    /// Delivered, lost or discarded events; the last finished one at the end.
    finished: VecDeque<Arc<Event>>,
    next: u64,
}

impl EventQueue {
    /// Appends an event.
    pub fn push(&mut self, event: Arc<Event>) {
        self.numbers.insert(event.id.clone(), self.next);
        self.pending.insert(self.next, event);
        self.next += 1;
        while self.pending.len() > PENDING_MAX
            && let Some((_, oldest)) = self.pending.pop_first()
        {
            self.numbers.remove(&oldest.id);
            tracing::warn!(event = oldest.id, "too many events wait for delivery: event discarded");
        }
    }

    /// Removes all events. Numbers continue, so that a reader that remembers a number misses no later event.
    pub fn clear(&mut self) {
        self.pending.clear();
        self.numbers.clear();
        self.finished.clear();
    }

    /// Moves a waiting event to the finished ones.
    pub fn finish(&mut self, id: &str) {
        let pending = self.numbers.remove(id).and_then(|number| self.pending.remove(&number));
        self.finished.extend(pending);
        if self.finished.len() > FINISHED_MAX {
            self.finished.pop_front();
        }
    }

    /// Appends an event to the waiting ones again. O(n) in the finished events.
    pub fn resend(&mut self, id: &str) {
        let finished = self.finished.iter().position(|event| event.id == id);
        let event = match finished {
            Some(place) => self.finished.remove(place),
            None => self.numbers.remove(id).and_then(|number| self.pending.remove(&number)),
        };
        if let Some(event) = event {
            self.push(Arc::new(Event { is_resent: true, ..Event::clone(&event) }));
        }
    }

    /// Whether the event is in the queue. O(n) in the finished events.
    pub fn contains(&self, id: &str) -> bool {
        self.numbers.contains_key(id) || self.finished.iter().any(|event| event.id == id)
    }

    /// The waiting events from `number` on, with their numbers, oldest first.
    pub fn pending_from(&self, number: u64) -> impl Iterator<Item = (u64, &Arc<Event>)> {
        self.pending.range(number..).map(|(&number, event)| (number, event))
    }

    /// The waiting events, oldest first.
    pub fn pending(&self) -> impl ExactSizeIterator<Item = &Arc<Event>> + DoubleEndedIterator {
        self.pending.values()
    }

    /// The finished events, the first finished one first.
    pub fn finished(&self) -> impl ExactSizeIterator<Item = &Arc<Event>> + DoubleEndedIterator {
        self.finished.iter()
    }
}
