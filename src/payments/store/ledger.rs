//! The ledger, in rows. There is nothing to read here: receipts and balances are other rooms' views.

use sqlx::PgConnection;

use crate::payments::ledger::Posting;
use crate::platform::error::Result;
use crate::platform::ids::Id;

/// Writes a posting. The database refuses one that does not sum to zero, and a second one for the same source.
///
/// # Errors
/// If the database refuses, or does not answer.
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
            entry.account.code(),
            entry.account.owner(),
            entry.amount,
            posting.currency.as_str(),
        )
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}
