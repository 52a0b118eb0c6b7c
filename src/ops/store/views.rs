//! What operators look at: the ledger, and what waits for a person.

use sqlx::PgConnection;

use super::{Row, subject};
use crate::platform::clock::DomainTime;
use crate::platform::error::Result;
use crate::platform::ids::{Id, TripId};

/// Entries of one trip that are shown. A trip has a charge, a capture or two, and its refunds.
const ENTRIES_MAX: i64 = 1_000;

/// What an account holds.
#[derive(Debug)]
pub(in crate::ops) struct Account {
    /// Its code, such as `rider_receivable`.
    pub code: String,
    /// What it is for.
    pub meaning: String,
    /// ISO 4217.
    pub currency: String,
    /// Sum of the debits, minor units.
    pub debits: i64,
    /// Sum of the credits, minor units, positive.
    pub credits: i64,
}

/// The accounts that anything was posted to, over all trips or for one.
///
/// # Errors
/// If the database does not answer.
pub(in crate::ops) async fn accounts(conn: &mut PgConnection, trip_id: Option<TripId>) -> Result<Vec<Account>> {
    let accounts = sqlx::query_as!(
        Account,
        r#"select account.code, account.meaning, entry.currency,
                  coalesce(sum(entry.amount) filter (where entry.amount > 0), 0)::bigint as "debits!",
                  coalesce(-sum(entry.amount) filter (where entry.amount < 0), 0)::bigint as "credits!"
           from ledger_entries entry
           join ledger_accounts account on account.code = entry.account
           join ledger_postings posting on posting.id = entry.posting_id
           where $1::uuid is null or posting.trip_id = $1
           group by account.code, entry.currency
           order by account.code, entry.currency"#,
        trip_id.map(Id::uuid),
    )
    .fetch_all(conn)
    .await?;
    Ok(accounts)
}

/// One line of a posting.
#[derive(Debug)]
pub(in crate::ops) struct Entry {
    /// The posting.
    pub posting_id: uuid::Uuid,
    /// `charge`, `capture` or `refund`.
    pub kind: String,
    /// The trip charged, the payment captured or the refund made.
    pub source_id: uuid::Uuid,
    /// When it was posted.
    pub posted_at: DomainTime,
    /// The account.
    pub account: String,
    /// Whose, where the account is kept per rider or driver.
    pub owner_id: Option<uuid::Uuid>,
    /// Debit if positive, credit if negative; minor units.
    pub amount: i64,
    /// ISO 4217.
    pub currency: String,
}

/// The entries of a trip's postings, in the order in which they were posted.
///
/// # Errors
/// If the database does not answer.
pub(in crate::ops) async fn postings(conn: &mut PgConnection, trip_id: TripId) -> Result<Vec<Entry>> {
    let entries = sqlx::query_as!(
        Entry,
        "select posting.id as posting_id, posting.kind, posting.source_id, posting.posted_at,
                entry.account, entry.owner_id, entry.amount, entry.currency
         from ledger_postings posting join ledger_entries entry on entry.posting_id = posting.id
         where posting.trip_id = $1
         order by posting.posted_at, posting.id, entry.line
         limit $2",
        trip_id.uuid(),
        ENTRIES_MAX,
    )
    .fetch_all(conn)
    .await?;
    Ok(entries)
}

/// Something that waits for a person.
#[derive(Debug)]
pub(in crate::ops) struct Attention {
    /// The thing: its id, as it is written on the wire.
    pub subject: String,
    /// Its trip.
    pub trip_id: Option<TripId>,
    /// Why.
    pub what: String,
}

/// What waits for a person, how much of it, and the first `limit`: payments and refunds that say so, trips whose driver has not
/// been heard of since `silent_since`, trips whose PIN is locked, deliveries that were given up, events that were set aside.
///
/// # Errors
/// If the database does not answer.
pub(in crate::ops) async fn attention(
    conn: &mut PgConnection,
    silent_since: DomainTime,
    limit: i64,
) -> Result<(u64, Vec<Attention>)> {
    let rows = sqlx::query_as!(
        Row,
        r#"with found (kind, id, trip_id, what) as (
               select 'payment', id::text, trip_id, format('is %s: %s', state, attention)
               from payments where attention is not null
               union all
               select 'refund', refunds.id::text, payments.trip_id, format('is %s: %s', refunds.state, refunds.attention)
               from refunds join payments on payments.id = refunds.payment_id where refunds.attention is not null
               union all
               select 'trip', trips.id::text, trips.id, 'is under way, and its driver has been silent for a quarter of an hour'
               from trips cross join matcher
               left join driver_positions position on position.driver_id = trips.driver_id
               where trips.state = 'in_progress'
                 and greatest(position.received_at, trips.started_at, matcher.since) < $1
               union all
               select 'trip', id::text, id, 'has a locked PIN: five wrong ones were tried'
               from trips where state = 'arrived' and pin_failures >= 5
               union all
               select 'delivery', event_id || '/' || subscriber, aggregate_id, format('was given up: %s', coalesce(last_error, 'no reason'))
               from outbox_deliveries where dead_at is not null
               union all
               select 'provider event', event_id, null, format('was set aside: %s of %s, an intent that no payment has', type, intent_id)
               from provider_events where set_aside_at is not null)
           select kind as "kind!", id as "id!", trip_id as "trip_id?: TripId", what as "what!", count(*) over () as "total!"
           from found order by kind, id limit $2"#,
        silent_since as _,
        limit,
    )
    .fetch_all(conn)
    .await?;
    let total = rows.first().map_or(0, |row| row.total.unsigned_abs());
    let attention = |row: Row| Attention { subject: subject(&row.kind, &row.id), trip_id: row.trip_id, what: row.what };
    Ok((total, rows.into_iter().map(attention).collect()))
}
