//! The SQL of the sandbox: the domain clock, and what the console draws.

mod rides;
mod streets;

pub use rides::*;
pub use streets::*;

use sqlx::PgConnection;

use crate::platform::clock::Anchor;
use crate::platform::error::Result;

/// Sets the anchor.
///
/// # Errors
/// If the database does not answer, or the scale is out of range.
pub async fn set_anchor(conn: &mut PgConnection, anchor: Anchor) -> Result<()> {
    sqlx::query!(
        "insert into clock_anchor (real_at, domain_at, scale) values ($1, $2, $3)
         on conflict (only_row) do update set real_at = excluded.real_at, domain_at = excluded.domain_at, scale = excluded.scale",
        anchor.real as _,
        anchor.domain as _,
        i32::try_from(anchor.scale).unwrap_or(i32::MAX),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The legal steps of a trip: from, command, to.
///
/// # Errors
/// If the database does not answer.
pub async fn trip_steps(conn: &mut PgConnection) -> Result<Vec<(String, String, String)>> {
    let rows = sqlx::query!("select from_state, command, to_state from trip_edges").fetch_all(conn).await?;
    Ok(rows.into_iter().map(|row| (row.from_state, row.command, row.to_state)).collect())
}
