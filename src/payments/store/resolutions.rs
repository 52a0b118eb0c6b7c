//! SQL of the operators' decisions and of their effects. A decision ends the lease: the result of a call in progress is then not
//! written.

use sqlx::PgConnection;
use uuid::Uuid;

use super::attempts::{expire_attempts, resolve_attempts};
use super::payments::payment_changed;
use crate::payments::model::{Payment, Refund};
use crate::payments::state_machine::resolve::ResolveAction;
use crate::platform::clock::{DomainTime, MachineTime};
use crate::platform::db::one_row;
use crate::platform::error::Result;
use crate::platform::ids::{Id, PaymentId, RefundId};
use crate::platform::telemetry;

/// A decision to insert.
#[derive(Debug)]
pub struct ResolutionRow<'a> {
    /// The decision's id.
    pub id: Uuid,
    /// The payment.
    pub payment_id: PaymentId,
    /// The refund of that payment, if the decision is about one.
    pub refund_id: Option<RefundId>,
    /// The decision.
    pub action: ResolveAction,
    /// The reason for the review.
    pub needs_review: &'a str,
    /// The operator's note.
    pub note: &'a str,
    /// The operator.
    pub operator_id: Uuid,
    /// Minor units written off.
    pub written_off: i64,
    /// The idempotency key of the request.
    pub key_id: Option<Uuid>,
    /// When the operator decided.
    pub at: DomainTime,
}

/// Inserts a decision.
///
/// # Errors
/// If the database fails.
pub async fn insert_resolution(conn: &mut PgConnection, new: &ResolutionRow<'_>) -> Result<()> {
    sqlx::query!(
        "insert into payment_resolutions (id, payment_id, refund_id, action, needs_review, note, operator_id, written_off, key_id,
                                          resolved_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        new.id,
        new.payment_id.uuid(),
        new.refund_id.map(Id::uuid),
        new.action.as_str(),
        new.needs_review,
        new.note,
        new.operator_id,
        new.written_off,
        new.key_id,
        new.at as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Makes a payment due, and ends its review. Its unresolved attempts stay unresolved.
///
/// # Errors
/// A conflict if the payment has changed since it was read.
pub async fn retry_payment(conn: &mut PgConnection, before: &Payment, now: MachineTime) -> Result<()> {
    let done = sqlx::query!(
        "update payments set needs_review = null, failures = 0, due_at = $3, version = version + 1, trace_id = $4
         where id = $1 and version = $2 and state in ('authorizing', 'authorized', 'capturing', 'voiding')",
        before.id.uuid(),
        before.version,
        now as _,
        telemetry::trace_id(),
    )
    .execute(conn)
    .await?;
    one_row(&done, payment_changed)
}

/// Ends the review of a payment, and the work on it.
///
/// # Errors
/// A conflict if the payment has changed since it was read.
pub async fn close_payment(conn: &mut PgConnection, before: &Payment, after: &Payment, now: MachineTime) -> Result<()> {
    let done = sqlx::query!(
        "update payments set last_event = case when state = $3 then last_event else (select max(seq) + 1 from payment_events where payment_id = $1) end,
                state = $3, needs_review = null, failures = 0, due_at = null,
                leased_until = null, lease_token = lease_token + 1, version = version + 1
         where id = $1 and version = $2",
        before.id.uuid(),
        before.version,
        after.state.as_str(),
    )
    .execute(&mut *conn)
    .await?;
    one_row(&done, payment_changed)?;
    expire_attempts(conn, &[before.id.uuid()], now).await?;
    resolve_attempts(conn, before.id.uuid(), now).await
}

/// Makes a refund due, and ends its review. Its unresolved attempts stay unresolved.
///
/// # Errors
/// A conflict if the refund has been leased or has ended since it was read.
pub async fn retry_refund(conn: &mut PgConnection, after: &Refund, now: MachineTime) -> Result<()> {
    let done = sqlx::query!(
        "update refunds set needs_review = null, failures = 0, allow_new_key = $3, due_at = $4, trace_id = $5,
                leased_until = null, lease_token = lease_token + 1
         where id = $1 and lease_token = $2 and state = 'pending'",
        after.id.uuid(),
        after.lease_token,
        after.allow_new_key,
        now as _,
        telemetry::trace_id(),
    )
    .execute(conn)
    .await?;
    one_row(&done, payment_changed)
}

/// Ends the review of a refund, and the work on it.
///
/// # Errors
/// A conflict if the refund has been leased since it was read.
pub async fn close_refund(conn: &mut PgConnection, after: &Refund, now: MachineTime) -> Result<()> {
    let done = sqlx::query!(
        "update refunds set state = $3, failure_code = $4, needs_review = null, failures = 0, due_at = null,
                leased_until = null, lease_token = lease_token + 1
         where id = $1 and lease_token = $2 and state <> 'succeeded'",
        after.id.uuid(),
        after.lease_token,
        after.state.as_str(),
        after.failure_code,
    )
    .execute(&mut *conn)
    .await?;
    one_row(&done, payment_changed)?;
    expire_attempts(conn, &[after.id.uuid()], now).await?;
    resolve_attempts(conn, after.id.uuid(), now).await
}
