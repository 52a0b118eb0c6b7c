//! What happened to the processes of a stack.

use std::sync::{Arc, Mutex};

use launcher::clock::Stopwatch;

use crate::load::recording::EventRecord;

/// Events with the time since the stack began. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct StackJournal {
    since: Stopwatch,
    events: Arc<Mutex<Vec<EventRecord>>>,
}

impl StackJournal {
    pub fn new() -> Self {
        Self { since: Stopwatch::start(), events: Arc::default() }
    }

    /// Adds an event that happens now.
    pub fn add(&self, name: &str, detail: &str) {
        let at_s = self.since.elapsed().as_secs_f64();
        let event = EventRecord { at_s, name: name.to_owned(), detail: detail.to_owned() };
        self.events.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(event);
    }

    /// The events so far. `now_s`: the time of the load; theirs is converted to it.
    pub fn events(&self, now_s: f64) -> Vec<EventRecord> {
        let offset = now_s - self.since.elapsed().as_secs_f64();
        let events = self.events.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        events.iter().map(|event| EventRecord { at_s: event.at_s + offset, ..event.clone() }).collect()
    }
}
