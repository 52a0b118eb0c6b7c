//! The records with their journal: no caller sees a change before it is on the disk.
//!
//! [`Store::transact`] works on the records under one lock, and returns when the journal is on the disk up to everything
//! that the work did or saw. So no response, not even to a `GET`, is lost in a crash. A thread of its own writes the
//! journal; the lines that arrive while it waits for the disk are written together.

use std::collections::HashSet;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::journal::{self, Journal};
use crate::records::{JournalLine, Records};

#[derive(Debug, Default)]
pub struct Store {
    state: Mutex<State>,
    /// Notified when there are lines to write, and when the store closes.
    work_for_journal: Condvar,
    written: watch::Sender<Written>,
}

#[derive(Debug, Default)]
pub struct State {
    pub records: Records,
    /// Keys of requests in progress.
    pub keys_in_use: HashSet<String>,
    /// Lines that are in the records, but not on the disk.
    unwritten: Vec<u8>,
    /// The number of lines since the start.
    lines: u64,
    closing: bool,
}

impl State {
    /// Applies a line to the records, and queues it for the journal.
    pub fn apply(&mut self, line: &JournalLine) {
        self.unwritten.extend_from_slice(&journal::encode(line));
        self.lines += 1;
        self.records.apply(line);
    }
}

/// How far the journal is on the disk.
#[derive(Debug, Clone, Copy, Default)]
struct Written {
    lines: u64,
    failed: bool,
}

/// A write of the journal failed. From then on every response is an error, because the state of the disk is unknown.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the journal cannot be written")]
pub struct JournalFailed;

impl Store {
    /// A store with these records.
    pub fn new(records: Records) -> Self {
        Self { state: Mutex::new(State { records, ..State::default() }), ..Self::default() }
    }

    /// Runs `work`, and returns its result when everything that it did or saw is on the disk. `work` is short and does
    /// not block.
    ///
    /// # Errors
    /// [`JournalFailed`]; the result of the work is lost.
    pub async fn transact<T>(&self, work: impl FnOnce(&mut State) -> T) -> Result<T, JournalFailed> {
        if self.written.borrow().failed {
            return Err(JournalFailed);
        }
        let (result, lines) = {
            let mut state = self.lock();
            let result = work(&mut state);
            (result, state.lines)
        };
        self.work_for_journal.notify_one();
        let mut written = self.written.subscribe();
        let reached = written.wait_for(|written| written.failed || written.lines >= lines).await;
        match reached {
            Ok(written) if !written.failed => Ok(result),
            _ => Err(JournalFailed),
        }
    }

    /// Writes the journal until [`Self::close`] or until a write fails. Blocks; runs in a thread of its own.
    pub fn write_journal(&self, mut journal: Journal) {
        loop {
            let idle = |state: &mut State| state.unwritten.is_empty() && !state.closing;
            let waiting = self.work_for_journal.wait_while(self.lock(), idle);
            let mut state = waiting.unwrap_or_else(PoisonError::into_inner);
            if state.unwritten.is_empty() {
                return;
            }
            let unwritten = std::mem::take(&mut state.unwritten);
            let lines = state.lines;
            // The records contain the unwritten lines, so that a rewrite writes them too.
            let rewritten = journal.needs_rewrite().then(|| state.records.lines());
            drop(state);
            let outcome = match rewritten {
                Some(whole) => journal.rewrite(&whole),
                None => journal.append(&unwritten),
            };
            if let Err(error) = outcome {
                tracing::error!(%error, "the journal cannot be written: every response is an error from now on");
                self.written.send_modify(|written| written.failed = true);
                return;
            }
            self.written.send_replace(Written { lines, failed: false });
        }
    }

    /// Ends the journal's thread when everything is written.
    pub fn close(&self) {
        self.lock().closing = true;
        self.work_for_journal.notify_one();
    }

    /// Locks the state. A poisoned lock is safe to use: [`State::apply`], which changes the state, does not panic
    /// half-way.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A claim on an idempotency key, released when dropped. A request without a key claims nothing.
pub struct KeyInUse<'a> {
    store: &'a Store,
    key: Option<&'a str>,
}

impl<'a> KeyInUse<'a> {
    /// Claims `key`; none if a request with it is in progress.
    pub fn claim(store: &'a Store, key: Option<&'a str>) -> Option<Self> {
        match key {
            Some(key) if !store.lock().keys_in_use.insert(key.to_owned()) => None,
            key => Some(Self { store, key }),
        }
    }
}

impl Drop for KeyInUse<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.store.lock().keys_in_use.remove(key);
        }
    }
}
