//! Our records, as the rows are, with as little SQL as possible. The comparison shares no code with the service's own audit.

use std::collections::BTreeMap;

use sqlx::postgres::PgRow;
use sqlx::types::Uuid;
use sqlx::{Connection, FromRow, PgConnection};

use crate::BoxError;

/// A payment.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct Payment {
    pub id: Uuid,
    pub trip_id: Uuid,
    pub purpose: String,
    pub state: String,
    pub payment_method: String,
    pub currency: String,
    pub captured_amount: i64,
    pub provider_intent_id: Option<String>,
    pub needs_review: Option<String>,
    pub dispute: Option<String>,
}

/// A trip.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct Trip {
    pub id: Uuid,
    pub state: String,
    pub total: Option<i64>,
    pub is_over: bool,
}

/// A refund.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct Refund {
    pub id: Uuid,
    pub payment_id: Uuid,
    pub state: String,
    pub amount: i64,
    pub provider_refund_id: Option<String>,
    pub failure_code: Option<String>,
    /// Whether the service made it without a request, because it had captured too much.
    pub is_automatic: bool,
    pub needs_review: Option<String>,
    /// What its postings and their reversals sum to in the account of refunds: its amount, or nothing.
    pub posted: i64,
}

/// A call that the provider refused, by our records.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct RefusedCall {
    /// The idempotency key that the provider received.
    pub provider_key: String,
    pub payment_id: Uuid,
    pub operation: String,
}

/// A debt that was written off, in minor units.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct WriteOff {
    pub payment_id: Uuid,
    pub trip_id: Uuid,
    pub amount: i64,
    pub currency: String,
}

/// An idempotency key with a stored response.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct StoredKey {
    pub key: String,
    pub status: i16,
    pub body: Vec<u8>,
    /// Trips, trip transitions, tips, refunds, operator decisions and reconciliation runs made under it.
    pub effects: i64,
}

/// Everything that is compared.
#[derive(Debug)]
pub(crate) struct OurRecords {
    pub payments: Vec<Payment>,
    pub trips: Vec<Trip>,
    pub refunds: Vec<Refund>,
    pub refused: Vec<RefusedCall>,
    /// Keys of the torture's own actors.
    pub keys: BTreeMap<String, StoredKey>,
    /// Postings that do not sum to zero: id, currency, sum.
    pub unbalanced: Vec<(Uuid, String, i64)>,
    /// Balance of the clearing account, by currency.
    pub clearing: BTreeMap<String, i64>,
    pub write_offs: Vec<WriteOff>,
}

const PAYMENTS: &str =
    "select id, trip_id, purpose, state, payment_method, currency, captured_amount, provider_intent_id,
                               needs_review, dispute
                        from payments";

const TRIPS: &str = "select id, state, total, ended_at is not null as is_over from trips";

const REFUNDS: &str = "select id, payment_id, state, amount, provider_refund_id, failure_code,
                              key_id is null as is_automatic, needs_review,
                              (select coalesce(sum(entry.amount), 0)::bigint
                               from ledger_postings posting join ledger_entries entry on entry.posting_id = posting.id
                               where posting.kind in ('refund', 'refund_reversal') and posting.source_id = refunds.id
                                 and entry.account = 'refunds') as posted
                       from refunds";

const REFUSED: &str = "select provider_key, payment_id, operation from payment_attempts where outcome = 'declined'";

const KEYS: &str = "select key, status, body,
                           (select count(*) from trips where request_key_id = k.id)
                           + (select count(*) from refunds where key_id = k.id)
                           + (select count(*) from payments where key_id = k.id)
                           + (select count(*) from payment_resolutions where key_id = k.id)
                           + (select count(*) from reconciliation_runs where key_id = k.id)
                           + (select count(*) from trip_events where key_id = k.id and command <> 'request') as effects
                    from idempotency_keys k where key like 'torture-%'";

const UNBALANCED: &str = "select posting_id, currency, sum(amount)::bigint from ledger_entries
                          group by posting_id, currency having sum(amount) <> 0";

const CLEARING: &str =
    "select currency, sum(amount)::bigint from ledger_entries where account = 'clearing' group by currency";

const WRITE_OFFS: &str =
    "select posting.source_id as payment_id, posting.trip_id, -sum(entry.amount)::bigint as amount, entry.currency
     from ledger_postings posting join ledger_entries entry on entry.posting_id = posting.id
     where posting.kind = 'write_off' and entry.account = 'rider_receivable'
     group by posting.id, entry.currency";

impl OurRecords {
    /// Amounts written off, by currency.
    pub fn written_off(&self) -> BTreeMap<String, i64> {
        let mut sums = BTreeMap::new();
        for WriteOff { currency, amount, .. } in &self.write_offs {
            *sums.entry(currency.clone()).or_default() += amount;
        }
        sums
    }

    /// Reads everything in one snapshot.
    ///
    /// # Errors
    /// If the database does not respond.
    pub async fn read(conn: &mut PgConnection) -> Result<Self, BoxError> {
        let mut tx = conn.begin().await?;
        sqlx::query("set transaction isolation level repeatable read, read only").execute(&mut *tx).await?;
        let keys: Vec<StoredKey> = all(&mut tx, KEYS).await?;
        let records = Self {
            payments: all(&mut tx, PAYMENTS).await?,
            trips: all(&mut tx, TRIPS).await?,
            refunds: all(&mut tx, REFUNDS).await?,
            refused: all(&mut tx, REFUSED).await?,
            keys: keys.into_iter().map(|stored| (stored.key.clone(), stored)).collect(),
            unbalanced: all(&mut tx, UNBALANCED).await?,
            clearing: all(&mut tx, CLEARING).await?.into_iter().collect(),
            write_offs: all(&mut tx, WRITE_OFFS).await?,
        };
        tx.rollback().await?;
        Ok(records)
    }
}

async fn all<T>(conn: &mut PgConnection, sql: &'static str) -> sqlx::Result<Vec<T>>
where
    T: for<'r> FromRow<'r, PgRow> + Send + Unpin,
{
    sqlx::query_as(sql).fetch_all(conn).await
}
