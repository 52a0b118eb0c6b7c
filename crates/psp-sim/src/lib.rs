//! A payment provider with a memory, which speaks a subset of the Stripe API's own protocol.
//!
//! It authorises, declines the well-known test methods, captures, cancels and refunds; replays idempotency keys, stored
//! errors included; signs webhooks; and remembers all of it across `kill -9`. See the README for the protocol, and
//! `provider.rs` for how it is put together.
//!
//! ```no_run
//! # async fn example() -> Result<(), psp_sim::Error> {
//! let running = psp_sim::start(psp_sim::Settings::new("books", "sk_test_1")).await?;
//! println!("http://{}", running.address());
//! running.stop().await;
//! # Ok(()) }
//! ```

mod accounts;
mod answer;
mod bad_days;
mod books;
mod cards;
mod cli;
mod clock;
mod connection;
mod control;
mod currencies;
mod errors;
mod events;
mod expiry;
mod faults;
mod http;
mod journal;
mod machine;
mod mailbox;
mod model;
mod operations;
mod params;
mod plan;
mod provider;
mod render;
mod shelf;
mod weather;
mod webhooks;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpServer, web};
use tokio::task::JoinHandle;

pub use crate::cli::{Cli, run};
pub use crate::clock::Clock;
pub use crate::webhooks::{Webhook, signature};

use crate::books::Books;
use crate::clock::Dice;
use crate::http::Credentials;
use crate::journal::Journal;
use crate::plan::Seeds;
use crate::provider::{JournalBroken, Provider, Rules};
use crate::webhooks::Courier;

/// How a provider is set up.
pub struct Settings {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where the books are kept; made if it isn't there. One provider at a time.
    pub data_dir: PathBuf,
    /// What callers authenticate with, `sk_…`.
    pub secret_key: String,
    /// Where events go, if anywhere.
    pub webhook: Option<Webhook>,
    /// Machine time.
    pub clock: Clock,
    /// For the same ids from the same requests; the operating system's dice if absent.
    pub seed: Option<u64>,
    /// For the pauses and faults of webhooks; `seed` if absent.
    pub webhook_seed: Option<u64>,
    /// How long money stays reserved; in whole seconds.
    pub authorisation_ttl: Duration,
    /// The journal is not written anew while it is shorter than this.
    pub journal_rewrite_min_bytes: u64,
}

impl Settings {
    /// A free port of the loopback address, no webhook, the machine's clock and dice.
    pub fn new(data_dir: impl Into<PathBuf>, secret_key: impl Into<String>) -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            data_dir: data_dir.into(),
            secret_key: secret_key.into(),
            webhook: None,
            clock: clock::machine_clock(),
            seed: None,
            webhook_seed: None,
            authorisation_ttl: AUTHORISATION_TTL,
            // Some 30,000 requests: read in well under a second at start.
            journal_rewrite_min_bytes: 64 * 1024 * 1024,
        }
    }
}

/// How long Stripe keeps money reserved on most cards.
const AUTHORISATION_TTL: Duration = Duration::from_hours(7 * 24);

/// Why a provider doesn't start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or directory of the books can't be used.
    #[error("{}: {source}", path.display())]
    Journal {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The journal is damaged, and not only at its end.
    #[error("{}, line {line}: {source}", path.display())]
    Damaged {
        /// The journal.
        path: PathBuf,
        /// The first line that can't be read, from 1.
        line: usize,
        /// Why.
        source: serde_json::Error,
    },
    /// Another provider keeps its books there.
    #[error("{}: another provider keeps its books here", data_dir.display())]
    InUse {
        /// The directory.
        data_dir: PathBuf,
    },
    /// The address can't be listened on.
    #[error("listening on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The operating system gives no randomness.
    #[error("no randomness: {0}")]
    Dice(rand::rngs::SysError),
    /// The webhook's HTTP client can't be built.
    #[error("webhook client: {0}")]
    Client(reqwest::Error),
    /// The journal's thread can't be started.
    #[error("journal thread: {0}")]
    Thread(std::io::Error),
    /// Standard output is closed.
    #[error("standard output: {0}")]
    Output(std::io::Error),
    /// Signals can't be listened for.
    #[error("signals: {0}")]
    Signals(std::io::Error),
}

