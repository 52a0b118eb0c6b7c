//! What is kept for a while only.

use sqlx::PgConnection;

use crate::platform::clock::{DomainTime, MachineTime};
use crate::platform::error::Result;

/// Removes news for drivers that were made before `before`, at most `limit` of them.
///
/// # Errors
/// If the database does not answer.
pub(in crate::ops) async fn reap_driver_events(
    conn: &mut PgConnection,
    before: MachineTime,
    limit: i64,
) -> Result<u64> {
    let done = sqlx::query!(
        "delete from driver_events where seq in (select seq from driver_events where made_at < $1 order by made_at limit $2)",
        before as _,
        limit,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// Removes events of the payment provider that came before `before` and wait for nothing, at most `limit` of them.
///
/// # Errors
/// If the database does not answer.
pub(in crate::ops) async fn reap_provider_events(
    conn: &mut PgConnection,
    before: MachineTime,
    limit: i64,
) -> Result<u64> {
    let done = sqlx::query!(
        "delete from provider_events where event_id in (
             select event_id from provider_events where received_at < $1 and due_at is null order by received_at limit $2)",
        before as _,
        limit,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// Removes events that webhooks were made of before `before`, with their deliveries, unless one of those is still pending; at most
/// `limit` of them.
///
/// # Errors
/// If the database does not answer.
pub(in crate::ops) async fn reap_webhook_events(
    conn: &mut PgConnection,
    before: MachineTime,
    limit: i64,
) -> Result<u64> {
    let done = sqlx::query!(
        "delete from webhook_events where id in (
             select e.id from webhook_events e
             where e.created_at < $1 and not exists (
                 select from webhook_deliveries d where d.event_id = e.id and d.state = 'pending')
             order by e.created_at limit $2)",
        before as _,
        limit,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// Removes quotes that ended before `before` and were never used, at most `limit` of them.
///
/// # Errors
/// If the database does not answer.
pub(in crate::ops) async fn reap_quotes(conn: &mut PgConnection, before: DomainTime, limit: i64) -> Result<u64> {
    let done = sqlx::query!(
        "delete from quotes where id in (
             select id from quotes where used_at is null and expires_at < $1 order by expires_at limit $2) and used_at is null",
        before as _,
        limit,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// Removes runs of reconciliation that ended before `before` and repaired nothing, at most `limit` of them.
///
/// # Errors
/// If the database does not answer.
pub(in crate::ops) async fn reap_runs(conn: &mut PgConnection, before: MachineTime, limit: i64) -> Result<u64> {
    let done = sqlx::query!(
        "delete from reconciliation_runs where id in (
             select run.id from reconciliation_runs run
             where run.finished_at < $1
               and not exists (select from reconciliation_repairs repair where repair.run_id = run.id)
             order by run.finished_at limit $2)",
        before as _,
        limit,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}
