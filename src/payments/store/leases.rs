//! SQL of the leases on payments and refunds.
//!
//! Each lease has a greater fencing token than the one before. Every read and write under a lease names its token, so a holder
//! whose lease was taken over changes nothing.
//!
//! A hint that arrives during a lease is kept in the column `hint`: the answer of the lease holder may be older than the hint. So the
//! write that ends the lease leaves the row due. A new lease clears the hint, because its calls come later.

use sqlx::PgConnection;

use super::payments::{PaymentRow, payments};
use super::refunds::{RefundRow, refunds};
use crate::payments::model::{CallPool, DisputeState, Payment, Refund};
use crate::platform::clock::{DomainTime, MachineTime};
use crate::platform::db::one_row;
use crate::platform::error::{Code, Refusal, Result};
use crate::platform::ids::{Id, PaymentId, RefundId, TripId};

/// Which leases to take.
#[derive(Debug, Clone, Copy)]
pub struct LeaseQuery {
    /// Whose calls they are for.
    pub pool: CallPool,
    /// Rows that are due by now, and not leased.
    pub now: MachineTime,
    /// Holds whose recheck is due by now.
    pub domain_now: DomainTime,
    /// When the leases end.
    pub until: MachineTime,
    /// The maximum number.
    pub limit: i64,
}

/// Leases the rows of `$table` for which `$due` holds, the most overdue first. Rows that another transaction is leasing are skipped. The
/// ids are an array, because PostgreSQL plans for any `$3`: it would expect a third of all rows to be due, and join the whole table.
macro_rules! lease {
    ($table:tt, $due:tt, $query:expr, $($argument:tt)*) => {
        sqlx::query_scalar!(
            "with due as materialized (
                 select id from " + $table + "
                 where (" + $due + ") and (leased_until is null or leased_until <= $1)
                 order by due_at limit $3
                 for no key update skip locked)
             update " + $table + " leased set lease_token = lease_token + 1, leased_until = $2, hint = null
             where leased.id = any (array(select id from due))
             returning leased.id",
            $query.now as _,
            $query.until as _,
            $query.limit,
            $($argument)*
        )
    };
}

/// Leases due payments of a pool. To [`CallPool::Settlement`] belong holds whose recheck is due, after all others. A leased row that is
/// invalid is an error beside the others: nothing happens to it while its lease lasts.
///
/// # Errors
/// If the database fails.
pub async fn lease_payments(conn: &mut PgConnection, query: LeaseQuery) -> Result<Vec<Result<Payment>>> {
    let ids = match query.pool {
        CallPool::Authorizations => {
            let due = lease!("payments", "due_at <= $1 and state = 'authorizing' and goal = 'hold'", query,);
            due.fetch_all(&mut *conn).await?
        }
        CallPool::Settlement => {
            let due_or_to_recheck = lease!(
                "payments",
                "(due_at <= $1 and not (state = 'authorizing' and goal = 'hold'))
                 or (due_at is null and state = 'authorized' and recheck_at <= $4)",
                query,
                query.domain_now as _
            );
            due_or_to_recheck.fetch_all(&mut *conn).await?
        }
    };
    let ids: Vec<_> = ids.into_iter().map(Id::uuid).collect();
    let rows = payments!("where p.id = any($1) order by p.due_at", &ids).fetch_all(conn).await?;
    Ok(rows.into_iter().map(Payment::try_from).collect())
}

/// Leases due refunds. A leased row that is invalid is an error beside the others, as for payments.
///
/// # Errors
/// If the database fails.
pub async fn lease_refunds(conn: &mut PgConnection, query: LeaseQuery) -> Result<Vec<Result<Refund>>> {
    let due = lease!("refunds", "due_at <= $1", query,);
    let ids: Vec<_> = due.fetch_all(&mut *conn).await?.into_iter().map(Id::uuid).collect();
    let rows = refunds!("where r.id = any($1) order by r.due_at", &ids).fetch_all(conn).await?;
    Ok(rows.into_iter().map(Refund::try_from).collect())
}

/// Locks and returns a payment if `token` is still its latest lease's.
///
/// # Errors
/// If the database fails.
pub async fn lock_leased_payment(conn: &mut PgConnection, id: PaymentId, token: i64) -> Result<Option<Payment>> {
    payments!("where p.id = $1 and p.lease_token = $2 for no key update of p", id.uuid(), token)
        .fetch_optional(conn)
        .await?
        .map(Payment::try_from)
        .transpose()
}

/// Locks and returns a refund if `token` is still its latest lease's.
///
/// # Errors
/// If the database fails.
pub async fn lock_leased_refund(conn: &mut PgConnection, id: RefundId, token: i64) -> Result<Option<Refund>> {
    refunds!("where r.id = $1 and r.lease_token = $2 for no key update of r", id.uuid(), token)
        .fetch_optional(conn)
        .await?
        .map(Refund::try_from)
        .transpose()
}

