//! Faults that hold locks: of a table, of the rows of a trip and of drivers, and those of a service that is stopped in a transaction.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use launcher::clock::Stopwatch;
use sqlx::types::Uuid;
use sqlx::{Connection, Executor, PgConnection};
use tokio::sync::Notify;

use super::fault::CATCHES_WITHIN;
use crate::BoxError;
use crate::stack::Stack;

/// How long the transactions of other processes get to end after a service has stopped. One that is idle then is the service's.
const OTHERS_END_WITHIN: Duration = Duration::from_millis(150);

/// How long the transaction of a stopped service has been idle by then.
const CAUGHT_AFTER: Duration = Duration::from_millis(100);

/// Between two attempts to stop a service inside a transaction.
const CATCH_EVERY: Duration = Duration::from_millis(30);

/// Between two looks for an offered trip.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// How long a random fault waits for an offered trip.
const OFFERED_WITHIN: Duration = Duration::from_secs(5);

/// Locks a table for `time`, as a migration or a backup would.
///
/// # Errors
/// If it is not locked within three seconds, or the server ends.
pub(super) async fn lock_table(stack: &Stack, table: &'static str, time: Duration) -> Result<(), BoxError> {
    let mut session = stack.database.session().await?;
    session.execute("begin; set local lock_timeout = '3s'").await?;
    let lock = format!("lock table {table} in access exclusive mode");
    session.execute(sqlx::AssertSqlSafe(lock)).await?;
    tokio::time::sleep(time).await;
    session.execute("rollback").await?;
    Ok(session.close().await?)
}

/// Holds the rows of [`lock_rows`] for `time`. Returns whether they were held to the end.
pub(super) async fn hold_rows(stack: &Stack, time: Duration) -> bool {
    let Some((mut session, _)) = lock_rows(stack, OFFERED_WITHIN).await else { return false };
    tokio::time::sleep(time).await;
    let are_held = session.execute("rollback").await.is_ok();
    let _closed = session.close().await;
    are_held
}

/// Locks the row of an offered trip, that of its driver and those of two free drivers, as an operator's session would. Returns the
/// session and the trip; `None` if no trip was offered within `time`, or the database is down.
pub(super) async fn lock_rows(stack: &Stack, time: Duration) -> Option<(PgConnection, Uuid)> {
    let since = Stopwatch::start();
    while since.elapsed() < time {
        if let Ok(Some(locked)) = try_lock_rows(stack).await {
            return Some(locked);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    None
}

async fn try_lock_rows(stack: &Stack) -> Result<Option<(PgConnection, Uuid)>, BoxError> {
    let mut session = stack.database.session().await?;
    session.execute("begin; set local lock_timeout = '1s'").await?;
    let offered = "select id from trips where state = 'offered' order by due_at limit 1 for update skip locked";
    let Some(trip) = sqlx::query_scalar::<_, Uuid>(offered).fetch_optional(&mut session).await? else {
        session.close().await?;
        return Ok(None);
    };
    let drivers = "select id from drivers
                   where id in (select driver_id from driver_engagements where trip_id = $1)
                      or id in (select id from drivers free where available
                                and not exists (select from driver_engagements where driver_id = free.id)
                                order by id limit 2)
                   for update skip locked";
    sqlx::query(drivers).bind(trip).execute(&mut session).await?;
    Ok(Some((session, trip)))
}

/// Stops a service inside a transaction that has written, for `time`. Notifies `caught` once it is stopped there. Returns whether it
/// was.
pub(super) async fn freeze(stack: &Arc<Stack>, number: usize, time: Duration, caught: &Arc<Notify>) -> bool {
    let (since, is_caught) = (Stopwatch::start(), Arc::new(AtomicBool::new(false)));
    while since.elapsed() < CATCHES_WITHIN && !is_caught.load(Ordering::Relaxed) {
        let (watched, noted, caught) = (Arc::clone(stack), Arc::clone(&is_caught), Arc::clone(caught));
        let stopped = stack.services[number].pause_while(async move {
            tokio::time::sleep(OTHERS_END_WITHIN).await;
            if idle_transactions(&watched, CAUGHT_AFTER).await > 0 {
                noted.store(true, Ordering::Relaxed);
                caught.notify_one();
                tokio::time::sleep(time).await;
            }
        });
        if !stopped.await {
            break;
        }
        tokio::time::sleep(CATCH_EVERY).await;
    }
    is_caught.load(Ordering::Relaxed)
}

/// Counts the services' transactions that have written, and have been idle for longer than `time`.
pub(super) async fn idle_transactions(stack: &Stack, time: Duration) -> i64 {
    let Ok(mut session) = stack.database.session().await else { return 0 };
    let idle = "select count(*) from pg_stat_activity
                where application_name = 'ridematch' and state = 'idle in transaction' and backend_xid is not null
                  and state_change < clock_timestamp() - make_interval(secs => $1)";
    let count = sqlx::query_scalar(idle).bind(time.as_secs_f64()).fetch_one(&mut session).await.unwrap_or(0);
    let _closed = session.close().await;
    count
}
