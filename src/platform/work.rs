//! What the workers have in common: the outcome of a run, and the rows that they leave for later.

use std::collections::HashMap;
use std::fmt::Display;
use std::hash::Hash;
use std::ops::AddAssign;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::TimeDelta;

use super::Platform;
use super::clock::MachineTime;
use super::error::{Error, Result};

/// The longest pause of a locked row: it is processed within a second of its release, and costs two attempts a second.
pub const LOCKED_PAUSE_MAX: TimeDelta = TimeDelta::milliseconds(500);

/// The first pause of a locked row; it doubles with each. Most transactions end within milliseconds.
const LOCKED_PAUSE: TimeDelta = TimeDelta::milliseconds(50);

/// The first pause of a row that failed; it doubles with each.
const FAILED_PAUSE: TimeDelta = TimeDelta::seconds(1);

/// The longest pause of a row that failed: a repaired row is processed within a minute.
const FAILED_PAUSE_MAX: TimeDelta = TimeDelta::seconds(60);

/// The most rows that a [`RowBackoff`] keeps. A further one is tried again in the next run.
const ROWS_MAX: usize = 1_000;

/// What a worker's run did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RunOutcome {
    /// The number of rows that were processed.
    pub done: usize,
    /// The number of due rows that could not be processed. Each is tried again later.
    pub failed: usize,
}

impl From<usize> for RunOutcome {
    fn from(done: usize) -> Self {
        Self { done, failed: 0 }
    }
}

impl AddAssign for RunOutcome {
    fn add_assign(&mut self, other: Self) {
        self.done += other.done;
        self.failed += other.failed;
    }
}

/// Why a row could not be processed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// Another transaction has locked the row, or one that belongs to it.
    Locked,
    /// The row holds a value that the code never writes.
    Unreadable,
    /// Anything else.
    Failed,
}

impl Obstacle {
    /// Returns the obstacle that an error shows.
    pub fn of(error: &Error) -> Self {
        match error {
            Error::ImpossibleRow { .. } => Self::Unreadable,
            error if error.is_locked() => Self::Locked,
            _ => Self::Failed,
        }
    }

    /// Returns the first pause of a row, and the longest.
    const fn pauses(self) -> (TimeDelta, TimeDelta) {
        match self {
            Self::Locked => (LOCKED_PAUSE, LOCKED_PAUSE_MAX),
            Self::Unreadable | Self::Failed => (FAILED_PAUSE, FAILED_PAUSE_MAX),
        }
    }

    /// Returns the label of `ridematch_rows_postponed_total`.
    const fn label(self) -> &'static str {
        match self {
            Self::Locked => "locked",
            Self::Unreadable => "unreadable",
            Self::Failed => "failed",
        }
    }
}

/// Counts and logs a row that a worker leaves for later: once for each pause of the row.
pub fn report_obstacle(
    platform: &Platform,
    worker: &'static str,
    (row, why): (&dyn Display, &dyn Display),
    obstacle: Obstacle,
) {
    platform.metrics.workers.rows_postponed.with_label_values(&[worker, obstacle.label()]).inc();
    match obstacle {
        Obstacle::Locked => tracing::debug!(worker, %row, %why, "a row is locked; trying again"),
        Obstacle::Unreadable => tracing::error!(worker, %row, %why, "a row cannot be read; trying again later"),
        Obstacle::Failed => tracing::warn!(worker, %row, %why, "a row could not be processed; trying again later"),
    }
}

/// The rows that a worker could not process. Each is left alone for a while, longer with each attempt, so that it delays only
/// itself.
///
/// In memory: a process that starts tries each row once.
#[derive(Debug)]
pub struct RowBackoff<K> {
    worker: &'static str,
    rows: Mutex<HashMap<K, Pause>>,
}

#[derive(Debug, Clone, Copy)]
struct Pause {
    obstacle: Obstacle,
    length: TimeDelta,
    until: MachineTime,
}

impl<K: Clone + Display + Eq + Hash> RowBackoff<K> {
    /// Creates the back-off of a worker.
    pub fn new(worker: &'static str) -> Self {
        Self { worker, rows: Mutex::default() }
    }