/// When a payment or a refund is worked on next.
#[derive(Debug, Clone, Copy)]
pub struct RetrySchedule {
    /// When work is due; `None`: never.
    pub due_at: Option<MachineTime>,
    /// When the lease ends; `None` releases it.
    pub leased_until: Option<MachineTime>,
    /// When a hold is rechecked, unless a later time is stored.
    pub recheck_at: Option<DomainTime>,
}

impl RetrySchedule {
    /// No work is due.
    pub const IDLE: Self = Self { due_at: None, leased_until: None, recheck_at: None };

    /// Work is due at `time`, for any worker.
    pub const fn due(time: MachineTime) -> Self {
        Self { due_at: Some(time), ..Self::IDLE }
    }

    /// The lease holder continues at `now`, under a lease until `until`.
    pub const fn keep_lease(now: MachineTime, until: MachineTime) -> Self {
        Self { due_at: Some(now), leased_until: Some(until), ..Self::IDLE }
    }
}

/// Writes a leased payment.
///
/// # Errors
/// A conflict if the lease was lost, or the payment has changed since it was read.
pub async fn save_payment(
    conn: &mut PgConnection,
    before: &Payment,
    after: &Payment,
    schedule: RetrySchedule,
    now: DomainTime,
) -> Result<()> {
    let done = sqlx::query!(
        "update payments set last_event = case when state = $4 then last_event else (select max(seq) + 1 from payment_events where payment_id = $1) end,
                state = $4, authorized_amount = $5, captured_amount = $6, refund_reserved = $7,
                provider_intent_id = $8, decline_code = $9, needs_review = $10, failures = $11, dispute = $17,
                due_at = case when (hint is not null and $4 in ('authorizing', 'authorized', 'capturing', 'voiding'))
                                or (hint = 'charge' and $4 = 'captured') then due_at else $12 end,
                leased_until = $13, version = $14, recheck_at = greatest(recheck_at, $16),
                authorized_at = coalesce(authorized_at, case when $5::bigint > 0 then $15::timestamptz end),
                captured_at = coalesce(captured_at, case when $6::bigint > 0 then $15::timestamptz end)
         where id = $1 and lease_token = $2 and version = $3",
        before.id.uuid(),
        before.lease_token,
        before.version,
        after.state.as_str(),
        after.authorized,
        after.captured,
        after.refund_reserved,
        after.provider_intent_id,
        after.decline_code,
        after.needs_review,
        after.failures,
        schedule.due_at as _,
        schedule.leased_until as _,
        after.version,
        now as _,
        schedule.recheck_at as _,
        after.dispute.map(DisputeState::as_str),
    )
    .execute(conn)
    .await?;
    one_row(&done, lease_lost)
}

/// Writes a leased refund.
///
/// # Errors
/// A conflict if the lease was lost, or the refund has failed.
pub async fn save_refund(conn: &mut PgConnection, after: &Refund, schedule: RetrySchedule) -> Result<()> {
    let done = sqlx::query!(
        "update refunds set state = $3, provider_refund_id = $4, failure_code = $5, needs_review = $6, failures = $7,
                due_at = case when hint is not null and $3 <> 'failed' then due_at else $8 end,
                leased_until = $9, allow_new_key = $10
         where id = $1 and lease_token = $2 and state <> 'failed'",
        after.id.uuid(),
        after.lease_token,
        after.state.as_str(),
        after.provider_refund_id,
        after.failure_code,
        after.needs_review,
        after.failures,
        schedule.due_at as _,
        schedule.leased_until as _,
        after.allow_new_key,
    )
    .execute(conn)
    .await?;
    one_row(&done, lease_lost)
}

/// Returns when the next payment or refund of a pool can be leased.
///
/// # Errors
/// If the database fails.
pub async fn next_due(conn: &mut PgConnection, pool: CallPool) -> Result<Option<MachineTime>> {
    let due = match pool {
        CallPool::Authorizations => {
            let next = sqlx::query_scalar!(
                r#"select min(greatest(due_at, leased_until)) as "due: MachineTime" from payments
                   where due_at is not null and state = 'authorizing' and goal = 'hold'"#
            );
            next.fetch_one(conn).await?
        }
        CallPool::Settlement => {
            let next = sqlx::query_scalar!(
                r#"select least((select min(greatest(due_at, leased_until)) from payments
                                 where due_at is not null and not (state = 'authorizing' and goal = 'hold')),
                                (select min(greatest(due_at, leased_until)) from refunds where due_at is not null))
                       as "due: MachineTime""#
            );
            next.fetch_one(conn).await?
        }
    };
    Ok(due)
}

fn lease_lost() -> Refusal {
    Refusal::new(Code::Internal, "The lease was lost.")
}
