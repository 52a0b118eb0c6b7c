//! Our side of the comparison: payments, refunds, and the trips that are not settled.

use std::collections::HashMap;

use sqlx::PgConnection;
use uuid::Uuid;

use super::super::model::differences::{LocalPayment, LocalRefund};
use super::super::model::{SettlementLimits, first_id_at, time_of_id};
use crate::payments::PaymentState;
use crate::payments::model::{DisputeState, RefundState};
use crate::platform::clock::MachineTime;
use crate::platform::error::{Error, Result};
use crate::platform::ids::{Id, PaymentId, RefundId, TripId};

/// Ids from `first` on and before `end`.
#[derive(Debug, Clone, Copy)]
pub(in crate::reconciliation) struct IdRange {
    /// The least id.
    pub first: Uuid,
    /// The end, which does not belong to it.
    pub end: Uuid,
}

impl IdRange {
    /// Returns the ids made from `from` on and before `until`; open if absent.
    pub fn made(from: Option<MachineTime>, until: Option<MachineTime>) -> Self {
        Self { first: from.map_or(Uuid::nil(), first_id_at), end: until.map_or(Uuid::max(), first_id_at) }
    }

    /// Returns the ids of the range after `last`.
    pub fn after(self, last: Option<Uuid>) -> Self {
        let first = last.map_or(self.first, |last| Uuid::from_u128(last.as_u128().saturating_add(1)));
        Self { first, ..self }
    }
}

struct Row {
    id: PaymentId,
    trip_id: TripId,
    intent_id: Option<String>,
    state: String,
    currency: String,
    amount: i64,
    captured: i64,
    dispute: Option<String>,
    trip_total: i64,
    version: i64,
    settled: bool,
}

impl Row {
    fn with_refunds(self, refunds: Vec<LocalRefund>) -> Result<LocalPayment> {
        Ok(LocalPayment {
            refunds,
            state: PaymentState::parse(&self.state)
                .ok_or_else(|| impossible("payments", self.id.to_string(), &self.state))?,
            id: self.id,
            trip_id: self.trip_id,
            intent_id: self.intent_id,
            currency: self.currency,
            amount: self.amount,
            captured: self.captured,
            dispute: self.dispute.as_deref().and_then(DisputeState::parse),
            trip_total: self.trip_total,
            version: self.version,
            settled: self.settled,
        })
    }
}

/// Selects payments. A payment is `settled` if its trip is over and not among the `$unsettled`; `$rest` is the `where` clause.
macro_rules! payments {
    ($rest:tt, $unsettled:expr $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            Row,
            r#"select payments.id as "id: PaymentId", payments.trip_id as "trip_id: TripId", payments.provider_intent_id as intent_id,
                      payments.state, payments.currency, payments.amount, payments.captured_amount as captured, payments.dispute,
                      coalesce(trips.total, 0) as "trip_total!", payments.version,
                      (trips.ended_at is not null
                       and not exists (select from unnest($1::uuid[]) as unsettled (id) where unsettled.id = trips.id)) as "settled!"
               from payments join trips on trips.id = payments.trip_id "# + $rest,
            $unsettled,
            $($argument),*
        )
    };
}

/// Returns the payments with these ids or intents, with their refunds.
///
/// # Errors
/// If the database does not answer.
pub(in crate::reconciliation) async fn payments_named(
    conn: &mut PgConnection,
    unsettled: &[Uuid],
    (ids, intents): (&[Uuid], &[String]),
) -> Result<Vec<LocalPayment>> {
    let rows = payments!(
        "where payments.id = any($2) or payments.provider_intent_id = any($3) order by payments.id",
        unsettled,
        ids,
        intents,
    );
    let rows = rows.fetch_all(&mut *conn).await?;
    let mut refunds = refunds_of(conn, rows.iter().map(|row| row.id.uuid()).collect()).await?;
    rows.into_iter()
        .map(|row| {
            let refunds = refunds.remove(&row.id).unwrap_or_default();
            row.with_refunds(refunds)
        })
        .collect()
}

