//! Receipts, the ledger and its limits: invariants 3, 4 and 5.

use sqlx::PgConnection;
use uuid::Uuid;

use super::{Row, find};
use crate::platform::error::Result;
use crate::platform::ids::TripId;

/// Invariant 3: What was captured for a settled trip is what its receipt says. Less is a debt, and then a payment says that it failed or
/// waits for a person; what is free took nothing, or gave it all back. The ledger charges what the receipt says.
pub(super) async fn receipts(conn: &mut PgConnection, unsettled: &[Uuid]) -> Result<Vec<Row>> {
    Ok(find!(
        conn,
        r#"
        with paid as (
            select trip_id, sum(captured_amount) as captured,
                   bool_or(attention is not null or state in ('declined', 'auth_expired', 'capture_failed')) as known_debt
            from payments group by trip_id),
        returned as (
            select payments.trip_id, sum(refunds.amount) as refunded
            from refunds join payments on payments.id = refunds.payment_id
            where refunds.state = 'succeeded' group by payments.trip_id),
        charged as (
            select posting.trip_id, sum(entry.amount) as charged
            from ledger_postings posting join ledger_entries entry on entry.posting_id = posting.id
            where posting.kind = 'charge' and entry.account = 'rider_receivable' group by posting.trip_id),
        bill as (
            select t.id, t.state, t.total is null as open, coalesce(t.total, 0) as total, coalesce(captured, 0) as captured,
                   coalesce(refunded, 0) as refunded, coalesce(charged, 0) as charged, coalesce(known_debt, false) as known_debt
            from trips t
            left join paid on paid.trip_id = t.id
            left join returned on returned.trip_id = t.id
            left join charged on charged.trip_id = t.id
            where t.ended_at is not null
              and not exists (select from unnest($1::uuid[]) as unsettled (id) where unsettled.id = t.id))
        select 'trip', id::text, id, problem
        from bill cross join lateral (select case
            when open and state in ('completed', 'no_show') then format('is %s and has no total', state)
            when charged <> total then format('costs %s by its receipt, and %s by the ledger', total, charged)
            when captured - refunded > total then format('costs %s; %s were captured and %s given back', total, captured, refunded)
            when captured < total and not known_debt then format('costs %s; %s were captured, and nobody knows of the debt', total, captured)
            end) as verdict (problem)
        where problem is not null
        "#,
        unsettled,
    )?)
}

/// Invariant 4: Every posting sums to zero. For each settled trip its rider owes what was charged and not captured, clearing holds what
/// was captured and not given back, refunds what was given back; and nobody is posted to who was not on the trip.
pub(super) async fn ledger(conn: &mut PgConnection, unsettled: &[Uuid]) -> Result<Vec<Row>> {
    Ok(find!(
        conn,
        r#"
        with settled as (
            select t.id, t.rider_id, t.driver_id from trips t
            where t.ended_at is not null
              and not exists (select from unnest($1::uuid[]) as unsettled (id) where unsettled.id = t.id)),
        entries as (
            select posting.trip_id, posting.kind, entry.account, entry.owner_id, entry.amount
            from ledger_postings posting join ledger_entries entry on entry.posting_id = posting.id),
        balances as (
            select trip_id,
                   sum(amount) filter (where account = 'rider_receivable') as receivable,
                   sum(amount) filter (where account = 'rider_receivable' and kind = 'charge') as charged,
                   sum(amount) filter (where account = 'clearing') as clearing,
                   sum(amount) filter (where account = 'refunds') as refunds
            from entries group by trip_id),
        paid as (select trip_id, sum(captured_amount) as captured from payments group by trip_id),
        returned as (
            select payments.trip_id, sum(refunds.amount) as refunded
            from refunds join payments on payments.id = refunds.payment_id
            where refunds.state = 'succeeded' group by payments.trip_id),
        accounts as (
            select settled.id, coalesce(receivable, 0) as receivable, coalesce(charged, 0) as charged,
                   coalesce(clearing, 0) as clearing, coalesce(refunds, 0) as refunds,
                   coalesce(captured, 0) as captured, coalesce(refunded, 0) as refunded
            from settled
            left join balances on balances.trip_id = settled.id
            left join paid on paid.trip_id = settled.id
            left join returned on returned.trip_id = settled.id)
        select 'posting', posting.id::text, posting.trip_id,
               coalesce(format('sums to %s %s', sum(entry.amount), entry.currency), 'has no entries')
        from ledger_postings posting left join ledger_entries entry on entry.posting_id = posting.id
        group by posting.id, entry.currency having sum(entry.amount) is distinct from 0
        union all
        select 'trip', id::text, id, format('has %s receivable; %s were charged and %s captured', receivable, charged, captured)
        from accounts where receivable <> charged - captured
        union all
        select 'trip', id::text, id, format('has %s in clearing; %s were captured and %s given back', clearing, captured, refunded)
        from accounts where clearing <> captured - refunded
        union all
        select 'trip', id::text, id, format('has %s in refunds; %s were given back', refunds, refunded)
        from accounts where refunds <> refunded
        union all
        select 'trip', settled.id::text, settled.id, format('has %s in %s for somebody else', entries.amount, entries.account)
        from settled join entries on entries.trip_id = settled.id
        where (entries.account = 'rider_receivable' and entries.owner_id is distinct from settled.rider_id)
           or (entries.account = 'driver_payable' and entries.owner_id is distinct from settled.driver_id)
        "#,
        unsettled,
    )?)
}

/// Invariant 5: Captures never exceed what was authorised, nor refunds what was captured; and what a payment keeps for refunds is their sum.
pub(super) async fn limits(conn: &mut PgConnection) -> Result<Vec<Row>> {
    Ok(find!(
        conn,
        r#"
        with reserved as (
            select payments.id, payments.trip_id, payments.captured_amount as captured, payments.refund_reserved as kept,
                   coalesce(sum(refunds.amount) filter (where refunds.state in ('pending', 'succeeded')), 0) as refunds
            from payments left join refunds on refunds.payment_id = payments.id
            group by payments.id)
        select 'payment', id::text, trip_id, format('was authorised for %s of %s', authorized_amount, amount)
        from payments where authorized_amount > amount
        union all
        select 'payment', id::text, trip_id, format('captured %s of %s authorised', captured_amount, authorized_amount)
        from payments where captured_amount > authorized_amount
        union all
        select 'payment', id::text, trip_id, format('has refunds of %s; %s were captured', refunds, captured)
        from reserved where refunds > captured
        union all
        select 'payment', id::text, trip_id, format('keeps %s for refunds that sum to %s', kept, refunds)
        from reserved where kept <> refunds
        "#
    )?)
}