    /// Returns the rows to leave alone at `now`.
    pub fn postponed(&self, now: MachineTime) -> Vec<K> {
        self.lock().iter().filter(|(_, pause)| pause.until > now).map(|(row, _)| row.clone()).collect()
    }

    /// Returns how long until the first pause ends; `None` without a row to leave alone.
    pub fn until_next(&self, now: MachineTime) -> Option<Duration> {
        let first = self.lock().values().map(|pause| pause.until).filter(|until| *until > now).min()?;
        Some(first.since(now).to_std().unwrap_or_default())
    }

    /// Records the end of an attempt to process a row, and postpones it after an error. `Ok(false)`: nothing was to be done.
    ///
    /// # Errors
    /// If the database cannot be reached: that is not the row's fault, and ends the run.
    pub fn record(&self, platform: &Platform, row: &K, end: Result<bool>) -> Result<RunOutcome> {
        match end {
            Ok(done) => {
                self.lock().remove(row);
                Ok(RunOutcome::from(usize::from(done)))
            }
            Err(error) if error.is_lost() => Err(error),
            Err(error) => Ok(self.postpone(platform, row, Obstacle::of(&error), &error)),
        }
    }

    /// Postpones a row.
    pub fn postpone(&self, platform: &Platform, row: &K, obstacle: Obstacle, why: &dyn Display) -> RunOutcome {
        report_obstacle(platform, self.worker, (row, why), obstacle);
        self.pause(row, obstacle, platform.clock.machine());
        RunOutcome { done: 0, failed: 1 }
    }

    fn pause(&self, row: &K, obstacle: Obstacle, now: MachineTime) {
        let mut rows = self.lock();
        // Forgets rows that were not tried again: another process has processed them.
        rows.retain(|_, pause| now.since(pause.until) <= FAILED_PAUSE_MAX);
        if rows.len() >= ROWS_MAX && !rows.contains_key(row) {
            return;
        }
        let (first, longest) = obstacle.pauses();
        let before = rows.get(row).filter(|pause| pause.obstacle == obstacle);
        let length = before.map_or(first, |pause| (pause.length * 2).min(longest));
        rows.insert(row.clone(), Pause { obstacle, length, until: now + length });
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, Pause>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn at(milliseconds: i64) -> MachineTime {
        MachineTime::new(DateTime::from_timestamp_millis(milliseconds).expect("in range"))
    }

    #[test]
    fn pause_of_a_failing_row_doubles_up_to_a_minute() {
        let backoff = RowBackoff::new("test");
        let mut now = at(0);
        let mut pauses_s = Vec::new();
        for _ in 0..8 {
            backoff.pause(&1, Obstacle::Failed, now);
            let pause = backoff.until_next(now).expect("the row is postponed");
            pauses_s.push(pause.as_secs());
            now = now + TimeDelta::from_std(pause).expect("in range");
            assert!(backoff.postponed(now).is_empty(), "the pause has ended");
        }
        assert_eq!(pauses_s, [1, 2, 4, 8, 16, 32, 60, 60]);
    }

    #[test]
    fn pause_of_a_locked_row_doubles_up_to_half_a_second() {
        let backoff = RowBackoff::new("test");
        for pause_ms in [50, 100, 200, 400, 500, 500] {
            backoff.pause(&1, Obstacle::Locked, at(0));
            assert_eq!(backoff.until_next(at(0)), Some(Duration::from_millis(pause_ms)));
        }
        assert_eq!(backoff.postponed(at(499)), [1]);
        assert!(backoff.postponed(at(500)).is_empty());
        backoff.pause(&1, Obstacle::Failed, at(0));
        assert_eq!(backoff.until_next(at(0)), Some(Duration::from_secs(1)), "another obstacle starts again");
    }

    #[test]
    fn number_of_rows_is_bounded_and_old_ones_are_forgotten() {
        let backoff = RowBackoff::new("test");
        (0..2 * ROWS_MAX).for_each(|row| backoff.pause(&row, Obstacle::Unreadable, at(0)));
        assert_eq!(backoff.postponed(at(0)).len(), ROWS_MAX);
        backoff.pause(&ROWS_MAX, Obstacle::Unreadable, at(120_000));
        assert_eq!(backoff.lock().len(), 1);
    }
}
