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
