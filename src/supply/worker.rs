//! Saves the checkpoint of the index every few seconds, for the next matcher and for processes that have no index.

use super::store::{self, Checkpoint};
use super::{Supply, checkpoint};
use crate::platform::Platform;
use crate::platform::error::Result;
use crate::platform::leader;

/// Replaces the checkpoint, if this process is the matcher. Returns the number of positions.
///
/// # Errors
/// If the database does not answer, or another process has become the matcher. The next run saves everything again.
pub async fn checkpoint_once(platform: &Platform, supply: &Supply) -> Result<usize> {
    let Some(epoch) = platform.leadership.epoch() else { return Ok(0) };
    // Read before the positions: the checkpoint has every position received until then.
    let saved_at = platform.clock.domain();
    let Some(positions) = supply.last_known() else { return Ok(0) };
    let count = positions.len();
    let checkpoint = Checkpoint { epoch, saved_at, chunks: checkpoint::encode(positions) };
    platform
        .db
        .transaction(checkpoint, |tx, checkpoint| {
            Box::pin(async move {
                store::replace_checkpoint(tx, checkpoint).await?;
                // Last, so that an election waits for the commit only, not for megabytes. A former matcher's checkpoint is rolled back.
                leader::fence(tx, checkpoint.epoch).await
            })
        })
        .await?;
    Ok(count)
}
