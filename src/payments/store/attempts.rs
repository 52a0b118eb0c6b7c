//! SQL of the attempts at provider calls: committed before the call, finished after it.
//!
//! A target is what the lease is on: a payment, or a refund. Its id is the column `target_id`.

use std::collections::HashMap;

use sqlx::PgConnection;
use uuid::Uuid;

use crate::payments::model::{AttemptOutcome, ProviderOperation, UnresolvedAttempt};
use crate::platform::clock::MachineTime;
use crate::platform::db::one_row;
use crate::platform::error::{Code, Refusal, Result};
use crate::platform::ids::{Id, PaymentId, RefundId};

/// A call that is about to be made.
#[derive(Debug)]
pub struct StartedAttempt<'a> {
    /// The attempt's id.
    pub id: Uuid,
    /// The payment.
    pub payment_id: PaymentId,
    /// The refund, if the lease is on one.
    pub refund_id: Option<RefundId>,
    /// What the call does.
    pub operation: ProviderOperation,
    /// The `Idempotency-Key` to send.
    pub key: &'a str,
    /// Minor units, where the operation names an amount.
    pub amount: Option<i64>,
    /// The fencing token of the lease.
    pub lease_token: i64,
    /// The trace of the run that makes the call.
    pub trace_id: Option<String>,
}

/// Inserts a call that is about to be made.
///
/// # Errors
/// If the database fails.
pub async fn start_attempt(conn: &mut PgConnection, attempt: &StartedAttempt<'_>, now: MachineTime) -> Result<()> {
    sqlx::query!(
        "insert into payment_attempts (id, payment_id, refund_id, operation, provider_key, amount, outcome, lease_token,
                                       started_at, trace_id)
         values ($1, $2, $3, $4, $5, $6, 'started', $7, $8, $9)",
        attempt.id,
        attempt.payment_id.uuid(),
        attempt.refund_id.map(Id::uuid),
        attempt.operation.as_str(),
        attempt.key,
        attempt.amount,
        attempt.lease_token,
        now as _,
        attempt.trace_id,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The result of a call.
#[derive(Debug, Clone)]
pub struct FinishedAttempt {
    /// The attempt's id.
    pub id: Uuid,
    /// The result.
    pub outcome: AttemptOutcome,
    /// Whether the provider answered.
    pub answered: bool,
    /// A status or a code, for operators.
    pub detail: Option<String>,
}

/// Records the result of a call, once, and by the lease holder that started it.
///
/// # Errors
/// A conflict if the next lease holder has declared the attempt unknown.
pub async fn finish_attempt(
    conn: &mut PgConnection,
    end: &FinishedAttempt,
    lease_token: i64,
    now: MachineTime,
) -> Result<()> {
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
    one_row(&done, || Refusal::new(Code::Internal, "The next lease holder has declared the attempt unknown."))
}

/// Declares the unfinished attempts of former lease holders unknown.
///
/// # Errors
/// If the database fails.
pub async fn expire_attempts(conn: &mut PgConnection, targets: &[Uuid], now: MachineTime) -> Result<()> {
    sqlx::query!(
        "update payment_attempts set outcome = 'unknown', finished_at = $2, detail = 'its lease ran out'
         where target_id = any($1) and outcome = 'started'",
        targets,
        now as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Returns the latest unresolved attempt of each target, with the times of the first and the last one under its key.
///
/// # Errors
/// If the database fails.
pub async fn unresolved_attempts(
    conn: &mut PgConnection,
    targets: &[Uuid],
) -> Result<HashMap<Uuid, UnresolvedAttempt>> {
    let rows = sqlx::query!(
        r#"select distinct on (target_id) target_id as "target_id!", provider_key, answered,
                  min(started_at) over attempts_of_key as "since!: MachineTime",
                  max(started_at) over attempts_of_key as "last!: MachineTime"
           from payment_attempts
           where target_id = any($1) and outcome = 'unknown' and resolved_at is null
           window attempts_of_key as (partition by target_id, provider_key)
           order by target_id, started_at desc"#,
        targets,
    )
    .fetch_all(conn)
    .await?;
    let attempts = rows.into_iter().map(|row| {
        let attempt =
            UnresolvedAttempt { key: row.provider_key, answered: row.answered, since: row.since, last: row.last };
        (row.target_id, attempt)
    });
    Ok(attempts.collect())
}

/// Deletes at most `limit` attempts that started before `before` and whose result is known. Keeps those of a payment that can still
/// change, or that an operator or a dispute needs.
///
/// # Errors
/// If the database fails.
pub async fn delete_expired_attempts(conn: &mut PgConnection, before: MachineTime, limit: i64) -> Result<u64> {
    // `offset 0` keeps the planner from reading all payments in use at once: the view is probed for each expired attempt.
    let done = sqlx::query!(
        "delete from payment_attempts where id = any (array(
             select attempt.id from payment_attempts attempt
             where attempt.started_at < $1
               and (attempt.outcome in ('succeeded', 'declined', 'not_sent') or attempt.resolved_at is not null)
               and not exists (select from payments_in_use used where used.payment_id = attempt.payment_id offset 0)
             order by attempt.started_at limit $2 for update skip locked))",
        before as _,
        limit,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// Marks the unknown attempts of a target as resolved: their result is known.
///
/// # Errors
/// If the database fails.
pub async fn resolve_attempts(conn: &mut PgConnection, target: Uuid, now: MachineTime) -> Result<()> {
    sqlx::query!(
        "update payment_attempts set resolved_at = $2
         where target_id = $1 and outcome = 'unknown' and resolved_at is null",
        target,
        now as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}
