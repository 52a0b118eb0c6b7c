//! The workers' loops: run while there is work, then wait for more. Nothing here cancels a run.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::dispatch::worker::Dispatch;
use crate::payments::PaymentsContext;
use crate::platform::error::Result;
use crate::platform::wake::{self, Wake};
use crate::platform::work::{RowBackoff, RunOutcome};
use crate::platform::{Platform, leader, metrics, retention, schema};
use crate::reconciliation::ReconciliationContext;
use crate::supply::Supply;
use crate::trips::worker::Inactivity;
use crate::webhooks::{self, WebhooksContext};
use crate::{dispatch, payments, pricing, reconciliation, supply, trips};

/// The longest pause of a worker without work: the latency of a lost wake.
const SLOW_POLL: Duration = Duration::from_secs(1);

/// The pause after an error, such as a database that restarts.
const AFTER_ERROR: Duration = Duration::from_millis(500);

/// The pause after the first run without progress although work was due. It doubles with each, up to [`AFTER_ERROR`].
const WITHOUT_PROGRESS: Duration = Duration::from_millis(10);

/// How often the positions of the index are saved. A position counts for 30 s, so that a takeover within seconds loses few.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(3);

/// How often the index is compared with the database: the longest time for which a driver is not found after a lost wake.
const RECONCILE_EVERY: Duration = Duration::from_secs(10);

/// How often inactive drivers are looked for. More than twice the interval of a device's positions.
const INACTIVE_EVERY: Duration = Duration::from_secs(10);

/// How often deliveries of disabled endpoints are discarded.
const SWEEP_EVERY: Duration = Duration::from_secs(5);

/// How often the gauges that count rows are read, however often `/metrics` is.
const GAUGES_EVERY: Duration = Duration::from_secs(5);

/// How often expired rows are deleted.
const RETENTION_EVERY: Duration = Duration::from_secs(60);

/// Starts the workers.
pub fn start(
    platform: &Platform,
    supply: &Arc<Supply>,
    payments: &PaymentsContext,
    webhooks: &WebhooksContext,
) -> JoinSet<()> {
    let mut all = JoinSet::new();
    let p = || platform.clone();
    start_trips(&mut all, platform, supply);
    start_payments(&mut all, platform, payments);
    start_webhooks(&mut all, platform, webhooks);
    all.spawn(every("retention", p(), RETENTION_EVERY, |p| async move { reap_once(&p).await }));
    all.spawn(every("gauges", p(), GAUGES_EVERY, |p| async move { read_gauges(&p).await }));
    all.spawn(every("clock", p(), SLOW_POLL, |p| async move { follow_clock(&p).await }));
    all.spawn(until_shutdown(p(), campaign(p(), Arc::clone(supply))));
    all.spawn(until_shutdown(p(), notify(p())));
    all.spawn(until_shutdown(p(), listen(p())));
    all
}

/// Starts the workers of trips, drivers and matching.
fn start_trips(all: &mut JoinSet<()>, platform: &Platform, supply: &Arc<Supply>) {
    let p = || platform.clone();
    let both = || (platform.clone(), Arc::clone(supply));
    all.spawn(work(
        "outbox",
        p(),
        Wake::Outbox,
        |p| async move { trips::worker::react_once(&p).await },
        |p| async move { trips::worker::until_next_event(&p).await },
    ));
    let deadlines = (p(), Arc::new(RowBackoff::new("deadlines")));
    all.spawn(work(
        "deadlines",
        p(),
        Wake::Deadlines,
        with(deadlines.clone(), |(p, backoff)| async move { trips::worker::deadlines_once(&p, &backoff).await }),
        with(deadlines, |(p, backoff)| async move { trips::worker::until_next_deadline(&p, &backoff).await }),
    ));
    let dispatch =
        Dispatch { platform: p(), supply: Arc::clone(supply), backoff: Arc::new(RowBackoff::new("dispatch")) };
    all.spawn(work(
        "dispatch",
        p(),
        Wake::Dispatch,
        with(dispatch.clone(), |dispatch| async move { dispatch::worker::run_once(&dispatch).await }),
        with(dispatch, |dispatch| async move { dispatch::worker::until_next(&dispatch).await }),
    ));
    let unresponsive = (both(), Arc::new(RowBackoff::new("unresponsive-drivers")));
    all.spawn(every(
        "unresponsive-drivers",
        p(),
        SLOW_POLL,
        with(unresponsive, |((p, s), backoff)| async move {
            trips::worker::unassign_unresponsive_once(&p, &s, &backoff).await
        }),
    ));
    start_supply(all, platform, supply);
}

