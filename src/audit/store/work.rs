//! Idempotency keys and open work: invariants 6 and 9.

use sqlx::PgConnection;

use super::super::model::{AuditLimits, TripWindow};
use super::{Row, violations};
use crate::platform::clock::MachineTime;
use crate::platform::error::Result;
use crate::platform::ids::TripId;
use crate::reconciliation::model::first_id_at;

/// Invariant 6: a key has at most one effect, a key with the response `201 Created` has an effect, and an effect that is younger than
/// the retention of keys has its key.
pub(super) async fn keys(conn: &mut PgConnection, window: TripWindow, keyed: MachineTime) -> Result<Vec<Row>> {
    Ok(violations!(
        conn,
        r#"
        with effects (key_id, kind, id, trip_id, description) as (
            select request_key_id, 'trip', id, id, 'was requested' from trips where request_key_id >= $2 and request_key_id < $3
            union all
            -- The first event of a trip has the same key as the trip.
            select key_id, 'trip', trip_id, trip_id, 'had event ' || seq from trip_events
            where key_id >= $2 and key_id < $3 and command <> 'request'
            union all
            select refunds.key_id, 'refund', refunds.id, payments.trip_id, 'was made'
            from refunds join payments on payments.id = refunds.payment_id where refunds.key_id >= $2 and refunds.key_id < $3
            union all
            select key_id, 'payment', id, trip_id, 'was opened' from payments where key_id >= $2 and key_id < $3
            union all
            select resolution.key_id, 'payment', payments.id, payments.trip_id, 'was resolved'
            from payment_resolutions resolution join payments on payments.id = resolution.payment_id
            where resolution.key_id >= $2 and resolution.key_id < $3
            union all
            select request_key_id, 'webhook endpoint', id, null, 'was registered'
            from webhook_endpoints where request_key_id >= $2 and request_key_id < $3
            union all
            select key_id, 'run', id, null, 'was requested' from reconciliation_runs where key_id >= $2 and key_id < $3
            union all
            select key_id, 'finding', id, trip_id, 'was resolved' from reconciliation_findings where key_id >= $2 and key_id < $3)
        select 'key', key_id::text, min(trip_id::text)::uuid, format('has %s effects', count(*))
        from effects group by key_id having count(*) > 1
        union all
        select 'key', id::text, null, 'was answered with 201 Created and has no effect'
        from idempotency_keys
        where status = 201 and id >= $2 and id < $3 and not exists (select from effects where effects.key_id = idempotency_keys.id)
        union all
        select kind, id::text, trip_id, format('%s under key %s, which does not exist', description, key_id)
        from effects
        where key_id >= $1 and not exists (select from idempotency_keys where idempotency_keys.id = effects.key_id)
        "#,
        first_id_at(keyed),
        window.first,
        window.end,
    )?)
}

/// Invariant 9: no delivery, lease or unknown attempt is older than its limit, no delivery is dead, and no operation is unfinished
/// without due work.
pub(super) async fn stale(conn: &mut PgConnection, limits: AuditLimits) -> Result<Vec<Row>> {
    Ok(violations!(
        conn,
        r#"
        select case when kind in ('call', 'unknown') then 'attempt' else kind end, id, trip_id, case kind
            when 'call' then 'started long ago and has not ended'
            when 'unknown' then 'started so long ago that its outcome should be known'
            else 'has been due for too long' end
        from open_work
        where since < case kind when 'unknown' then $2::timestamptz else $1::timestamptz end
        union all
        select 'delivery', event_id || '/' || subscriber, aggregate_id, format('is dead: %s', coalesce(last_error, 'no reason'))
        from outbox_deliveries where dead_at is not null
        union all
        select 'provider event', event_id, null, 'was received long ago and has not been handled'
        from provider_events where due_at < $1
        union all
        select 'webhook delivery', d.id::text, null, 'should have been made or discarded long ago'
        from webhook_deliveries d
        where d.state = 'pending' and d.schedule_started_at < $3
        union all
        select 'payment', id::text, trip_id, format('is %s with the goal %s, and no work is due', state, goal)
        from payments
        where due_at is null and needs_review is null
          and (state in ('authorizing', 'capturing', 'voiding') or (state = 'authorized' and goal <> 'hold'))
        union all
        select 'refund', refunds.id::text, payments.trip_id, 'is pending, and no work is due'
        from refunds join payments on payments.id = refunds.payment_id
        where refunds.state = 'pending' and refunds.due_at is null and refunds.needs_review is null
        "#,
        limits.work.late as _,
        limits.work.unknown as _,
        limits.undelivered as _,
    )?)
}
