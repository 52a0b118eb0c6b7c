//! Calls to the provider, in rows: committed before the call, finished after it.

use std::collections::HashMap;

use sqlx::PgConnection;
use uuid::Uuid;

use crate::payments::model::{Operation, Outcome, Unresolved};
use crate::platform::clock::MachineTime;
use crate::platform::db::one_row;
use crate::platform::error::{Code, Refusal, Result};
use crate::platform::ids::{Id, PaymentId, RefundId};

/// A call that is about to be made.
#[derive(Debug)]
pub struct Started<'a> {
    /// The attempt's id.
    pub id: Uuid,
    /// The payment that it is about.
    pub payment_id: PaymentId,
    /// The refund that it is about, if it is one.
    pub refund_id: Option<RefundId>,
    /// What it does.
    pub operation: Operation,
    /// The `Idempotency-Key` that the provider will see.
    pub key: &'a str,
    /// Minor units, where the operation names an amount.
    pub amount: Option<i64>,
    /// The lease under which it is made.
    pub lease_token: i64,
}

/// Writes a call that is about to be made.
///
/// # Errors
/// If the database does not answer.
pub async fn start_attempt(conn: &mut PgConnection, attempt: &Started<'_>, now: MachineTime) -> Result<()> {
    sqlx::query!(
        "insert into payment_attempts (id, payment_id, refund_id, operation, provider_key, amount, outcome, lease_token,
                                       started_at)
         values ($1, $2, $3, $4, $5, $6, 'started', $7, $8)",
        attempt.id,
        attempt.payment_id.uuid(),
        attempt.refund_id.map(Id::uuid),
        attempt.operation.as_str(),
        attempt.key,
        attempt.amount,
        attempt.lease_token,
        now as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// How a call ended.
#[derive(Debug, Clone)]
pub struct Finished {
    /// The attempt's id.
    pub id: Uuid,
    /// How.
    pub outcome: Outcome,
    /// Whether there was an answer.
    pub answered: bool,
    /// For people: a status or a code.
    pub detail: Option<String>,
}

/// Writes how a call ended.
///
/// # Errors
/// A conflict if another lease holder has declared it unknown meanwhile.
pub async fn finish_attempt(conn: &mut PgConnection, end: &Finished, lease_token: i64, now: MachineTime) -> Result<()> {
    let done = sqlx::query!(
        "update payment_attempts set outcome = $3, answered = $4, detail = $5, finished_at = $6
         where id = $1 and lease_token = $2 and outcome = 'started'",
        end.id,
        lease_token,
        end.outcome.as_str(),
        end.answered,
        end.detail,
        now as _,
    )
    .execute(conn)
    .await?;
    one_row(&done, || Refusal::new(Code::Internal, "The attempt has been given up by its next lease holder."))
}

/// Declares the calls unknown that a former lease holder has started for these payments.
///
/// # Errors
/// If the database does not answer.
pub async fn forsake_attempts(conn: &mut PgConnection, payments: &[PaymentId], now: MachineTime) -> Result<()> {
    sqlx::query!(
        "update payment_attempts set outcome = 'unknown', finished_at = $2, detail = 'its lease ran out'
         where payment_id = any($1) and refund_id is null and outcome = 'started'",
        &uuids(payments),
        now as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Declares the calls unknown that a former lease holder has started for these refunds.
///
/// # Errors
/// If the database does not answer.
pub async fn forsake_refund_attempts(conn: &mut PgConnection, refunds: &[RefundId], now: MachineTime) -> Result<()> {
    sqlx::query!(
        "update payment_attempts set outcome = 'unknown', finished_at = $2, detail = 'its lease ran out'
         where refund_id = any($1) and outcome = 'started'",
        &uuids(refunds),
        now as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// What is unresolved of these payments: the latest unknown attempt of each, with the time of the first under its key.
///
/// # Errors
/// If the database does not answer.
pub async fn unresolved_attempts(
    conn: &mut PgConnection,
    payments: &[PaymentId],
) -> Result<HashMap<PaymentId, Unresolved>> {
    let rows = sqlx::query!(
        r#"select distinct on (a.payment_id) a.payment_id, a.provider_key, a.answered,
                  min(a.started_at) over (partition by a.payment_id, a.provider_key) as "since!: MachineTime"
           from payment_attempts a
           where a.payment_id = any($1) and a.refund_id is null and a.outcome = 'unknown' and a.resolved_at is null
           order by a.payment_id, a.started_at desc"#,
        &uuids(payments),
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.payment_id, Unresolved { key: row.provider_key, answered: row.answered, since: row.since }))
        .collect())
}

/// What is unresolved of these refunds: the latest unknown attempt of each, with the time of the first under its key.
///
/// # Errors
/// If the database does not answer.
pub async fn unresolved_refund_attempts(
    conn: &mut PgConnection,
    refunds: &[RefundId],
) -> Result<HashMap<RefundId, Unresolved>> {
    let rows = sqlx::query!(
        r#"select distinct on (a.refund_id) a.refund_id as "refund_id!: RefundId", a.provider_key, a.answered,
                  min(a.started_at) over (partition by a.refund_id, a.provider_key) as "since!: MachineTime"
           from payment_attempts a
           where a.refund_id = any($1) and a.outcome = 'unknown' and a.resolved_at is null
           order by a.refund_id, a.started_at desc"#,
        &uuids(refunds),
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.refund_id, Unresolved { key: row.provider_key, answered: row.answered, since: row.since }))
        .collect())
}

/// Notes that it is known what became of a payment's unknown calls, refunds apart.
///
/// # Errors
/// If the database does not answer.
pub async fn resolve_attempts(conn: &mut PgConnection, payment: PaymentId, now: MachineTime) -> Result<()> {
    sqlx::query!(
        "update payment_attempts set resolved_at = $2
         where payment_id = $1 and refund_id is null and outcome = 'unknown' and resolved_at is null",
        payment.uuid(),
        now as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Notes that it is known what became of a refund's unknown calls.
///
/// # Errors
/// If the database does not answer.
pub async fn resolve_refund_attempts(conn: &mut PgConnection, refund: RefundId, now: MachineTime) -> Result<()> {
    sqlx::query!(
        "update payment_attempts set resolved_at = $2
         where refund_id = $1 and outcome = 'unknown' and resolved_at is null",
        refund.uuid(),
        now as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}

fn uuids<T: Id>(ids: &[T]) -> Vec<Uuid> {
    ids.iter().map(|id| id.uuid()).collect()
}
