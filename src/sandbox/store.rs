//! The SQL of the sandbox: the domain clock and the moments that something waits for, what the console draws, and a new beginning.

mod beginning;
mod moments;
mod rides;
mod streets;

pub use beginning::*;
pub use moments::*;
pub use rides::*;
pub use streets::*;

use sqlx::PgConnection;

use crate::platform::clock::{Anchor, DomainTime};
use crate::platform::error::{Refusal, Result};
use crate::platform::ids::{Id, PaymentId};

/// The anchor, which nobody else changes before the transaction ends.
///
/// # Errors
/// If the database does not answer.
pub async fn lock_anchor(conn: &mut PgConnection) -> Result<Anchor> {
    let row = sqlx::query!("select real_at, domain_at, scale from clock_anchor for update").fetch_one(conn).await?;
    Ok(Anchor { real: row.real_at, domain: row.domain_at, scale: u32::try_from(row.scale).unwrap_or(1) })
}

/// Sets the anchor.
///
/// # Errors
/// If the database does not answer, or the scale is out of range.
pub async fn set_anchor(conn: &mut PgConnection, anchor: Anchor) -> Result<()> {
    sqlx::query!(
        "update clock_anchor set real_at = $1, domain_at = $2, scale = $3",
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

/// No driver's silence is counted from before `since`: a clock that was set ahead is nobody's silence.
///
/// # Errors
/// If the database does not answer.
pub async fn listen_from(conn: &mut PgConnection, since: DomainTime) -> Result<()> {
    sqlx::query!("update matcher set since = greatest(since, $1)", since as _).execute(conn).await?;
    Ok(())
}

/// The provider's id of a payment; `None` while it has none.
///
/// # Errors
/// Not found if there is no such payment; or if the database does not answer.
pub async fn intent_of(conn: &mut PgConnection, payment: PaymentId) -> Result<Option<String>> {
    let row = sqlx::query_scalar!("select provider_intent_id from payments where id = $1", payment.uuid());
    row.fetch_optional(conn).await?.ok_or_else(|| Refusal::not_found("payment").into())
}
