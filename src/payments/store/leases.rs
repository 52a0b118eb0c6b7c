//! Leases: who works on a payment or a refund. Each lease has a greater token than the one before, and every write under a lease
//! names its token, so that a holder who was overtaken changes nothing.

use sqlx::PgConnection;

use super::payments::{Row, payments};
use crate::payments::model::Payment;
use crate::platform::clock::{DomainTime, MachineTime};
use crate::platform::db::one_row;
use crate::platform::error::{Code, Refusal, Result};
use crate::platform::ids::{Id, PaymentId};

/// Which leases to take.
#[derive(Debug, Clone, Copy)]
pub struct Lease {
    /// What is due by now, and leased to nobody.
    pub now: MachineTime,
    /// Holds that are to be looked at by now.
    pub domain_now: DomainTime,
    /// Until when the leases last.
    pub until: MachineTime,
    /// How many at most.
    pub limit: i64,
}

/// Leases payments that are due, the most overdue first, and then holds that are to be looked at. Those that somebody else is leasing
/// at this moment are skipped.
///
/// # Errors
/// If the database does not answer.
pub async fn lease_payments(conn: &mut PgConnection, lease: Lease) -> Result<Vec<Payment>> {
    let ids = sqlx::query_scalar!(
        "with due as materialized (
             select id from payments
             where (due_at <= $1 or (due_at is null and state = 'authorized' and look_at <= $4)) and (leased_until is null or leased_until <= $1)
             order by due_at limit $3
             for no key update skip locked)
         update payments set lease_token = lease_token + 1, leased_until = $2
         from due where payments.id = due.id
         returning payments.id",
        lease.now as _,
        lease.until as _,
        lease.limit,
        lease.domain_now as _,
    )
    .fetch_all(&mut *conn)
    .await?;
    let ids: Vec<_> = ids.into_iter().map(Id::uuid).collect();
    let rows = payments!("where p.id = any($1) order by p.due_at", &ids).fetch_all(conn).await?;
    rows.into_iter().map(Payment::try_from).collect()
}

/// A payment, its row locked, if the lease with this token is still the latest.
///
/// # Errors
/// If the database does not answer.
pub async fn leased_payment(conn: &mut PgConnection, id: PaymentId, token: i64) -> Result<Option<Payment>> {
    payments!("where p.id = $1 and p.lease_token = $2 for no key update of p", id.uuid(), token)
        .fetch_optional(conn)
        .await?
        .map(Payment::try_from)
        .transpose()
}

/// When something is looked at next.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// When it is due; `None` if nothing is to be done.
    pub due_at: Option<MachineTime>,
    /// Until when the lease lasts; `None` gives it back.
    pub leased_until: Option<MachineTime>,
    /// When a hold is looked at next, unless later is written already.
    pub look_at: Option<DomainTime>,
}

impl Pace {
    /// Nothing is to be done.
    pub const REST: Self = Self { due_at: None, leased_until: None, look_at: None };

    /// Something is due at `time`, and anybody's.
    pub const fn due(time: MachineTime) -> Self {
        Self { due_at: Some(time), ..Self::REST }
    }

    /// The lease holder goes on at `now`, until `until` at most.
    pub const fn going_on(now: MachineTime, until: MachineTime) -> Self {
        Self { due_at: Some(now), leased_until: Some(until), ..Self::REST }
    }
}

/// Writes what has become of a leased payment.
///
/// # Errors
/// A conflict if the lease was lost, or the payment has changed since it was read.
pub async fn save_payment(
    conn: &mut PgConnection,
    before: &Payment,
    after: &Payment,
    pace: Pace,
    now: DomainTime,
) -> Result<()> {
    let done = sqlx::query!(
        "update payments set state = $4, authorized_amount = $5, captured_amount = $6, refund_reserved = $7,
                provider_intent_id = $8, decline_code = $9, attention = $10, failures = $11, due_at = $12,
                leased_until = $13, version = $14, look_at = greatest(look_at, $16),
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
        after.attention,
        after.failures,
        pace.due_at as _,
        pace.leased_until as _,
        after.version,
        now as _,
        pace.look_at as _,
    )
    .execute(conn)
    .await?;
    one_row(&done, lost)
}

/// When the next payment or refund can be leased, if any is waiting.
///
/// # Errors
/// If the database does not answer.
pub async fn next_due(conn: &mut PgConnection) -> Result<Option<MachineTime>> {
    let due = sqlx::query_scalar!(
        r#"select least((select min(greatest(due_at, leased_until)) from payments where due_at is not null),
                        (select min(greatest(due_at, leased_until)) from refunds where due_at is not null))
               as "due: MachineTime""#
    )
    .fetch_one(conn)
    .await?;
    Ok(due)
}

pub(super) fn lost() -> Refusal {
    Refusal::new(Code::Internal, "The lease was lost.")
}
