//! SQL of the postings that are written. `ledger_views` reads them.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::payments::ledger::{LedgerEntry, Posting};
use crate::platform::error::Result;
use crate::platform::ids::Id;

/// Inserts the postings of a transaction, and adds their entries to the balances. At most once in a transaction: the balances are locked
/// in one order, and a second call could wait for a lock that precedes those of the first.
///
/// # Errors
/// `posting_sums_to_zero` at the commit; `posted_once` for a second posting of the same source; or if the database fails.
pub async fn post(conn: &mut PgConnection, postings: &[Posting]) -> Result<()> {
    for posting in postings {
        sqlx::query!(
            "insert into ledger_postings (id, kind, source_id, trip_id, posted_at) values ($1, $2, $3, $4, $5)",
            posting.id,
            posting.kind.as_str(),
            posting.source_id,
            posting.trip_id.uuid(),
            posting.at as _,
        )
        .execute(&mut *conn)
        .await?;
    }
    insert_entries(conn, postings).await
}

/// Inserts the entries in one statement. A trigger of the table adds them to the balances.
async fn insert_entries(conn: &mut PgConnection, postings: &[Posting]) -> Result<()> {
    let mut lines: Vec<(&Posting, i16, &LedgerEntry)> = Vec::new();
    for posting in postings {
        lines.extend((1..).zip(&posting.entries).map(|(line, entry)| (posting, line, entry)));
    }
    let ids: Vec<Uuid> = lines.iter().map(|(posting, ..)| posting.id).collect();
    let numbers: Vec<i16> = lines.iter().map(|(_, line, _)| *line).collect();
    let accounts: Vec<String> = lines.iter().map(|(.., entry)| entry.account.code().as_str().to_owned()).collect();
    let owners: Vec<Option<Uuid>> = lines.iter().map(|(.., entry)| entry.account.owner()).collect();
    let amounts: Vec<i64> = lines.iter().map(|(.., entry)| entry.amount).collect();
    let currencies: Vec<String> = lines.iter().map(|(posting, ..)| posting.currency.as_str().to_owned()).collect();
    sqlx::query!(
        "insert into ledger_entries (posting_id, line, account, owner_id, amount, currency)
         select * from unnest($1::uuid[], $2::smallint[], $3::text[], $4::uuid[], $5::bigint[], $6::text[])",
        &ids,
        &numbers,
        &accounts,
        &owners as &[Option<Uuid>],
        &amounts,
        &currencies,
    )
    .execute(conn)
    .await?;
    Ok(())
}
