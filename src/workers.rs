//! The workers' loops: run while there is work, then wait for more. Nothing here cancels a run.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::dispatch::worker::Dispatch;
use crate::payments::PaymentsContext;
use crate::platform::error::Result;
use crate::platform::wake::{self, Wake};
use crate::platform::{Platform, leader, retention, schema};
use crate::reconciliation::ReconciliationContext;
use crate::supply::Supply;
use crate::webhooks::{self, WebhooksContext};
use crate::{dispatch, payments, pricing, reconciliation, supply, trips};

/// The longest pause of a worker without work: the latency of a lost wake.
const SLOW_POLL: Duration = Duration::from_secs(1);

/// The pause after an error, such as a database that restarts.
const AFTER_ERROR: Duration = Duration::from_millis(500);

/// How often changed positions are written to the database.
const POSITIONS_EVERY: Duration = Duration::from_millis(500);

/// How often deliveries of disabled endpoints are discarded.
const SWEEP_EVERY: Duration = Duration::from_secs(5);

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
    let dispatch = Dispatch { platform: p(), supply: Arc::clone(supply) };
    all.spawn(work("outbox", p(), Wake::Outbox, |p| async move { trips::worker::react_once(&p).await }, no_deadline));
    all.spawn(work(
        "deadlines",
        p(),
        Wake::Deadlines,
        |p| async move { trips::worker::deadlines_once(&p).await },
        |p| async move { trips::worker::until_next_deadline(&p).await },
    ));
    all.spawn(work(
        "dispatch",
        p(),
        Wake::Dispatch,
        with(dispatch, |dispatch| async move { dispatch::worker::run_once(&dispatch).await }),
        |p| async move { dispatch::worker::until_next(&p).await },
    ));
    let unassign =
        |(p, s): (Platform, Arc<Supply>)| async move { trips::worker::unassign_unresponsive_once(&p, &s).await };
    all.spawn(every("unresponsive-drivers", p(), SLOW_POLL, with(both(), unassign)));
    let write = |(p, s): (Platform, Arc<Supply>)| async move { supply::worker::run_once(&p, &s).await };
    all.spawn(every("positions", p(), POSITIONS_EVERY, with(both(), write)));
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
    all.spawn(work(
        "provider-events",
        p(),
        Wake::ProviderEvents,
        |p| async move { payments::webhooks::inbox::run_once(&p).await },
        |p| async move { payments::webhooks::inbox::until_next(&p).await },
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

/// Runs a worker while it finds work, then waits for a wake, the next deadline or [`SLOW_POLL`].
async fn work<R, U>(
    name: &'static str,
    platform: Platform,
    wake: Wake,
    run: impl Fn(Platform) -> R,
    until_next: impl Fn(Platform) -> U,
) where
    R: Future<Output = Result<usize>>,
    U: Future<Output = Result<Option<Duration>>>,
{
    while !platform.shutdown.is_cancelled() {
        let pause = match observed(name, &platform, run(platform.clone())).await {
            Ok(0) => until_next(platform.clone()).await.unwrap_or(None).unwrap_or(SLOW_POLL).min(SLOW_POLL),
            Ok(_) => continue,
            Err(_) => AFTER_ERROR,
        };
        tokio::select! {
            () = platform.db.wake_hub().wait(wake) => {}
            () = tokio::time::sleep(pause) => {}
            () = platform.shutdown.cancelled() => {}
        }
    }
}

/// Runs a worker periodically.
async fn every<R>(name: &'static str, platform: Platform, pause: Duration, run: impl Fn(Platform) -> R)
where
    R: Future<Output = Result<usize>>,
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
async fn observed(name: &'static str, platform: &Platform, run: impl Future<Output = Result<usize>>) -> Result<usize> {
    use crate::platform::telemetry::{self, Context};
    use tracing::Instrument;

    let trace_id = platform.random.uuid(platform.clock.machine()).simple().to_string();
    let context = Context { trace_id: trace_id.into(), path: name.into() };
    let span = telemetry::span(&context);
    let end = telemetry::in_context(Some(context), run).instrument(span).await;
    let outcome = match &end {
        Ok(0) => "idle",
        Ok(_) => "worked",
        Err(error) => {
            tracing::warn!(worker = name, %error, "a worker's run failed");
            "failed"
        }
    };
    platform.metrics.worker_runs.with_label_values(&[name, outcome]).inc();
    end
}

/// Drops an endless task at shutdown. None of these tasks owns a connection of the pool.
async fn until_shutdown(platform: Platform, task: impl Future<Output = ()>) {
    tokio::select! {
        () = task => {}
        () = platform.shutdown.cancelled() => {}
    }
}

/// Updates the index of free drivers after each change of a driver.
async fn sync_index(platform: Platform, supply: Arc<Supply>) {
    loop {
        platform.db.wake_hub().wait_for_drivers().await;
        let changed = platform.db.wake_hub().take_changed_drivers();
        if platform.leadership.epoch().is_none() || changed.is_empty() {
            continue;
        }
        if let Err(error) = trips::worker::sync_index(&platform, &supply, changed.clone()).await {
            tracing::warn!(%error, "the index could not be updated; trying again");
            tokio::time::sleep(AFTER_ERROR).await;
            platform.db.wake_hub().wake_here(&changed.into_iter().map(Wake::Driver).collect::<Vec<_>>());
        }
    }
}

/// Campaigns to be the matcher, and loads the index each time this process becomes it.
async fn campaign(platform: Platform, supply: Arc<Supply>) {
    let elected = platform.clone();
    leader::campaign(platform, || load_index(elected.clone(), Arc::clone(&supply))).await;
}

async fn load_index(platform: Platform, supply: Arc<Supply>) {
    while let Err(error) = trips::worker::load_index(&platform, &supply).await {
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

/// Deletes one batch of each kind of expired row, module by module.
async fn reap_once(platform: &Platform) -> Result<usize> {
    Ok(retention::reap_once(platform).await?
        + payments::webhooks::inbox::reap_once(platform).await?
        + pricing::worker::reap_once(platform).await?
        + trips::worker::reap_once(platform).await?
        + webhooks::worker::reap_once(platform).await?
        + reconciliation::worker::reap_once(platform).await?)
}

/// Adopts the clock anchor that another process has set.
async fn follow_clock(platform: &Platform) -> Result<usize> {
    let anchor =
        platform.db.read(platform.clone(), |conn, platform| Box::pin(schema::anchor(conn, &platform.clock))).await?;
    platform.clock.set_if_newer(anchor);
    Ok(0)
}
