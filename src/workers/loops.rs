//! The loops that workers run in: while there is work, then wait for more; or periodically. Nothing here cancels a run.

use std::future::Future;
use std::time::Duration;

use crate::platform::Platform;
use crate::platform::error::Result;
use crate::platform::wake::Wake;
use crate::platform::work::RunOutcome;

/// The longest pause of a worker without work: the latency of a lost wake, but for the backlog and the index, which are compared.
pub(super) const SLOW_POLL: Duration = Duration::from_secs(1);

/// The pause after an error, such as a database that restarts.
pub(super) const AFTER_ERROR: Duration = Duration::from_millis(500);

/// The pause after the first run without progress although work was due. It doubles with each, up to [`AFTER_ERROR`].
const WITHOUT_PROGRESS: Duration = Duration::from_millis(10);

/// Returns a function that calls `run` with a clone of `context`.
pub(super) fn with<T: Clone, F>(context: T, run: impl Fn(T) -> F) -> impl Fn(Platform) -> F {
    move |_| run(context.clone())
}

pub(super) async fn no_deadline(_: Platform) -> Result<Option<Duration>> {
    Ok(None)
}

/// Runs a worker while it makes progress, then waits for a wake, the next deadline or [`SLOW_POLL`].
pub(super) async fn work<R, O, U>(
    name: &'static str,
    platform: Platform,
    wake: Wake,
    run: impl Fn(Platform) -> R,
    until_next: impl Fn(Platform) -> U,
) where
    R: Future<Output = Result<O>>,
    O: Into<RunOutcome>,
    U: Future<Output = Result<Option<Duration>>>,
{
    let mut pauses = Pauses::default();
    while !platform.shutdown.is_cancelled() {
        let until_next = match observed(name, &platform, run(platform.clone())).await {
            Ok(RunOutcome { done: 1.., .. }) => {
                pauses = Pauses::default();
                continue;
            }
            Ok(RunOutcome { failed: 0, .. }) => until_next(platform.clone()).await.unwrap_or(None).or(Some(SLOW_POLL)),
            Ok(_) | Err(_) => None,
        };
        let pause = pauses.next(until_next);
        tokio::select! {
            () = platform.db.wake_hub().wait(wake) => {}
            () = tokio::time::sleep(pause) => {}
            () = platform.shutdown.cancelled() => {}
        }
    }
}

pub(super) async fn sleep_or_stop(platform: &Platform, pause: Duration) {
    tokio::select! {
        () = tokio::time::sleep(pause) => {}
        () = platform.shutdown.cancelled() => {}
    }
}

/// The pauses of a worker that makes no progress.
#[derive(Debug, Default)]
struct Pauses {
    /// Runs in a row without progress although work was due.
    fruitless: u32,
}

impl Pauses {
    /// Returns the pause after a run without progress. `until_next` is the time until work is due; `None` after a failure. Work that is
    /// due already could not be done: another process does it, or a row is locked.
    fn next(&mut self, until_next: Option<Duration>) -> Duration {
        if let Some(until_next) = until_next.filter(|until_next| !until_next.is_zero()) {
            self.fruitless = 0;
            return until_next.min(SLOW_POLL);
        }
        let pause = WITHOUT_PROGRESS.saturating_mul(2_u32.saturating_pow(self.fruitless)).min(AFTER_ERROR);
        self.fruitless = self.fruitless.saturating_add(1);
        pause
    }
}

/// Runs a worker periodically.
pub(super) async fn every<R, O>(name: &'static str, platform: Platform, pause: Duration, run: impl Fn(Platform) -> R)
where
    R: Future<Output = Result<O>>,
    O: Into<RunOutcome>,
{
    every_by(name, platform, |_| pause, run).await;
}

/// Runs a worker periodically, with a pause that may differ from one to the next.
pub(super) async fn every_by<R, O>(
    name: &'static str,
    platform: Platform,
    pause: impl Fn(&Platform) -> Duration,
    run: impl Fn(Platform) -> R,
) where
    R: Future<Output = Result<O>>,
    O: Into<RunOutcome>,
{
    while !platform.shutdown.is_cancelled() {
        let _end = observed(name, &platform, run(platform.clone())).await;
        let pause = pause(&platform);
        sleep_or_stop(&platform, pause).await;
    }
}

/// Runs once under a new trace id, and counts the outcome.
pub(super) async fn observed<O: Into<RunOutcome>>(
    name: &'static str,
    platform: &Platform,
    run: impl Future<Output = Result<O>>,
) -> Result<RunOutcome> {
    use crate::platform::telemetry::{self, Context};

    let trace_id = platform.random.uuid(platform.clock.machine()).simple().to_string();
    let end: Result<RunOutcome> = telemetry::traced(Context::new(trace_id, name), run).await.map(Into::into);
    let outcome = match &end {
        Ok(RunOutcome { done: 1.., .. }) => "worked",
        Ok(RunOutcome { failed: 0, .. }) => "idle",
        // The rows are logged where they failed.
        Ok(_) => "failed",
        Err(error) => {
            tracing::warn!(worker = name, %error, "a worker's run failed");
            "failed"
        }
    };
    platform.metrics.workers.runs.with_label_values(&[name, outcome]).inc();
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pause_grows_to_half_a_second_while_due_work_is_not_done() {
        let mut pauses = Pauses::default();
        let milliseconds: Vec<_> = (0..9).map(|_| pauses.next(Some(Duration::ZERO)).as_millis()).collect();
        assert_eq!(milliseconds, [10, 20, 40, 80, 160, 320, 500, 500, 500]);
        assert_eq!(pauses.next(None), AFTER_ERROR, "a failure is no progress either");
    }

    #[test]
    fn pause_ends_when_work_is_due_and_is_at_most_a_slow_poll() {
        let mut pauses = Pauses::default();
        let soon = Duration::from_millis(3);
        assert_eq!(pauses.next(None), WITHOUT_PROGRESS);
        assert_eq!(pauses.next(Some(soon)), soon);
        assert_eq!(pauses.next(None), WITHOUT_PROGRESS, "it starts again");
        assert_eq!(pauses.next(Some(Duration::MAX)), SLOW_POLL);
    }
}
