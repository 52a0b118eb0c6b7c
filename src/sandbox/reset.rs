//! The reset of all data, ours and the provider's.

use std::time::Duration;

use super::{Sandbox, store};
use crate::demand::Demand;
use crate::platform::Platform;
use crate::platform::db::Db;
use crate::platform::error::{Code, Refusal, Result};
use crate::platform::wake::Wake;
use crate::supply::Supply;
use crate::trips;

/// How long running provider calls may take to end.
const CALLS_END_WITHIN: Duration = Duration::from_secs(30);

/// Deletes every trip, payment and driver, here and at the provider. Keeps the clock and the streets.
///
/// Provider calls are paused until both sides are empty, so that our records and the provider's stay equal. Repeat a reset that
/// was interrupted in between. Other processes on the same database are not paused.
///
/// # Errors
/// If the provider is not the simulator, a provider call or a transaction does not end, or the database fails. A reset can be repeated.
pub async fn run(
    platform: &Platform,
    (supply, demand): (&Supply, &Demand),
    sandbox: &Sandbox,
) -> Result<store::ResetSummary> {
    sandbox.provider.clear_faults().await?;
    let paused = tokio::time::timeout(CALLS_END_WITHIN, sandbox.payments.paused()).await;
    let _paused = paused.map_err(|_| {
        Refusal::new(Code::Unavailable, "A call to the payment provider has not ended in time. Retry.").retry_after(5)
    })?;
    // No run of the zone cycle and no refresh of this process is under way until the demand is cleared on both sides. Cleared before, so
    // that nothing counted earlier is saved after; and after, so that nothing counted meanwhile stays.
    let order = demand.in_order().await;
    demand.clear();
    let summary = clear_alone(&platform.db).await?;
    demand.clear();
    drop(order);
    sandbox.provider.clear().await?;
    trips::worker::index::refresh(platform, supply).await?;
    Ok(summary)
}

/// Empties the tables in a transaction that runs alone.
///
/// Before it locks anything, it takes all other connections of the pool: no other work of this process holds a lock then, so that its
/// locks on every table cannot form a deadlock, in whatever order other work takes its own. That waits for a connection, as under load.
async fn clear_alone(db: &Db) -> Result<store::ResetSummary> {
    db.transaction(db.clone(), |tx, db| {
        Box::pin(async move {
            let _others = db.other_connections(tx).await?;
            let summary = store::clear(tx).await?;
            [Wake::Deadlines, Wake::Dispatch].into_iter().for_each(|wake| tx.wake(wake));
            Ok(summary)
        })
    })
    .await
}
