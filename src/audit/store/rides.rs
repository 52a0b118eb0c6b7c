//! Trips, offers, engagements and events: invariants 1, 2 and 7.

use sqlx::PgConnection;

use super::super::model::TripWindow;
use super::{Row, violations};
use crate::platform::error::Result;
use crate::platform::ids::TripId;

/// Invariant 1: a driver and a rider have at most one active trip, and a driver at most one engagement. An active trip with a driver
/// has a matching offer and a matching engagement, and no other driver is engaged.
pub(super) async fn engagements(conn: &mut PgConnection) -> Result<Vec<Row>> {
    Ok(violations!(
        conn,
        r#"
        with agreed as (
            select t.id as trip_id, e.driver_id, o.id as offer_id
            from driver_engagements e
            join trips t on t.id = e.trip_id
            join trip_states s on s.name = t.state
            join offers o on o.id = e.offer_id and o.trip_id = t.id and o.driver_id = e.driver_id
            where (e.kind = 'offer' and t.state = 'offered' and o.status = 'pending')
               or (e.kind = 'ride' and s.has_driver and t.driver_id = e.driver_id
                   and o.status = 'accepted' and o.released_at is null))
        select 'rider', rider_id::text, null::uuid, format('has %s active trips', count(*))
        from trips where ended_at is null group by rider_id having count(*) > 1
        union all
        select 'driver', driver_id::text, null, format('has %s active trips', count(*))
        from trips where ended_at is null and driver_id is not null group by driver_id having count(*) > 1
        union all
        select 'driver', driver_id::text, null, format('has %s engagements', count(*))
        from driver_engagements group by driver_id having count(*) > 1
        union all
        select 'trip', t.id::text, t.id, format('is %s, and has no engagement with a matching offer', t.state)
        from trips t join trip_states s on s.name = t.state
        where t.ended_at is null and (t.state = 'offered' or s.has_driver)
          and not exists (select from agreed where agreed.trip_id = t.id)
        union all
        select 'driver', e.driver_id::text, t.id, format('is engaged (%s) for a trip that is %s', e.kind, t.state)
        from driver_engagements e join trips t on t.id = e.trip_id
        where not exists (select from agreed where agreed.driver_id = e.driver_id)
        union all
        select 'offer', o.id::text, t.id, format('is %s, and its trip is %s', o.status, t.state)
        from offers o join trips t on t.id = o.trip_id join trip_states s on s.name = t.state
        where t.ended_at is null
          and ((o.status = 'pending' and t.state <> 'offered')
            or (o.status = 'accepted' and o.released_at is null and not s.has_driver))
        "#
    )?)
}

/// Invariant 2, what is now: a trip and a driver have at most one pending offer, and a trip that is over has none.
pub(super) async fn pending_offers(conn: &mut PgConnection) -> Result<Vec<Row>> {
    Ok(violations!(
        conn,
        r#"
        select 'trip', trip_id::text, trip_id, format('has %s pending offers', count(*))
        from offers where status = 'pending' group by trip_id having count(*) > 1
        union all
        select 'driver', driver_id::text, null, format('has %s pending offers', count(*))
        from offers where status = 'pending' group by driver_id having count(*) > 1
        union all
        select 'offer', o.id::text, t.id, format('is pending, and its trip is over: %s', t.state)
        from offers o join trips t on t.id = o.trip_id
        where o.status = 'pending' and t.ended_at is not null
        "#
    )?)
}

/// Invariant 2, of each trip: it has at most one accepted offer.
pub(super) async fn offers(conn: &mut PgConnection, window: TripWindow) -> Result<Vec<Row>> {
    Ok(violations!(
        conn,
        r#"
        select 'trip', trip_id::text, trip_id, format('has %s accepted offers', count(*))
        from offers where status = 'accepted' and released_at is null and trip_id >= $1 and trip_id < $2
        group by trip_id having count(*) > 1
        "#,
        window.first,
        window.end,
    )?)
}

/// Invariant 7: the events of a trip are numbered without gaps, each starts in the state where the previous one ended and is a legal
/// transition, and the last one has the trip's state and version. A trip whose history was deleted has none. The last event about each
/// refund has its state; the constraints of `payment_events` say the same of payments.
pub(super) async fn events(conn: &mut PgConnection, window: TripWindow) -> Result<Vec<Row>> {
    Ok(violations!(
        conn,
        r#"
        with steps as (
            select trip_id, seq, command, from_state, to_state,
                   lag(seq, 1, 0::bigint) over (partition by trip_id order by seq) as seq_before,
                   lag(to_state, 1, 'none') over (partition by trip_id order by seq) as state_before
            from trip_events where trip_id >= $1 and trip_id < $2)
        select 'trip', trip_id::text, trip_id, format('has event %s after event %s', seq, seq_before)
        from steps where seq <> seq_before + 1
        union all
        select 'trip', trip_id::text, trip_id, format('has event %s from %s, and was %s', seq, from_state, state_before)
        from steps where from_state <> state_before
        union all
        select 'trip', trip_id::text, trip_id, format('has event %s, `%s` from %s to %s, which is no legal transition', seq, command, from_state, to_state)
        from steps where not exists (
            select from trip_transitions edge
            where edge.from_state = steps.from_state and edge.command = steps.command and edge.to_state = steps.to_state)
        union all
        select 'trip', t.id::text, t.id, format('is %s at version %s, and its events end at %s, %s',
                                                 t.state, t.version, coalesce(last.to_state, 'nothing'), coalesce(last.seq, 0))
        from trips t
        left join lateral (select seq, to_state from trip_events where trip_id = t.id order by seq desc limit 1) last on true
        where t.id >= $1 and t.id < $2 and t.history_deleted_at is null
          and (last.seq is distinct from t.version or last.to_state is distinct from t.state)
        union all
        select 'refund', r.id::text, p.trip_id, format('is %s, and the last event about it is %s', r.state, coalesce(last.kind, 'missing'))
        from payments p join refunds r on r.payment_id = p.id
        left join lateral (
            select kind from payment_events where payment_id = p.id and refund_id = r.id order by seq desc limit 1) last on true
        where p.trip_id >= $1 and p.trip_id < $2
          and last.kind is distinct from case r.state when 'pending' then 'refund_requested' else 'refund_' || r.state end
        "#,
        window.first,
        window.end,
    )?)
}
