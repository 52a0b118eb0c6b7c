//! Puts the house together: the platform, the rooms' addresses, the workers; starts it, and stops it in order.

use std::future::Future;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::middleware::from_fn;
use actix_web::web::{self, PayloadConfig};
use actix_web::{App, HttpServer};
use sqlx::postgres::PgListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::dispatch::worker::Dispatch;
use crate::ops::Auditor;
use crate::payments::{Gateway, PaymentsContext};
use crate::platform::auth::{TokenKey, Tokens};
use crate::platform::clock::Clock;
use crate::platform::config::Config;
use crate::platform::db::Db;
use crate::platform::dice::Dice;
use crate::platform::egress::Egress;
use crate::platform::error::{Error, Result};
use crate::platform::http::middleware::observe;
use crate::platform::http::request::BODY_BYTES_MAX;
use crate::platform::idempotency::Gate;
use crate::platform::leader::{self, Leadership};
use crate::platform::limits::Limits;
use crate::platform::metrics::Metrics;
use crate::platform::wake::{self, Hub, Wake};
use crate::platform::{Parts, Platform, schema};
use crate::supply::Supply;
use crate::{dispatch, doors, ops, payments, pricing, sandbox, supply, trips};

/// A worker that found nothing looks again after this, whatever wakes may have been lost.
const SLOW_POLL: Duration = Duration::from_secs(1);

/// After an error a worker waits this long: the database may be starting.
const AFTER_ERROR: Duration = Duration::from_millis(500);

/// How often positions are written behind.
const WRITE_BEHIND_EVERY: Duration = Duration::from_millis(500);

/// How long open requests get to finish, seconds. With the workers' rounds it stays under the 10 s that a supervisor gives.
const DRAIN_S: u64 = 7;

/// Connections of an audit that is a process of its own.
const AUDIT_CONNECTIONS: u32 = 4;

/// A running service.
#[derive(Debug)]
pub struct Running {
    /// Where it answers.
    pub address: SocketAddr,
    platform: Platform,
    payments: PaymentsContext,
    server: ServerHandle,
    serving: tokio::task::JoinHandle<std::io::Result<()>>,
    workers: JoinSet<()>,
}

/// Makes the platform of a process.
///
/// # Errors
/// If the configuration names something that cannot be used.
pub fn platform(config: &Config) -> Result<Platform> {
    let tokens = Tokens::new(&config.token_key()).map_err(|error| Error::Bug(format!("token key: {error}")))?;
    Ok(Platform::new(parts(&config.database_url, config.pool_max, tokens, config.rate_limit)?))
}

fn parts(database_url: &str, pool_max: u32, tokens: Tokens, rate_limit: NonZeroU32) -> Result<Parts> {
    let (clock, dice) = (Clock::system(), Dice::new());
    let process = dice.uuid(clock.machine()).simple().to_string();
    Ok(Parts {
        db: Db::open(database_url, pool_max, Hub::default())?,
        clock,
        dice,
        gate: Gate::default(),
        tokens,
        limits: Limits::new(rate_limit),
        metrics: Metrics::new()?,
        leadership: Leadership::default(),
        shutdown: CancellationToken::new(),
        process,
    })
}

/// Makes the door to the payment provider.
///
/// # Errors
/// If there can be no HTTP client.
pub fn gateway(config: &Config) -> Result<Gateway> {
    Ok(Gateway::new(Egress::new()?, config.psp_base_url.clone(), config.psp_secret_key.clone()))
}

/// Starts the service and returns when it listens.
///
/// # Errors
/// If the database does not answer or is not migrated, or the address cannot be listened on.
pub async fn start(config: &Config) -> Result<Running> {
    let platform = platform(config)?;
    prepare(&platform).await?;
    let supply = Arc::new(Supply::default());
    let gateway = gateway(config)?;

    let (server, address) = listen(config, &platform, &supply, &gateway)?;
    let handle = server.handle();
    let serving = tokio::spawn(server);
    let payments = PaymentsContext::new(platform.clone(), gateway);
    let workers = workers(&platform, &supply, &payments);
    tracing::info!(%address, process = platform.process, "ridematch is up");
    Ok(Running { address, platform, payments, server: handle, serving, workers })
}

async fn prepare(platform: &Platform) -> Result<()> {
    let clock = platform.clone();
    let (is_current, anchor) = platform
        .db
        .read(clock, |conn, platform| {
            Box::pin(async move {
                let is_current = schema::is_current(conn).await?;
                let anchor = if is_current { Some(schema::anchor(conn, &platform.clock).await?) } else { None };
                Ok((is_current, anchor))
            })
        })
        .await?;
    if !is_current {
        return Err(Error::Bug("the database is not up to date: run `ridematch migrate` first".to_owned()));
    }
    if let Some(anchor) = anchor {
        platform.clock.set_anchor(anchor);
    }
    Ok(())
}

