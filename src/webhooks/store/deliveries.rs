//! Events and their deliveries. Each lease has a greater token than the one before, and what is written under it names it. Who
//! changes a delivery without a lease takes a token, too, so that no lease from before matches.

use sqlx::PgConnection;
use uuid::Uuid;

use super::endpoints::Busy;
use crate::platform::clock::MachineTime;
use crate::platform::error::Result;
use crate::platform::ids::{Id, TripId, WebhookDeliveryId, WebhookEndpointId, WebhookEventId};
use crate::webhooks::model::{AT_ONCE_MAX, Attempt, State, Task};

/// Deliveries given up in one go.
const BATCH: i64 = 1_000;

/// An event, as it is written.
#[derive(Debug)]
pub struct Insert<'a> {
    pub id: WebhookEventId,
    pub kind: &'a str,
    pub trip_id: TripId,
    pub body: &'a str,
    pub now: MachineTime,
}

/// Writes an event and a delivery, due at once, to each of these endpoints.
pub async fn insert_event(
    conn: &mut PgConnection,
    event: &Insert<'_>,
    deliveries: &[(WebhookDeliveryId, WebhookEndpointId)],
) -> Result<()> {
    sqlx::query!(
        "insert into webhook_events (id, type, trip_id, body, created_at) values ($1, $2, $3, $4, $5)",
        event.id.uuid(),
        event.kind,
        event.trip_id.uuid(),
        event.body,
        event.now as _,
    )
    .execute(&mut *conn)
    .await?;
    let (ids, endpoints): (Vec<Uuid>, Vec<Uuid>) =
        deliveries.iter().map(|(id, endpoint)| (id.uuid(), endpoint.uuid())).unzip();
    sqlx::query!(
        "insert into webhook_deliveries (id, event_id, endpoint_id, state, due_at, ladder_at, created_at)
         select id, $1, endpoint_id, 'pending', $4, $4, $4 from unnest($2::uuid[], $3::uuid[]) as new (id, endpoint_id)",
        event.id.uuid(),
        &ids,
        &endpoints,
        event.now as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Leases what is due for these endpoints until `until`, the most overdue first, and never more than [`AT_ONCE_MAX`] of each in all.
pub async fn lease(
    conn: &mut PgConnection,
    endpoints: Vec<Busy>,
    now: MachineTime,
    until: MachineTime,
) -> Result<Vec<Task>> {
    let ids: Vec<Uuid> = endpoints.iter().map(|endpoint| endpoint.id.uuid()).collect();
    let rows = sqlx::query!(
        r#"with due as materialized (
               select next.id from unnest($1::uuid[]) as endpoint (id) cross join lateral (
                   select d.id from webhook_deliveries d
                   where d.endpoint_id = endpoint.id and d.state = 'pending' and d.due_at <= $2
                     and (d.leased_until is null or d.leased_until <= $2)
                   order by d.due_at
                   limit greatest(0, $4::bigint - (
                       select count(*) from webhook_deliveries held
                       where held.endpoint_id = endpoint.id and held.leased_until > $2))
                   for no key update skip locked) as next)
           update webhook_deliveries d set lease_token = d.lease_token + 1, leased_until = $3, attempts = d.attempts + 1
           from due, webhook_events e
           where d.id = due.id and e.id = d.event_id
           returning d.id, d.event_id, d.endpoint_id, d.step, d.attempts, d.lease_token, e.body"#,
        &ids,
        now as _,
        until as _,
        AT_ONCE_MAX,
    )
    .fetch_all(conn)
    .await?;
    let tasks = rows.into_iter().filter_map(|row| {
        let endpoint = endpoints.iter().find(|endpoint| endpoint.id == row.endpoint_id)?;
        Some(Task {
            id: row.id,
            event_id: row.event_id,
            body: row.body,
            endpoint_id: endpoint.id,
            url: endpoint.url.clone(),
            secrets: endpoint.secrets.clone(),
            step: row.step,
            attempt: row.attempts,
            lease_token: row.lease_token,
            leased_until: until,
        })
    });
    Ok(tasks.collect())
}

/// Where a delivery goes from here.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Where it stands.
    pub state: State,
    /// Where on the ladder.
    pub step: i16,
    /// The next attempt, while it is pending.
    pub due_at: Option<MachineTime>,
    /// When it was delivered, if it has just been.
    pub delivered_at: Option<MachineTime>,
}

