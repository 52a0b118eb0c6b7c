//! The operators' review queue.

use std::collections::HashMap;

use chrono::TimeDelta;
use sqlx::PgConnection;
use uuid::Uuid;

use super::super::model::subject;
use crate::platform::clock::DomainTime;
use crate::platform::error::Result;
use crate::platform::ids::{DriverId, TripId};
use crate::platform::leader;
use crate::supply::{self, KnownPosition, LastKnown};

/// The time without a position after which a trip in progress needs review.
const UNRESPONSIVE_IN_PROGRESS: TimeDelta = TimeDelta::minutes(15);

/// An object that needs an operator's decision.
#[derive(Debug)]
pub(in crate::reconciliation) struct ReviewItem {
    /// The published id of the object.
    pub subject: String,
    /// Its trip.
    pub trip_id: Option<TripId>,
    /// Why it needs review, as a predicate of the subject.
    pub detail: String,
}

struct Row {
    kind: String,
    id: String,
    trip_id: Option<TripId>,
    detail: String,
    total: i64,
}

/// Returns the number of objects that need review, and the first `limit` of them.
///
/// These are payments and refunds with a reason to review, trips in progress whose driver has been unresponsive for
/// [`UNRESPONSIVE_IN_PROGRESS`], trips with a locked PIN, and dead outbox deliveries. Provider events that were set aside come last:
/// on a shared account they can be many.
///
/// # Errors
/// If the database does not answer.
pub(in crate::reconciliation) async fn review_queue(
    conn: &mut PgConnection,
    now: DomainTime,
    limit: i64,
) -> Result<(u64, Vec<ReviewItem>)> {
    let unresponsive = unresponsive_rides(conn, now).await?;
    let rows = sqlx::query_as!(
        Row,
        r#"with found (kind, id, trip_id, detail) as (
               select 'payment', id::text, trip_id, format('is %s: %s', state, needs_review)
               from payments where needs_review is not null
               union all
               select 'refund', refunds.id::text, payments.trip_id, format('is %s: %s', refunds.state, refunds.needs_review)
               from refunds join payments on payments.id = refunds.payment_id where refunds.needs_review is not null
               union all
               select 'trip', trips.id::text, trips.id, 'is in progress, and its driver has not responded for 15 minutes'
               from trips where id = any($1)
               union all
               select 'trip', id::text, id, 'has a locked PIN after five wrong attempts'
               from trips where pin_failures >= 5 and ended_at is null
                 and state in (select from_state from trip_transitions where command = 'start')
               union all
               select 'delivery', event_id || '/' || subscriber, aggregate_id, format('is dead: %s', coalesce(last_error, 'no reason'))
               from outbox_deliveries where dead_at is not null
               union all
               select 'provider event', event_id, null, format('was set aside: %s of %s, an intent that no payment has', type, intent_id)
               from provider_events where set_aside_at is not null)
           select kind as "kind!", id as "id!", trip_id as "trip_id?: TripId", detail as "detail!", count(*) over () as "total!"
           from found order by kind = 'provider event', kind, id limit $2"#,
        &unresponsive,
        limit,
    )
    .fetch_all(conn)
    .await?;
    let total = rows.first().map_or(0, |row| row.total.unsigned_abs());
    let item = |row: Row| ReviewItem { subject: subject(&row.kind, &row.id), trip_id: row.trip_id, detail: row.detail };
    Ok((total, rows.into_iter().map(item).collect()))
}

/// Returns the trips in progress whose driver has been unresponsive for [`UNRESPONSIVE_IN_PROGRESS`], by the checkpoint of the index.
async fn unresponsive_rides(conn: &mut PgConnection, now: DomainTime) -> Result<Vec<Uuid>> {
    let before = now - UNRESPONSIVE_IN_PROGRESS;
    let rides = sqlx::query!(
        r#"select id as "id: Uuid", driver_id as "driver_id!: DriverId", started_at as "started_at!: DomainTime"
           from trips where ended_at is null and started_at < $1"#,
        before as _,
    )
    .fetch_all(&mut *conn)
    .await?;
    if rides.is_empty() {
        return Ok(Vec::new());
    }
    let Some((saved_at, positions)) = supply::store::checkpoint(conn).await? else { return Ok(Vec::new()) };
    let last: HashMap<DriverId, LastKnown> = positions.into_iter().map(|last| (last.driver, last)).collect();
    let term = leader::term(conn).await?;
    let is_unresponsive = |driver: DriverId, started_at: DomainTime| {
        let known = KnownPosition { driver, last: last.get(&driver).copied(), until: saved_at, epoch: None };
        known.silence(Some(started_at), &term) >= UNRESPONSIVE_IN_PROGRESS
    };
    let unresponsive = rides.into_iter().filter(|ride| is_unresponsive(ride.driver_id, ride.started_at));
    Ok(unresponsive.map(|ride| ride.id).collect())
}
