//! What waits for a person.

use sqlx::PgConnection;

use super::{Row, subject};
use crate::platform::clock::DomainTime;
use crate::platform::error::Result;
use crate::platform::ids::TripId;

/// Something that waits for a person.
#[derive(Debug)]
pub(in crate::ops) struct Attention {
    /// The thing: its id, as it is written on the wire.
    pub subject: String,
    /// Its trip.
    pub trip_id: Option<TripId>,
    /// Why.
    pub what: String,
}

/// What waits for a person, how much of it, and the first `limit`: payments and refunds that say so, trips whose driver has not
/// been heard of since `silent_since`, trips whose PIN is locked, deliveries that were given up; and last
/// events that were set aside, because an account that others use too may have many of them.
///
/// # Errors
/// If the database does not answer.
pub(in crate::ops) async fn attention(
    conn: &mut PgConnection,
    silent_since: DomainTime,
    limit: i64,
) -> Result<(u64, Vec<Attention>)> {
    let rows = sqlx::query_as!(
        Row,
        r#"with found (kind, id, trip_id, what) as (
               select 'payment', id::text, trip_id, format('is %s: %s', state, attention)
               from payments where attention is not null
               union all
               select 'refund', refunds.id::text, payments.trip_id, format('is %s: %s', refunds.state, refunds.attention)
               from refunds join payments on payments.id = refunds.payment_id where refunds.attention is not null
               union all
               select 'trip', trips.id::text, trips.id, 'is under way, and its driver has been silent for a quarter of an hour'
               from trips cross join matcher
               left join driver_positions position on position.driver_id = trips.driver_id
               where trips.state = 'in_progress'
                 and greatest(position.received_at, trips.started_at, matcher.since) < $1
               union all
               select 'trip', id::text, id, 'has a locked PIN: five wrong ones were tried'
               from trips where state = 'arrived' and pin_failures >= 5
               union all
               select 'delivery', event_id || '/' || subscriber, aggregate_id, format('was given up: %s', coalesce(last_error, 'no reason'))
               from outbox_deliveries where dead_at is not null
               union all
               select 'provider event', event_id, null, format('was set aside: %s of %s, an intent that no payment has', type, intent_id)
               from provider_events where set_aside_at is not null)
           select kind as "kind!", id as "id!", trip_id as "trip_id?: TripId", what as "what!", count(*) over () as "total!"
           from found order by kind = 'provider event', kind, id limit $2"#,
        silent_since as _,
        limit,
    )
    .fetch_all(conn)
    .await?;
    let total = rows.first().map_or(0, |row| row.total.unsigned_abs());
    let attention = |row: Row| Attention { subject: subject(&row.kind, &row.id), trip_id: row.trip_id, what: row.what };
    Ok((total, rows.into_iter().map(attention).collect()))
}
