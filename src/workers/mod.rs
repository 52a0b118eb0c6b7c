//! The workers of all modules: what runs, and how often.

mod loops;
mod matching;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use self::loops::{AFTER_ERROR, SLOW_POLL, every, every_by, no_deadline, with, work};
use crate::dispatch::worker::Dispatch;
use crate::dispatch::zone_cycle::{self, ZoneCycle};
use crate::payments::PaymentsContext;
use crate::payments::model::CallPool;
use crate::platform::error::Result;
use crate::platform::retention::{self, RetentionRule};
use crate::platform::wake::{self, Wake};
use crate::platform::work::{RowBackoff, RunOutcome};
use crate::platform::{Platform, leader, metrics, schema};
use crate::reconciliation::ReconciliationContext;
use crate::supply::Supply;
use crate::trips::worker::Inactivity;
use crate::webhooks::{self, WebhooksContext};
use crate::{demand, dispatch, payments, pricing, reconciliation, supply, trips};

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

/// How often each process saves the requests that it counted and reads the state of demand, and how often the matcher computes the zones
/// (domain time): decay, smoothing and hints go by it, so runs are as far apart at every speed of the clock.
const DEMAND_EVERY: Duration = Duration::from_secs(5);

/// The least real time between two runs of the zone cycle, however fast the clock is.
const DEMAND_PAUSE_MIN: Duration = Duration::from_millis(250);

/// Returns the real time between two runs of the zone cycle.
fn demand_pause(scale: u32) -> Duration {
    (DEMAND_EVERY / scale.max(1)).max(DEMAND_PAUSE_MIN)
}

/// How often expired rows are looked for. They are deleted batch by batch until none are left.
const RETENTION_EVERY: Duration = Duration::from_secs(60);

/// Starts the workers.
pub fn start(
    dispatch: Dispatch,
    zones: ZoneCycle,
    payments: &PaymentsContext,
    webhooks: &WebhooksContext,
) -> JoinSet<()> {
    let (platform, supply) = (&dispatch.platform.clone(), &Arc::clone(&dispatch.supply));
    let mut all = JoinSet::new();
    let p = || platform.clone();
    start_trips(&mut all, platform, supply);
    all.spawn(matching::match_trips(dispatch));
    let run_zones = |zones: ZoneCycle| async move { zone_cycle::run_once(&zones).await };
    let zones_pause = |p: &Platform| demand_pause(p.clock.anchor().scale);
    all.spawn(every_by("zones", p(), zones_pause, with(zones, run_zones)));
    start_payments(&mut all, platform, payments);
    start_webhooks(&mut all, platform, webhooks);
    all.spawn(every("retention", p(), RETENTION_EVERY, |p| async move { delete_expired(&p).await }));
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
    for pool in CallPool::ALL {
        let context = payments.pool(pool);
        all.spawn(work(
            pool.as_str(),
            p(),
            pool.wake(),
            with(context.clone(), |context| async move { payments::worker::run_once(&context).await }),
            with(context.clone(), |context| async move { payments::worker::until_next(&context).await }),
        ));
    }
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

/// Returns the retention rules of all modules.
fn retention_rules() -> Vec<RetentionRule> {
    let single =
        [dispatch::RETENTION, pricing::RETENTION, webhooks::RETENTION, reconciliation::RETENTION, demand::RETENTION];
    retention::RULES.into_iter().chain(payments::RETENTION).chain(trips::RETENTION).chain(single).collect()
}

/// Deletes the expired rows of all modules.
///
/// # Errors
/// As [`retention::run_once`].
pub async fn delete_expired(platform: &Platform) -> Result<RunOutcome> {
    retention::run_once(platform, &retention_rules()).await
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

/// Waits for the first end of a server or worker, which should both run until the service stops, and describes it.
pub async fn first_end(serving: &mut JoinSet<()>, workers: &mut JoinSet<()>) -> String {
    tokio::select! {
        Some(end) = serving.join_next() => {
            end.map_or_else(|error| format!("a server ended: {error}"), |()| "a server ended".to_owned())
        }
        Some(end) = workers.join_next() => {
            end.map_or_else(|error| format!("a worker ended: {error}"), |()| "a worker ended".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zone_cycle_runs_every_five_seconds_of_domain_time() {
        let milliseconds = [0, 1, 5, 20, 40, u32::MAX].map(|scale| demand_pause(scale).as_millis());
        assert_eq!(milliseconds, [5_000, 5_000, 1_000, 250, 250, 250]);
    }

    #[tokio::test]
    async fn first_end_reports_panic_return_and_server_end() {
        let mut serving = JoinSet::new();
        let server = serving.spawn(std::future::pending());
        let mut workers = JoinSet::new();
        workers.spawn(std::future::pending());
        workers.spawn(async { panic!("bad plan") });
        let end = first_end(&mut serving, &mut workers).await;
        assert!(end.starts_with("a worker ended") && end.contains("bad plan"), "{end}");
        workers.spawn(async {});
        assert_eq!(first_end(&mut serving, &mut workers).await, "a worker ended");
        server.abort();
        assert!(first_end(&mut serving, &mut workers).await.starts_with("a server ended"));
    }
}
