//! The retry budget: bounds the rate of retries, so that they do not multiply an outage. Pure.
//!
//! A first try adds a tenth of a retry, and time adds ten a second. Planning a retry takes one. If none is left, the retry is
//! scheduled for when its turn comes, in the database (`due_at`), so nothing is held while it waits.

use std::time::Duration;

use chrono::TimeDelta;

use super::breaker::RETRY_AFTER_MAX;
use crate::platform::clock::MachineTime;

/// One retry, in thousandths: amounts are whole.
const RETRY: i64 = 1_000;

/// What a first try adds: a tenth of a retry.
const SHARE: i64 = RETRY / 10;

/// What time adds, retries a second (thousandths a millisecond). Enough for a process with one ride an hour, and for a few hundred
/// payments to be retried within a minute of an outage.
const PER_SECOND: i64 = 10;

/// The most that is saved: two seconds' worth.
const SAVED_MAX: i64 = 20 * RETRY;

/// The most that is borrowed: ten minutes' worth. Retries past that are scheduled for the same moment; each payment backs off by
/// itself as well.
const BORROWED_MAX: i64 = 600 * PER_SECOND * RETRY;

/// A retry budget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryBudget {
    /// Thousandths of a retry; below zero, planned retries wait for their turn.
    level: i64,
    /// The time up to which time was added.
    added_until: MachineTime,
    /// The end of the provider's `Retry-After`.
    blocked_until: MachineTime,
}

impl RetryBudget {
    /// Returns a full budget.
    pub fn new(now: MachineTime) -> Self {
        Self { level: SAVED_MAX, added_until: now, blocked_until: now }
    }

    /// Returns the number of retries that can be made at once; below zero, the number that wait.
    pub fn level(&self) -> i64 {
        self.level.div_euclid(RETRY)
    }

    /// Adds the share of `count` first tries.
    pub fn count_first_tries(&mut self, count: usize, now: MachineTime) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.add(count.saturating_mul(SHARE), now);
    }

    /// Schedules no retry before `retry_after` has passed, at most a minute.
    pub fn block(&mut self, retry_after: Duration, now: MachineTime) {
        let duration = TimeDelta::from_std(retry_after.min(RETRY_AFTER_MAX)).unwrap_or_default();
        self.blocked_until = self.blocked_until.max(now + duration);
    }

    /// Takes one retry; returns how long it waits for its turn.
    pub fn plan(&mut self, now: MachineTime) -> TimeDelta {
        self.add(0, now);
        self.level = (self.level - RETRY).max(-BORROWED_MAX);
        let turn = TimeDelta::milliseconds((-self.level).max(0) / PER_SECOND);
        let blocked = self.blocked_until.since(now).min(TimeDelta::from_std(RETRY_AFTER_MAX).unwrap_or_default());
        turn.max(blocked)
    }

    /// Adds `share`, and what time adds. A clock that steps back adds nothing, and time counts from there.
    fn add(&mut self, share: i64, now: MachineTime) {
        let elapsed_ms = now.since(self.added_until).num_milliseconds();
        self.added_until = (self.added_until + TimeDelta::milliseconds(elapsed_ms)).min(now);
        let added = share.saturating_add(elapsed_ms.saturating_mul(PER_SECOND));
        self.level = self.level.saturating_add(added).min(SAVED_MAX);
    }
}

#[cfg(test)]
mod tests;
