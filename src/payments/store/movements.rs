//! SQL of the money movements of a trip, for receipts.

use sqlx::PgConnection;

use crate::platform::clock::DomainTime;
use crate::platform::error::Result;
use crate::platform::ids::{Id, PaymentId, TripId};

/// A movement of a payment's money.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaymentMovement {
    /// The payment.
    pub payment_id: PaymentId,
    /// `authorized`, `captured`, `refunded`, `refund_failed` or `written_off`.
    pub what: String,
    /// Minor units.
    pub amount: i64,
    /// When.
    pub at: DomainTime,
}

/// Returns the movements of a trip's money, in order of time. A refund counts once it has succeeded; one that failed after that is two
/// movements.
///
/// # Errors
/// If the database fails.
pub async fn movements(conn: &mut PgConnection, trip_id: TripId) -> Result<Vec<PaymentMovement>> {
    let movements = sqlx::query_as!(
        PaymentMovement,
        r#"select payment_id as "payment_id!: PaymentId", what as "what!", amount as "amount!", at as "at!: DomainTime" from (
               select id as payment_id, 1 as rank, 'authorized' as what, authorized_amount as amount, authorized_at as at
               from payments where trip_id = $1 and authorized_at is not null
               union all
               select id, 2, 'captured', captured_amount, captured_at
               from payments where trip_id = $1 and captured_at is not null
               union all
               select refund.payment_id, 3, case posting.kind when 'refund' then 'refunded' else 'refund_failed' end, refund.amount,
                      posting.posted_at
               from refunds refund
               join payments on payments.id = refund.payment_id
               join ledger_postings posting on posting.kind in ('refund', 'refund_reversal') and posting.source_id = refund.id
               where payments.trip_id = $1
               union all
               select resolution.payment_id, 4, 'written_off', resolution.written_off, resolution.resolved_at
               from payment_resolutions resolution join payments on payments.id = resolution.payment_id
               where payments.trip_id = $1 and resolution.written_off > 0) moved
           order by at, rank, payment_id"#,
        trip_id.uuid(),
    )
    .fetch_all(conn)
    .await?;
    Ok(movements)
}
