//! The composition root: builds the platform, the modules' routes and the workers, starts them, and stops them in order.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::Arc;

use actix_web::dev::{Server, ServerHandle};
use actix_web::middleware::from_fn;
use actix_web::web::{self, PayloadConfig};
use actix_web::{App, HttpServer};
use chrono::TimeDelta;
use futures_util::future::BoxFuture;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::audit::Auditor;
use crate::demand::Demand;
use crate::dispatch::worker::Dispatch;
use crate::dispatch::zone_cycle::{self, ZoneCycle};
use crate::geo::Router;
use crate::payments::{PaymentsContext, ProviderClient, WebhookSecrets};
use crate::platform::auth::{ExpectedClaims, TokenKey, Tokens};
use crate::platform::clock::Clock;
use crate::platform::config::{Config, RetentionConfig};
use crate::platform::db::Db;
use crate::platform::egress::public::AddressPolicy;
use crate::platform::error::{Error, Result};
use crate::platform::http::answer_head;
use crate::platform::http::connection::limit_unread;
use crate::platform::http::middleware::observe;
use crate::platform::http::request::BODY_BYTES_MAX;
use crate::platform::http::shell::Shell;
use crate::platform::http::stream_permit::StreamLimiter;
use crate::platform::idempotency::KeyLocks;
use crate::platform::leader::Leadership;
use crate::platform::limits::Limits;
use crate::platform::metrics::Metrics;
use crate::platform::random::RandomSource;
use crate::platform::wake::WakeHub;
use crate::platform::work::RunOutcome;
use crate::platform::{Parts, Platform, schema};
use crate::supply::{CarHandles, Supply};
use crate::trips::TripWatch;
use crate::webhooks::WebhooksContext;
use crate::{api, audit, demand, dispatch, payments, pricing, reconciliation, supply, trips, webhooks, workers};

/// How long open requests get to finish, seconds. Together with the workers' runs less than the 10 s a supervisor waits.
const DRAIN_S: u64 = 7;

/// Database connections of `ridematch audit`.
const AUDIT_CONNECTIONS: u32 = 4;

/// A running service.
#[derive(Debug)]
pub struct Running {
    /// The address it listens on.
    pub address: SocketAddr,
    /// The address of the administrative listener.
    pub admin_address: Option<SocketAddr>,
    platform: Platform,
    supply: Arc<Supply>,
    zones: ZoneCycle,
    payments: PaymentsContext,
    webhooks: WebhooksContext,
    server: ServerHandle,
    admin: Option<ServerHandle>,
    serving: JoinSet<()>,
    workers: JoinSet<()>,
}

/// Builds the platform of a process.
///
/// # Errors
/// If the configuration has an unusable value.
pub fn platform(config: &Config) -> Result<Platform> {
    let tokens = tokens(&config.token_key(), config.expected_claims())?;
    let parts = parts(&config.database_url, config.pool_max, tokens, config.rate_limit)?;
    let pickup_within = config.pickup_within_s.map(|seconds| TimeDelta::seconds(seconds.into()));
    Ok(Platform::new(Parts { retention: config.retention, pickup_within, ..parts }))
}

fn tokens(key: &TokenKey, expected: ExpectedClaims) -> Result<Tokens> {
    Tokens::new(key, expected).map_err(|error| Error::Bug(format!("token key: {error}")))
}

fn parts(database_url: &str, pool_max: u32, tokens: Tokens, rate_limit: NonZeroU32) -> Result<Parts> {
    let (clock, random) = (Clock::system(), RandomSource::new());
    let process = random.uuid(clock.machine()).simple().to_string();
    Ok(Parts {
        db: Db::open(database_url, pool_max, WakeHub::default())?,
        clock,
        random,
        key_locks: KeyLocks::default(),
        tokens,
        limits: Limits::new(rate_limit),
        streams: StreamLimiter::default(),
        metrics: Metrics::new()?,
        leadership: Leadership::default(),
        retention: RetentionConfig::default(),
        pickup_within: None,
        shutdown: CancellationToken::new(),
        process,
    })
}

