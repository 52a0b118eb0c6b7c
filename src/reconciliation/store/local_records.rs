//! Our side of the comparison: payments, refunds, and the trips that are not settled.

use std::collections::HashMap;

use sqlx::PgConnection;
use uuid::Uuid;

use super::super::model::SettlementLimits;
use super::super::model::differences::{LocalPayment, LocalRefund};
use crate::payments::PaymentState;
use crate::payments::model::{DisputeState, RefundState};
use crate::platform::error::{Error, Result};
use crate::platform::ids::{Id, PaymentId};

/// The payments to read. An absent condition does not restrict.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::reconciliation) struct PaymentFilter<'a> {
    /// This payment and later ones.
    pub first: Option<PaymentId>,
    /// These payments.
    pub only: Option<&'a [Uuid]>,
}

/// Returns payments with their refunds. A payment is `settled` if its trip is over and not among the `unsettled`.
///
/// # Errors
/// If the database does not answer.
pub(in crate::reconciliation) async fn local_payments(
    conn: &mut PgConnection,
    unsettled: &[Uuid],
    filter: PaymentFilter<'_>,
) -> Result<Vec<LocalPayment>> {
    let first = filter.first.map(Id::uuid);
    let rows = sqlx::query!(
        r#"select payments.id, payments.trip_id, payments.provider_intent_id as intent_id, payments.state, payments.currency,
                  payments.amount, payments.captured_amount as captured, payments.dispute, coalesce(trips.total, 0) as "trip_total!", payments.version,
                  (trips.ended_at is not null
                   and not exists (select from unnest($1::uuid[]) as unsettled (id) where unsettled.id = trips.id)) as "settled!"
           from payments join trips on trips.id = payments.trip_id
           where ($2::uuid is null or payments.id >= $2) and ($3::uuid[] is null or payments.id = any($3))
           order by payments.id"#,
        unsettled,
        first,
        filter.only as _,
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut refunds = refunds(conn, filter).await?;
    rows.into_iter()
        .map(|row| {
            Ok(LocalPayment {
                refunds: refunds.remove(&row.id).unwrap_or_default(),
                state: PaymentState::parse(&row.state)
                    .ok_or_else(|| impossible("payments", row.id.to_string(), &row.state))?,
                id: row.id,
                trip_id: row.trip_id,
                intent_id: row.intent_id,
                currency: row.currency,
                amount: row.amount,
                captured: row.captured,
                dispute: row.dispute.as_deref().and_then(DisputeState::parse),
                trip_total: row.trip_total,
                version: row.version,
                settled: row.settled,
            })
        })
        .collect()
}

/// Returns the trips that are over and have open work (due, leased or unknown) that is not yet late.
///
/// # Errors
/// If the database does not answer.
pub(crate) async fn unsettled_trips(conn: &mut PgConnection, limits: SettlementLimits) -> Result<Vec<Uuid>> {
    let ids = sqlx::query_scalar!(
        r#"select distinct trips.id as "id!: Uuid" from trips join open_work on open_work.trip_id = trips.id
           where trips.ended_at is not null
             and open_work.since >= case open_work.kind when 'unknown' then $2::timestamptz else $1::timestamptz end"#,
        limits.late as _,
        limits.unknown as _,
    )
    .fetch_all(conn)
    .await?;
    Ok(ids)
}

async fn refunds(conn: &mut PgConnection, filter: PaymentFilter<'_>) -> Result<HashMap<PaymentId, Vec<LocalRefund>>> {
    let rows = sqlx::query!(
        "select id, payment_id, provider_refund_id, amount, state from refunds
         where ($1::uuid is null or payment_id >= $1) and ($2::uuid[] is null or payment_id = any($2))
         order by id",
        filter.first.map(Id::uuid),
        filter.only as _,
    )
    .fetch_all(conn)
    .await?;
    let mut refunds: HashMap<PaymentId, Vec<LocalRefund>> = HashMap::new();
    for row in rows {
        let state =
            RefundState::parse(&row.state).ok_or_else(|| impossible("refunds", row.id.to_string(), &row.state))?;
        let refund = LocalRefund { id: row.id, provider_id: row.provider_refund_id, amount: row.amount, state };
        refunds.entry(row.payment_id).or_default().push(refund);
    }
    Ok(refunds)
}

fn impossible(table: &'static str, row: String, value: &str) -> Error {
    Error::impossible_row(table, "state", row, value)
}