/// Few requests, each of them short: two workers are plenty, and leave the machine to what is tested.
const HTTP_WORKERS: usize = 2;
/// Longer than clients keep idle connections, so that it is them who close: otherwise a request could meet a connection
/// that is just being closed, and its sender wouldn't know what became of it.
const KEEP_ALIVE: Duration = Duration::from_mins(3);
const SHUTDOWN_MAX_S: u64 = 2;

/// Starts a provider in this process, with the books that it left in its directory.
///
/// # Errors
/// The books can't be opened or read, or the address is taken.
pub async fn start(settings: Settings) -> Result<Running, Error> {
    let mut books = Books::default();
    let journal = Journal::open(&settings.data_dir, settings.journal_rewrite_min_bytes, &mut books)?;
    let dice = match settings.seed {
        Some(seed) => Dice::seeded(seed, &books.newest_ids()),
        None => Dice::from_system().map_err(Error::Dice)?,
    };
    let webhook_seed = settings.webhook_seed.or(settings.seed).unwrap_or_default();
    let rules = Rules {
        has_webhook: settings.webhook.is_some(),
        authorisation_ttl_s: settings.authorisation_ttl.as_secs().try_into().unwrap_or(i64::MAX),
        seeds: Seeds { seed: settings.seed.unwrap_or_default(), webhook_seed },
    };
    let provider = Arc::new(Provider::new(books, settings.clock, dice, rules));

    let data = web::Data::from(Arc::clone(&provider));
    let credentials = web::Data::new(Credentials::of(&settings.secret_key));
    let listen = |source| Error::Listen { address: settings.listen, source };
    let server = HttpServer::new(move || {
        App::new().app_data(data.clone()).app_data(credentials.clone()).configure(http::routes)
    })
    .on_connect(connection::take)
    .workers(HTTP_WORKERS)
    .keep_alive(KEEP_ALIVE)
    .shutdown_timeout(SHUTDOWN_MAX_S)
    .disable_signals()
    .bind(settings.listen)
    .map_err(listen)?;
    let address = server.addrs().first().copied().unwrap_or(settings.listen);

    let webhooks = match settings.webhook {
        Some(webhook) => {
            let dice = Dice::seeded(webhook_seed, "webhooks");
            let courier = Courier::new(Arc::clone(&provider), webhook, dice).map_err(Error::Client)?;
            Some(tokio::spawn(webhooks::post_events(Arc::new(courier))))
        }
        None => None,
    };
    let writer = Arc::clone(&provider);
    let journal = thread::Builder::new()
        .name("psp-sim-journal".to_owned())
        .spawn(move || writer.write_journal(journal))
        .map_err(Error::Thread)?;
    let expiry = tokio::spawn(Arc::clone(&provider).keep_expiring());
    let server = server.run();
    let handle = server.handle();
    tokio::spawn(server);
    Ok(Running { address, server: handle, expiry, webhooks, provider, journal })
}

/// A provider at work. It goes on working when this is dropped.
pub struct Running {
    address: SocketAddr,
    server: ServerHandle,
    expiry: JoinHandle<Result<(), JournalBroken>>,
    webhooks: Option<JoinHandle<Result<(), JournalBroken>>>,
    provider: Arc<Provider>,
    journal: thread::JoinHandle<()>,
}

impl Running {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Finishes the requests that are under way (for two seconds at most; what a fault holds is let go), writes the
    /// journal, and lets the books go.
    /// Events that wait for delivery wait for the next start.
    pub async fn stop(self) {
        self.provider.bad_days.heal();
        self.server.stop(true).await;
        self.expiry.abort();
        if let Some(webhooks) = self.webhooks {
            webhooks.abort();
        }
        self.provider.close();
        let joined = tokio::task::spawn_blocking(move || self.journal.join()).await;
        if !matches!(joined, Ok(Ok(()))) {
            tracing::error!("the journal's thread panicked");
        }
    }
}
