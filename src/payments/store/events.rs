//! SQL of the provider's events.

use sqlx::PgConnection;

use crate::payments::webhooks::InboundEvent;
use crate::platform::clock::MachineTime;
use crate::platform::error::Result;
use crate::platform::telemetry;

/// Inserts an event, due at once if it is about an intent. Returns whether it is new.
///
/// # Errors
/// If the database fails.
pub async fn insert_event(conn: &mut PgConnection, event: &InboundEvent, now: MachineTime) -> Result<bool> {
    let done = sqlx::query!(
        "insert into provider_events (event_id, type, intent_id, received_at, due_at, handled_at, trace_id)
         values ($1, $2, $3::text, $4::timestamptz, case when $3 is not null then $4 end, case when $3 is null then $4 end, $5)
         on conflict (event_id) do nothing",
        event.id,
        event.kind,
        event.intent_id,
        now as _,
        telemetry::trace_id(),
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// An event that is due.
#[derive(Debug)]
pub struct DueEvent {
    /// The provider's id, `evt_…`.
    pub id: String,
    /// The event's type.
    pub kind: String,
    /// The payment intent that it is about.
    pub intent_id: String,
    /// How often no payment had that intent.
    pub attempts: i16,
}

/// Returns up to `limit` due events, the most overdue first, without `postponed`: their ids, and the traces of the requests that
/// delivered them.
///
/// # Errors
/// If the database fails.
pub async fn due_events(
    conn: &mut PgConnection,
    now: MachineTime,
    postponed: &[String],
    limit: i64,
) -> Result<Vec<(String, Option<String>)>> {
    let due = sqlx::query!(
        "select event_id, trace_id from provider_events where due_at <= $1 and event_id <> all($2) order by due_at limit $3",
        now as _,
        postponed,
        limit,
    );
    Ok(due.fetch_all(conn).await?.into_iter().map(|event| (event.event_id, event.trace_id)).collect())
}

/// Locks and returns an event that is due; `None` if it is not, or if another transaction handles it.
///
/// # Errors
/// If the database fails.
pub async fn lock_due_event(conn: &mut PgConnection, id: &str, now: MachineTime) -> Result<Option<DueEvent>> {
    let event = sqlx::query_as!(
        DueEvent,
        r#"select event_id as id, type as kind, intent_id as "intent_id!", attempts
           from provider_events where event_id = $1 and due_at <= $2 for update skip locked"#,
        id,
        now as _,
    )
    .fetch_optional(conn)
    .await?;
    Ok(event)
}

/// Returns whether a payment has this intent.
///
/// # Errors
/// If the database fails.
pub async fn knows_intent(conn: &mut PgConnection, intent_id: &str) -> Result<bool> {
    let known = sqlx::query_scalar!(
        r#"select exists (select from payments where provider_intent_id = $1) as "known!""#,
        intent_id
    )
    .fetch_one(conn)
    .await?;
    Ok(known)
}

/// Marks an event as handled.
///
/// # Errors
/// If the database fails.
pub async fn finish_event(conn: &mut PgConnection, id: &str, now: MachineTime) -> Result<()> {
    sqlx::query!("update provider_events set due_at = null, handled_at = $2 where event_id = $1", id, now as _)
        .execute(conn)
        .await?;
    Ok(())
}

/// Postpones an event whose intent no payment has yet.
///
/// # Errors
/// If the database fails.
pub async fn postpone_event(conn: &mut PgConnection, id: &str, until: MachineTime) -> Result<()> {
    sqlx::query!("update provider_events set due_at = $2, attempts = attempts + 1 where event_id = $1", id, until as _)
        .execute(conn)
        .await?;
    Ok(())
}

/// Sets aside an event whose intent no payment has.
///
/// # Errors
/// If the database fails.
pub async fn set_aside_event(conn: &mut PgConnection, id: &str, now: MachineTime) -> Result<()> {
    sqlx::query!("update provider_events set due_at = null, set_aside_at = $2 where event_id = $1", id, now as _)
        .execute(conn)
        .await?;
    Ok(())
}

/// Returns when the next event is due, without those of `postponed`.
///
/// # Errors
/// If the database fails.
pub async fn next_event_due(conn: &mut PgConnection, postponed: &[String]) -> Result<Option<MachineTime>> {
    let due = sqlx::query_scalar!(
        r#"select min(due_at) as "due: MachineTime" from provider_events
           where due_at is not null and event_id <> all($1)"#,
        postponed,
    );
    Ok(due.fetch_one(conn).await?)
}

/// Returns how many events are due, and how many were set aside.
///
/// # Errors
/// If the database fails.
pub async fn event_counts(conn: &mut PgConnection) -> Result<(i64, i64)> {
    let counts = sqlx::query!(
        r#"select (select count(*) from provider_events where due_at is not null) as "due!",
                  (select count(*) from provider_events where set_aside_at is not null) as "set_aside!""#
    )
    .fetch_one(conn)
    .await?;
    Ok((counts.due, counts.set_aside))
}

/// Deletes up to `limit` events that were received before `before` and are not due. Returns how many.
///
/// # Errors
/// If the database fails.
pub async fn delete_expired_events(conn: &mut PgConnection, before: MachineTime, limit: i64) -> Result<u64> {
    let done = sqlx::query!(
        "delete from provider_events where event_id = any (array(
             select event_id from provider_events where received_at < $1 and due_at is null order by received_at limit $2
             for update skip locked))",
        before as _,
        limit,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}
