//! Receipts, the ledger and its limits: invariants 3, 4 and 5.
//!
//! `offset 0` makes the planner look up the entries of each posting. Otherwise it reads all entries for a window, up to some ten
//! millions.

use sqlx::PgConnection;
use uuid::Uuid;

use super::super::model::TripWindow;
use super::{Row, violations};
use crate::platform::error::Result;
use crate::platform::ids::TripId;

/// Invariant 3: the captures of a settled trip, without tips, equal its receipt. A smaller sum is a debt: it is written off, or a
/// payment needs review. A free trip captured nothing or refunded everything. The ledger charges the receipt's total, and each
/// captured tip.
pub(super) async fn receipts(conn: &mut PgConnection, window: TripWindow, unsettled: &[Uuid]) -> Result<Vec<Row>> {
    Ok(violations!(
        conn,
        r#"
        with paid as (
            select trip_id, sum(captured_amount) filter (where purpose <> 'tip') as captured,
                   sum(captured_amount) filter (where purpose = 'tip') as tipped,
                   bool_or(needs_review is not null and purpose <> 'tip') as known_debt
            from payments where trip_id >= $2 and trip_id < $3 group by trip_id),
        returned as (
            select payments.trip_id, sum(refunds.amount) as refunded
            from refunds join payments on payments.id = refunds.payment_id
            where refunds.state = 'succeeded' and payments.purpose <> 'tip' and payments.trip_id >= $2 and payments.trip_id < $3
            group by payments.trip_id),
        charged as (
            select posting.trip_id, sum(entry.amount) filter (where kind = 'charge') as charged,
                   sum(entry.amount) filter (where kind = 'tip') as tips, -sum(entry.amount) filter (where kind = 'write_off') as written_off
            from ledger_postings posting
            cross join lateral (select * from ledger_entries where posting_id = posting.id offset 0) entry
            where entry.account = 'rider_receivable' and posting.trip_id >= $2 and posting.trip_id < $3 group by posting.trip_id),
        bill as (
            select t.id, t.state, t.total is null as open, coalesce(t.total, 0) as total, coalesce(captured, 0) as captured,
                   coalesce(refunded, 0) as refunded, coalesce(charged, 0) as charged, coalesce(known_debt, false) as known_debt,
                   coalesce(tipped, 0) as tipped, coalesce(tips, 0) as tips, coalesce(written_off, 0) as written_off
            from trips t
            left join paid on paid.trip_id = t.id
            left join returned on returned.trip_id = t.id
            left join charged on charged.trip_id = t.id
            where t.ended_at is not null and t.id >= $2 and t.id < $3
              and not exists (select from unnest($1::uuid[]) as unsettled (id) where unsettled.id = t.id))
        select 'trip', id::text, id, problem
        from bill cross join lateral (select case
            when open and state in ('completed', 'no_show') then format('is %s and has no total', state)
            when charged <> total then format('costs %s by its receipt and %s by the ledger', total, charged)
            when captured - refunded > total then format('costs %s; %s were captured and %s refunded', total, captured, refunded)
            when captured + written_off < total and not known_debt then
                format('costs %s; %s were captured and %s written off, and no payment needs review', total, captured, written_off)
            when captured + written_off > total and written_off > 0 then format('costs %s; %s were captured, and yet %s written off', total, captured, written_off)
            when tips <> tipped then format('has tips of %s by the ledger; %s were captured', tips, tipped)
            end) as verdict (problem)
        where problem is not null
        "#,
        unsettled,
        window.first,
        window.end,
    )?)
}

