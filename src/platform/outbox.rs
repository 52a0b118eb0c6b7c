//! The outbox: news from a lower room to an upper one, written in the transaction that made them, delivered at least once and
//! in order per trip. A subscriber's reaction and the mark that it is done commit together, fenced by the lease.

use std::time::Duration;

use chrono::TimeDelta;
use futures_util::future::BoxFuture;
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::Platform;
use super::clock::MachineTime;
use super::db::{Db, Tx};
use super::error::{Error, Refusal, Result};
use super::ids::{Id, TripId};
use super::wake::Wake;

/// How long a claimed delivery may take. Reactions are a few statements; a minute means that the process is gone.
pub const LEASE: TimeDelta = TimeDelta::seconds(30);

/// Deliveries claimed in one go.
const BATCH_MAX: i64 = 32;

/// After so many failures a person looks at it (`/v1/ops/audit` counts them).
const ATTEMPTS_MAX: i16 = 12;

/// How long delivered events are kept, for whoever debugs.
pub const KEPT: TimeDelta = TimeDelta::hours(24);

/// One piece of news, as its subscriber gets it.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Where it stands in the outbox.
    pub event_id: i64,
    /// What it is about, like `payment.authorized`.
    pub topic: String,
    /// The trip that it concerns.
    pub trip_id: TripId,
    /// Details. A hint: the subscriber reads the state again.
    pub payload: Value,
    attempts: i16,
    lease: Uuid,
}

/// Writes an event and a delivery for each room that subscribed to its topic; nothing if none did.
///
/// # Errors
/// If the database does not answer.
pub async fn publish(tx: &mut Tx, topic: &str, trip_id: TripId, payload: Value, now: MachineTime) -> Result<()> {
    let done = sqlx::query!(
        "with event as (
             insert into outbox_events (topic, aggregate_id, payload, trace_id, created_at)
             select $1::text, $2::uuid, $3::jsonb, $4::text, $5::timestamptz
             where exists (select from outbox_subscriptions where topic = $1)
             returning id, topic, aggregate_id, created_at)
         insert into outbox_deliveries (event_id, subscriber, aggregate_id, due_at)
         select event.id, outbox_subscriptions.subscriber, event.aggregate_id, event.created_at
         from event join outbox_subscriptions using (topic)",
        topic,
        trip_id.uuid(),
        payload,
        super::telemetry::trace_id(),
        now as _,
    )
    .execute(&mut **tx)
    .await?;
    if done.rows_affected() > 0 {
        tx.wake(Wake::Outbox);
    }
    Ok(())
}

/// Claims what is due for `subscriber`: the oldest open delivery of each trip, and no second one of the same trip.
async fn claim(tx: &mut Tx, subscriber: &str, lease: Uuid, now: MachineTime) -> Result<Vec<Delivery>> {
    let rows = sqlx::query!(
        r#"with due as (
               select d.event_id from outbox_deliveries d
               where d.subscriber = $1 and d.delivered_at is null and d.dead_at is null
                 and d.due_at <= $2 and (d.leased_until is null or d.leased_until <= $2)
                 and d.event_id = (
                     select min(earliest.event_id) from outbox_deliveries earliest
                     where earliest.subscriber = d.subscriber and earliest.aggregate_id = d.aggregate_id
                       and earliest.delivered_at is null and earliest.dead_at is null)
               order by d.event_id
               limit $3
               for update skip locked),
           claimed as (
               update outbox_deliveries d set lease_token = $4, leased_until = $5, attempts = attempts + 1
               from due where d.event_id = due.event_id and d.subscriber = $1
               returning d.event_id, d.attempts)
           select e.id, e.topic, e.aggregate_id as "trip_id: TripId", e.payload, claimed.attempts
           from claimed join outbox_events e on e.id = claimed.event_id
           order by e.id"#,
        subscriber,
        now as _,
        BATCH_MAX,
        lease,
        (now + LEASE) as _,
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Delivery {
            event_id: row.id,
            topic: row.topic,
            trip_id: row.trip_id,
            payload: row.payload,
            attempts: row.attempts,
            lease,
        })
        .collect())
}

