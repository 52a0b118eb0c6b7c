//! The retry budget: how much of what failed is tried again, so that an outage is not multiplied. Pure.
//!
//! Every piece of work that is begun for the first time pays in a tenth of a retry, and time pays in a few a second. A retry
//! takes one out when it is *planned*; one that finds nothing left is planned for when its turn will have come. So retries are
//! spread before they are made, nobody waits for a turn while holding something, and what waits is written in the database
//! (`due_at`) like everything else that is to be done.

use std::time::Duration;

use chrono::TimeDelta;

use super::breaker::RETRY_AFTER_MAX;
use crate::platform::clock::MachineTime;

/// Thousandths of a retry: amounts are whole.
const RETRY: i64 = 1_000;

/// What a first try pays in: a tenth of a retry.
const SHARE: i64 = RETRY / 10;

/// What time pays in: so many retries a second (thousandths a millisecond). Enough that a process with one ride an hour can
/// repeat what failed, and that a few hundred payments which an outage left behind are through in a minute.
const PER_SECOND: i64 = 10;

/// The most that is saved up: two seconds' worth.
const SAVED_MAX: i64 = 20 * RETRY;

/// The most that is borrowed: ten minutes' worth. Past that, retries are put off to the same moment; each payment backs off
/// by itself all the same.
const BORROWED_MAX: i64 = 600 * PER_SECOND * RETRY;

/// A retry budget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    /// Thousandths of a retry; below zero, retries are planned that wait for their turn.
    level: i64,
    /// The time up to which time has paid in.
    paid_until: MachineTime,
    /// The provider has asked us not to come back earlier.
    held_until: MachineTime,
}

impl Budget {
    /// A full one.
    pub fn new(now: MachineTime) -> Self {
        Self { level: SAVED_MAX, paid_until: now, held_until: now }
    }

    /// Whole retries that may be made at once; below zero, so many wait.
    pub fn level(&self) -> i64 {
        self.level.div_euclid(RETRY)
    }

    /// Work has been begun for the first time, so many pieces of it.
    pub fn begun(&mut self, count: usize, now: MachineTime) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.pay_in(count.saturating_mul(SHARE), now);
    }

    /// The provider wants to be left alone for a while: no retry comes earlier.
    pub fn hold(&mut self, rest: Duration, now: MachineTime) {
        let rest = TimeDelta::from_std(rest.min(RETRY_AFTER_MAX)).unwrap_or_default();
        self.held_until = self.held_until.max(now + rest);
    }

    /// Takes one retry out; returns how long it has to wait for its turn.
    pub fn plan(&mut self, now: MachineTime) -> TimeDelta {
        self.pay_in(0, now);
        self.level = (self.level - RETRY).max(-BORROWED_MAX);
        let turn = TimeDelta::milliseconds((-self.level).max(0) / PER_SECOND);
        let held = self.held_until.since(now).min(TimeDelta::from_std(RETRY_AFTER_MAX).unwrap_or_default());
        turn.max(held)
    }

    /// Pays in `share`, and what time owes. A clock that steps back pays nothing, and goes on paying from there.
    fn pay_in(&mut self, share: i64, now: MachineTime) {
        let gone_ms = now.since(self.paid_until).num_milliseconds();
        self.paid_until = (self.paid_until + TimeDelta::milliseconds(gone_ms)).min(now);
        let paid = share.saturating_add(gone_ms.saturating_mul(PER_SECOND));
        self.level = self.level.saturating_add(paid).min(SAVED_MAX);
    }
}

#[cfg(test)]
mod tests;
