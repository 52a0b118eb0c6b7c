//! SQL of the postings that are written. `ledger_views` reads them.

use sqlx::PgConnection;

use crate::payments::ledger::Posting;
use crate::platform::error::Result;
use crate::platform::ids::Id;

/// Inserts a posting.
///
/// # Errors
/// `posting_sums_to_zero` at the commit; `posted_once` for a second posting of the same source; or if the database fails.
pub async fn post(conn: &mut PgConnection, posting: &Posting) -> Result<()> {
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
    for (line, entry) in (1_i16..).zip(&posting.entries) {
        sqlx::query!(
            "insert into ledger_entries (posting_id, line, account, owner_id, amount, currency)
             values ($1, $2, $3, $4, $5, $6)",
            posting.id,
            line,
            entry.account.code().as_str(),
            entry.account.owner(),
            entry.amount,
            posting.currency.as_str(),
        )
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}