/// A room's reaction to a delivery, inside the transaction that marks it done.
pub type Reaction<C> = for<'a> fn(&'a mut Tx, &'a C, &'a Delivery) -> BoxFuture<'a, Result<()>>;

/// Claims a batch for `subscriber` and reacts to each. Returns how many were claimed: zero means that nothing is due.
///
/// # Errors
/// If the database does not answer. A reaction that fails is put off, with growing delays, and does not stop the others.
pub async fn run_once<C>(platform: &Platform, subscriber: &'static str, context: C, react: Reaction<C>) -> Result<usize>
where
    C: Clone + Send + Sync + 'static,
{
    let now = platform.clock.machine();
    let lease = platform.dice.uuid(now);
    let claimed = platform.db.transaction((), move |tx, ()| Box::pin(claim(tx, subscriber, lease, now))).await?;
    let count = claimed.len();
    for delivery in claimed {
        let work = (context.clone(), delivery.clone());
        let done_at = platform.clock.machine();
        let end = platform
            .db
            .transaction(work, move |tx, (context, delivery)| {
                Box::pin(async move {
                    finish(tx, subscriber, delivery, done_at).await?;
                    react(tx, context, delivery).await
                })
            })
            .await;
        if let Err(error) = end {
            tracing::warn!(%error, subscriber, topic = delivery.topic, event = delivery.event_id, "reaction failed");
            put_off(&platform.db, subscriber, delivery, error, platform).await?;
        }
    }
    Ok(count)
}

/// Marks a delivery done. The token in the `where` is the fence: who has lost the lease changes nothing.
async fn finish(tx: &mut Tx, subscriber: &str, delivery: &Delivery, now: MachineTime) -> Result<()> {
    let done = sqlx::query!(
        "update outbox_deliveries set delivered_at = $4, leased_until = null
         where subscriber = $1 and event_id = $2 and lease_token = $3 and delivered_at is null",
        subscriber,
        delivery.event_id,
        delivery.lease,
        now as _,
    )
    .execute(&mut **tx)
    .await?;
    super::db::one_row(&done, || Refusal::new(super::error::Code::Internal, "the lease on this delivery was lost"))
}

async fn put_off(
    db: &Db,
    subscriber: &'static str,
    delivery: Delivery,
    error: Error,
    platform: &Platform,
) -> Result<()> {
    let now = platform.clock.machine();
    let exponent = u32::from(delivery.attempts.unsigned_abs()).min(8);
    let delay = platform.dice.jitter(Duration::from_millis(100 * 2_u64.pow(exponent)));
    let due = now + TimeDelta::from_std(delay).unwrap_or(TimeDelta::seconds(30));
    let dead = (delivery.attempts >= ATTEMPTS_MAX).then_some(now);
    db.transaction((delivery, error.to_string()), move |tx, (delivery, error)| {
        Box::pin(async move {
            sqlx::query!(
                "update outbox_deliveries set due_at = $4, leased_until = null, last_error = left($5, 500), dead_at = $6
                 where subscriber = $1 and event_id = $2 and lease_token = $3 and delivered_at is null",
                subscriber,
                delivery.event_id,
                delivery.lease,
                due as _,
                error,
                dead as _,
            )
            .execute(&mut **tx)
            .await?;
            Ok(())
        })
    })
    .await
}

/// Removes events whose deliveries were all made before `before`, at most `limit` of them.
///
/// # Errors
/// If the database does not answer.
pub async fn reap(conn: &mut PgConnection, before: MachineTime, limit: i64) -> Result<u64> {
    let done = sqlx::query!(
        "delete from outbox_events where id in (
             select e.id from outbox_events e
             where e.created_at < $1 and not exists (
                 select from outbox_deliveries d where d.event_id = e.id and d.delivered_at is null)
             order by e.id limit $2)",
        before as _,
        limit,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// Deliveries that are open: due, leased, or waiting for another try.
///
/// # Errors
/// If the database does not answer.
pub async fn open_deliveries(conn: &mut PgConnection) -> Result<i64> {
    let open = sqlx::query_scalar!(
        r#"select count(*) as "open!" from outbox_deliveries where delivered_at is null and dead_at is null"#
    )
    .fetch_one(conn)
    .await?;
    Ok(open)
}