/// Builds the client of the payment provider.
///
/// # Errors
/// If the HTTP client cannot be built.
pub fn provider_client(config: &Config, platform: &Platform) -> Result<ProviderClient> {
    ProviderClient::new(platform.clone(), &config.psp)
}

/// What a build adds to the service: nothing in production, the sandbox with its feature.
struct Extension {
    /// Where webhooks may be sent.
    policy: AddressPolicy,
    /// The header of the pages.
    shell: Shell,
    /// Registers more routes, before those of `api`.
    routes: Arc<dyn Fn(&mut web::ServiceConfig) + Send + Sync>,
    /// One more worker.
    worker: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

/// The parts of the service that an extension builds on.
struct Core<'a> {
    platform: &'a Platform,
    supply: &'a Arc<Supply>,
    router: &'a Arc<Router>,
    payments: &'a PaymentsContext,
    trip_watch: &'a TripWatch,
    demand: &'a Arc<Demand>,
}

impl Core<'_> {
    fn auditor(&self) -> Auditor {
        Auditor::new(self.platform.clone(), self.payments.client().clone(), Arc::clone(self.supply))
    }
}

impl Default for Extension {
    fn default() -> Self {
        Self { policy: AddressPolicy::PublicOnly, shell: Shell::default(), routes: Arc::new(|_| {}), worker: None }
    }
}

/// Starts the production service and returns when it listens.
///
/// The future is boxed, so that it is compiled with the library, and not with each program and test that starts the service.
///
/// # Errors
/// If the database does not answer or is not migrated, or if the address is not available.
pub fn start(config: &Config) -> BoxFuture<'_, Result<Running>> {
    Box::pin(start_extended(config, |_| Ok(Extension::default())))
}

/// Starts the service and, if `flags` open it, the sandbox, which shows the SQL in `recorder`.
///
/// # Errors
/// As [`start`].
#[cfg(feature = "sandbox")]
pub fn start_with_sandbox(
    config: &Config,
    flags: crate::sandbox::Flags,
    recorder: crate::sandbox::SqlRecorder,
) -> BoxFuture<'_, Result<Running>> {
    use crate::sandbox::{self, Audits, LiveMap, Rehearsal, Sandbox, StreetFollower};

    Box::pin(start_extended(config, move |core| {
        let policy = if flags.webhook_loopback { AddressPolicy::PublicAndLoopback } else { AddressPolicy::PublicOnly };
        if !flags.sandbox {
            return Ok(Extension { policy, ..Extension::default() });
        }
        let live = LiveMap::new(core.platform.clone(), Arc::clone(core.supply));
        let followed = config.streets.is_none().then(|| Arc::clone(core.router));
        let streets = StreetFollower::new(core.platform.clone(), followed);
        let audits = Audits::new(core.platform.clone(), core.auditor());
        let workers = (live.clone().run(), streets.clone().run(), audits.clone().run());
        let (streets, audits) = (web::Data::new(streets), web::Data::new(audits));
        let rehearsal = web::Data::new(Rehearsal::new(&flags).map_err(Error::Bug)?);
        let partners = sandbox::routes::serve_partners(core.platform, &rehearsal, api::configure_style)?;
        let sandbox = web::Data::new(Sandbox::new(config, flags, recorder, core.payments.clone(), live)?);
        Ok(Extension {
            policy,
            shell: sandbox::routes::console::SHELL,
            routes: Arc::new(move |app| {
                app.configure(api::configure_metrics);
                app.app_data(sandbox.clone()).app_data(streets.clone()).app_data(audits.clone());
                app.app_data(rehearsal.clone());
                sandbox::routes::configure(app);
            }),
            worker: Some(Box::pin(async move { tokio::join!(workers.0, workers.1, workers.2, partners).0 })),
        })
    }))
}