/// Invariant 4: every posting sums to zero. For each settled trip, the rider owes what was charged, tips included, less captures and
/// write-offs; clearing holds captures less refunds, `refunds` holds the refunds, and the driver has the tips. The rider's and
/// driver's accounts belong to the trip's own rider and driver.
pub(super) async fn ledger(conn: &mut PgConnection, window: TripWindow, unsettled: &[Uuid]) -> Result<Vec<Row>> {
    Ok(violations!(
        conn,
        r#"
        with settled as (
            select t.id, t.rider_id, t.driver_id from trips t
            where t.ended_at is not null and t.id >= $2 and t.id < $3
              and not exists (select from unnest($1::uuid[]) as unsettled (id) where unsettled.id = t.id)),
        entries as (
            select posting.trip_id, posting.kind, entry.account, entry.owner_id, entry.amount
            from ledger_postings posting
            cross join lateral (select * from ledger_entries where posting_id = posting.id offset 0) entry
            where posting.trip_id >= $2 and posting.trip_id < $3),
        balances as (
            select trip_id,
                   sum(amount) filter (where account = 'rider_receivable') as receivable,
                   sum(amount) filter (where account = 'rider_receivable' and kind in ('charge', 'tip')) as charged,
                   sum(amount) filter (where account = 'bad_debt') as written_off,
                   sum(amount) filter (where account = 'rider_receivable' and kind = 'tip') as tips,
                   -sum(amount) filter (where account = 'driver_payable' and kind = 'tip') as driver_tips,
                   sum(amount) filter (where account = 'clearing') as clearing,
                   sum(amount) filter (where account = 'refunds') as refunds
            from entries group by trip_id),
        paid as (
            select trip_id, sum(captured_amount) as captured from payments where trip_id >= $2 and trip_id < $3 group by trip_id),
        returned as (
            select payments.trip_id, sum(refunds.amount) as refunded
            from refunds join payments on payments.id = refunds.payment_id
            where refunds.state = 'succeeded' and payments.trip_id >= $2 and payments.trip_id < $3 group by payments.trip_id),
        accounts as (
            select settled.id, coalesce(receivable, 0) as receivable, coalesce(charged, 0) as charged,
                   coalesce(written_off, 0) as written_off, coalesce(tips, 0) as tips, coalesce(driver_tips, 0) as driver_tips,
                   coalesce(clearing, 0) as clearing, coalesce(refunds, 0) as refunds,
                   coalesce(captured, 0) as captured, coalesce(refunded, 0) as refunded
            from settled
            left join balances on balances.trip_id = settled.id
            left join paid on paid.trip_id = settled.id
            left join returned on returned.trip_id = settled.id)
        select 'posting', posting.id::text, posting.trip_id,
               coalesce(format('sums to %s %s', sum(entry.amount), entry.currency), 'has no entries')
        from ledger_postings posting left join lateral (select * from ledger_entries where posting_id = posting.id offset 0) entry on true
        where posting.trip_id >= $2 and posting.trip_id < $3
        group by posting.id, entry.currency having sum(entry.amount) is distinct from 0
        union all
        select 'trip', id::text, id, format('has %s receivable; %s were charged, %s captured and %s written off', receivable, charged, captured, written_off)
        from accounts where receivable <> charged - captured - written_off
        union all
        select 'trip', id::text, id, format('has tips of %s, and its driver got %s of them', tips, driver_tips)
        from accounts where tips <> driver_tips
        union all
        select 'trip', id::text, id, format('has %s in clearing; %s were captured and %s refunded', clearing, captured, refunded)
        from accounts where clearing <> captured - refunded
        union all
        select 'trip', id::text, id, format('has %s in refunds; %s were refunded', refunds, refunded)
        from accounts where refunds <> refunded
        union all
        select 'trip', settled.id::text, settled.id, format('has %s in %s of another owner', entries.amount, entries.account)
        from settled join entries on entries.trip_id = settled.id
        where (entries.account = 'rider_receivable' and entries.owner_id is distinct from settled.rider_id)
           or (entries.account = 'driver_payable' and entries.owner_id is distinct from settled.driver_id)
        "#,
        unsettled,
        window.first,
        window.end,
    )?)
}

/// Invariant 5: captures do not exceed authorizations, refunds do not exceed captures, and a payment's reserve is the sum of its
/// refunds.
pub(super) async fn limits(conn: &mut PgConnection, window: TripWindow) -> Result<Vec<Row>> {
    Ok(violations!(
        conn,
        r#"
        with reserved as (
            select payments.id, payments.trip_id, payments.captured_amount as captured, payments.refund_reserved as reserve,
                   coalesce(sum(refunds.amount) filter (where refunds.state in ('pending', 'succeeded')), 0) as refunds
            from payments left join refunds on refunds.payment_id = payments.id
            where payments.trip_id >= $1 and payments.trip_id < $2
            group by payments.id)
        select 'payment', id::text, trip_id, format('was authorized for %s of %s', authorized_amount, amount)
        from payments where authorized_amount > amount and trip_id >= $1 and trip_id < $2
        union all
        select 'payment', id::text, trip_id, format('captured %s of %s authorized', captured_amount, authorized_amount)
        from payments where captured_amount > authorized_amount and trip_id >= $1 and trip_id < $2
        union all
        select 'payment', id::text, trip_id, format('has refunds of %s; %s were captured', refunds, captured)
        from reserved where refunds > captured
        union all
        select 'payment', id::text, trip_id, format('reserves %s for refunds that sum to %s', reserve, refunds)
        from reserved where reserve <> refunds
        "#,
        window.first,
        window.end,
    )?)
}
