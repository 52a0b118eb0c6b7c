//! Work that is not done: which trips are unsettled, invariant 9, and invariant 6, whose keys are the work's.

use sqlx::PgConnection;
use uuid::{Builder, Uuid};

use super::super::model::Limits;
use super::{Row, find};
use crate::platform::clock::MachineTime;
use crate::platform::error::Result;
use crate::platform::ids::TripId;

/// The trips that are over and have work on them that is due, leased or unknown, and not yet late: late work is no excuse.
///
/// # Errors
/// If the database does not answer.
pub(in crate::ops) async fn unsettled(conn: &mut PgConnection, limits: Limits) -> Result<Vec<Uuid>> {
    let ids = sqlx::query_scalar!(
        r#"select distinct trips.id as "id!: Uuid" from trips join open_work on open_work.trip_id = trips.id
           where trips.ended_at is not null
             and open_work.since >= case open_work.kind when 'unknown' then $2::timestamptz else $1::timestamptz end"#,
        limits.late as _,
        limits.unknown as _,
    )
    .fetch_all(conn)
    .await?;
    Ok(ids)
}

/// Invariant 6: A key has one effect; what a key was answered with `201 Created` for is there; and an effect whose key cannot have been
/// reaped yet has its key.
pub(super) async fn keys(conn: &mut PgConnection, keyed: MachineTime) -> Result<Vec<Row>> {
    Ok(find!(
        conn,
        r#"
        with effects (key_id, kind, id, trip_id, deed) as (
            select request_key_id, 'trip', id, id, 'was requested' from trips where request_key_id is not null
            union all
            -- The event of a request is of one piece with its trip.
            select key_id, 'trip', trip_id, trip_id, 'had event ' || seq from trip_events where key_id is not null and command <> 'request'
            union all
            select refunds.key_id, 'refund', refunds.id, payments.trip_id, 'was made'
            from refunds join payments on payments.id = refunds.payment_id where refunds.key_id is not null
            union all
            select key_id, 'payment', id, trip_id, 'was opened' from payments where key_id is not null
            union all
            select resolution.key_id, 'payment', payments.id, payments.trip_id, 'was decided about'
            from payment_resolutions resolution join payments on payments.id = resolution.payment_id
            where resolution.key_id is not null
            union all
            select request_key_id, 'webhook endpoint', id, null, 'was registered'
            from webhook_endpoints where request_key_id is not null
            union all
            select key_id, 'run', id, null, 'was asked for' from reconciliation_runs where key_id is not null
            union all
            select key_id, 'finding', id, trip_id, 'was resolved' from reconciliation_findings where key_id is not null)
        select 'key', key_id::text, min(trip_id::text)::uuid, format('has %s effects', count(*))
        from effects group by key_id having count(*) > 1
        union all
        select 'key', id::text, null, 'was answered with 201 Created, and nothing was'
        from idempotency_keys
        where status = 201 and not exists (select from effects where effects.key_id = idempotency_keys.id)
        union all
        select kind, id::text, trip_id, format('%s under key %s, and the key is gone', deed, key_id)
        from effects
        where key_id >= $1 and not exists (select from idempotency_keys where idempotency_keys.id = effects.key_id)
        "#,
        first_id_of(keyed),
    )?)
}

/// The least id that was made at `time` or later: ids start with the moment of their making.
pub(in crate::ops) fn first_id_of(time: MachineTime) -> Uuid {
    let millis = u64::try_from(time.utc().timestamp_millis()).unwrap_or(0);
    Builder::from_unix_timestamp_millis(millis, &[0; 10]).into_uuid()
}

/// Invariant 9: No delivery, lease or unknown attempt is older than its limit; none was given up; and nothing is half done with nobody to
/// go on with it.
pub(super) async fn stale(conn: &mut PgConnection, limits: Limits) -> Result<Vec<Row>> {
    Ok(find!(
        conn,
        r#"
        select case when kind in ('call', 'unknown') then 'attempt' else kind end, id, trip_id, case kind
            when 'call' then 'began long ago, and has not ended'
            when 'unknown' then 'began so long ago that its end should be known'
            else 'should have been done long ago' end
        from open_work
        where since < case kind when 'unknown' then $2::timestamptz else $1::timestamptz end
        union all
        select 'delivery', event_id || '/' || subscriber, aggregate_id, format('was given up: %s', coalesce(last_error, 'no reason'))
        from outbox_deliveries where dead_at is not null
        union all
        select 'provider event', event_id, null, 'came long ago, and has not been handled'
        from provider_events where due_at < $1
        union all
        select 'webhook delivery', d.id::text, null, 'should have been made, or given up, long ago'
        from webhook_deliveries d
        where d.state = 'pending' and d.ladder_at < $3
        union all
        select 'payment', id::text, trip_id, format('is %s to %s, and nothing is due on it', state, intent)
        from payments
        where due_at is null and attention is null
          and (state in ('authorizing', 'capturing', 'voiding') or (state = 'authorized' and intent <> 'hold'))
        union all
        select 'refund', refunds.id::text, payments.trip_id, 'is pending, and nothing is due on it'
        from refunds join payments on payments.id = refunds.payment_id
        where refunds.state = 'pending' and refunds.due_at is null and refunds.attention is null
        "#,
        limits.late as _,
        limits.unknown as _,
        limits.undelivered as _,
    )?)
}
