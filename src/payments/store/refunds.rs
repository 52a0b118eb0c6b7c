//! Refunds, in rows.

use sqlx::PgConnection;
use uuid::Uuid;

use super::leases::{Lease, Pace, lost};
use crate::payments::model::{Refund, RefundState};
use crate::platform::clock::{DomainTime, MachineTime};
use crate::platform::db::one_row;
use crate::platform::error::{Error, Result};
use crate::platform::ids::{Id, PaymentId, RefundId};

struct Row {
    id: RefundId,
    payment_id: PaymentId,
    amount: i64,
    state: String,
    provider_refund_id: Option<String>,
    failure_code: Option<String>,
    attention: Option<String>,
    failures: i16,
    another_key: bool,
    lease_token: i64,
}

impl TryFrom<Row> for Refund {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let impossible = || Error::ImpossibleRow {
            table: "refunds",
            column: "state",
            row: row.id.to_string(),
            value: row.state.clone(),
        };
        Ok(Self {
            state: RefundState::named(&row.state).ok_or_else(impossible)?,
            id: row.id,
            payment_id: row.payment_id,
            amount: row.amount,
            provider_refund_id: row.provider_refund_id,
            failure_code: row.failure_code,
            attention: row.attention,
            failures: row.failures,
            another_key: row.another_key,
            lease_token: row.lease_token,
        })
    }
}

/// Selects whole refunds by what follows.
macro_rules! refunds {
    ($rest:tt, $($arguments:tt)*) => {
        sqlx::query_as!(
            Row,
            "select id, payment_id, amount, state, provider_refund_id, failure_code, attention, failures, another_key,
                    lease_token
             from refunds " + $rest,
            $($arguments)*
        )
    };
}

/// A refund.
///
/// # Errors
/// If the database does not answer.
pub async fn refund(conn: &mut PgConnection, id: RefundId) -> Result<Option<Refund>> {
    refunds!("where id = $1", id.uuid()).fetch_optional(conn).await?.map(Refund::try_from).transpose()
}

/// The refunds of a payment, oldest first.
///
/// # Errors
/// If the database does not answer.
pub async fn of_payment(conn: &mut PgConnection, payment: PaymentId) -> Result<Vec<Refund>> {
    let rows = refunds!("where payment_id = $1 order by id", payment.uuid()).fetch_all(conn).await?;
    rows.into_iter().map(Refund::try_from).collect()
}

/// A refund, its row locked until the transaction ends.
///
/// # Errors
/// If the database does not answer.
pub async fn lock_refund(conn: &mut PgConnection, id: RefundId) -> Result<Option<Refund>> {
    refunds!("where id = $1 for no key update", id.uuid()).fetch_optional(conn).await?.map(Refund::try_from).transpose()
}

/// A refund, its row locked, if the lease with this token is still the latest.
///
/// # Errors
/// If the database does not answer.
pub async fn leased_refund(conn: &mut PgConnection, id: RefundId, token: i64) -> Result<Option<Refund>> {
    refunds!("where id = $1 and lease_token = $2 for no key update", id.uuid(), token)
        .fetch_optional(conn)
        .await?
        .map(Refund::try_from)
        .transpose()
}

/// Leases refunds that are due, the most overdue first. Those that somebody else is leasing at this moment are skipped.
///
/// # Errors
/// If the database does not answer.
pub async fn lease_refunds(conn: &mut PgConnection, lease: Lease) -> Result<Vec<Refund>> {
    let ids = sqlx::query_scalar!(
        "with due as materialized (
             select id from refunds
             where due_at <= $1 and (leased_until is null or leased_until <= $1)
             order by due_at limit $3
             for no key update skip locked)
         update refunds set lease_token = lease_token + 1, leased_until = $2
         from due where refunds.id = due.id
         returning refunds.id",
        lease.now as _,
        lease.until as _,
        lease.limit,
    )
    .fetch_all(&mut *conn)
    .await?;
    let ids: Vec<_> = ids.into_iter().map(Id::uuid).collect();
    let rows = refunds!("where id = any($1) order by due_at", &ids).fetch_all(conn).await?;
    rows.into_iter().map(Refund::try_from).collect()
}

/// Writes what has become of a leased refund.
///
/// # Errors
/// A conflict if the lease was lost, or the refund has ended.
pub async fn save_refund(conn: &mut PgConnection, after: &Refund, pace: Pace) -> Result<()> {
    let done = sqlx::query!(
        "update refunds set state = $3, provider_refund_id = $4, failure_code = $5, attention = $6, failures = $7,
                due_at = $8, leased_until = $9, another_key = $10
         where id = $1 and lease_token = $2 and state = 'pending'",
        after.id.uuid(),
        after.lease_token,
        after.state.as_str(),
        after.provider_refund_id,
        after.failure_code,
        after.attention,
        after.failures,
        pace.due_at as _,
        pace.leased_until as _,
        after.another_key,
    )
    .execute(conn)
    .await?;
    one_row(&done, lost)
}

/// A new refund, as it is written.
#[derive(Debug)]
pub struct InsertRefund {
    /// Its id.
    pub id: RefundId,
    /// The payment that it is a part of.
    pub payment_id: PaymentId,
    /// Minor units.
    pub amount: i64,
    /// The idempotency key that it was asked for under, if it was.
    pub key_id: Option<Uuid>,
    /// When it was asked for.
    pub created_at: DomainTime,
    /// When its first step is due.
    pub due_at: MachineTime,
}

/// Writes a new refund: pending, and due. The payment has reserved its amount already.
///
/// # Errors
/// If the database does not answer.
pub async fn insert_refund(conn: &mut PgConnection, new: &InsertRefund) -> Result<()> {
    sqlx::query!(
        "insert into refunds (id, payment_id, amount, state, key_id, created_at, due_at)
         values ($1, $2, $3, 'pending', $4, $5, $6)",
        new.id.uuid(),
        new.payment_id.uuid(),
        new.amount,
        new.key_id,
        new.created_at as _,
        new.due_at as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}
