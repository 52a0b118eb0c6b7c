//! SQL of payments.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::payments::model::{DisputeState, Goal, GoalKind, Hint, Payment, PaymentPurpose, PaymentState};
use crate::platform::clock::{DomainTime, MachineTime};
use crate::platform::db::one_row;
use crate::platform::error::{Code, Error, Refusal, Result};
use crate::platform::ids::{DriverId, Id, PaymentId, RiderId, TripId};
use crate::platform::money::Money;
use crate::platform::telemetry;

pub(super) struct PaymentRow {
    pub(super) id: PaymentId,
    pub(super) trip_id: TripId,
    pub(super) rider_id: RiderId,
    pub(super) driver_id: Option<DriverId>,
    pub(super) purpose: String,
    pub(super) replaces: Option<PaymentId>,
    pub(super) state: String,
    pub(super) goal: String,
    pub(super) currency: String,
    pub(super) amount: i64,
    pub(super) capture_amount: Option<i64>,
    pub(super) authorized_amount: i64,
    pub(super) captured_amount: i64,
    pub(super) refund_reserved: i64,
    pub(super) refunded: i64,
    pub(super) payment_method: String,
    pub(super) provider_intent_id: Option<String>,
    pub(super) decline_code: Option<String>,
    pub(super) dispute: Option<String>,
    pub(super) needs_review: Option<String>,
    pub(super) failures: i16,
    pub(super) lease_token: i64,
    pub(super) version: i64,
    pub(super) trace_id: Option<String>,
}

impl TryFrom<PaymentRow> for Payment {
    type Error = Error;

    fn try_from(row: PaymentRow) -> Result<Self> {
        let impossible = |column, value: &str| Error::impossible_row("payments", column, row.id, value);
        let goal = match (GoalKind::parse(&row.goal), row.capture_amount) {
            (Some(GoalKind::Hold), None) => Goal::Hold,
            (Some(GoalKind::Capture), Some(amount)) => Goal::Capture(amount),
            (Some(GoalKind::Release), None) => Goal::Release,
            (None, _) | (Some(GoalKind::Hold | GoalKind::Release), Some(_)) | (Some(GoalKind::Capture), None) => {
                return Err(impossible("goal", &row.goal));
            }
        };
        let purpose = PaymentPurpose::parse(&row.purpose).ok_or_else(|| impossible("purpose", &row.purpose))?;
        if (purpose == PaymentPurpose::Tip) != row.driver_id.is_some() {
            return Err(impossible("driver_id", &format!("{:?} of a {purpose}", row.driver_id)));
        }
        let dispute =
            row.dispute.as_deref().map(|name| DisputeState::parse(name).ok_or_else(|| impossible("dispute", name)));
        Ok(Self {
            purpose,
            dispute: dispute.transpose()?,
            state: PaymentState::parse(&row.state).ok_or_else(|| impossible("state", &row.state))?,
            amount: Money::new(row.amount, row.currency.parse().map_err(|_| impossible("currency", &row.currency))?),
            goal,
            id: row.id,
            trip_id: row.trip_id,
            rider_id: row.rider_id,
            driver_id: row.driver_id,
            replaces: row.replaces,
            authorized: row.authorized_amount,
            captured: row.captured_amount,
            refund_reserved: row.refund_reserved,
            refunded: row.refunded,
            method: row.payment_method,
            provider_intent_id: row.provider_intent_id,
            decline_code: row.decline_code,
            needs_review: row.needs_review,
            failures: row.failures,
            lease_token: row.lease_token,
            version: row.version,
            trace_id: row.trace_id,
        })
    }
}

/// Selects payments by the clauses that follow `from payments p`.
macro_rules! payments {
    ($rest:tt, $($arguments:tt)*) => {
        sqlx::query_as!(
            PaymentRow,
            r#"select p.id, p.trip_id, p.rider_id, p.driver_id, p.purpose, p.replaces, p.state, p.goal, p.currency, p.amount,
                      p.capture_amount, p.authorized_amount, p.captured_amount, p.refund_reserved, p.payment_method, p.provider_intent_id,
                      p.decline_code, p.dispute, p.needs_review, p.failures, p.lease_token, p.version, p.trace_id,
                      (select coalesce(sum(r.amount), 0)::bigint from refunds r
                       where r.payment_id = p.id and r.state = 'succeeded') as "refunded!"
               from payments p "# + $rest,
            $($arguments)*
        )
    };
}

pub(super) use payments;

/// Returns a payment.
///
/// # Errors
/// If the database fails.
pub async fn payment(conn: &mut PgConnection, id: PaymentId) -> Result<Option<Payment>> {
    payments!("where p.id = $1", id.uuid()).fetch_optional(conn).await?.map(Payment::try_from).transpose()
}

/// Locks and returns a payment.
///
/// # Errors
/// If the database fails.
pub async fn lock_payment(conn: &mut PgConnection, id: PaymentId) -> Result<Option<Payment>> {
    payments!("where p.id = $1 for no key update of p", id.uuid())
        .fetch_optional(conn)
        .await?
        .map(Payment::try_from)
        .transpose()
}

/// Returns the payments of a trip, oldest first.
///
/// # Errors
/// If the database fails.
pub async fn payments_of_trip(conn: &mut PgConnection, trip_id: TripId) -> Result<Vec<Payment>> {
    let rows = payments!("where p.trip_id = $1 order by p.id", trip_id.uuid()).fetch_all(conn).await?;
    rows.into_iter().map(Payment::try_from).collect()
}

