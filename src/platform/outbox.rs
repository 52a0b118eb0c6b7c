//! The outbox: events of lower modules for upper ones, written in the transaction of the change, delivered at least once and in
//! order per trip. A subscriber's reaction and its mark as delivered commit together, fenced by the lease.

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
use super::ids::{Id, PaymentId, TripId};
use super::telemetry;
use super::wake::Wake;
use super::work::{LOCKED_PAUSE_MAX, Obstacle, RunOutcome, report_obstacle};

/// The lease of a claimed delivery. A reaction is a few statements; after 30 s the process is presumed dead.
pub const LEASE: TimeDelta = TimeDelta::seconds(30);

/// The most deliveries claimed at once.
const BATCH_MAX: i64 = 32;

/// The attempts after which a delivery is dead and needs an operator (`/v1/ops/audit` counts these).
const ATTEMPTS_MAX: i16 = 12;

/// The delivery of an event to a subscriber.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The position in the outbox.
    pub event_id: i64,
    /// The type of the event, such as `payment.authorized`.
    pub topic: String,
    /// The trip.
    pub trip_id: TripId,
    /// Details; only a hint, because the subscriber reads the state again.
    pub payload: Value,
    /// The trace of what caused the event.
    pub trace_id: Option<String>,
    attempts: i16,
    lease: Uuid,
}

impl Delivery {
    /// Returns the payment that the event is about, if it is about one.
    fn payment_id(&self) -> Option<PaymentId> {
        let id = self.payload.get("payment_id")?;
        serde_json::from_value(id.clone()).ok()
    }
}

/// Writes an event, and a delivery for each subscriber of its topic. Without subscribers it writes nothing.
///
/// # Errors
/// If the database does not respond.
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
        telemetry::trace_id(),
        now as _,
    )
    .execute(&mut **tx)
    .await?;
    if done.rows_affected() > 0 {
        tx.wake(Wake::Outbox);
    }
    Ok(())
}

/// Claims due deliveries: for each trip only the oldest open one.
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
           select e.id, e.topic, e.aggregate_id as "trip_id: TripId", e.payload, e.trace_id, claimed.attempts
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
            trace_id: row.trace_id,
            attempts: row.attempts,
            lease,
        })
        .collect())
}

/// A module's reaction to a delivery, in the transaction that marks it as delivered.
pub type Reaction<C> = for<'a> fn(&'a mut Tx, &'a C, &'a Delivery) -> BoxFuture<'a, Result<()>>;

/// Claims a batch of deliveries and reacts to each, with a context of its own.
///
/// # Errors
/// If the database does not respond. A failed reaction is postponed with exponential backoff and does not stop the others.
pub async fn run_once<C>(
    platform: &Platform,
    subscriber: &'static str,
    context: impl Fn() -> C,
    react: Reaction<C>,
) -> Result<RunOutcome>
where
    C: Clone + Send + Sync + 'static,
{
    let now = platform.clock.machine();
    let lease = platform.random.uuid(now);
    let db = platform.db.waiting_briefly();
    let claimed = db.transaction((), move |tx, ()| Box::pin(claim(tx, subscriber, lease, now))).await?;
    let mut outcome = RunOutcome::default();
    for delivery in claimed {
        let (about, cause) = ((Some(delivery.trip_id), delivery.payment_id()), delivery.trace_id.clone());
        let work = (context(), delivery);
        outcome +=
            telemetry::continue_trace(subscriber, about, cause, run_one(platform, &db, subscriber, work, react)).await;
    }
    Ok(outcome)
}

/// Reacts to a delivery and marks it as delivered. One that fails is postponed.
async fn run_one<C>(
    platform: &Platform,
    db: &Db,
    subscriber: &'static str,
    (context, delivery): (C, Delivery),
    react: Reaction<C>,
) -> RunOutcome
where
    C: Clone + Send + Sync + 'static,
{
    let done_at = platform.clock.machine();
    let work = (context, delivery.clone());
    let end = db
        .transaction(work, move |tx, (context, delivery)| {
            Box::pin(async move {
                finish(tx, subscriber, delivery, done_at).await?;
                react(tx, context, delivery).await
            })
        })
        .await;
    let Err(error) = end else { return RunOutcome { done: 1, failed: 0 } };
    let row = format!("{} {} of {}", delivery.topic, delivery.event_id, delivery.trip_id);
    report_obstacle(platform, subscriber, (&row, &error), Obstacle::of(&error));
    // Otherwise the delivery is due again when its lease expires.
    if let Err(error) = postpone(db, subscriber, delivery, error, platform).await {
        tracing::warn!(%error, subscriber, row, "a delivery could not be postponed");
    }
    RunOutcome { done: 0, failed: 1 }
}

/// Returns how long until a delivery of this subscriber is due; `None` without an open one.
///
/// # Errors
/// If the database does not respond.
pub async fn until_next(platform: &Platform, subscriber: &'static str) -> Result<Option<Duration>> {
    let due = platform.db.read(subscriber, |conn, subscriber| Box::pin(next_due(conn, subscriber))).await?;
    let now = platform.clock.machine();
    Ok(due.map(|due| due.since(now).to_std().unwrap_or_default()))
}

async fn next_due(conn: &mut PgConnection, subscriber: &str) -> Result<Option<MachineTime>> {
    let due = sqlx::query_scalar!(
        r#"select min(greatest(due_at, leased_until)) as "due: MachineTime" from outbox_deliveries
           where subscriber = $1 and delivered_at is null and dead_at is null"#,
        subscriber
    )
    .fetch_one(conn)
    .await?;
    Ok(due)
}

/// Marks a delivery as delivered. The lease token in the `where` clause is the fence.
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
    super::db::one_row(&done, || Refusal::new(super::error::Code::Internal, "The lease on the delivery was lost."))
}

async fn postpone(
    db: &Db,
    subscriber: &'static str,
    delivery: Delivery,
    error: Error,
    platform: &Platform,
) -> Result<()> {
    let now = platform.clock.machine();
    let exponent = u32::from(delivery.attempts.unsigned_abs()).min(8);
    let delay = platform.random.jitter(Duration::from_millis(100 * 2_u64.pow(exponent)));
    let (delay, attempts) = if error.is_locked() {
        // An attempt that found a lock does not count: the delivery would be dead after seconds.
        (LOCKED_PAUSE_MAX, delivery.attempts - 1)
    } else {
        (TimeDelta::from_std(delay).unwrap_or(TimeDelta::seconds(30)), delivery.attempts)
    };
    let due = now + delay;
    let dead = (attempts >= ATTEMPTS_MAX).then_some(now);
    db.transaction((delivery, error.to_string()), move |tx, (delivery, error)| {
        Box::pin(async move {
            sqlx::query!(
                "update outbox_deliveries set due_at = $4, leased_until = null, attempts = $7, last_error = left($5, 500), dead_at = $6
                 where subscriber = $1 and event_id = $2 and lease_token = $3 and delivered_at is null",
                subscriber,
                delivery.event_id,
                delivery.lease,
                due as _,
                error,
                dead as _,
                attempts,
            )
            .execute(&mut **tx)
            .await?;
            Ok(())
        })
    })
    .await
}

/// Counts the open deliveries: due, leased, or waiting for a retry.
///
/// # Errors
/// If the database does not respond.
pub async fn open_deliveries(conn: &mut PgConnection) -> Result<i64> {
    let open = sqlx::query_scalar!(
        r#"select count(*) as "open!" from outbox_deliveries where delivered_at is null and dead_at is null"#
    )
    .fetch_one(conn)
    .await?;
    Ok(open)
}
