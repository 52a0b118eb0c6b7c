//! The workers' loops: rounds as long as there is work, and between two of them a wait for more. What a round does is its room's
//! business; nothing here ever drops a round half-way.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::dispatch::worker::Dispatch;
use crate::payments::PaymentsContext;
use crate::platform::error::Result;
use crate::platform::wake::{self, Wake};
use crate::platform::{Platform, leader, schema};
use crate::supply::Supply;
use crate::webhooks::{self, WebhooksContext};
use crate::{dispatch, ops, payments, supply, trips};

/// A worker that found nothing looks again after this, whatever wakes may have been lost.
const SLOW_POLL: Duration = Duration::from_secs(1);

/// After an error a worker waits this long: the database may be starting.
const AFTER_ERROR: Duration = Duration::from_millis(500);

/// How often positions are written behind.
const WRITE_BEHIND_EVERY: Duration = Duration::from_millis(500);

/// How often webhooks are given up that nobody will get.
const SWEEP_EVERY: Duration = Duration::from_secs(5);

/// Starts the workers. Each is a loop of rounds; between two it waits for work, never within one.
pub fn start(
    platform: &Platform,
    supply: &Arc<Supply>,
    payments: &PaymentsContext,
    webhooks: &WebhooksContext,
) -> JoinSet<()> {
    let mut all = JoinSet::new();
    let p = || platform.clone();
    rides(&mut all, platform, supply);
    money(&mut all, platform, payments);
    tell(&mut all, platform, webhooks);
    all.spawn(every("reaper", p(), Duration::from_secs(60), |p| async move {
        ops::worker::run_once(&p).await.map(|reaped| usize::from(reaped.is_full()))
    }));
    all.spawn(every("clock", p(), SLOW_POLL, |p| async move { follow_clock(&p).await }));
    all.spawn(until_shutdown(p(), campaign(p(), Arc::clone(supply))));
    all.spawn(until_shutdown(p(), notify(p())));
    all.spawn(until_shutdown(p(), hear(p())));
    all
}

/// Trips, drivers, and who is asked.
fn rides(all: &mut JoinSet<()>, platform: &Platform, supply: &Arc<Supply>) {
    let p = || platform.clone();
    let s = || Arc::clone(supply);
    let dispatch = Dispatch { platform: p(), supply: s() };
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
        move |_| {
            let dispatch = dispatch.clone();
            async move { dispatch::worker::run_once(&dispatch).await }
        },
        |p| async move { dispatch::worker::until_next(&p).await },
    ));
    let silence = s();
    all.spawn(every("silence", p(), SLOW_POLL, move |p| {
        let supply = Arc::clone(&silence);
        async move { trips::worker::silence_once(&p, &supply).await }
    }));
    let behind = s();
    all.spawn(every("write-behind", p(), WRITE_BEHIND_EVERY, move |p| {
        let supply = Arc::clone(&behind);
        async move { supply::worker::write_behind_once(&p, &supply).await }
    }));
    all.spawn(until_shutdown(p(), index(p(), s())));
}

/// Payments and refunds, and what their provider has to say.
fn money(all: &mut JoinSet<()>, platform: &Platform, payments: &PaymentsContext) {
    let p = || platform.clone();
    let (rounds, due) = (payments.clone(), payments.clone());
    all.spawn(work(
        "payments",
        p(),
        Wake::Payments,
        move |_| {
            let payments = rounds.clone();
            async move { payments::worker::run_once(&payments).await }
        },
        move |_| {
            let payments = due.clone();
            async move { payments::worker::until_next(&payments).await }
        },
    ));
    all.spawn(work(
        "provider-events",
        p(),
        Wake::ProviderEvents,
        |p| async move { payments::webhooks::inbox::run_once(&p).await },
        |p| async move { payments::webhooks::inbox::until_next(&p).await },
    ));
    let books = ops::Reconciler::new(p(), payments.gateway().clone());
    all.spawn(every("reconciliation", p(), SLOW_POLL, move |_| {
        let books = books.clone();
        async move { ops::worker::reconciliation::run_once(&books).await }
    }));
}

/// Webhooks. News wake nobody here: a webhook may be a second late.
fn tell(all: &mut JoinSet<()>, platform: &Platform, webhooks: &WebhooksContext) {
    let webhooks = webhooks.clone();
    all.spawn(work(
        "webhooks",
        platform.clone(),
        Wake::Webhooks,
        move |_| {
            let webhooks = webhooks.clone();
            async move { webhooks::worker::run_once(&webhooks).await }
        },
        no_deadline,
    ));
    let sweep = |p: Platform| async move { webhooks::worker::sweep_once(&p).await };
    all.spawn(every("webhook-sweep", platform.clone(), SWEEP_EVERY, sweep));
}

