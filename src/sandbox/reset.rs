//! Everything begins anew.

use std::time::Duration;

use super::{Sandbox, store};
use crate::platform::Platform;
use crate::platform::error::{Code, Refusal, Result};
use crate::platform::wake::Wake;
use crate::supply::Supply;
use crate::trips;

/// How long calls to the provider that are under way may take to end.
const CALLS_END_WITHIN: Duration = Duration::from_secs(30);

/// Forgets every trip, payment and driver, here and at the provider. The clock goes on, the streets stay.
///
/// The order is what keeps both books equal: no call to the provider is under way, and none begins, until both are empty. One
/// that is interrupted in between is repeated. Other processes on the same database are not waited for.
///
/// # Errors
/// If the provider is no simulator, a call to it does not end, or the database does not answer; then it can be repeated.
pub async fn everything(platform: &Platform, supply: &Supply, sandbox: &Sandbox) -> Result<store::Forgotten> {
    sandbox.provider.heal().await?;
    let paused = tokio::time::timeout(CALLS_END_WITHIN, sandbox.payments.paused()).await;
    let _paused = paused.map_err(|_| {
        Refusal::new(Code::Unavailable, "A call to the payment provider does not end. Try again.").retry_after(5)
    })?;
    let forgotten = platform
        .db
        .transaction((), |tx, ()| {
            Box::pin(async move {
                let forgotten = store::forget_everything(tx).await?;
                [Wake::Deadlines, Wake::Dispatch].into_iter().for_each(|wake| tx.wake(wake));
                Ok(forgotten)
            })
        })
        .await?;
    sandbox.provider.forget_everything().await?;
    trips::worker::load_index(platform, supply).await?;
    Ok(forgotten)
}
