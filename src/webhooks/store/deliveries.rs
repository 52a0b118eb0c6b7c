//! Events and their deliveries.
//!
//! Each lease has a greater token than the one before, and every write under a lease names its token. A change without a lease
//! also increments the token, so that no earlier lease can write.

use sqlx::PgConnection;
use uuid::Uuid;

use super::endpoints::DueEndpoint;
use crate::platform::clock::MachineTime;
use crate::platform::error::Result;
use crate::platform::ids::{Id, TripId, WebhookDeliveryId, WebhookEndpointId, WebhookEventId};
use crate::platform::retention::{self, RetentionRule};
use crate::platform::telemetry;
use crate::webhooks::model::{Attempt, CONCURRENT_MAX, DeliveryState, DeliveryTask};

/// The most deliveries to discard in one transaction.
pub const DISCARD_BATCH: i64 = 1_000;

/// An event to insert.
#[derive(Debug)]
pub struct NewEvent<'a> {
    pub id: WebhookEventId,
    pub event_type: &'a str,
    pub trip_id: TripId,
    pub body: &'a str,
    pub now: MachineTime,
}

/// Inserts an event and a delivery, due now, to each of these endpoints.
pub async fn insert_event(
    conn: &mut PgConnection,
    event: &NewEvent<'_>,
    deliveries: &[(WebhookDeliveryId, WebhookEndpointId)],
) -> Result<()> {
    sqlx::query!(
        "insert into webhook_events (id, type, trip_id, body, created_at, trace_id) values ($1, $2, $3, $4, $5, $6)",
        event.id.uuid(),
        event.event_type,
        event.trip_id.uuid(),
        event.body,
        event.now as _,
        telemetry::trace_id(),
    )
    .execute(&mut *conn)
    .await?;
    let (ids, endpoints): (Vec<Uuid>, Vec<Uuid>) =
        deliveries.iter().map(|(id, endpoint)| (id.uuid(), endpoint.uuid())).unzip();
    sqlx::query!(
        "insert into webhook_deliveries (id, event_id, endpoint_id, state, due_at, schedule_started_at, created_at)
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

/// Leases the due deliveries of these endpoints until `until`, the most overdue first. At most [`CONCURRENT_MAX`] deliveries of an
/// endpoint are leased at a time.
pub async fn lease(
    conn: &mut PgConnection,
    endpoints: Vec<DueEndpoint>,
    now: MachineTime,
    until: MachineTime,
) -> Result<Vec<DeliveryTask>> {
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
           returning d.id, d.event_id, d.endpoint_id, d.step, d.attempts, d.lease_token, e.body,
                     e.trip_id as "trip_id: TripId", e.trace_id"#,
        &ids,
        now as _,
        until as _,
        CONCURRENT_MAX,
    )
    .fetch_all(conn)
    .await?;
    let tasks = rows.into_iter().filter_map(|row| {
        let endpoint = endpoints.iter().find(|endpoint| endpoint.id == row.endpoint_id)?;
        Some(DeliveryTask {
            id: row.id,
            event_id: row.event_id,
            body: row.body,
            trip_id: row.trip_id,
            trace_id: row.trace_id,
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

/// The new state of a leased delivery.
#[derive(Debug, Clone, Copy)]
pub struct DeliveryUpdate {
    /// The delivery's state.
    pub state: DeliveryState,
    /// The position in the retry schedule.
    pub step: i16,
    /// The time of the next attempt, while it is pending.
    pub due_at: Option<MachineTime>,
    /// The time of this success.
    pub delivered_at: Option<MachineTime>,
}

/// Updates a leased delivery and ends the lease. Returns false, and changes nothing, if the lease is not the latest one.
pub async fn finish(conn: &mut PgConnection, task: &DeliveryTask, update: DeliveryUpdate) -> Result<bool> {
    let done = sqlx::query!(
        "update webhook_deliveries
         set state = $3, step = $4, due_at = $5, delivered_at = coalesce($6, delivered_at), leased_until = null
         where id = $1 and lease_token = $2",
        task.id.uuid(),
        task.lease_token,
        update.state.as_str(),
        update.step,
        update.due_at as _,
        update.delivered_at as _,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Inserts an attempt into the log.
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

/// Returns whether any delivery to the same endpoint succeeded since the start of this one's retry schedule.
pub async fn has_delivered_since(conn: &mut PgConnection, task: &DeliveryTask) -> Result<bool> {
    let reached = sqlx::query_scalar!(
        r#"select coalesce((
               select max(other.delivered_at) from webhook_deliveries other
               where other.endpoint_id = this.endpoint_id and other.delivered_at is not null) >= this.schedule_started_at, false) as "reached!"
           from webhook_deliveries this where this.id = $1"#,
        task.id.uuid(),
    )
    .fetch_one(conn)
    .await?;
    Ok(reached)
}

/// Restarts the retry schedule of a delivery. Returns false, and changes nothing, while it is leased. An expired lease can no longer
/// write.
pub async fn restart_delivery(conn: &mut PgConnection, id: WebhookDeliveryId, now: MachineTime) -> Result<bool> {
    let done = sqlx::query!(
        "update webhook_deliveries
         set state = 'pending', step = 0, due_at = $2, schedule_started_at = $2, lease_token = lease_token + 1, leased_until = null
         where id = $1 and (leased_until is null or leased_until <= $2)",
        id.uuid(),
        now as _,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Discards pending deliveries that are older than `before` or whose endpoint is disabled or deleted, unless they are leased.
/// Returns their number, at most [`DISCARD_BATCH`].
pub async fn discard_undeliverable(conn: &mut PgConnection, before: MachineTime, now: MachineTime) -> Result<u64> {
    let done = sqlx::query!(
        "with undeliverable as (
             select d.id from webhook_deliveries d join webhook_endpoints e on e.id = d.endpoint_id
             where d.state = 'pending' and (d.leased_until is null or d.leased_until <= $2)
               and (d.schedule_started_at < $1 or e.disabled_at is not null or e.deleted_at is not null)
             limit $3 for no key update of d skip locked)
         update webhook_deliveries d
         set state = 'dead', due_at = null, lease_token = d.lease_token + 1, leased_until = null
         from undeliverable where d.id = undeliverable.id",
        before as _,
        now as _,
        DISCARD_BATCH,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// Returns the numbers of pending and of dead deliveries.
pub async fn counts(conn: &mut PgConnection) -> Result<(i64, i64)> {
    let counts = sqlx::query!(
        r#"select (select count(*) from webhook_deliveries where state = 'pending') as "pending!",
                  (select count(*) from webhook_deliveries where state = 'dead') as "dead!""#
    )
    .fetch_one(conn)
    .await?;
    Ok((counts.pending, counts.dead))
}

/// The retention of events, with their deliveries and attempts.
pub const RETENTION: RetentionRule = RetentionRule {
    rows: "webhook_events",
    delete: |conn, expiry| {
        let before = expiry.machine_days(|kept| kept.keep_webhook_log_days);
        Box::pin(delete_expired_events(conn, before, expiry.batch()))
    },
    batch: retention::BATCH,
};

/// Deletes at most `limit` events made before `before` that have no pending delivery, with their deliveries.
async fn delete_expired_events(conn: &mut PgConnection, before: MachineTime, limit: i64) -> Result<u64> {
    // `offset 0` keeps the planner from reading all deliveries at once: they are probed for each expired event.
    let done = sqlx::query!(
        "delete from webhook_events where id = any (array(
             select e.id from webhook_events e
             where e.created_at < $1 and not exists (
                 select from webhook_deliveries d where d.event_id = e.id and d.state = 'pending' offset 0)
             order by e.created_at limit $2 for update skip locked))",
        before as _,
        limit,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}