/// Starts the workers of the driver index.
fn start_supply(all: &mut JoinSet<()>, platform: &Platform, supply: &Arc<Supply>) {
    let p = || platform.clone();
    let both = || (platform.clone(), Arc::clone(supply));
    let save = |(p, s): (Platform, Arc<Supply>)| async move { supply::worker::checkpoint_once(&p, &s).await };
    all.spawn(every("checkpoint", p(), CHECKPOINT_EVERY, with(both(), save)));
    let reconcile = |(p, s): (Platform, Arc<Supply>)| async move { trips::worker::index::reconcile_once(&p, &s).await };
    all.spawn(every("index", p(), RECONCILE_EVERY, with(both(), reconcile)));
    let inactivity = Arc::new(Inactivity::new(p(), Arc::clone(supply)));
    let take_offline = |inactivity: Arc<Inactivity>| async move { inactivity.run_once().await };
    all.spawn(every("inactive-drivers", p(), INACTIVE_EVERY, with(inactivity, take_offline)));
    all.spawn(until_shutdown(p(), sync_index(p(), Arc::clone(supply))));
}

/// Starts the workers of payments, refunds, the provider's events and the reconciliation.
fn start_payments(all: &mut JoinSet<()>, platform: &Platform, payments: &PaymentsContext) {
    let p = || platform.clone();
    all.spawn(work(
        "payments",
        p(),
        Wake::Payments,
        with(payments.clone(), |payments| async move { payments::worker::run_once(&payments).await }),
        with(payments.clone(), |payments| async move { payments::worker::until_next(&payments).await }),
    ));
    let events = (p(), Arc::new(RowBackoff::new("provider-events")));
    all.spawn(work(
        "provider-events",
        p(),
        Wake::ProviderEvents,
        with(events.clone(), |(p, backoff)| async move { payments::webhooks::inbox::run_once(&p, &backoff).await }),
        with(events, |(p, backoff)| async move { payments::webhooks::inbox::until_next(&p, &backoff).await }),
    ));
    let context = ReconciliationContext::new(p(), payments.client().clone());
    let reconcile = |context: ReconciliationContext| async move { reconciliation::worker::run_once(&context).await };
    all.spawn(every("reconciliation", p(), SLOW_POLL, with(context, reconcile)));
}

/// Starts the workers of webhooks. No wake follows an event: a webhook may be a second late.
fn start_webhooks(all: &mut JoinSet<()>, platform: &Platform, webhooks: &WebhooksContext) {
    let deliver = |webhooks: WebhooksContext| async move { webhooks::worker::run_once(&webhooks).await };
    all.spawn(work("webhooks", platform.clone(), Wake::Webhooks, with(webhooks.clone(), deliver), no_deadline));
    let sweep = |p: Platform| async move { webhooks::worker::sweep_once(&p).await };
    all.spawn(every("webhook-sweep", platform.clone(), SWEEP_EVERY, sweep));
}

/// Returns a function that calls `run` with a clone of `context`.
fn with<T: Clone, F>(context: T, run: impl Fn(T) -> F) -> impl Fn(Platform) -> F {
    move |_| run(context.clone())
}

async fn no_deadline(_: Platform) -> Result<Option<Duration>> {
    Ok(None)
}

