//! The loop of the match cycles.

use std::time::Duration;

use super::loops::{AFTER_ERROR, SLOW_POLL, observed, sleep_or_stop};
use crate::dispatch::backlog::Backlog;
use crate::dispatch::worker::{self, Dispatch};
use crate::platform::clock::Stopwatch;
use crate::platform::wake::Wake;
use crate::platform::work::RunOutcome;

/// The shortest time between the starts of two match cycles. A cycle that took longer is followed by a pause as long as itself.
const CYCLE_EVERY: Duration = Duration::from_millis(50);

/// A cycle without an offer that took less is followed by no pause, so that a lone request is offered at once.
const SMALL_CYCLE: Duration = Duration::from_millis(3);

/// Runs match cycles, one at a time: at once after a wake if there has been a pause, and once a second, because drivers move.
pub(super) async fn match_trips(dispatch: Dispatch) {
    let platform = &dispatch.platform;
    let mut backlog = Backlog::default();
    let mut triggered_at = platform.clock.machine();
    while !platform.shutdown.is_cancelled() {
        let (began_at, watch) = (platform.clock.machine(), Stopwatch::start());
        let end = observed("dispatch", platform, worker::run_once(&dispatch, &mut backlog, triggered_at)).await;
        let took = watch.elapsed();
        let is_idle = took < SMALL_CYCLE && matches!(end, Ok(RunOutcome { done: 0, failed: 0 }));
        if !is_idle {
            let pause = if end.is_err() { AFTER_ERROR } else { took.max(CYCLE_EVERY.saturating_sub(took)) };
            sleep_or_stop(platform, pause).await;
        }
        // An offer made may leave the next driver for a trip that got none.
        let goes_on = matches!(end, Ok(RunOutcome { done: 1.., .. }));
        // What comes while a cycle or its pause lasts may have come at its start.
        let has_event = goes_on || event_within(&dispatch, Duration::ZERO).await;
        triggered_at = if has_event {
            began_at
        } else {
            event_within(&dispatch, worker::until_next(&dispatch).unwrap_or(SLOW_POLL).min(SLOW_POLL)).await;
            platform.clock.machine()
        };
    }
}

/// Waits for an event that may change the next plan: of a search, or of a driver who has become free. Returns whether one came in time.
async fn event_within(dispatch: &Dispatch, timeout: Duration) -> bool {
    let Dispatch { platform, supply, .. } = dispatch;
    tokio::select! {
        biased;
        () = platform.db.wake_hub().wait(Wake::Dispatch) => true,
        () = supply.gained() => true,
        () = tokio::time::sleep(timeout) => false,
        () = platform.shutdown.cancelled() => true,
    }
}
