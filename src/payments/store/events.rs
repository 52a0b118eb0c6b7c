//! The provider's events, between their arrival and the look that they make us take.

use sqlx::PgConnection;

use crate::payments::webhooks::Event;
use crate::platform::clock::MachineTime;
use crate::platform::error::Result;

/// Stores an event, due at once if it is about an intent. Says whether it is new.
///
/// # Errors
/// If the database does not answer.
pub async fn insert_event(conn: &mut PgConnection, event: &Event, now: MachineTime) -> Result<bool> {
    let done = sqlx::query!(
        "insert into provider_events (event_id, type, intent_id, received_at, due_at, handled_at)
         values ($1, $2, $3::text, $4::timestamptz, case when $3 is not null then $4 end, case when $3 is null then $4 end)
         on conflict (event_id) do nothing",
        event.id,
        event.kind,
        event.intent,
        now as _,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// An event that is due.
#[derive(Debug)]
pub struct DueEvent {
    /// The provider's id of it.
    pub id: String,
    /// The provider's id of the intent that it is about.
    pub intent: String,
    /// How often nobody knew that intent.
    pub attempts: i16,
}

/// The event that has been due for longest, its row locked. One that somebody else is handling is skipped.
///
/// # Errors
/// If the database does not answer.
pub async fn lock_due_event(conn: &mut PgConnection, now: MachineTime) -> Result<Option<DueEvent>> {
    let event = sqlx::query_as!(
        DueEvent,
        r#"select event_id as id, intent_id as "intent!", attempts from provider_events
           where due_at <= $1 order by due_at limit 1 for update skip locked"#,
        now as _,
    )
    .fetch_optional(conn)
    .await?;
    Ok(event)
}

/// Whether a payment of ours has this intent.
///
/// # Errors
/// If the database does not answer.
pub async fn knows_intent(conn: &mut PgConnection, intent: &str) -> Result<bool> {
    let known = sqlx::query_scalar!(
        r#"select exists (select from payments where provider_intent_id = $1) as "known!""#,
        intent
    )
    .fetch_one(conn)
    .await?;
    Ok(known)
}

/// Notes that an event has been handled.
///
/// # Errors
/// If the database does not answer.
pub async fn finish_event(conn: &mut PgConnection, id: &str, now: MachineTime) -> Result<()> {
    sqlx::query!("update provider_events set due_at = null, handled_at = $2 where event_id = $1", id, now as _)
        .execute(conn)
        .await?;
    Ok(())
}

/// Puts an event off whose intent nobody knows yet.
///
/// # Errors
/// If the database does not answer.
pub async fn put_off_event(conn: &mut PgConnection, id: &str, until: MachineTime) -> Result<()> {
    sqlx::query!("update provider_events set due_at = $2, attempts = attempts + 1 where event_id = $1", id, until as _)
        .execute(conn)
        .await?;
    Ok(())
}

/// Sets an event aside whose intent nobody knows.
///
/// # Errors
/// If the database does not answer.
pub async fn set_aside_event(conn: &mut PgConnection, id: &str, now: MachineTime) -> Result<()> {
    sqlx::query!("update provider_events set due_at = null, set_aside_at = $2 where event_id = $1", id, now as _)
        .execute(conn)
        .await?;
    Ok(())
}

/// When the next event is due, if any waits.
///
/// # Errors
/// If the database does not answer.
pub async fn next_event_due(conn: &mut PgConnection) -> Result<Option<MachineTime>> {
    let due = sqlx::query_scalar!(
        r#"select min(due_at) as "due: MachineTime" from provider_events where due_at is not null"#
    )
    .fetch_one(conn)
    .await?;
    Ok(due)
}

/// How many events wait, and how many were set aside.
///
/// # Errors
/// If the database does not answer.
pub async fn event_counts(conn: &mut PgConnection) -> Result<(i64, i64)> {
    let counts = sqlx::query!(
        r#"select (select count(*) from provider_events where due_at is not null) as "due!",
                  (select count(*) from provider_events where set_aside_at is not null) as "set_aside!""#
    )
    .fetch_one(conn)
    .await?;
    Ok((counts.due, counts.set_aside))
}
