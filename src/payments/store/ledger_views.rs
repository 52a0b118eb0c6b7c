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

/// Sums the accounts of the rows `(account, currency, debits, credits)` that `$rows` selects by `$1` and, where given, by the account
/// `$2`. Each access path is a statement of its own: for a single statement PostgreSQL chooses the plan that reads everything.
macro_rules! accounts {
    ($rows:literal, $($argument:tt)*) => {
        sqlx::query_as!(
            AccountBalance,
            r#"select account.code as "code!", account.meaning as "meaning!", part.currency as "currency!", sum(part.debits)::bigint as "debits!",
                      sum(part.credits)::bigint as "credits!"
               from ("# + $rows + r#") part
               join ledger_accounts account on account.code = part.account
               group by account.code, part.currency
               order by account.code, part.currency"#,
            $($argument)*
        )
    };
}

/// The owner in the rows of whole accounts.
const WHOLE_ACCOUNT: Uuid = Uuid::nil();

/// Returns the accounts with entries in this part of the ledger.
///
/// # Errors
/// If the database fails.
pub async fn accounts(conn: &mut PgConnection, filter: &LedgerFilter) -> Result<Vec<AccountBalance>> {
    match (filter.trip_id, filter.owner_id, filter.as_of) {
        (Some(trip), _, _) => of_trip(conn, trip, filter).await,
        (None, owner, None) => current(conn, owner.unwrap_or(WHOLE_ACCOUNT), filter).await,
        (None, Some(owner), Some(as_of)) => of_owner_at(conn, owner, as_of, filter).await,
        (None, None, Some(as_of)) => whole_at(conn, as_of, filter).await,
    }
}

/// Sums the entries of a trip: it has few.
async fn of_trip(conn: &mut PgConnection, trip: TripId, filter: &LedgerFilter) -> Result<Vec<AccountBalance>> {
    let accounts = accounts!(
        "select entry.account, entry.currency, greatest(entry.amount, 0) as debits, greatest(-entry.amount, 0) as credits
         from ledger_postings posting join ledger_entries entry on entry.posting_id = posting.id
         where posting.trip_id = $1 and ($2::text is null or entry.account = $2)
           and ($3::uuid is null or entry.owner_id = $3) and ($4::timestamptz is null or posting.posted_at <= $4)",
        trip.uuid(),
        filter.account,
        filter.owner_id,
        filter.as_of as _,
    );
    Ok(accounts.fetch_all(conn).await?)
}

/// Sums the kept balances of an owner, or of whole accounts.
async fn current(conn: &mut PgConnection, owner: Uuid, filter: &LedgerFilter) -> Result<Vec<AccountBalance>> {
    let accounts = accounts!(
        "select account, currency, debits, credits from ledger_balances
         where owner_id = $1 and ($2::text is null or account = $2)",
        owner,
        filter.account,
    );
    Ok(accounts.fetch_all(conn).await?)
}

/// Sums the entries of an owner up to a time.
async fn of_owner_at(
    conn: &mut PgConnection,
    owner: Uuid,
    as_of: DomainTime,
    filter: &LedgerFilter,
) -> Result<Vec<AccountBalance>> {
    let accounts = accounts!(
        "select entry.account, entry.currency, greatest(entry.amount, 0) as debits, greatest(-entry.amount, 0) as credits
         from ledger_entries entry join ledger_postings posting on posting.id = entry.posting_id
         where entry.owner_id = $1 and ($2::text is null or entry.account = $2) and posting.posted_at <= $3",
        owner,
        filter.account,
        as_of as _,
    );
    Ok(accounts.fetch_all(conn).await?)
}

