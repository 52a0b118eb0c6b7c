//! Payments, in rows.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::payments::model::{Intent, Payment, Purpose, State};
use crate::platform::clock::{DomainTime, MachineTime};
use crate::platform::db::one_row;
use crate::platform::error::{Code, Error, Refusal, Result};
use crate::platform::ids::{DriverId, Id, PaymentId, RiderId, TripId};
use crate::platform::money::Money;

pub(super) struct Row {
    pub(super) id: PaymentId,
    pub(super) trip_id: TripId,
    pub(super) rider_id: RiderId,
    pub(super) driver_id: Option<DriverId>,
    pub(super) purpose: String,
    pub(super) replaces: Option<PaymentId>,
    pub(super) state: String,
    pub(super) intent: String,
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
    pub(super) attention: Option<String>,
    pub(super) failures: i16,
    pub(super) lease_token: i64,
    pub(super) version: i64,
}

impl TryFrom<Row> for Payment {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let impossible = |column, value: &str| Error::ImpossibleRow {
            table: "payments",
            column,
            row: row.id.to_string(),
            value: value.to_owned(),
        };
        let intent = match (row.intent.as_str(), row.capture_amount) {
            ("hold", None) => Intent::Hold,
            ("capture", Some(amount)) => Intent::Capture(amount),
            ("release", None) => Intent::Release,
            _ => return Err(impossible("intent", &row.intent)),
        };
        Ok(Self {
            purpose: Purpose::named(&row.purpose).ok_or_else(|| impossible("purpose", &row.purpose))?,
            state: State::named(&row.state).ok_or_else(|| impossible("state", &row.state))?,
            amount: Money::new(row.amount, row.currency.parse().map_err(|_| impossible("currency", &row.currency))?),
            intent,
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
            attention: row.attention,
            failures: row.failures,
            lease_token: row.lease_token,
            version: row.version,
        })
    }
}

/// Selects whole payments by what follows.
macro_rules! payments {
    ($rest:tt, $($arguments:tt)*) => {
        sqlx::query_as!(
            Row,
            r#"select p.id, p.trip_id, p.rider_id, p.driver_id, p.purpose, p.replaces, p.state, p.intent, p.currency, p.amount,
                      p.capture_amount, p.authorized_amount, p.captured_amount, p.refund_reserved, p.payment_method, p.provider_intent_id,
                      p.decline_code, p.attention, p.failures, p.lease_token, p.version,
                      (select coalesce(sum(r.amount), 0)::bigint from refunds r
                       where r.payment_id = p.id and r.state = 'succeeded') as "refunded!"
               from payments p "# + $rest,
            $($arguments)*
        )
    };
}

pub(super) use payments;

/// A payment.
///
/// # Errors
/// If the database does not answer.
pub async fn one(conn: &mut PgConnection, id: PaymentId) -> Result<Option<Payment>> {
    payments!("where p.id = $1", id.uuid()).fetch_optional(conn).await?.map(Payment::try_from).transpose()
}

/// A payment, its row locked until the transaction ends.
///
/// # Errors
/// If the database does not answer.
pub async fn lock(conn: &mut PgConnection, id: PaymentId) -> Result<Option<Payment>> {
    payments!("where p.id = $1 for no key update of p", id.uuid())
        .fetch_optional(conn)
        .await?
        .map(Payment::try_from)
        .transpose()
}

/// The payments of a trip, oldest first.
///
/// # Errors
/// If the database does not answer.
pub async fn of_trip(conn: &mut PgConnection, trip_id: TripId) -> Result<Vec<Payment>> {
    let rows = payments!("where p.trip_id = $1 order by p.id", trip_id.uuid()).fetch_all(conn).await?;
    rows.into_iter().map(Payment::try_from).collect()
}

/// The payments of a trip, oldest first, their rows locked until the transaction ends.
///
/// They are read after the locks are there: whoever put a payment in another's place held the other's lock, so its successor is
/// seen.
///
/// # Errors
/// If the database does not answer.
pub async fn lock_of_trip(conn: &mut PgConnection, trip_id: TripId) -> Result<Vec<Payment>> {
    sqlx::query!("select id from payments where trip_id = $1 order by id for no key update", trip_id.uuid())
        .fetch_all(&mut *conn)
        .await?;
    of_trip(conn, trip_id).await
}

