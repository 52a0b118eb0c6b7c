//! The retention of driver events, and of a trip's history: its offers and events.

use chrono::TimeDelta;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::platform::clock::DomainTime;
use crate::platform::error::Result;
use crate::platform::retention::{self, RetentionRule};

/// The retention of driver events (machine time), and so the time in which a stream can be resumed.
const DRIVER_EVENTS_KEPT: TimeDelta = TimeDelta::hours(24);

/// Trips whose history one transaction deletes, each with some twenty rows.
const HISTORIES_BATCH: i64 = 100;

/// The retention of driver events that can no longer be replayed to a stream, and of the history of trips.
pub const RETENTION: [RetentionRule; 2] = [
    RetentionRule {
        rows: "driver_events",
        delete: |conn, expiry| {
            let before = expiry.machine(DRIVER_EVENTS_KEPT);
            Box::pin(super::delete_expired_driver_events(conn, before, expiry.batch()))
        },
        batch: retention::BATCH,
    },
    RetentionRule {
        rows: "trip_histories",
        delete: |conn, expiry| {
            let before = expiry.domain_days(|kept| kept.keep_trip_history_days);
            Box::pin(delete_expired_histories(conn, (before, expiry.domain_now()), expiry.batch()))
        },
        batch: HISTORIES_BATCH,
    },
];

/// Deletes the history of at most `limit` trips that ended before `before`, as a whole. Returns the number of trips.
///
/// The trip itself is kept: it is the receipt. Keeps the history of a trip with a payment that can still change, or that an operator or
/// a dispute needs.
async fn delete_expired_histories(
    conn: &mut PgConnection,
    (before, now): (DomainTime, DomainTime),
    limit: i64,
) -> Result<u64> {
    // `offset 0` keeps the planner from reading all payments in use at once: the view is probed for each expired trip.
    let trips: Vec<Uuid> = sqlx::query_scalar!(
        r#"with expired as (
               select id from trips
               where ended_at < $1 and history_deleted_at is null
                 and not exists (select from payments_in_use used where used.trip_id = trips.id offset 0)
               order by ended_at limit $2
               for no key update skip locked)
           update trips set history_deleted_at = $3 where id = any (array(select id from expired))
           returning id as "id: Uuid""#,
        before as _,
        limit,
        now as _,
    )
    .fetch_all(&mut *conn)
    .await?;
    sqlx::query!("delete from offers where trip_id = any($1)", &trips).execute(&mut *conn).await?;
    sqlx::query!("delete from trip_events where trip_id = any($1)", &trips).execute(&mut *conn).await?;
    Ok(u64::try_from(trips.len()).unwrap_or(u64::MAX))
}
