//! Refunds that the provider made and our books do not have, in rows.

use sqlx::PgConnection;

use crate::platform::clock::{DomainTime, MachineTime};
use crate::platform::error::Result;
use crate::platform::ids::{Id, PaymentId, RefundId};

/// A refund that is written into our books after the fact.
#[derive(Debug)]
pub struct Adopted<'a> {
    /// Our id for it.
    pub id: RefundId,
    /// The payment that it is a part of.
    pub payment_id: PaymentId,
    /// Minor units.
    pub amount: i64,
    /// The provider's id of it.
    pub provider_id: &'a str,
    /// When it was found.
    pub created_at: DomainTime,
    /// When the provider is asked how it stands.
    pub due_at: MachineTime,
}

/// Writes it: pending, and due. The payment has reserved its amount already. False if the provider's id is known.
///
/// # Errors
/// If the database does not answer.
pub async fn insert_adopted(conn: &mut PgConnection, new: &Adopted<'_>) -> Result<bool> {
    let done = sqlx::query!(
        "insert into refunds (id, payment_id, amount, state, provider_refund_id, created_at, due_at)
         values ($1, $2, $3, 'pending', $4, $5, $6) on conflict (provider_refund_id) do nothing",
        new.id.uuid(),
        new.payment_id.uuid(),
        new.amount,
        new.provider_id,
        new.created_at as _,
        new.due_at as _,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Tells a pending refund that nobody works on by what name the provider knows it, and makes it due. False if there is none
/// such.
///
/// # Errors
/// If the database does not answer.
pub async fn name_refund(
    conn: &mut PgConnection,
    refund: RefundId,
    provider_id: &str,
    now: MachineTime,
) -> Result<bool> {
    let done = sqlx::query!(
        "update refunds set provider_refund_id = $2, due_at = $3
         where id = $1 and state = 'pending' and provider_refund_id is null and (leased_until is null or leased_until < $3)",
        refund.uuid(),
        provider_id,
        now as _,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}
