//! Our side of the books: the rows as they are, with as little SQL as possible. What they mean is decided elsewhere, in code
//! that the service's own audit shares nothing with.

use std::collections::BTreeMap;

use sqlx::types::Uuid;
use sqlx::{PgConnection, Row};

use crate::BoxError;

/// A payment.
#[derive(Debug, Clone)]
pub(crate) struct Payment {
    pub id: Uuid,
    pub trip_id: Uuid,
    pub purpose: String,
    pub state: String,
    /// What is charged.
    pub method: String,
    pub currency: String,
    pub captured: i64,
    pub intent_id: Option<String>,
    pub attention: Option<String>,
}

/// A trip.
#[derive(Debug, Clone)]
pub(crate) struct Trip {
    pub id: Uuid,
    pub state: String,
    pub total: Option<i64>,
    pub is_over: bool,
}

/// A refund.
#[derive(Debug, Clone)]
pub(crate) struct Refund {
    pub id: Uuid,
    pub payment_id: Uuid,
    pub state: String,
    pub amount: i64,
    pub provider_id: Option<String>,
    pub failure_code: Option<String>,
    /// Whether the service made it of itself, because more was taken than it wanted; nobody sent a key for it.
    pub is_its_own: bool,
    pub attention: Option<String>,
}

/// A call that the provider refused, by our books.
#[derive(Debug, Clone)]
pub(crate) struct RefusedCall {
    /// The key that the provider saw.
    pub key: String,
    pub payment_id: Uuid,
    pub operation: String,
}

/// A debt that was given up.
#[derive(Debug, Clone)]
pub(crate) struct WriteOff {
    pub payment_id: Uuid,
    pub trip_id: Uuid,
    /// Minor units.
    pub amount: i64,
    pub currency: String,
}

/// A key that has an effect.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub status: u16,
    pub body: Vec<u8>,
    /// Trips, steps of trips, tips, refunds and an operator's decisions that were made under it.
    pub effects: i64,
}

/// Everything.
#[derive(Debug)]
pub(crate) struct Ours {
    pub payments: Vec<Payment>,
    pub trips: Vec<Trip>,
    pub refunds: Vec<Refund>,
    pub refused: Vec<RefusedCall>,
    /// Keys of our own people, by their text.
    pub keys: BTreeMap<String, Key>,
    /// Postings that do not sum to zero: id, currency, sum.
    pub unbalanced: Vec<(Uuid, String, i64)>,
    /// What the clearing account holds, by currency.
    pub clearing: BTreeMap<String, i64>,
    pub written_off: Vec<WriteOff>,
}

impl Ours {
    /// What was written off, by currency.
    pub fn bad_debt(&self) -> BTreeMap<String, i64> {
        let mut sums = BTreeMap::new();
        for WriteOff { currency, amount, .. } in &self.written_off {
            *sums.entry(currency.clone()).or_default() += amount;
        }
        sums
    }

    /// Reads everything, in one snapshot.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn read(conn: &mut PgConnection) -> Result<Self, BoxError> {
        use sqlx::Connection;
        let mut tx = conn.begin().await?;
        sqlx::query("set transaction isolation level repeatable read, read only").execute(&mut *tx).await?;
        let ours = Self {
            payments: payments(&mut tx).await?,
            trips: trips(&mut tx).await?,
            refunds: refunds(&mut tx).await?,
            refused: refused(&mut tx).await?,
            keys: keys(&mut tx).await?,
            unbalanced: unbalanced(&mut tx).await?,
            clearing: clearing(&mut tx).await?,
            written_off: written_off(&mut tx).await?,
        };
        tx.rollback().await?;
        Ok(ours)
    }
}

async fn payments(conn: &mut PgConnection) -> Result<Vec<Payment>, BoxError> {
    let sql =
        "select id, trip_id, purpose, state, payment_method, currency, captured_amount, provider_intent_id, attention
               from payments";
    let rows = sqlx::query(sql).fetch_all(conn).await?;
    let payment = |row: &sqlx::postgres::PgRow| -> Result<Payment, sqlx::Error> {
        Ok(Payment {
            id: row.try_get("id")?,
            trip_id: row.try_get("trip_id")?,
            purpose: row.try_get("purpose")?,
            state: row.try_get("state")?,
            method: row.try_get("payment_method")?,
            currency: row.try_get("currency")?,
            captured: row.try_get("captured_amount")?,
            intent_id: row.try_get("provider_intent_id")?,
            attention: row.try_get("attention")?,
        })
    };
    Ok(rows.iter().map(payment).collect::<Result<_, _>>()?)
}

