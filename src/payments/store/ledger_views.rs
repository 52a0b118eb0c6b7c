//! SQL of the ledger's views: balances as of a time, and postings page by page.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::platform::clock::DomainTime;
use crate::platform::error::Result;
use crate::platform::ids::{Id, TripId};

/// A part of the ledger. `None` does not restrict.
#[derive(Debug, Clone, Default)]
pub struct LedgerFilter {
    /// Postings of this trip.
    pub trip_id: Option<TripId>,
    /// Entries of this account.
    pub account: Option<String>,
    /// Entries of this rider or driver.
    pub owner_id: Option<Uuid>,
    /// Postings of this moment or earlier.
    pub as_of: Option<DomainTime>,
}

/// An account of the chart.
#[derive(Debug)]
pub struct ChartRow {
    /// The code, such as `rider_receivable`.
    pub code: String,
    /// Whether it is kept per rider or driver.
    pub owned: bool,
}

/// Returns the chart of accounts.
///
/// # Errors
/// If the database fails.
pub async fn chart(conn: &mut PgConnection) -> Result<Vec<ChartRow>> {
    Ok(sqlx::query_as!(ChartRow, "select code, owned from ledger_accounts order by code").fetch_all(conn).await?)
}

/// The balance of an account.
#[derive(Debug)]
pub struct AccountBalance {
    /// The code, such as `rider_receivable`.
    pub code: String,
    /// Its meaning, in English.
    pub meaning: String,
    /// The ISO 4217 code.
    pub currency: String,
    /// The sum of the debits, minor units.
    pub debits: i64,
    /// The sum of the credits, minor units, positive.
    pub credits: i64,
}

/// Sums accounts over the entries that `$access` selects by `$1`, restricted by the rest of the filter. Each access path is a statement
/// of its own: for a single statement PostgreSQL chooses the plan that reads everything.
macro_rules! accounts {
    ($access:literal, $one:expr, $filter:expr) => {
        sqlx::query_as!(
            AccountBalance,
            r#"select account.code, account.meaning, entry.currency,
                      coalesce(sum(entry.amount) filter (where entry.amount > 0), 0)::bigint as "debits!",
                      coalesce(-sum(entry.amount) filter (where entry.amount < 0), 0)::bigint as "credits!"
               from ledger_entries entry
               join ledger_accounts account on account.code = entry.account
               join ledger_postings posting on posting.id = entry.posting_id
               where "#
                + $access
                + r#"
                 and ($2::text is null or entry.account = $2)
                 and ($3::uuid is null or entry.owner_id = $3)
                 and ($4::timestamptz is null or posting.posted_at <= $4)
               group by account.code, entry.currency
               order by account.code, entry.currency"#,
            $one,
            $filter.account,
            $filter.owner_id,
            $filter.as_of as _,
        )
    };
}

/// Returns the accounts with entries in this part of the ledger.
///
/// # Errors
/// If the database fails.
pub async fn accounts(conn: &mut PgConnection, filter: &LedgerFilter) -> Result<Vec<AccountBalance>> {
    let accounts = match (filter.trip_id.map(Id::uuid), filter.owner_id) {
        (Some(trip), _) => accounts!("posting.trip_id = $1", trip, filter).fetch_all(conn).await?,
        (None, Some(owner)) => accounts!("entry.owner_id = $1", owner, filter).fetch_all(conn).await?,
        (None, None) => accounts!("$1::uuid is null", None::<Uuid>, filter).fetch_all(conn).await?,
    };
    Ok(accounts)
}

/// A posting with its entries.
#[derive(Debug)]
pub struct PostedEntries {
    /// The posting's id.
    pub id: Uuid,
    /// The kind, such as `charge`.
    pub kind: String,
    /// The kind of the source: `trip`, `payment` or `refund`.
    pub source: String,
    /// The source.
    pub source_id: Uuid,
    /// The trip.
    pub trip_id: TripId,
    /// When.
    pub posted_at: DomainTime,
    /// The entries, in order.
    pub entries: Vec<LedgerLine>,
}

/// One line of a posting.
#[derive(Debug)]
pub struct LedgerLine {
    /// The account.
    pub account: String,
    /// The owner, where the account has one.
    pub owner_id: Option<Uuid>,
    /// Minor units; positive: a debit, negative: a credit.
    pub amount: i64,
    /// The ISO 4217 code.
    pub currency: String,
}

