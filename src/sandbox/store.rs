//! The sandbox's SQL: the clock's anchor, deadlines of domain time, what the console draws, and the reset.

mod attempts;
mod deadlines;
mod objects;
mod reset;
mod rides;
mod streets;
mod timeline;

pub use attempts::*;
pub use deadlines::*;
pub use objects::*;
pub use reset::*;
pub use rides::*;
pub use streets::*;
pub use timeline::*;

use sqlx::PgConnection;

use crate::platform::clock::{Anchor, DomainTime};
use crate::platform::error::{Refusal, Result};
use crate::platform::ids::{Id, PaymentId};

/// Locks the anchor until the transaction ends, and returns it.
///
/// # Errors
/// If the database fails.
pub async fn lock_anchor(conn: &mut PgConnection) -> Result<Anchor> {
    let row = sqlx::query!("select real_at, domain_at, scale from clock_anchor for update").fetch_one(conn).await?;
    Ok(Anchor { real: row.real_at, domain: row.domain_at, scale: u32::try_from(row.scale).unwrap_or(1) })
}

/// Sets the anchor.
///
/// # Errors
/// If the database fails, or the scale is out of range.
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

/// Returns the legal transitions of a trip: from, command, to.
///
/// # Errors
/// If the database fails.
pub async fn trip_transitions(conn: &mut PgConnection) -> Result<Vec<(String, String, String)>> {
    let rows = sqlx::query!("select from_state, command, to_state from trip_transitions").fetch_all(conn).await?;
    Ok(rows.into_iter().map(|row| (row.from_state, row.command, row.to_state)).collect())
}

/// Counts no driver's silence from before `since`, so that a clock that jumped makes no driver unresponsive.
///
/// # Errors
/// If the database fails.
pub async fn count_silence_from(conn: &mut PgConnection, since: DomainTime) -> Result<()> {
    sqlx::query!("update matcher set since = greatest(since, $1)", since as _).execute(conn).await?;
    Ok(())
}

/// Returns the provider's id of a payment; `None` before the first call to the provider.
///
/// # Errors
/// Not found if no such payment exists; or if the database fails.
pub async fn provider_intent_id(conn: &mut PgConnection, payment: PaymentId) -> Result<Option<String>> {
    let row = sqlx::query_scalar!("select provider_intent_id from payments where id = $1", payment.uuid());
    row.fetch_optional(conn).await?.ok_or_else(|| Refusal::not_found("payment").into())
}