async fn no_deadline(_: Platform) -> Result<Option<Duration>> {
    Ok(None)
}

/// A worker's loop: rounds as long as there is work, then a wait for a wake, the next deadline or the slow poll.
async fn work<R, U>(
    name: &'static str,
    platform: Platform,
    wake: Wake,
    round: impl Fn(Platform) -> R,
    until_next: impl Fn(Platform) -> U,
) where
    R: Future<Output = Result<usize>>,
    U: Future<Output = Result<Option<Duration>>>,
{
    while !platform.shutdown.is_cancelled() {
        let pause = match observed(name, &platform, round(platform.clone())).await {
            Ok(0) => until_next(platform.clone()).await.unwrap_or(None).unwrap_or(SLOW_POLL).min(SLOW_POLL),
            Ok(_) => continue,
            Err(_) => AFTER_ERROR,
        };
        tokio::select! {
            () = platform.db.hub().wait(wake) => {}
            () = tokio::time::sleep(pause) => {}
            () = platform.shutdown.cancelled() => {}
        }
    }
}

/// The loop of a worker that nobody wakes.
async fn every<R>(name: &'static str, platform: Platform, pause: Duration, round: impl Fn(Platform) -> R)
where
    R: Future<Output = Result<usize>>,
{
    while !platform.shutdown.is_cancelled() {
        let _end = observed(name, &platform, round(platform.clone())).await;
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = platform.shutdown.cancelled() => {}
        }
    }
}

/// Runs a round under a trace id of its own and counts how it ended.
async fn observed(
    name: &'static str,
    platform: &Platform,
    round: impl Future<Output = Result<usize>>,
) -> Result<usize> {
    use crate::platform::telemetry::{self, Context};
    use tracing::Instrument;

    let trace_id = platform.dice.uuid(platform.clock.machine()).simple().to_string();
    let context = Context { trace_id: trace_id.into(), path: name.into() };
    let span = telemetry::span(&context);
    let end = telemetry::within(Some(context), round).instrument(span).await;
    let label = match &end {
        Ok(0) => "idle",
        Ok(_) => "worked",
        Err(error) => {
            tracing::warn!(worker = name, %error, "a round failed");
            "failed"
        }
    };
    platform.metrics.worker_rounds.with_label_values(&[name, label]).inc();
    end
}

/// Ends a loop that has no rounds when the process is to end. None of these loops owns a connection of the pool.
async fn until_shutdown(platform: Platform, work: impl Future<Output = ()>) {
    tokio::select! {
        () = work => {}
        () = platform.shutdown.cancelled() => {}
    }
}

/// Tells the index about drivers who changed.
async fn index(platform: Platform, supply: Arc<Supply>) {
    loop {
        platform.db.hub().wait_for_drivers().await;
        let changed = platform.db.hub().take_changed_drivers();
        if platform.leadership.epoch().is_none() || changed.is_empty() {
            continue;
        }
        if let Err(error) = trips::worker::tell_index(&platform, &supply, changed.clone()).await {
            tracing::warn!(%error, "the index could not be told");
            tokio::time::sleep(AFTER_ERROR).await;
            // They have still changed.
            platform.db.hub().wake_here(&changed.into_iter().map(Wake::Driver).collect::<Vec<_>>());
        }
    }
}

/// Tries to be the matcher, and loads the index each time it has become it.
async fn campaign(platform: Platform, supply: Arc<Supply>) {
    let rooms = platform.clone();
    leader::campaign(platform, || load(rooms.clone(), Arc::clone(&supply))).await;
}

async fn load(platform: Platform, supply: Arc<Supply>) {
    while let Err(error) = trips::worker::load_index(&platform, &supply).await {
        tracing::warn!(%error, "the index could not be loaded");
        tokio::time::sleep(AFTER_ERROR).await;
    }
}

/// Sends wakes to the other processes.
async fn notify(platform: Platform) {
    loop {
        let text = format!("{}|{}", platform.process, platform.db.hub().outgoing().await);
        let sent = platform.db.read(text, |conn, text| Box::pin(wake::send(conn, text))).await;
        if let Err(error) = sent {
            tracing::debug!(%error, "other processes were not woken; they poll");
        }
    }
}

/// Hears the wakes of other processes.
async fn hear(platform: Platform) {
    loop {
        let heard = wake::hear(&platform.db, &platform.process).await;
        tracing::debug!(?heard, "listening again");
        tokio::time::sleep(SLOW_POLL).await;
    }
}

/// Takes over the anchor that another process, or an earlier life, has set.
async fn follow_clock(platform: &Platform) -> Result<usize> {
    let anchor =
        platform.db.read(platform.clone(), |conn, platform| Box::pin(schema::anchor(conn, &platform.clock))).await?;
    platform.clock.follow(anchor);
    Ok(0)
}
