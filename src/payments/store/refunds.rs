//! SQL of refunds.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::payments::model::{Refund, RefundState};
use crate::platform::clock::{DomainTime, MachineTime};
use crate::platform::error::{Error, Result};
use crate::platform::ids::{Id, PaymentId, RefundId, TripId};
use crate::platform::telemetry;

pub(super) struct RefundRow {
    pub(super) id: RefundId,
    pub(super) payment_id: PaymentId,
    pub(super) provider_intent_id: Option<String>,
    pub(super) amount: i64,
    pub(super) state: String,
    pub(super) provider_refund_id: Option<String>,
    pub(super) failure_code: Option<String>,
    pub(super) needs_review: Option<String>,
    pub(super) failures: i16,
    pub(super) allow_new_key: bool,
    pub(super) lease_token: i64,
    pub(super) trip_id: TripId,
    pub(super) trace_id: Option<String>,
}

impl TryFrom<RefundRow> for Refund {
    type Error = Error;

    fn try_from(row: RefundRow) -> Result<Self> {
        let state = RefundState::parse(&row.state)
            .ok_or_else(|| Error::impossible_row("refunds", "state", row.id, &row.state))?;
        Ok(Self {
            state,
            id: row.id,
            payment_id: row.payment_id,
            provider_intent_id: row.provider_intent_id,
            amount: row.amount,
            provider_refund_id: row.provider_refund_id,
            failure_code: row.failure_code,
            needs_review: row.needs_review,
            failures: row.failures,
            allow_new_key: row.allow_new_key,
            lease_token: row.lease_token,
            trip_id: row.trip_id,
            trace_id: row.trace_id,
        })
    }
}

/// Selects refunds by the clauses that follow `from refunds r`.
macro_rules! refunds {
    ($rest:tt, $($arguments:tt)*) => {
        sqlx::query_as!(
            RefundRow,
            r#"select r.id, r.payment_id, (select p.provider_intent_id from payments p where p.id = r.payment_id),
                      r.amount, r.state, r.provider_refund_id, r.failure_code, r.needs_review, r.failures, r.allow_new_key,
                      r.lease_token, (select p.trip_id from payments p where p.id = r.payment_id) as "trip_id!: TripId", r.trace_id
               from refunds r "# + $rest,
            $($arguments)*
        )
    };
}

pub(super) use refunds;

/// Returns a refund.
///
/// # Errors
/// If the database fails.
pub async fn refund(conn: &mut PgConnection, id: RefundId) -> Result<Option<Refund>> {
    refunds!("where r.id = $1", id.uuid()).fetch_optional(conn).await?.map(Refund::try_from).transpose()
}

/// Returns the refunds of a payment, oldest first.
///
/// # Errors
/// If the database fails.
pub async fn refunds_of_payment(conn: &mut PgConnection, payment: PaymentId) -> Result<Vec<Refund>> {
    let rows = refunds!("where r.payment_id = $1 order by r.id", payment.uuid()).fetch_all(conn).await?;
    rows.into_iter().map(Refund::try_from).collect()
}

/// Locks and returns a refund.
///
/// # Errors
/// If the database fails.
pub async fn lock_refund(conn: &mut PgConnection, id: RefundId) -> Result<Option<Refund>> {
    refunds!("where r.id = $1 for no key update of r", id.uuid())
        .fetch_optional(conn)
        .await?
        .map(Refund::try_from)
        .transpose()
}

/// A new refund.
#[derive(Debug)]
pub struct InsertRefund {
    /// The refund's id.
    pub id: RefundId,
    /// The payment.
    pub payment_id: PaymentId,
    /// Minor units.
    pub amount: i64,
    /// The idempotency key whose effect it is.
    pub key_id: Option<Uuid>,
    /// When it was requested.
    pub created_at: DomainTime,
    /// When its first step is due.
    pub due_at: MachineTime,
}

/// Inserts a refund: pending, and due. The caller has reserved its amount.
///
/// # Errors
/// If the database fails.
pub async fn insert_refund(conn: &mut PgConnection, new: &InsertRefund) -> Result<()> {
    sqlx::query!(
        "insert into refunds (id, payment_id, amount, state, key_id, created_at, due_at, trace_id)
         values ($1, $2, $3, 'pending', $4, $5, $6, $7)",
        new.id.uuid(),
        new.payment_id.uuid(),
        new.amount,
        new.key_id,
        new.created_at as _,
        new.due_at as _,
        telemetry::trace_id(),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Inserts a refund that the provider made and our records lack: pending, with the provider's id, and due. The caller has reserved
/// its amount. Returns false if the provider's id is known.
///
/// # Errors
/// If the database fails.
pub async fn insert_imported(conn: &mut PgConnection, new: &InsertRefund, provider_id: &str) -> Result<bool> {
    let done = sqlx::query!(
        "insert into refunds (id, payment_id, amount, state, provider_refund_id, created_at, due_at, trace_id)
         values ($1, $2, $3, 'pending', $4, $5, $6, $7) on conflict (provider_refund_id) do nothing",
        new.id.uuid(),
        new.payment_id.uuid(),
        new.amount,
        provider_id,
        new.created_at as _,
        new.due_at as _,
        telemetry::trace_id(),
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Sets the provider's id of a pending refund that has none and is not leased, and makes it due. Returns false if there is no such
/// refund.
///
/// # Errors
/// If the database fails.
pub async fn set_provider_refund_id(
    conn: &mut PgConnection,
    refund: RefundId,
    provider_id: &str,
    now: MachineTime,
) -> Result<bool> {
    let done = sqlx::query!(
        "update refunds set provider_refund_id = $2, due_at = $3, trace_id = $4
         where id = $1 and state = 'pending' and provider_refund_id is null and (leased_until is null or leased_until < $3)",
        refund.uuid(),
        provider_id,
        now as _,
        telemetry::trace_id(),
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}
