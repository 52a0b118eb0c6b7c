//! The four ways to give a driver one trip.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use launcher::clock::Stopwatch;
use rand::RngExt;
use sqlx::{Connection, PgConnection};
use tokio::sync::Notify;

use crate::{Result, random};

/// How long the lock's holder may take.
const TTL: Duration = Duration::from_millis(20);

/// How long a holder pauses, in the rounds in which it does.
const PAUSE: Duration = Duration::from_millis(60);

/// How long an accept waits for the lock before it is refused: longer than any pause.
const PATIENCE: Duration = Duration::from_millis(400);

/// A way to give a driver one trip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    /// Looks for a trip of the driver, then writes.
    CheckThenAct,
    /// The same under a lock that ends by time.
    TtlLock,
    /// The same under a lock on the driver's row.
    ForUpdate,
    /// Writes, and lets the database refuse.
    Constraint,
}

impl Method {
    pub(super) const ALL: [Self; 4] = [Self::CheckThenAct, Self::TtlLock, Self::ForUpdate, Self::Constraint];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::CheckThenAct => "check, then act",
            Self::TtlLock => "driver lock with a TTL",
            Self::ForUpdate => "for update, then check",
            Self::Constraint => "only the constraint",
        }
    }
}

/// All rounds of one method in one run.
#[derive(Debug)]
pub(super) struct Race {
    pub(super) method: Method,
    pub(super) rounds: usize,
    /// For each round, whether the first holder of the lock pauses; reset by that holder.
    pauses: Vec<AtomicBool>,
    locks: Locks,
}

impl Race {
    pub(super) fn new(method: Method, (seed, run): (u64, u32), (rounds, pause_every): (usize, usize)) -> Self {
        let mut rng = random::generator(seed, "pauses", run);
        // Each block of so many rounds has one pause, at a random place.
        let mut pauses = vec![false; rounds];
        for block in pauses.chunks_mut(pause_every) {
            let at = rng.random_range(0..block.len());
            block[at] = true;
        }
        Self { method, rounds, pauses: pauses.into_iter().map(AtomicBool::new).collect(), locks: Locks::default() }
    }

    /// Accepts a trip for the driver of this round. A refusal is no error.
    pub(super) async fn accept(&self, session: &mut PgConnection, round: usize, trip: usize) -> Result<()> {
        let (driver, trip) = (round as i64, trip as i64);
        match self.method {
            Method::CheckThenAct => check_then_act(session, driver, trip).await,
            Method::ForUpdate => for_update(session, driver, trip).await,
            Method::Constraint => constraint(session, driver, trip).await,
            Method::TtlLock => self.under_lock(session, driver, trip).await,
        }
    }

    async fn under_lock(&self, session: &mut PgConnection, driver: i64, trip: i64) -> Result<()> {
        let lock = self.locks.of(driver);
        if !lock.acquire(trip).await {
            return Ok(());
        }
        let is_free = is_free(session, driver).await?;
        if is_free {
            if self.pauses[driver as usize].swap(false, Ordering::Relaxed) {
                tokio::time::sleep(PAUSE).await;
            }
            assign(session, driver, trip).await?;
        }
        lock.release(trip);
        Ok(())
    }
}

async fn is_free(session: &mut PgConnection, driver: i64) -> Result<bool> {
    let taken = "select exists (select from plain_trips where driver_id = $1 and state = 'assigned')";
    let is_taken: bool = sqlx::query_scalar(taken).bind(driver).fetch_one(session).await?;
    Ok(!is_taken)
}

async fn assign(session: &mut PgConnection, driver: i64, trip: i64) -> Result<()> {
    let assign = "update plain_trips set driver_id = $1, state = 'assigned' where id = $2";
    sqlx::query(assign).bind(driver).bind(trip).execute(session).await?;
    Ok(())
}

async fn check_then_act(session: &mut PgConnection, driver: i64, trip: i64) -> Result<()> {
    let mut tx = session.begin().await?;
    if is_free(&mut tx, driver).await? {
        assign(&mut tx, driver, trip).await?;
    }
    Ok(tx.commit().await?)
}

async fn for_update(session: &mut PgConnection, driver: i64, trip: i64) -> Result<()> {
    let mut tx = session.begin().await?;
    sqlx::query("select from drivers where id = $1 for update").bind(driver).execute(&mut *tx).await?;
    if is_free(&mut tx, driver).await? {
        assign(&mut tx, driver, trip).await?;
    }
    Ok(tx.commit().await?)
}

async fn constraint(session: &mut PgConnection, driver: i64, trip: i64) -> Result<()> {
    let mut tx = session.begin().await?;
    let engage = "insert into driver_engagements (driver_id, trip_id) values ($1, $2) on conflict do nothing";
    let engaged = sqlx::query(engage).bind(driver).bind(trip).execute(&mut *tx).await?;
    if engaged.rows_affected() == 1 {
        let assign = "update trips set driver_id = $1, state = 'assigned' where id = $2 and state = 'offered'";
        sqlx::query(assign).bind(driver).bind(trip).execute(&mut *tx).await?;
    }
    Ok(tx.commit().await?)
}

/// A lock for each driver.
#[derive(Debug, Default)]
struct Locks(Mutex<HashMap<i64, Arc<TtlLock>>>);

impl Locks {
    fn of(&self, driver: i64) -> Arc<TtlLock> {
        let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(locks.entry(driver).or_default())
    }
}

/// A lock that has an owner until it is released or its time is over, as `SET key owner NX PX ttl` makes it.
#[derive(Debug, Default)]
struct TtlLock {
    held: Mutex<Option<(i64, Instant)>>,
    released: Notify,
}

impl TtlLock {
    /// Takes the lock, or waits for its release or its end. Returns whether it was taken.
    async fn acquire(&self, owner: i64) -> bool {
        let waiting = Stopwatch::start();
        while waiting.elapsed() < PATIENCE {
            let left = {
                let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
                let now = Stopwatch::start().started();
                match *held {
                    Some((_, until)) if until > now => until - now,
                    _ => {
                        *held = Some((owner, now + TTL));
                        return true;
                    }
                }
            };
            // Either way the lock is looked at again.
            let _ended = tokio::time::timeout(left, self.released.notified()).await;
        }
        false
    }

    /// Releases the lock, unless another owner has it by now.
    fn release(&self, owner: i64) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.is_some_and(|(holder, _)| holder == owner) {
            *held = None;
            self.released.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lock_has_one_owner_until_its_time_is_over() {
        let lock = TtlLock::default();
        assert!(lock.acquire(1).await);
        // The first owner does not release it, so the second one gets it by time.
        assert!(lock.acquire(2).await);
        lock.release(1);
        assert_eq!(lock.held.lock().expect("no panic").map(|(owner, _)| owner), Some(2));
        lock.release(2);
        assert!(lock.held.lock().expect("no panic").is_none());
    }
}
