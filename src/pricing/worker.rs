//! Deletes expired quotes.

use chrono::TimeDelta;

use super::store;
use crate::platform::Platform;
use crate::platform::error::Result;
use crate::platform::retention::BATCH;

/// How long an unused quote is kept after it expired (domain time), to answer questions about its price.
const QUOTES_KEPT: TimeDelta = TimeDelta::hours(24);

/// Deletes a batch of unused quotes that expired long ago. Returns their number.
///
/// # Errors
/// If the database fails.
pub async fn reap_once(platform: &Platform) -> Result<usize> {
    let before = platform.clock.domain() - QUOTES_KEPT;
    let delete = platform.db.transaction((), move |tx, ()| Box::pin(store::delete_expired(tx, before, BATCH)));
    Ok(usize::try_from(delete.await?).unwrap_or(usize::MAX))
}
