//! SQL of the history of payments.

use sqlx::PgConnection;
use uuid::Uuid;

use super::payments::payment_changed;
use crate::payments::model::{PaymentEventKind, PaymentState};
use crate::platform::clock::{DomainTime, MachineTime};
use crate::platform::db::one_row;
use crate::platform::error::{Error, Result};
use crate::platform::ids::{Id, PaymentId, RefundId};
use crate::platform::telemetry;

/// An event to write.
#[derive(Debug)]
pub struct NewPaymentEvent {
    /// The payment.
    pub payment_id: PaymentId,
    /// What it is.
    pub kind: PaymentEventKind,
    /// The state before; `None` for the first event.
    pub from: Option<PaymentState>,
    /// Minor units, where the event is about an amount.
    pub amount: Option<i64>,
    /// The refund that it is about.
    pub refund_id: Option<RefundId>,
    /// The attempt whose result it is.
    pub attempt_id: Option<Uuid>,
    /// When it happened.
    pub at: DomainTime,
    /// When it happened, by the machine's clock.
    pub made_at: MachineTime,
}

/// Writes an event with the state that the payment has now and the next number. The caller holds the payment's lock, and has written the
/// change. It writes no second version of the payment's row: a deferred check of its trip would follow, which waits for the trip's lock.
///
/// The constraint `last_event_has_the_state` refuses a commit that changed the state without an event.
///
/// # Errors
/// If there is no such payment, or the database fails.
pub async fn insert_payment_event(conn: &mut PgConnection, new: &NewPaymentEvent) -> Result<()> {
    let done = sqlx::query!(
        "insert into payment_events (payment_id, seq, state, kind, from_state, amount, refund_id, attempt_id, trace_id, at, made_at)
         select id, (select coalesce(max(seq), 0) + 1 from payment_events where payment_id = $1), state, $2::text, $3::text,
                $4::bigint, $5::uuid, $6::uuid, $8::text, $7::timestamptz, $9::timestamptz
         from payments where id = $1",
        new.payment_id.uuid(),
        new.kind.as_str(),
        new.from.map(PaymentState::as_str),
        new.amount,
        new.refund_id.map(Id::uuid),
        new.attempt_id,
        new.at as _,
        telemetry::trace_id(),
        new.made_at as _,
    )
    .execute(conn)
    .await?;
    one_row(&done, payment_changed)
}

/// An event of a payment's history.
#[derive(Debug, Clone)]
pub struct PaymentEvent {
    /// 1, 2, 3 … without gaps.
    pub seq: i64,
    /// What it is.
    pub kind: PaymentEventKind,
    /// The state before; `None` for the first event.
    pub from: Option<PaymentState>,
    /// The state after.
    pub state: PaymentState,
    /// Minor units, where the event is about an amount.
    pub amount: Option<i64>,
    /// The refund that it is about.
    pub refund_id: Option<RefundId>,
    /// The attempt whose result it is.
    pub attempt_id: Option<Uuid>,
    /// The trace of what wrote it.
    pub trace_id: Option<String>,
    /// When it happened.
    pub at: DomainTime,
}

/// Returns the events of a payment after the event `after`, oldest first.
///
/// # Errors
/// If the database fails.
pub async fn payment_events(
    conn: &mut PgConnection,
    payment: PaymentId,
    after: i64,
    limit: i64,
) -> Result<Vec<PaymentEvent>> {
    let rows = sqlx::query!(
        r#"select seq, kind, from_state, state, amount, refund_id as "refund_id: RefundId", attempt_id, trace_id,
                  at as "at: DomainTime"
           from payment_events where payment_id = $1 and seq > $2 order by seq limit $3"#,
        payment.uuid(),
        after,
        limit,
    )
    .fetch_all(conn)
    .await?;
    let events = rows.into_iter().map(|row| {
        let id = format!("{payment}/{}", row.seq);
        let impossible = |column, value: &str| Error::impossible_row("payment_events", column, &id, value);
        let state = |column, name: &str| PaymentState::parse(name).ok_or_else(|| impossible(column, name));
        Ok(PaymentEvent {
            kind: PaymentEventKind::parse(&row.kind).ok_or_else(|| impossible("kind", &row.kind))?,
            from: row.from_state.as_deref().map(|name| state("from_state", name)).transpose()?,
            state: state("state", &row.state)?,
            seq: row.seq,
            amount: row.amount,
            refund_id: row.refund_id,
            attempt_id: row.attempt_id,
            trace_id: row.trace_id,
            at: row.at,
        })
    });
    events.collect()
}
