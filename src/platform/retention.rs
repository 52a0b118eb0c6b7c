//! Retention of the platform's tables: idempotency keys and outbox events.

use chrono::TimeDelta;
use sqlx::PgConnection;

use super::Platform;
use super::clock::MachineTime;
use super::error::Result;

/// How long idempotency keys are kept (machine time); the OpenAPI document states it too.
const KEYS_KEPT: TimeDelta = TimeDelta::hours(24);

/// How long delivered events are kept, for debugging.
const EVENTS_KEPT: TimeDelta = TimeDelta::hours(24);

/// Rows that one transaction deletes: few enough that it holds locks only briefly.
pub const BATCH: i64 = 1_000;

/// Deletes a batch of expired keys and a batch of expired events. Returns the number of rows.
///
/// # Errors
/// If the database does not respond.
pub async fn reap_once(platform: &Platform) -> Result<usize> {
    let now = platform.clock.machine();
    let keys = platform.db.transaction((), move |tx, ()| Box::pin(reap_keys(tx, now - KEYS_KEPT))).await?;
    let events = platform.db.transaction((), move |tx, ()| Box::pin(reap_events(tx, now - EVENTS_KEPT))).await?;
    Ok(usize::try_from(keys + events).unwrap_or(usize::MAX))
}

/// Deletes at most [`BATCH`] keys that were stored before `before`.
async fn reap_keys(conn: &mut PgConnection, before: MachineTime) -> Result<u64> {
    let done = sqlx::query!(
        "delete from idempotency_keys where id in (
             select id from idempotency_keys where created_at < $1 order by created_at limit $2 for update skip locked)",
        before as _,
        BATCH,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// Deletes at most [`BATCH`] events from before `before` without open deliveries.
async fn reap_events(conn: &mut PgConnection, before: MachineTime) -> Result<u64> {
    let done = sqlx::query!(
        "delete from outbox_events where id in (
             select e.id from outbox_events e
             where e.created_at < $1 and not exists (
                 select from outbox_deliveries d where d.event_id = e.id and d.delivered_at is null)
             order by e.id limit $2 for update skip locked)",
        before as _,
        BATCH,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}