/// Sums the days before a time, and the entries of its own day. `offset 0` makes PostgreSQL find the entries by their posting, however
/// many postings it expects.
async fn whole_at(conn: &mut PgConnection, as_of: DomainTime, filter: &LedgerFilter) -> Result<Vec<AccountBalance>> {
    let accounts = accounts!(
        "select account, currency, debits, credits from ledger_days
         where day < ($1::timestamptz at time zone 'UTC')::date and ($2::text is null or account = $2)
         union all
         select entry.account, entry.currency, greatest(entry.amount, 0), greatest(-entry.amount, 0)
         from ledger_postings posting
         cross join lateral (select * from ledger_entries where posting_id = posting.id offset 0) entry
         where posting.posted_at >= date_trunc('day', $1::timestamptz at time zone 'UTC') at time zone 'UTC'
           and posting.posted_at <= $1 and ($2::text is null or entry.account = $2)",
        as_of as _,
        filter.account,
    );
    Ok(accounts.fetch_all(conn).await?)
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

/// Selects a page of the postings that `$latest` selects by `$1`, in descending order. The table of the source tells its kind, so a new
/// posting kind needs no change here.
///
/// 101 is the longest page and one more. PostgreSQL plans for any `$3`: it would expect to return a tenth of all postings, and sort them.
macro_rules! page {
    ($latest:literal, $one:expr, $filter:expr, $page:expr $(, $argument:expr)*) => {
        sqlx::query_as!(
            PostingRow,
            r#"select posting.id, posting.kind, posting.source_id, posting.trip_id, posting.posted_at,
                      coalesce((select 'refund' from refunds where refunds.id = posting.source_id),
                               (select 'payment' from payments where payments.id = posting.source_id), 'trip') as "source!"
               from ("#
                + $latest
                + r#" limit 101) posting
               order by posting.id desc limit $3"#,
            $one,
            $page.0,
            $page.1,
            $filter.as_of as _,
            $($argument),*
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
    let page = (before, limit);
    let rows = match filter {
        LedgerFilter { trip_id: Some(trip), .. } => postings_of_trip(&mut *conn, *trip, filter, page).await?,
        LedgerFilter { owner_id: Some(owner), .. } => postings_of_owner(&mut *conn, *owner, filter, page).await?,
        LedgerFilter { account: Some(account), .. } => postings_of_account(&mut *conn, account, filter, page).await?,
        LedgerFilter { .. } => {
            page!(
                "select * from ledger_postings
                 where $1::uuid is null and id < $2 and ($4::timestamptz is null or posted_at <= $4) order by id desc",
                None::<Uuid>,
                filter,
                page
            )
            .fetch_all(&mut *conn)
            .await?
        }
    };
    with_lines(conn, rows).await
}

async fn postings_of_trip(
    conn: &mut PgConnection,
    trip: TripId,
    filter: &LedgerFilter,
    page: (Uuid, i64),
) -> Result<Vec<PostingRow>> {
    let rows = page!(
        "select * from ledger_postings posting
         where trip_id = $1 and id < $2 and ($4::timestamptz is null or posted_at <= $4)
           and (($5::text is null and $6::uuid is null) or exists (
               select from ledger_entries entry
               where entry.posting_id = posting.id and ($5 is null or entry.account = $5) and ($6 is null or entry.owner_id = $6)))
         order by id desc",
        trip.uuid(),
        filter,
        page,
        filter.account,
        filter.owner_id
    );
    Ok(rows.fetch_all(conn).await?)
}

async fn postings_of_owner(
    conn: &mut PgConnection,
    owner: Uuid,
    filter: &LedgerFilter,
    page: (Uuid, i64),
) -> Result<Vec<PostingRow>> {
    let rows = page!(
        "select distinct on (own.posting_id) posting.*
         from ledger_entries own join ledger_postings posting on posting.id = own.posting_id
         where own.owner_id = $1 and own.posting_id < $2 and ($5::text is null or own.account = $5)
           and ($4::timestamptz is null or posting.posted_at <= $4)
         order by own.posting_id desc",
        owner,
        filter,
        page,
        filter.account
    );
    Ok(rows.fetch_all(conn).await?)
}

/// Selects the postings with an entry of an account. The range and the order make PostgreSQL use the index of the account's entries: for
/// equality it would walk through all entries.
async fn postings_of_account(
    conn: &mut PgConnection,
    account: &str,
    filter: &LedgerFilter,
    page: (Uuid, i64),
) -> Result<Vec<PostingRow>> {
    let rows = page!(
        "select distinct on (own.account, own.posting_id) posting.*
         from ledger_entries own join ledger_postings posting on posting.id = own.posting_id
         where own.account between $1 and $1 and own.posting_id < $2
           and ($4::timestamptz is null or posting.posted_at <= $4)
         order by own.account desc, own.posting_id desc",
        account,
        filter,
        page
    );
    Ok(rows.fetch_all(conn).await?)
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
