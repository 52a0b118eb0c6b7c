//! Starting and stopping a simulator.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpServer, web};
use tokio::task::JoinHandle;

use crate::clock::{self, Clock};
use crate::error::Error;
use crate::fault_plan::Seeds;
use crate::http::{self, Credentials};
use crate::journal::Journal;
use crate::provider::{Config, Provider};
use crate::random::RandomSource;
use crate::records::Records;
use crate::store::JournalFailed;
use crate::webhooks::{self, Webhook, WebhookSender};

/// The settings of a simulator.
pub struct Settings {
    /// The address to listen on; port 0 takes a free port.
    pub listen: SocketAddr,
    /// The directory of the journal, created if missing. One simulator at a time can use it.
    pub data_dir: PathBuf,
    /// The secret key of callers, `sk_…`.
    pub secret_key: String,
    /// The webhook endpoint, if any.
    pub webhook: Option<Webhook>,
    /// Whether requests of any `Stripe-Version` are accepted, and those without one.
    pub any_version: bool,
    /// Machine time.
    pub clock: Clock,
    /// With a seed, the same requests get the same ids; without, ids are random.
    pub seed: Option<u64>,
    /// The seed for pauses and faults of webhooks; `seed` if absent.
    pub webhook_seed: Option<u64>,
    /// How long an authorization is valid; in whole seconds.
    pub authorization_ttl: Duration,
    /// The journal is not rewritten below this length.
    pub journal_rewrite_min_bytes: u64,
}

impl Settings {
    /// A free port of the loopback address, no webhook, the machine's clock and random ids.
    pub fn new(data_dir: impl Into<PathBuf>, secret_key: impl Into<String>) -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            data_dir: data_dir.into(),
            secret_key: secret_key.into(),
            webhook: None,
            any_version: false,
            clock: clock::machine_clock(),
            seed: None,
            webhook_seed: None,
            authorization_ttl: AUTHORIZATION_TTL,
            // About 30,000 requests, which a start reads in well under a second.
            journal_rewrite_min_bytes: 64 * 1024 * 1024,
        }
    }
}

/// How long Stripe holds an authorization on most cards.
pub(crate) const AUTHORIZATION_TTL: Duration = Duration::from_hours(7 * 24);

/// Requests are few and short, so that two workers suffice.
const HTTP_WORKERS: usize = 2;
/// Longer than clients keep idle connections, so that clients close them. Otherwise a request can meet a connection that
/// the server is closing, and its outcome is unknown.
const KEEP_ALIVE: Duration = Duration::from_mins(3);
const SHUTDOWN_MAX_S: u64 = 2;

/// Starts a simulator in this process, with the records in its directory.
///
/// # Errors
/// The journal cannot be opened or read, or the address is in use.
pub async fn start(settings: Settings) -> Result<Running, Error> {
    let mut records = Records::default();
    let journal = Journal::open(&settings.data_dir, settings.journal_rewrite_min_bytes, &mut records)?;
    let random = match settings.seed {
        Some(seed) => RandomSource::seeded(seed, &records.newest_ids()),
        None => RandomSource::from_system().map_err(Error::RandomSource)?,
    };
    let webhook_seed = settings.webhook_seed.or(settings.seed).unwrap_or_default();
    let config = Config {
        has_webhook: settings.webhook.is_some(),
        any_version: settings.any_version,
        authorization_ttl_s: settings.authorization_ttl.as_secs().try_into().unwrap_or(i64::MAX),
        seeds: Seeds { seed: settings.seed.unwrap_or_default(), webhook_seed },
    };
    let provider = Arc::new(Provider::new(records, settings.clock, random, config));

    let data = web::Data::from(Arc::clone(&provider));
    let credentials = web::Data::new(Credentials::new(&settings.secret_key));
    let listen = |source| Error::Listen { address: settings.listen, source };
    let server = HttpServer::new(move || {
        App::new().app_data(data.clone()).app_data(credentials.clone()).configure(http::routes)
    })
    .on_connect(http::keep_handle)
    .workers(HTTP_WORKERS)
    .keep_alive(KEEP_ALIVE)
    .shutdown_timeout(SHUTDOWN_MAX_S)
    .disable_signals()
    .bind(settings.listen)
    .map_err(listen)?;
    let address = server.addrs().first().copied().unwrap_or(settings.listen);

    let webhooks = match settings.webhook {
        Some(webhook) => {
            let random = RandomSource::seeded(webhook_seed, "webhooks");
            let sender = WebhookSender::new(Arc::clone(&provider), webhook, random).map_err(Error::Client)?;
            Some(tokio::spawn(webhooks::post_events(Arc::new(sender))))
        }
        None => None,
    };
    let writer = Arc::clone(&provider);
    let journal = thread::Builder::new()
        .name("psp-sim-journal".to_owned())
        .spawn(move || writer.store.write_journal(journal))
        .map_err(Error::Thread)?;
    let expiry = tokio::spawn(Arc::clone(&provider).run_expiry());
    let server = server.run();
    let handle = server.handle();
    tokio::spawn(server);
    Ok(Running { address, server: handle, expiry, webhooks, provider, journal })
}

/// A running simulator. It keeps running when this is dropped.
pub struct Running {
    address: SocketAddr,
    server: ServerHandle,
    expiry: JoinHandle<Result<(), JournalFailed>>,
    webhooks: Option<JoinHandle<Result<(), JournalFailed>>>,
    provider: Arc<Provider>,
    journal: thread::JoinHandle<()>,
}

impl Running {
    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Releases what faults hold, finishes the requests in progress within two seconds, writes the journal, and unlocks
    /// the directory. Undelivered events are delivered after the next start.
    pub async fn stop(self) {
        self.provider.faults.clear();
        self.server.stop(true).await;
        self.expiry.abort();
        if let Some(webhooks) = self.webhooks {
            webhooks.abort();
        }
        self.provider.store.close();
        let joined = tokio::task::spawn_blocking(move || self.journal.join()).await;
        if !matches!(joined, Ok(Ok(()))) {
            tracing::error!("the journal's thread panicked");
        }
    }
}
