//! Our side of the books, for invariant 8 and for reconciliation.

use std::collections::HashMap;

use sqlx::PgConnection;
use uuid::Uuid;

use super::super::model::books::{From, OurPayment, OurRefund};
use crate::payments::State;
use crate::payments::model::RefundState;
use crate::platform::error::{Error, Result};
use crate::platform::ids::{Id, PaymentId};

/// Which payments to read: those with the id `from` or a later one, and of these only those listed. Absent: all.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::ops) struct Which<'a> {
    /// The first one.
    pub from: From,
    /// Only these.
    pub only: Option<&'a [Uuid]>,
}

/// Payments as our books have them, with their refunds; `settled` unless a trip is under way or among the `unsettled`.
///
/// # Errors
/// If the database does not answer.
pub(in crate::ops) async fn books(
    conn: &mut PgConnection,
    unsettled: &[Uuid],
    which: Which<'_>,
) -> Result<Vec<OurPayment>> {
    let from = which.from.map(Id::uuid);
    let rows = sqlx::query!(
        r#"select payments.id, payments.trip_id, payments.provider_intent_id as intent_id, payments.state, payments.currency,
                  payments.amount, payments.captured_amount as captured, coalesce(trips.total, 0) as "trip_total!", payments.version,
                  (trips.ended_at is not null
                   and not exists (select from unnest($1::uuid[]) as unsettled (id) where unsettled.id = trips.id)) as "settled!"
           from payments join trips on trips.id = payments.trip_id
           where ($2::uuid is null or payments.id >= $2) and ($3::uuid[] is null or payments.id = any($3))
           order by payments.id"#,
        unsettled,
        from,
        which.only as _,
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut refunds = refunds(conn, which).await?;
    rows.into_iter()
        .map(|row| {
            Ok(OurPayment {
                refunds: refunds.remove(&row.id).unwrap_or_default(),
                state: State::named(&row.state)
                    .ok_or_else(|| impossible("payments", row.id.to_string(), &row.state))?,
                id: row.id,
                trip_id: row.trip_id,
                intent_id: row.intent_id,
                currency: row.currency,
                amount: row.amount,
                captured: row.captured,
                trip_total: row.trip_total,
                version: row.version,
                settled: row.settled,
            })
        })
        .collect()
}

async fn refunds(conn: &mut PgConnection, which: Which<'_>) -> Result<HashMap<PaymentId, Vec<OurRefund>>> {
    let rows = sqlx::query!(
        "select id, payment_id, provider_refund_id, amount, state from refunds
         where ($1::uuid is null or payment_id >= $1) and ($2::uuid[] is null or payment_id = any($2))
         order by id",
        which.from.map(Id::uuid),
        which.only as _,
    )
    .fetch_all(conn)
    .await?;
    let mut refunds: HashMap<PaymentId, Vec<OurRefund>> = HashMap::new();
    for row in rows {
        let state =
            RefundState::named(&row.state).ok_or_else(|| impossible("refunds", row.id.to_string(), &row.state))?;
        let refund = OurRefund { id: row.id, provider_id: row.provider_refund_id, amount: row.amount, state };
        refunds.entry(row.payment_id).or_default().push(refund);
    }
    Ok(refunds)
}

fn impossible(table: &'static str, row: String, value: &str) -> Error {
    Error::ImpossibleRow { table, column: "state", row, value: value.to_owned() }
}
