//! The audit: is everything as it must be? Our own books are read in one snapshot, then the provider's. It changes nothing: an
//! audit that repairs hides what went wrong.
//!
//! The two books cannot be read at one moment; why that raises no false alarm, [`super::compare`] says.

use std::time::Duration;

use tokio::sync::Semaphore;

use super::compare::{self, OurBooks};
use super::model::{Found, Invariant, Limits};
use super::report::Report;
use super::store;
use crate::payments::Gateway;
use crate::platform::Platform;
use crate::platform::clock::Stopwatch;
use crate::platform::config::ProviderConfig;
use crate::platform::error::{Error, Result};

/// How often a wait for the unsettled trips looks again.
const SETTLE_POLL: Duration = Duration::from_millis(250);

/// What an audit needs to reach, when it is a process of its own.
#[derive(Clone)]
pub struct Access {
    /// The service's database.
    pub database_url: String,
    /// The payment provider.
    pub psp: ProviderConfig,
}

/// Audits a service, one audit at a time: each reads every trip and all of the provider's books.
#[derive(Debug)]
pub struct Auditor {
    platform: Platform,
    gateway: Gateway,
    turn: Semaphore,
}

/// What one snapshot of our own books says.
struct Snapshot {
    found: Vec<(Invariant, Found)>,
    books: OurBooks,
}

impl Auditor {
    /// An auditor of the service behind `platform`, which takes its payments through `gateway`.
    pub fn new(platform: Platform, gateway: Gateway) -> Self {
        Self { platform, gateway, turn: Semaphore::new(1) }
    }

    /// Audits. With `settle`, waits first, at most that long, until no trip is unsettled, and calls what still is unclean.
    ///
    /// # Errors
    /// If the database does not answer. A provider that does not answer is no error: the report says `unchecked`.
    pub async fn run(&self, settle: Option<Duration>) -> Result<Report> {
        let _turn = self.turn().await?;
        if let Some(wait_max) = settle {
            self.wait_until_settled(wait_max).await?;
        }
        let Snapshot { mut found, books } = self.snapshot().await?;
        let comparison = compare::with_provider(&self.platform, &self.gateway, books).await?;
        found.push((Invariant::Provider, super::report::found(&comparison.differences)));
        Ok(Report::new(&comparison, found, settle.is_some()))
    }

    async fn turn(&self) -> Result<tokio::sync::SemaphorePermit<'_>> {
        self.turn.acquire().await.map_err(|_| Error::Bug("the auditor's turn is closed".to_owned()))
    }

    async fn wait_until_settled(&self, wait_max: Duration) -> Result<()> {
        let waited = Stopwatch::start();
        loop {
            let limits = Limits::at(self.platform.clock.machine());
            let unsettled =
                self.platform.db.read(limits, |conn, limits| Box::pin(store::unsettled(conn, *limits))).await?;
            if unsettled.is_empty() || waited.elapsed() >= wait_max {
                return Ok(());
            }
            tokio::time::sleep(SETTLE_POLL).await;
        }
    }

    async fn snapshot(&self) -> Result<Snapshot> {
        let taken_at = self.platform.clock.machine();
        self.platform
            .db
            .snapshot((), move |conn, ()| {
                Box::pin(async move {
                    let books = compare::our_books(conn, taken_at, None).await?;
                    let found = store::check(conn, &books.unsettled, Limits::at(taken_at)).await?;
                    Ok(Snapshot { found, books })
                })
            })
            .await
    }
}