/// Returns the first `limit` payments of a range, without their refunds.
///
/// # Errors
/// If the database does not answer.
pub(in crate::reconciliation) async fn payments_made(
    conn: &mut PgConnection,
    unsettled: &[Uuid],
    range: IdRange,
    limit: i64,
) -> Result<Vec<LocalPayment>> {
    let rows = payments!(
        "where payments.id >= $2 and payments.id < $3 order by payments.id limit $4",
        unsettled,
        range.first,
        range.end,
        limit,
    );
    rows.fetch_all(conn).await?.into_iter().map(|row| row.with_refunds(Vec::new())).collect()
}

/// Returns the first `limit` refunds of a range, each with its payment.
///
/// # Errors
/// If the database does not answer.
pub(in crate::reconciliation) async fn refunds_made(
    conn: &mut PgConnection,
    range: IdRange,
    limit: i64,
) -> Result<Vec<(PaymentId, LocalRefund)>> {
    let rows = sqlx::query!(
        "select id, payment_id, provider_refund_id, amount, state from refunds where id >= $1 and id < $2 order by id limit $3",
        range.first,
        range.end,
        limit,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| Ok((row.payment_id, local_refund(row.id, &row.state, (row.provider_refund_id, row.amount))?)))
        .collect()
}

/// Returns when our first payment was made; `None` without payments.
///
/// # Errors
/// If the database does not answer.
pub(in crate::reconciliation) async fn first_payment(conn: &mut PgConnection) -> Result<Option<MachineTime>> {
    let first = sqlx::query_scalar!(r#"select id as "id: Uuid" from payments order by id limit 1"#);
    Ok(first.fetch_optional(conn).await?.and_then(time_of_id))
}

/// Returns when the payment was made that follows the first `skip` ones from `from` on; `None` if there are not so many before `until`.
///
/// # Errors
/// If the database does not answer.
pub(in crate::reconciliation) async fn payment_after(
    conn: &mut PgConnection,
    (from, until): (MachineTime, MachineTime),
    skip: i64,
) -> Result<Option<MachineTime>> {
    let next = sqlx::query_scalar!(
        r#"select id as "id: Uuid" from payments where id >= $1 and id < $2 order by id offset $3 limit 1"#,
        first_id_at(from),
        first_id_at(until),
        skip,
    );
    Ok(next.fetch_optional(conn).await?.and_then(time_of_id))
}

/// Returns when the first payment since `since` was made whose trip is active or unsettled; `None` without one.
///
/// # Errors
/// If the database does not answer.
pub(in crate::reconciliation) async fn first_uncompared(
    conn: &mut PgConnection,
    since: MachineTime,
    limits: SettlementLimits,
) -> Result<Option<MachineTime>> {
    let unsettled = unsettled_trips(conn, limits).await?;
    let first = sqlx::query_scalar!(
        r#"select id as "id!: Uuid" from (
               select payments.id from trips join payments on payments.trip_id = trips.id where trips.ended_at is null
               union all
               select payments.id from payments where payments.trip_id = any($1)) as uncompared
           where id >= $2 order by id limit 1"#,
        &unsettled,
        first_id_at(since),
    );
    Ok(first.fetch_optional(conn).await?.and_then(time_of_id))
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

async fn refunds_of(conn: &mut PgConnection, payments: Vec<Uuid>) -> Result<HashMap<PaymentId, Vec<LocalRefund>>> {
    let rows = sqlx::query!(
        "select id, payment_id, provider_refund_id, amount, state from refunds where payment_id = any($1) order by id",
        &payments,
    )
    .fetch_all(conn)
    .await?;
    let mut refunds: HashMap<PaymentId, Vec<LocalRefund>> = HashMap::new();
    for row in rows {
        let refund = local_refund(row.id, &row.state, (row.provider_refund_id, row.amount))?;
        refunds.entry(row.payment_id).or_default().push(refund);
    }
    Ok(refunds)
}

fn local_refund(id: RefundId, state: &str, (provider_id, amount): (Option<String>, i64)) -> Result<LocalRefund> {
    let state = RefundState::parse(state).ok_or_else(|| impossible("refunds", id.to_string(), state))?;
    Ok(LocalRefund { id, provider_id, amount, state })
}

fn impossible(table: &'static str, row: String, value: &str) -> Error {
    Error::impossible_row(table, "state", row, value)
}