/// Locks and returns the payments of a trip, oldest first.
///
/// It reads them after locking: a transaction that replaces a payment holds that payment's lock, so its replacement is seen.
///
/// # Errors
/// If the database fails.
pub async fn lock_payments_of_trip(conn: &mut PgConnection, trip_id: TripId) -> Result<Vec<Payment>> {
    sqlx::query!("select id from payments where trip_id = $1 order by id for no key update", trip_id.uuid())
        .fetch_all(&mut *conn)
        .await?;
    payments_of_trip(conn, trip_id).await
}

/// A new payment.
#[derive(Debug)]
pub struct InsertPayment<'a> {
    /// The payment's id.
    pub id: PaymentId,
    /// The trip.
    pub trip_id: TripId,
    /// The rider who pays.
    pub rider_id: RiderId,
    /// The recipient of a tip.
    pub driver_id: Option<DriverId>,
    /// What it is for.
    pub purpose: PaymentPurpose,
    /// The payment that it replaces.
    pub replaces: Option<PaymentId>,
    /// What the trip wants.
    pub goal: Goal,
    /// The amount to request from the provider.
    pub amount: Money,
    /// The provider's payment method.
    pub method: &'a str,
    /// When the trip requested it.
    pub created_at: DomainTime,
    /// When its first step is due.
    pub due_at: MachineTime,
    /// The idempotency key whose effect it is, unless it shares the key of its trip.
    pub key_id: Option<Uuid>,
}

/// Inserts a payment: authorizing, and due. The caller writes its first event.
///
/// # Errors
/// If the trip has a live payment for this purpose, or the database fails.
pub async fn insert_payment(conn: &mut PgConnection, new: &InsertPayment<'_>) -> Result<()> {
    sqlx::query!(
        "insert into payments (id, trip_id, rider_id, purpose, state, goal, capture_amount, currency, amount,
                               payment_method, created_at, due_at, driver_id, replaces, key_id, trace_id, last_event)
         values ($1, $2, $3, $4, 'authorizing', $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, 1)",
        new.id.uuid(),
        new.trip_id.uuid(),
        new.rider_id.uuid(),
        new.purpose.as_str(),
        new.goal.kind().as_str(),
        new.goal.capture_amount(),
        new.amount.currency.as_str(),
        new.amount.amount,
        new.method,
        new.created_at as _,
        new.due_at as _,
        new.driver_id.map(Id::uuid),
        new.replaces.map(Id::uuid),
        new.key_id,
        telemetry::trace_id(),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes a payment's goal and the state that follows from it. The caller writes the event.
///
/// # Errors
/// A conflict if the payment has changed since it was read.
pub async fn set_goal(
    conn: &mut PgConnection,
    payment: &Payment,
    goal: Goal,
    state: PaymentState,
    now: MachineTime,
) -> Result<()> {
    let done = sqlx::query!(
        "update payments set last_event = case when state = $5 then last_event else (select max(seq) + 1 from payment_events where payment_id = $1) end,
                goal = $3, capture_amount = $4, state = $5, due_at = $6, version = version + 1, trace_id = $7
         where id = $1 and version = $2 and goal = 'hold'",
        payment.id.uuid(),
        payment.version,
        goal.kind().as_str(),
        goal.capture_amount(),
        state.as_str(),
        now as _,
        telemetry::trace_id(),
    )
    .execute(conn)
    .await?;
    one_row(&done, payment_changed)
}

/// Changes the amount that refunds reserve of a captured payment: plus a new refund, minus a failed one, zero for one that
/// succeeded. Each is a new version.
///
/// # Errors
/// A conflict if the payment has changed since it was read, or too little is left.
pub async fn reserve_refund(conn: &mut PgConnection, payment: &Payment, change: i64) -> Result<()> {
    let done = sqlx::query!(
        "update payments set refund_reserved = refund_reserved + $3, version = version + 1
         where id = $1 and version = $2 and state = 'captured' and refund_reserved + $3 between 0 and captured_amount",
        payment.id.uuid(),
        payment.version,
        change,
    )
    .execute(conn)
    .await?;
    one_row(&done, payment_changed)
}

pub(super) fn payment_changed() -> Refusal {
    Refusal::new(Code::Internal, "The payment has changed since it was read.")
}

/// Makes the payment with this provider intent due now, and its refunds, as far as the hint can concern them. Returns how many rows
/// became due. A row that is leased stays due after that. Work that was due before belongs to what asked for it first.
///
/// # Errors
/// If the database fails.
pub async fn make_due(conn: &mut PgConnection, intent_id: &str, hint: Hint, now: MachineTime) -> Result<u64> {
    let payments = sqlx::query!(
        "update payments set due_at = $2, hint = case when hint = 'charge' then hint else $3 end,
                trace_id = case when due_at is null then $4 else trace_id end
         where provider_intent_id = $1
           and (state in ('authorizing', 'authorized', 'capturing', 'voiding') or (state = 'captured' and $3 = 'charge'))",
        intent_id,
        now as _,
        hint.as_str(),
        telemetry::trace_id(),
    )
    .execute(&mut *conn)
    .await?;
    // In the order of ids: the events of one payment's refunds arrive together, and could deadlock.
    let refunds = sqlx::query!(
        "with concerned as (
             select refunds.id from refunds join payments on payments.id = refunds.payment_id
             where payments.provider_intent_id = $1
               and (refunds.state = 'pending'
                    or (refunds.state = 'succeeded' and refunds.provider_refund_id is not null and $3 = 'charge'))
             order by refunds.id for no key update of refunds)
         update refunds set due_at = $2, hint = $3, trace_id = case when due_at is null then $4 else trace_id end
         from concerned where refunds.id = concerned.id",
        intent_id,
        now as _,
        hint.as_str(),
        telemetry::trace_id(),
    )
    .execute(conn)
    .await?;
    Ok(payments.rows_affected() + refunds.rows_affected())
}
