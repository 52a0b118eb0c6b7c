//! Puts the house together: the platform, the rooms' addresses, the workers; starts it, and stops it in order.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use actix_web::dev::ServerHandle;
use actix_web::middleware::from_fn;
use actix_web::web::{self, PayloadConfig};
use actix_web::{App, HttpServer};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::ops::Auditor;
use crate::payments::{Gateway, PaymentsContext, WebhookSecrets};
use crate::platform::auth::{TokenKey, Tokens};
use crate::platform::clock::Clock;
use crate::platform::config::Config;
use crate::platform::db::Db;
use crate::platform::dice::Dice;
use crate::platform::egress::public::Reach;
use crate::platform::error::{Error, Result};
use crate::platform::http::middleware::observe;
use crate::platform::http::request::BODY_BYTES_MAX;
use crate::platform::idempotency::Gate;
use crate::platform::leader::Leadership;
use crate::platform::limits::Limits;
use crate::platform::metrics::Metrics;
use crate::platform::wake::Hub;
use crate::platform::{Parts, Platform, schema};
use crate::sandbox::{Live, Recorder, Sandbox};
use crate::supply::Supply;
use crate::webhooks::WebhooksContext;
use crate::{dispatch, doors, ops, payments, pricing, sandbox, supply, trips, webhooks, workers};

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
    webhooks: WebhooksContext,
    server: ServerHandle,
    serving: JoinHandle<std::io::Result<()>>,
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
pub fn gateway(config: &Config, platform: &Platform) -> Result<Gateway> {
    Gateway::new(platform.clone(), &config.psp)
}

/// Starts the service and returns when it listens. What `recorder` hears, the sandbox shows.
///
/// # Errors
/// If the database does not answer or is not migrated, or the address cannot be listened on.
pub async fn start(config: &Config, recorder: Recorder) -> Result<Running> {
    let platform = platform(config)?;
    prepare(&platform).await?;
    let supply = Arc::new(Supply::default());
    let gateway = gateway(config, &platform)?;

    let payments = PaymentsContext::new(platform.clone(), gateway);

    let sandbox = if config.sandbox {
        let live = Live::new(platform.clone(), Arc::clone(&supply));
        Some(web::Data::new(Sandbox::new(config, recorder, payments.clone(), live)?))
    } else {
        None
    };
    let (server, address) = listen(config, &platform, &supply, &payments, sandbox.clone())?;
    let handle = server.handle();
    let serving = tokio::spawn(server);
    let webhooks = WebhooksContext::new(platform.clone(), reach(config))?;
    let mut workers = workers::start(&platform, &supply, &payments, &webhooks);
    if let Some(sandbox) = sandbox {
        workers.spawn(sandbox.live().clone().run());
    }
    tracing::info!(%address, process = platform.process, "ridematch is up");
    Ok(Running { address, platform, payments, webhooks, server: handle, serving, workers })
}

/// How far webhooks go.
fn reach(config: &Config) -> Reach {
    if config.webhook_loopback { Reach::PublicAndLoopback } else { Reach::Public }
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
    payments: &PaymentsContext,
    sandbox: Option<web::Data<Sandbox>>,
) -> Result<(actix_web::dev::Server, SocketAddr)> {
    let (platform_data, supply) = (web::Data::new(platform.clone()), web::Data::from(Arc::clone(supply)));
    let auditor = web::Data::new(Auditor::new(platform.clone(), payments.gateway().clone()));
    let reach = web::Data::new(reach(config));
    let secrets = WebhookSecrets::parse(config.psp_webhook_secret.expose())
        .map_err(|wrong| Error::Bug(format!("PSP_WEBHOOK_SECRET {wrong}")))?;
    let secrets = web::Data::new(secrets);
    let seats = web::Data::new(trips::routes::Seats::default());
    let server = HttpServer::new(move || {
        App::new()
            .app_data(platform_data.clone())
            .app_data(supply.clone())
            .app_data(auditor.clone())
            .app_data(secrets.clone())
            .app_data(reach.clone())
            .app_data(seats.clone())
            .app_data(PayloadConfig::new(BODY_BYTES_MAX))
            .wrap(from_fn(observe))
            .configure(pricing::routes::configure)
            .configure(supply::routes::configure)
            .configure(dispatch::routes::configure)
            .configure(trips::routes::configure)
            .configure(payments::routes::configure)
            .configure(ops::routes::configure)
            .configure(webhooks::routes::configure)
            .configure(|config| {
                if let Some(sandbox) = &sandbox {
                    sandbox::routes::configure(config.app_data(sandbox.clone()));
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
        self.webhooks.finished().await;
        self.platform.db.drain().await;
        let _ended = self.serving.await;
    }

    /// Returns when the server or a worker has ended by itself, which none should, and says how. A worker that has ended is gone for
    /// good, while the process goes on being the matcher: better to end, and be started again.
    pub async fn ended(&mut self) -> String {
        first_end(&mut self.serving, &mut self.workers).await
    }
}

/// How the first of them ended.
async fn first_end<T>(serving: &mut JoinHandle<T>, workers: &mut JoinSet<()>) -> String {
    tokio::select! {
        end = serving => end.map_or_else(|error| format!("the server has ended: {error}"), |_| "the server has ended".to_owned()),
        Some(end) = workers.join_next() => {
            end.map_or_else(|error| format!("a worker has ended: {error}"), |()| "a worker has ended".to_owned())
        }
    }
}

/// Makes an auditor that is not part of a running service.
///
/// # Errors
/// If the configuration names something that cannot be used.
pub fn auditor(access: ops::audit::Access) -> Result<Auditor> {
    // It answers no requests: the tokens are never asked, and the rate is nobody's.
    let tokens =
        Tokens::new(&TokenKey::Secret(String::new())).map_err(|error| Error::Bug(format!("token key: {error}")))?;
    let platform = Platform::new(parts(&access.database_url, AUDIT_CONNECTIONS, tokens, NonZeroU32::MIN)?);
    let gateway = Gateway::new(platform.clone(), &access.psp)?;
    Ok(Auditor::new(platform, gateway))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_worker_that_panics_or_returns_is_an_end() {
        let mut serving = tokio::spawn(std::future::pending::<()>());
        let mut workers = JoinSet::new();
        workers.spawn(std::future::pending());
        workers.spawn(async { panic!("a plan went wrong") });
        let end = first_end(&mut serving, &mut workers).await;
        assert!(end.starts_with("a worker has ended") && end.contains("a plan went wrong"), "{end}");
        workers.spawn(async {});
        assert_eq!(first_end(&mut serving, &mut workers).await, "a worker has ended");
        serving.abort();
        assert!(first_end(&mut serving, &mut workers).await.starts_with("the server has ended"));
    }
}