async fn start_extended(config: &Config, extend: impl FnOnce(&Core<'_>) -> Result<Extension>) -> Result<Running> {
    let router = Arc::new(Router::open(config.streets.as_ref())?);
    let platform = platform(config)?;
    prepare(&platform).await?;
    let supply = Arc::new(Supply::default());
    let payments = PaymentsContext::new(&platform, &provider_client(config, &platform)?, config.permits);
    let trip_watch = TripWatch::new(platform.clone(), Arc::clone(&supply), Arc::clone(&router));
    let demand = Arc::new(Demand::new(config.surge));
    let core = Core {
        platform: &platform,
        supply: &supply,
        router: &router,
        payments: &payments,
        trip_watch: &trip_watch,
        demand: &demand,
    };
    let extension = extend(&core)?;
    let mut serving = JoinSet::new();
    let (server, address) = run(&mut serving, listen(config, &core, &extension)?);
    let (admin, admin_address) = listen_admin(config, &core)?.map(|server| run(&mut serving, server)).unzip();
    let webhooks = WebhooksContext::new(platform.clone(), extension.policy)?;
    let dispatch = Dispatch::new(platform.clone(), Arc::clone(&supply), Arc::clone(&router), config);
    let zones = ZoneCycle {
        platform: platform.clone(),
        supply: Arc::clone(&supply),
        demand,
        router: Arc::clone(&router),
        hints: config.hints,
    };
    let mut workers = workers::start(dispatch, zones.clone(), &payments, &webhooks);
    workers.spawn(trip_watch.run());
    if let Some(worker) = extension.worker {
        workers.spawn(worker);
    }
    tracing::info!(%address, ?admin_address, process = platform.process, "the service has started");
    Ok(Running { address, admin_address, platform, supply, zones, payments, webhooks, server, admin, serving, workers })
}

/// Runs a server in a task of its own.
fn run(serving: &mut JoinSet<()>, (server, address): (Server, SocketAddr)) -> (ServerHandle, SocketAddr) {
    let handle = server.handle();
    serving.spawn(async move {
        if let Err(error) = server.await {
            tracing::error!(%error, %address, "a server failed");
        }
    });
    (handle, address)
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

fn listen(config: &Config, core: &Core<'_>, extension: &Extension) -> Result<(Server, SocketAddr)> {
    let platform = core.platform;
    let (platform_data, supply) = (web::Data::new(platform.clone()), web::Data::from(Arc::clone(core.supply)));
    let router = web::Data::from(Arc::clone(core.router));
    let demand = web::Data::from(Arc::clone(core.demand));
    let auditor = web::Data::new(core.auditor());
    let (policy, shell) = (web::Data::new(extension.policy), web::Data::new(extension.shell));
    let secrets = WebhookSecrets::parse(config.psp_webhook_secret.expose())
        .map_err(|wrong| Error::Bug(format!("PSP_WEBHOOK_SECRET {wrong}")))?;
    let secrets = web::Data::new(secrets);
    let trip_watch = web::Data::new(core.trip_watch.clone());
    let car_handles = web::Data::new(CarHandles::new(platform.random.secret()));
    let routes = Arc::clone(&extension.routes);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(platform_data.clone())
            .app_data(supply.clone())
            .app_data(router.clone())
            .app_data(demand.clone())
            .app_data(auditor.clone())
            .app_data(secrets.clone())
            .app_data(policy.clone())
            .app_data(shell.clone())
            .app_data(trip_watch.clone())
            .app_data(car_handles.clone())
            .app_data(PayloadConfig::new(BODY_BYTES_MAX))
            .wrap(from_fn(answer_head))
            .wrap(from_fn(observe))
            .configure(pricing::routes::configure)
            .configure(demand::routes::configure)
            .configure(supply::routes::configure)
            .configure(dispatch::routes::configure)
            .configure(trips::routes::configure)
            .configure(payments::routes::configure)
            .configure(audit::routes::configure)
            .configure(reconciliation::routes::configure)
            .configure(webhooks::routes::configure)
            .configure(&*routes)
            .configure(api::configure)
    })
    .on_connect(limit_unread)
    .workers(usize::from(config.http_workers))
    .disable_signals()
    // A client that closed its side is gone: its streams end at once, and not with the next failed write.
    .h1_allow_half_closed(false)
    .shutdown_timeout(DRAIN_S)
    .bind(config.listen)
    .map_err(cannot_listen(config.listen))?;
    let address = server.addrs().first().copied().unwrap_or(config.listen);
    Ok((server.run(), address))
}