/// A new payment, as it is written.
#[derive(Debug)]
pub struct Insert<'a> {
    /// Its id.
    pub id: PaymentId,
    /// The trip that it pays for.
    pub trip_id: TripId,
    /// Who pays.
    pub rider_id: RiderId,
    /// Whom a tip is for.
    pub driver_id: Option<DriverId>,
    /// What for.
    pub purpose: Purpose,
    /// The payment in whose place it is.
    pub replaces: Option<PaymentId>,
    /// What the trip wants.
    pub intent: Intent,
    /// What to ask of the provider.
    pub amount: Money,
    /// What to charge.
    pub method: &'a str,
    /// When the trip asked for it.
    pub created_at: DomainTime,
    /// When its first step is due.
    pub due_at: MachineTime,
    /// The idempotency key that it is the effect of, if it is one by itself.
    pub key_id: Option<Uuid>,
}

/// Writes a new payment: authorizing, and due.
///
/// # Errors
/// If the trip has a live payment for this purpose, or the database does not answer.
pub async fn insert(conn: &mut PgConnection, new: &Insert<'_>) -> Result<()> {
    sqlx::query!(
        "insert into payments (id, trip_id, rider_id, purpose, state, intent, capture_amount, currency, amount,
                               payment_method, created_at, due_at, driver_id, replaces, key_id)
         values ($1, $2, $3, $4, 'authorizing', $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
        new.id.uuid(),
        new.trip_id.uuid(),
        new.rider_id.uuid(),
        new.purpose.as_str(),
        new.intent.as_str(),
        new.intent.capture_amount(),
        new.amount.currency.as_str(),
        new.amount.amount,
        new.method,
        new.created_at as _,
        new.due_at as _,
        new.driver_id.map(Id::uuid),
        new.replaces.map(Id::uuid),
        new.key_id,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes what the trip wants of a payment, and the state that this leads to.
///
/// # Errors
/// A conflict if the payment has changed since it was read.
pub async fn want(
    conn: &mut PgConnection,
    payment: &Payment,
    wish: Intent,
    state: State,
    now: MachineTime,
) -> Result<()> {
    let done = sqlx::query!(
        "update payments set intent = $3, capture_amount = $4, state = $5, due_at = $6, version = version + 1
         where id = $1 and version = $2 and intent = 'hold'",
        payment.id.uuid(),
        payment.version,
        wish.as_str(),
        wish.capture_amount(),
        state.as_str(),
        now as _,
    )
    .execute(conn)
    .await?;
    one_row(&done, changed)
}

/// Changes what refunds reserve of a captured payment: by a new one's amount, by a failed one's with a minus, by nothing for one
/// that succeeded. Each is a new version.
///
/// # Errors
/// A conflict if the payment has changed since it was read, or there is not so much left.
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
    one_row(&done, changed)
}

pub(super) fn changed() -> Refusal {
    Refusal::new(Code::Internal, "The payment has changed since it was read.")
}

/// Makes the payment that the provider knows as `intent`, and its pending refunds, due now.
///
/// # Errors
/// If the database does not answer.
pub async fn hint(conn: &mut PgConnection, intent: &str, now: MachineTime) -> Result<u64> {
    let payments = sqlx::query!(
        "update payments set due_at = $2
         where provider_intent_id = $1 and state in ('authorizing', 'authorized', 'capturing', 'voiding')",
        intent,
        now as _,
    )
    .execute(&mut *conn)
    .await?;
    // By id: the events of one payment's refunds come at the same time, and would lock each other's rows.
    let refunds = sqlx::query!(
        "with pending as (
             select refunds.id from refunds join payments on payments.id = refunds.payment_id
             where payments.provider_intent_id = $1 and refunds.state = 'pending'
             order by refunds.id for no key update of refunds)
         update refunds set due_at = $2 from pending where refunds.id = pending.id",
        intent,
        now as _,
    )
    .execute(conn)
    .await?;
    Ok(payments.rows_affected() + refunds.rows_affected())
}