/// Runs a worker while it makes progress, then waits for a wake, the next deadline or [`SLOW_POLL`].
async fn work<R, O, U>(
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
async fn every<R, O>(name: &'static str, platform: Platform, pause: Duration, run: impl Fn(Platform) -> R)
where
    R: Future<Output = Result<O>>,
    O: Into<RunOutcome>,
{
    while !platform.shutdown.is_cancelled() {
        let _end = observed(name, &platform, run(platform.clone())).await;
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = platform.shutdown.cancelled() => {}
        }
    }
}

/// Runs once under a new trace id, and counts the outcome.
async fn observed<O: Into<RunOutcome>>(
    name: &'static str,
    platform: &Platform,
    run: impl Future<Output = Result<O>>,
) -> Result<RunOutcome> {
    use crate::platform::telemetry::{self, Context};
    use tracing::Instrument;

    let trace_id = platform.random.uuid(platform.clock.machine()).simple().to_string();
    let context = Context { trace_id: trace_id.into(), path: name.into() };
    let span = telemetry::span(&context);
    let end: Result<RunOutcome> = telemetry::in_context(Some(context), run).instrument(span).await.map(Into::into);
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

/// Drops an endless task at shutdown. None of these tasks owns a connection of the pool.
async fn until_shutdown(platform: Platform, task: impl Future<Output = ()>) {
    tokio::select! {
        () = task => {}
        () = platform.shutdown.cancelled() => {}
    }
}

/// Updates the index after each change of a driver.
async fn sync_index(platform: Platform, supply: Arc<Supply>) {
    loop {
        platform.db.wake_hub().wait_for_drivers().await;
        if let Err(error) = trips::worker::index::sync(&platform, &supply).await {
            tracing::warn!(%error, "the index could not be updated; trying again");
            tokio::time::sleep(AFTER_ERROR).await;
        }
    }
}

/// Campaigns to be the matcher, loads the index each time this process becomes it, and drops it at the end of the term.
async fn campaign(platform: Platform, supply: Arc<Supply>) {
    let elected = platform.clone();
    leader::campaign(platform, || load_index(elected.clone(), Arc::clone(&supply)), || supply.clear()).await;
}

async fn load_index(platform: Platform, supply: Arc<Supply>) {
    while let Err(error) = trips::worker::index::load(&platform, &supply).await {
        tracing::warn!(%error, "the index could not be loaded; trying again");
        tokio::time::sleep(AFTER_ERROR).await;
    }
}

/// Sends wakes to the other processes.
async fn notify(platform: Platform) {
    loop {
        let text = format!("{}|{}", platform.process, platform.db.wake_hub().outgoing().await);
        let sent = platform.db.read(text, |conn, text| Box::pin(wake::send(conn, text))).await;
        if let Err(error) = sent {
            tracing::debug!(%error, "a wake was not sent; other processes poll");
        }
    }
}

/// Receives the wakes of other processes.
async fn listen(platform: Platform) {
    loop {
        let end = wake::listen(&platform.db, &platform.process).await;
        tracing::debug!(?end, "the listener's connection ended; reconnecting");
        tokio::time::sleep(SLOW_POLL).await;
    }
}

/// Deletes one batch of each kind of expired row, module by module. One that fails does not stop the others.
async fn reap_once(platform: &Platform) -> Result<RunOutcome> {
    let modules = [
        ("platform", retention::reap_once(platform).await),
        ("payments", payments::webhooks::inbox::reap_once(platform).await),
        ("pricing", pricing::worker::reap_once(platform).await),
        ("trips", trips::worker::reap_once(platform).await),
        ("webhooks", webhooks::worker::reap_once(platform).await),
        ("reconciliation", reconciliation::worker::reap_once(platform).await),
    ];
    let mut outcome = RunOutcome::default();
    for (module, end) in modules {
        match end {
            Ok(deleted) => outcome.done += deleted,
            Err(error) => {
                tracing::warn!(%error, module, "expired rows could not be deleted; the next run tries again");
                outcome.failed += 1;
            }
        }
    }
    Ok(outcome)
}

/// Updates the gauges that count rows, module by module. One that cannot be read keeps its value and delays no other.
async fn read_gauges(platform: &Platform) -> Result<usize> {
    let ends = [
        metrics::gauges(platform).await,
        reconciliation::worker::gauges(platform).await,
        payments::webhooks::inbox::gauges(platform).await,
        webhooks::worker::gauges(platform).await,
    ];
    ends.into_iter().collect::<Result<()>>().map(|()| 0)
}

/// Adopts the clock anchor that another process has set.
async fn follow_clock(platform: &Platform) -> Result<usize> {
    let anchor =
        platform.db.read(platform.clone(), |conn, platform| Box::pin(schema::anchor(conn, &platform.clock))).await?;
    platform.clock.set_if_newer(anchor);
    Ok(0)
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
