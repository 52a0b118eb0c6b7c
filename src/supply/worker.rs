//! Writes positions behind the index, so that a restart knows where everybody was a second ago.

use super::store;
use super::{LastKnown, Supply};
use crate::platform::Platform;
use crate::platform::error::Result;

/// Positions written in one statement at most.
const BATCH_MAX: usize = 2_000;

/// Writes what has changed since the last round, a batch at a time. Returns how many rows that was.
///
/// # Errors
/// If the database does not answer. The positions of the batch are not kept for another try: newer ones are on their way.
pub async fn write_behind_once(platform: &Platform, supply: &Supply) -> Result<usize> {
    if platform.leadership.epoch().is_none() {
        return Ok(0);
    }
    let rows: Vec<LastKnown> = supply.take_dirty(BATCH_MAX);
    let count = rows.len();
    if count > 0 {
        platform.db.transaction(rows, |tx, rows| Box::pin(store::save_positions(tx, rows))).await?;
    }
    Ok(count)
}
