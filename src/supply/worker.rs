//! Saves the positions of the index to the database, about once a second, for a restart.

use super::store;
use super::{LastKnown, Supply};
use crate::platform::Platform;
use crate::platform::error::Result;

/// The maximum number of positions per statement.
const BATCH_MAX: usize = 2_000;

/// Saves a batch of changed positions. Returns the number of rows.
///
/// # Errors
/// If the database does not answer. The batch is not retried, because newer positions follow.
pub async fn run_once(platform: &Platform, supply: &Supply) -> Result<usize> {
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