/// Writes what has become of a leased delivery and gives the lease back. Says whether the lease was still the latest; if it was not,
/// nothing is written.
pub async fn finish(conn: &mut PgConnection, task: &Task, pace: Pace) -> Result<bool> {
    let done = sqlx::query!(
        "update webhook_deliveries
         set state = $3, step = $4, due_at = $5, delivered_at = coalesce($6, delivered_at), leased_until = null
         where id = $1 and lease_token = $2",
        task.id.uuid(),
        task.lease_token,
        pace.state.as_str(),
        pace.step,
        pace.due_at as _,
        pace.delivered_at as _,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Adds a line to a delivery's log.
pub async fn insert_attempt(conn: &mut PgConnection, delivery: WebhookDeliveryId, attempt: &Attempt) -> Result<()> {
    sqlx::query!(
        "insert into webhook_attempts (delivery_id, attempt, started_at, duration_ms, status, failure)
         values ($1, $2, $3, $4, $5, $6)",
        delivery.uuid(),
        attempt.number,
        attempt.started_at as _,
        attempt.duration_ms,
        attempt.status,
        attempt.failure,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Whether the endpoint of a delivery has taken anything since that delivery's ladder began.
pub async fn was_reached_since(conn: &mut PgConnection, task: &Task) -> Result<bool> {
    let reached = sqlx::query_scalar!(
        r#"select exists (
               select from webhook_deliveries other join webhook_deliveries this on this.endpoint_id = other.endpoint_id
               where this.id = $1 and other.delivered_at >= this.ladder_at) as "reached!""#,
        task.id.uuid(),
    )
    .fetch_one(conn)
    .await?;
    Ok(reached)
}

/// Begins a delivery's ladder anew. Says whether it did: one that is under way at this moment is left alone. Whoever held a lease
/// that has run out is overtaken by this, too.
pub async fn restart(conn: &mut PgConnection, id: WebhookDeliveryId, now: MachineTime) -> Result<bool> {
    let done = sqlx::query!(
        "update webhook_deliveries
         set state = 'pending', step = 0, due_at = $2, ladder_at = $2, lease_token = lease_token + 1, leased_until = null
         where id = $1 and (leased_until is null or leased_until <= $2)",
        id.uuid(),
        now as _,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Gives deliveries up that are pending for an endpoint that gets nothing, or since before `before`; whoever held a lease on one that
/// has run out is overtaken. Returns how many it was, a thousand at most.
pub async fn kill_hopeless(conn: &mut PgConnection, before: MachineTime, now: MachineTime) -> Result<u64> {
    let done = sqlx::query!(
        "with hopeless as (
             select d.id from webhook_deliveries d join webhook_endpoints e on e.id = d.endpoint_id
             where d.state = 'pending' and (d.leased_until is null or d.leased_until <= $2)
               and (d.ladder_at < $1 or e.disabled_at is not null or e.deleted_at is not null)
             limit $3 for no key update of d skip locked)
         update webhook_deliveries d
         set state = 'dead', due_at = null, lease_token = d.lease_token + 1, leased_until = null
         from hopeless where d.id = hopeless.id",
        before as _,
        now as _,
        BATCH,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// How many deliveries are pending, and how many are dead.
pub async fn counts(conn: &mut PgConnection) -> Result<(i64, i64)> {
    let counts = sqlx::query!(
        r#"select (select count(*) from webhook_deliveries where state = 'pending') as "pending!",
                  (select count(*) from webhook_deliveries where state = 'dead') as "dead!""#
    )
    .fetch_one(conn)
    .await?;
    Ok((counts.pending, counts.dead))
}