fn listen(
    config: &Config,
    platform: &Platform,
    supply: &Arc<Supply>,
    gateway: &Gateway,
) -> Result<(actix_web::dev::Server, SocketAddr)> {
    let (platform_data, supply) = (web::Data::new(platform.clone()), web::Data::from(Arc::clone(supply)));
    let auditor = web::Data::new(Auditor::new(platform.clone(), gateway.clone()));
    let webhooks = web::Data::new(payments::WebhookSecret::new(config.psp_webhook_secret.clone()));
    let with_sandbox = config.sandbox;
    let server = HttpServer::new(move || {
        App::new()
            .app_data(platform_data.clone())
            .app_data(supply.clone())
            .app_data(auditor.clone())
            .app_data(webhooks.clone())
            .app_data(PayloadConfig::new(BODY_BYTES_MAX))
            .wrap(from_fn(observe))
            .configure(pricing::routes::configure)
            .configure(supply::routes::configure)
            .configure(dispatch::routes::configure)
            .configure(trips::routes::configure)
            .configure(payments::routes::configure)
            .configure(ops::routes::configure)
            .configure(|config| {
                if with_sandbox {
                    sandbox::routes::configure(config);
                }
            })
            .configure(doors::configure)
    })
    .workers(usize::from(config.http_workers))
    .disable_signals()
    .shutdown_timeout(DRAIN_S)
    .bind(config.listen)
    .map_err(|error| Error::Bug(format!("cannot listen on {}: {error}", config.listen)))?;
    let address = server.addrs().first().copied().unwrap_or(config.listen);
    Ok((server.run(), address))
}

impl Running {
    /// The platform, for tests that look inside.
    pub fn platform(&self) -> &Platform {
        &self.platform
    }

    /// Stops in order: no new requests, streams end, open requests and the workers' rounds finish.
    pub async fn stop(mut self) {
        self.platform.shutdown.cancel();
        self.server.stop(true).await;
        while self.workers.join_next().await.is_some() {}
        self.payments.finished().await;
        self.platform.db.drain().await;
        let _ended = self.serving.await;
    }

    /// Returns when the server has ended by itself, which it should not.
    pub async fn ended(&mut self) {
        let _end = (&mut self.serving).await;
    }
}

/// Starts the workers. Each is a loop of rounds; between two it waits for work, never within one.
fn workers(platform: &Platform, supply: &Arc<Supply>, payments: &PaymentsContext) -> JoinSet<()> {
    let mut all = JoinSet::new();
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
    all.spawn(every("reaper", p(), Duration::from_secs(60), |p| async move {
        ops::worker::run_once(&p).await.map(|reaped| usize::from(reaped.is_full()))
    }));
    all.spawn(every("clock", p(), SLOW_POLL, |p| async move { follow_clock(&p).await }));
    all.spawn(until_shutdown(p(), index(p(), s())));
    all.spawn(until_shutdown(p(), campaign(p(), s())));
    all.spawn(until_shutdown(p(), notify(p())));
    all.spawn(until_shutdown(p(), hear(p())));
    all
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
async fn observed(name: &'static str, platform: &Platform, round: impl Future<Output = Result<usize>>) -> Result<usize> {
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
        if let Err(error) = trips::worker::tell_index(&platform, &supply, changed).await {
            tracing::warn!(%error, "the index could not be told");
            tokio::time::sleep(AFTER_ERROR).await;
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
        let heard: std::result::Result<(), sqlx::Error> = async {
            let mut listener = PgListener::connect_with(platform.db.pool()).await?;
            listener.listen(wake::CHANNEL).await?;
            loop {
                let notification = listener.recv().await?;
                if let Some((process, wakes)) = notification.payload().split_once('|') {
                    if process != platform.process {
                        platform.db.hub().wake_here(&wake::unpack(wakes));
                    }
                }
            }
        }
        .await;
        tracing::debug!(?heard, "listening again");
        tokio::time::sleep(SLOW_POLL).await;
    }
}

/// Takes over the anchor that another process, or an earlier life, has set.
async fn follow_clock(platform: &Platform) -> Result<usize> {
    let anchor = platform.db.read(platform.clone(), |conn, platform| Box::pin(schema::anchor(conn, &platform.clock))).await?;
    if anchor != platform.clock.anchor() {
        platform.clock.set_anchor(anchor);
    }
    Ok(0)
}

/// Makes an auditor that is not part of a running service.
///
/// # Errors
/// If the configuration names something that cannot be used.
pub fn auditor(access: ops::audit::Access) -> Result<Auditor> {
    // It answers no requests: the tokens are never asked, and the rate is nobody's.
    let tokens = Tokens::new(&TokenKey::Secret(String::new())).map_err(|error| Error::Bug(format!("token key: {error}")))?;
    let platform = Platform::new(parts(&access.database_url, AUDIT_CONNECTIONS, tokens, NonZeroU32::MIN)?);
    let gateway = Gateway::new(Egress::new()?, access.psp_base_url, access.psp_secret_key);
    Ok(Auditor::new(platform, gateway))
}
