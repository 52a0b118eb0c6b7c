//! What operators decided, in rows, and what it changes. Whoever decides takes the lease away: a call that is under way then is
//! overtaken, and what it brings back is not written.

use sqlx::PgConnection;
use uuid::Uuid;

use super::attempts::{forsake_attempts, forsake_refund_attempts, resolve_attempts, resolve_refund_attempts};
use super::payments::changed;
use crate::payments::machine::resolve::Action;
use crate::payments::model::{Payment, Refund};
use crate::platform::clock::{DomainTime, MachineTime};
use crate::platform::db::one_row;
use crate::platform::error::Result;
use crate::platform::ids::{Id, PaymentId, RefundId};

/// A decision, as it is written.
#[derive(Debug)]
pub struct Resolution<'a> {
    /// Its id.
    pub id: Uuid,
    /// The payment that it is about.
    pub payment_id: PaymentId,
    /// The refund of that payment, if it is about one.
    pub refund_id: Option<RefundId>,
    /// What was decided.
    pub action: Action,
    /// What it had waited for.
    pub attention: &'a str,
    /// Why, in the operator's words.
    pub note: &'a str,
    /// Who decided.
    pub operator_id: Uuid,
    /// Minor units that will not be had.
    pub written_off: i64,
    /// When.
    pub at: DomainTime,
}

/// Writes a decision.
///
/// # Errors
/// If the database does not answer.
pub async fn insert_resolution(conn: &mut PgConnection, new: &Resolution<'_>, key_id: Option<Uuid>) -> Result<()> {
    sqlx::query!(
        "insert into payment_resolutions (id, payment_id, refund_id, action, attention, note, operator_id, written_off, key_id,
                                          resolved_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        new.id,
        new.payment_id.uuid(),
        new.refund_id.map(Id::uuid),
        new.action.as_str(),
        new.attention,
        new.note,
        new.operator_id,
        new.written_off,
        key_id,
        new.at as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Makes a payment due that waited for a person. Its open calls are as open as before.
///
/// # Errors
/// A conflict if the payment has changed since it was read.
pub async fn due_again(conn: &mut PgConnection, before: &Payment, now: MachineTime) -> Result<()> {
    let done = sqlx::query!(
        "update payments set attention = null, failures = 0, due_at = $3, version = version + 1
         where id = $1 and version = $2 and state in ('authorizing', 'authorized', 'capturing', 'voiding')",
        before.id.uuid(),
        before.version,
        now as _,
    )
    .execute(conn)
    .await?;
    one_row(&done, changed)
}

/// Writes that nobody waits for a payment any more, which may have ended with that.
///
/// # Errors
/// A conflict if the payment has changed since it was read.
pub async fn save_closed(conn: &mut PgConnection, before: &Payment, after: &Payment, now: MachineTime) -> Result<()> {
    let done = sqlx::query!(
        "update payments set state = $3, attention = null, failures = 0, due_at = null,
                leased_until = null, lease_token = lease_token + 1, version = version + 1
         where id = $1 and version = $2",
        before.id.uuid(),
        before.version,
        after.state.as_str(),
    )
    .execute(&mut *conn)
    .await?;
    one_row(&done, changed)?;
    forsake_attempts(conn, &[before.id], now).await?;
    resolve_attempts(conn, before.id, now).await
}

/// Makes a refund due that waited for a person. Its open calls are as open as before.
///
/// # Errors
/// A conflict if the refund has been leased or has ended since it was read.
pub async fn refund_due_again(conn: &mut PgConnection, after: &Refund, now: MachineTime) -> Result<()> {
    let done = sqlx::query!(
        "update refunds set attention = null, failures = 0, another_key = $3, due_at = $4,
                leased_until = null, lease_token = lease_token + 1
         where id = $1 and lease_token = $2 and state = 'pending'",
        after.id.uuid(),
        after.lease_token,
        after.another_key,
        now as _,
    )
    .execute(conn)
    .await?;
    one_row(&done, changed)
}

/// Writes that nobody waits for a refund any more, which may have ended with that.
///
/// # Errors
/// A conflict if the refund has been leased since it was read.
pub async fn save_closed_refund(conn: &mut PgConnection, after: &Refund, now: MachineTime) -> Result<()> {
    let done = sqlx::query!(
        "update refunds set state = $3, failure_code = $4, attention = null, failures = 0, due_at = null,
                leased_until = null, lease_token = lease_token + 1
         where id = $1 and lease_token = $2 and state <> 'succeeded'",
        after.id.uuid(),
        after.lease_token,
        after.state.as_str(),
        after.failure_code,
    )
    .execute(&mut *conn)
    .await?;
    one_row(&done, changed)?;
    forsake_refund_attempts(conn, &[after.id], now).await?;
    resolve_refund_attempts(conn, after.id, now).await
}