async fn trips(conn: &mut PgConnection) -> Result<Vec<Trip>, BoxError> {
    let rows =
        sqlx::query("select id, state, total, ended_at is not null as is_over from trips").fetch_all(conn).await?;
    let trip = |row: &sqlx::postgres::PgRow| -> Result<Trip, sqlx::Error> {
        Ok(Trip {
            id: row.try_get("id")?,
            state: row.try_get("state")?,
            total: row.try_get("total")?,
            is_over: row.try_get("is_over")?,
        })
    };
    Ok(rows.iter().map(trip).collect::<Result<_, _>>()?)
}

async fn refunds(conn: &mut PgConnection) -> Result<Vec<Refund>, BoxError> {
    let sql = "select id, payment_id, state, amount, provider_refund_id, failure_code, key_id is null as is_its_own, attention
               from refunds";
    let rows = sqlx::query(sql).fetch_all(conn).await?;
    let refund = |row: &sqlx::postgres::PgRow| -> Result<Refund, sqlx::Error> {
        Ok(Refund {
            id: row.try_get("id")?,
            payment_id: row.try_get("payment_id")?,
            state: row.try_get("state")?,
            amount: row.try_get("amount")?,
            provider_id: row.try_get("provider_refund_id")?,
            failure_code: row.try_get("failure_code")?,
            is_its_own: row.try_get("is_its_own")?,
            attention: row.try_get("attention")?,
        })
    };
    Ok(rows.iter().map(refund).collect::<Result<_, _>>()?)
}

async fn refused(conn: &mut PgConnection) -> Result<Vec<RefusedCall>, BoxError> {
    let sql = "select provider_key, payment_id, operation from payment_attempts where outcome = 'declined'";
    let calls: Vec<(String, Uuid, String)> = sqlx::query_as(sql).fetch_all(conn).await?;
    let call = |(key, payment_id, operation)| RefusedCall { key, payment_id, operation };
    Ok(calls.into_iter().map(call).collect())
}

async fn keys(conn: &mut PgConnection) -> Result<BTreeMap<String, Key>, BoxError> {
    let sql = "select key, status, body,
                      (select count(*) from trips where request_key_id = k.id)
                      + (select count(*) from refunds where key_id = k.id)
                      + (select count(*) from payments where key_id = k.id)
                      + (select count(*) from payment_resolutions where key_id = k.id)
                      + (select count(*) from trip_events where key_id = k.id and command <> 'request') as effects
               from idempotency_keys k where key like 'torture-%'";
    let rows = sqlx::query(sql).fetch_all(conn).await?;
    let key = |row: &sqlx::postgres::PgRow| -> Result<(String, Key), sqlx::Error> {
        let status: i16 = row.try_get("status")?;
        let status = u16::try_from(status).unwrap_or_default();
        Ok((row.try_get("key")?, Key { status, body: row.try_get("body")?, effects: row.try_get("effects")? }))
    };
    Ok(rows.iter().map(key).collect::<Result<_, _>>()?)
}

async fn unbalanced(conn: &mut PgConnection) -> Result<Vec<(Uuid, String, i64)>, BoxError> {
    let sql = "select posting_id, currency, sum(amount)::bigint from ledger_entries
               group by posting_id, currency having sum(amount) <> 0";
    Ok(sqlx::query_as(sql).fetch_all(conn).await?)
}

async fn clearing(conn: &mut PgConnection) -> Result<BTreeMap<String, i64>, BoxError> {
    let sql = "select currency, sum(amount)::bigint from ledger_entries where account = 'clearing' group by currency";
    let sums: Vec<(String, i64)> = sqlx::query_as(sql).fetch_all(conn).await?;
    Ok(sums.into_iter().collect())
}

async fn written_off(conn: &mut PgConnection) -> Result<Vec<WriteOff>, BoxError> {
    let sql = "select posting.source_id, posting.trip_id, -sum(entry.amount)::bigint, entry.currency
               from ledger_postings posting join ledger_entries entry on entry.posting_id = posting.id
               where posting.kind = 'write_off' and entry.account = 'rider_receivable'
               group by posting.id, entry.currency";
    let rows: Vec<(Uuid, Uuid, i64, String)> = sqlx::query_as(sql).fetch_all(conn).await?;
    let write_off = |(payment_id, trip_id, amount, currency)| WriteOff { payment_id, trip_id, amount, currency };
    Ok(rows.into_iter().map(write_off).collect())
}