/// Listens for monitoring, if there is an address for it.
fn listen_admin(config: &Config, core: &Core<'_>) -> Result<Option<(Server, SocketAddr)>> {
    let Some(wanted) = config.admin_listen else { return Ok(None) };
    let (platform, supply) = (web::Data::new(core.platform.clone()), web::Data::from(Arc::clone(core.supply)));
    let app = move || {
        let app = App::new().app_data(platform.clone()).app_data(supply.clone());
        app.wrap(from_fn(observe)).configure(api::configure_admin)
    };
    let server = HttpServer::new(app).workers(1).disable_signals().bind(wanted).map_err(cannot_listen(wanted))?;
    let address = server.addrs().first().copied().unwrap_or(wanted);
    Ok(Some((server.run(), address)))
}

fn cannot_listen(address: SocketAddr) -> impl Fn(std::io::Error) -> Error {
    move |error| Error::Bug(format!("cannot listen on {address}: {error}"))
}

impl Running {
    /// The platform, for tests.
    pub fn platform(&self) -> &Platform {
        &self.platform
    }

    /// Deletes the expired rows now, for tests.
    ///
    /// # Errors
    /// As the worker's run.
    pub async fn delete_expired(&self) -> Result<RunOutcome> {
        workers::delete_expired(&self.platform).await
    }

    /// Runs the zone cycle now, for tests.
    ///
    /// # Errors
    /// As the worker's run.
    pub async fn run_zones(&self) -> Result<usize> {
        zone_cycle::run_once(&self.zones).await
    }

    /// The driver index, for tests.
    pub fn supply(&self) -> &Arc<Supply> {
        &self.supply
    }

    /// Stops in order: refuses new requests, ends streams, and finishes open requests and the workers' runs. The administrative listener
    /// says until then that the process is not ready.
    pub fn stop(mut self) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            self.platform.shutdown.cancel();
            self.server.stop(true).await;
            while self.workers.join_next().await.is_some() {}
            self.payments.finished().await;
            self.webhooks.finished().await;
            self.platform.db.drain().await;
            if let Some(admin) = self.admin {
                admin.stop(false).await;
            }
            while self.serving.join_next().await.is_some() {}
        })
    }

    /// Returns how a server or a worker ended by itself, once one has. None should: without the worker the process may still be the
    /// matcher, so it must exit and be restarted.
    pub fn ended(&mut self) -> BoxFuture<'_, String> {
        Box::pin(workers::first_end(&mut self.serving, &mut self.workers))
    }
}

/// Builds an auditor outside of a running service.
///
/// # Errors
/// If the configuration has an unusable value.
pub fn auditor(access: audit::AuditConfig) -> Result<Auditor> {
    // It serves no requests, so that tokens and rate are unused.
    let tokens = tokens(&TokenKey::Secret(String::new()), ExpectedClaims::default())?;
    let platform = Platform::new(parts(&access.database_url, AUDIT_CONNECTIONS, tokens, NonZeroU32::MIN)?);
    let client = ProviderClient::new(platform.clone(), &access.psp)?;
    // The index is in the memory of the service.
    Ok(Auditor::new(platform, client, Arc::default()))
}