struct PostingRow {
    id: Uuid,
    kind: String,
    source: String,
    source_id: Uuid,
    trip_id: TripId,
    posted_at: DomainTime,
}

/// Selects a page of the postings that `$from` selects by `$1`, the latest first. The table of the source tells its kind, so a new
/// posting kind needs no change here.
macro_rules! page {
    ($from:literal, $one:expr, $filter:expr, $before:expr, $limit:expr) => {
        sqlx::query_as!(
            PostingRow,
            r#"select posting.id, posting.kind, posting.source_id, posting.trip_id, posting.posted_at,
                      case when exists (select from refunds where refunds.id = posting.source_id) then 'refund'
                           when exists (select from payments where payments.id = posting.source_id) then 'payment'
                           else 'trip' end as "source!"
               from "#
                + $from
                + r#"
                 and posting.id < $4
                 and ($2::text is null or exists (
                     select from ledger_entries entry where entry.posting_id = posting.id and entry.account = $2))
                 and ($3::timestamptz is null or posting.posted_at <= $3)
                 and ($6::uuid is null or exists (
                     select from ledger_entries entry where entry.posting_id = posting.id and entry.owner_id = $6))
               order by posting.id desc limit $5"#,
            $one,
            $filter.account,
            $filter.as_of as _,
            $before,
            $limit,
            $filter.owner_id,
        )
    };
}

/// Returns the postings in this part of the ledger with ids below `before`, the latest first.
///
/// # Errors
/// If the database fails.
pub async fn postings(
    conn: &mut PgConnection,
    filter: &LedgerFilter,
    before: Uuid,
    limit: i64,
) -> Result<Vec<PostedEntries>> {
    let rows = match filter {
        LedgerFilter { trip_id: Some(trip), .. } => {
            page!("ledger_postings posting where posting.trip_id = $1", trip.uuid(), filter, before, limit)
                .fetch_all(&mut *conn)
                .await?
        }
        LedgerFilter { owner_id: Some(owner), .. } => {
            page!(
                "(select distinct own.posting_id from ledger_entries own
              where own.owner_id = $1 and own.posting_id < $4 and ($2::text is null or own.account = $2)
              order by own.posting_id desc) own
             join ledger_postings posting on posting.id = own.posting_id where true",
                owner,
                filter,
                before,
                limit
            )
            .fetch_all(&mut *conn)
            .await?
        }
        LedgerFilter { account: Some(account), .. } => {
            page!(
                "(select distinct own.posting_id from ledger_entries own where own.account = $1 and own.posting_id < $4
              order by own.posting_id desc) own
             join ledger_postings posting on posting.id = own.posting_id where true",
                account,
                filter,
                before,
                limit
            )
            .fetch_all(&mut *conn)
            .await?
        }
        LedgerFilter { .. } => {
            page!("ledger_postings posting where $1::uuid is null", None::<Uuid>, filter, before, limit)
                .fetch_all(&mut *conn)
                .await?
        }
    };
    with_lines(conn, rows).await
}

/// Postings with their lines.
async fn with_lines(conn: &mut PgConnection, rows: Vec<PostingRow>) -> Result<Vec<PostedEntries>> {
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    let mut lines = lines(conn, &ids).await?.into_iter().peekable();
    let postings = rows.into_iter().map(|row| {
        let mut entries = Vec::new();
        while let Some((_, entry)) = lines.next_if(|(posting, _)| *posting == row.id) {
            entries.push(entry);
        }
        let PostingRow { id, kind, source, source_id, trip_id, posted_at } = row;
        PostedEntries { id, kind, source, source_id, trip_id, posted_at, entries }
    });
    Ok(postings.collect())
}

/// The lines of these postings, the latest posting first.
async fn lines(conn: &mut PgConnection, postings: &[Uuid]) -> Result<Vec<(Uuid, LedgerLine)>> {
    let rows = sqlx::query_as!(
        EntryRow,
        "select posting_id, account, owner_id, amount, currency from ledger_entries
         where posting_id = any($1) order by posting_id desc, line",
        postings,
    )
    .fetch_all(conn)
    .await?;
    let line = |row: EntryRow| {
        let entry =
            LedgerLine { account: row.account, owner_id: row.owner_id, amount: row.amount, currency: row.currency };
        (row.posting_id, entry)
    };
    Ok(rows.into_iter().map(line).collect())
}

struct EntryRow {
    posting_id: Uuid,
    account: String,
    owner_id: Option<Uuid>,
    amount: i64,
    currency: String,
}
