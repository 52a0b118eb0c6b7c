//! The audit: is everything as it must be? Our own books are read in one snapshot, then the provider's.
//!
//! *The order, and why it raises no false alarm on a live system.* The two books cannot be read at one moment. Read the
//! provider first, and every trip that was paid meanwhile looks as if we had made it up; read it second, and it may know of a
//! refund that began after our snapshot. So: our snapshot, the provider's books, and if they differ a second look at our side
//! of each difference. Only payments of trips that were settled in the snapshot are judged: nobody was at work on them. A
//! difference counts only if our side of it was the same, and still settled, after the provider's books were read. Every call
//! to the provider is recorded before it is made and after, so such a payment had no call in between, and both books spoke of
//! the same state of it. An intent that no payment of ours is known for counts only if there is still none at the second look.

use std::time::Duration;

use tokio::sync::Semaphore;
use uuid::Uuid;

use super::model::{self, Difference, Found, Invariant, Limits, OurPayment, Sums};
use super::report::Report;
use super::store;
use crate::payments::{self, Gateway};
use crate::platform::Platform;
use crate::platform::clock::{MachineTime, Stopwatch};
use crate::platform::config::ProviderConfig;
use crate::platform::error::{Error, Result};
use crate::platform::ids::Id;

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

/// Our books compared with the provider's.
#[derive(Debug)]
pub(super) struct Reconciliation {
    /// When our side was read.
    pub checked_at: MachineTime,
    /// Whether the provider answered.
    pub is_checked: bool,
    /// Trips that are over and have unfinished work; they are not compared.
    pub unsettled: u64,
    /// Captured, by our books.
    pub ours: Sums,
    /// Captured, by the provider's.
    pub theirs: Sums,
    /// Every difference that stood.
    pub differences: Vec<Difference>,
}

/// What one snapshot of our own books says.
struct Snapshot {
    taken_at: MachineTime,
    found: Vec<(Invariant, Found)>,
    unsettled: Vec<Uuid>,
    books: Vec<OurPayment>,
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
        let snapshot = self.snapshot(true).await?;
        let mut found = snapshot.found.clone();
        let reconciliation = self.compare(snapshot).await?;
        found.push((Invariant::Provider, super::report::found(&reconciliation.differences)));
        Ok(Report::new(&reconciliation, found, settle.is_some()))
    }

    /// Compares our books with the provider's, and nothing else.
    ///
    /// # Errors
    /// As [`Auditor::run`].
    pub(super) async fn reconcile(&self) -> Result<Reconciliation> {
        let _turn = self.turn().await?;
        let snapshot = self.snapshot(false).await?;
        self.compare(snapshot).await
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

    async fn snapshot(&self, with_checks: bool) -> Result<Snapshot> {
        let taken_at = self.platform.clock.machine();
        self.platform
            .db
            .snapshot((), move |conn, ()| {
                Box::pin(async move {
                    let limits = Limits::at(taken_at);
                    let unsettled = store::unsettled(conn, limits).await?;
                    let found = if with_checks { store::check(conn, &unsettled, limits).await? } else { Vec::new() };
                    let books = store::books(conn, &unsettled, None).await?;
                    Ok(Snapshot { taken_at, found, unsettled, books })
                })
            })
            .await
    }

    async fn compare(&self, snapshot: Snapshot) -> Result<Reconciliation> {
        let Snapshot { taken_at, unsettled, books: ours, .. } = snapshot;
        let mut reconciliation = Reconciliation {
            checked_at: taken_at,
            is_checked: false,
            unsettled: u64::try_from(unsettled.len()).unwrap_or(u64::MAX),
            ours: model::sums(ours.iter().map(|payment| (payment.currency.as_str(), payment.captured))),
            theirs: Sums::new(),
            differences: Vec::new(),
        };
        let theirs = match payments::books(&self.gateway).await {
            Ok(theirs) => theirs.intents,
            Err(error) => {
                tracing::warn!(%error, "the provider's books could not be read: unchecked");
                return Ok(reconciliation);
            }
        };
        reconciliation.is_checked = true;
        reconciliation.theirs =
            model::sums(theirs.iter().map(|intent| (intent.currency.as_str(), intent.amount_received)));
        let differences = model::compare(&ours, &theirs);
        if !differences.is_empty() {
            let now = self.look_again(&differences).await?;
            reconciliation.differences = model::confirm(differences, &ours, &now);
        }
        Ok(reconciliation)
    }

    /// Our side of each difference, as it is now.
    async fn look_again(&self, differences: &[Difference]) -> Result<Vec<OurPayment>> {
        let ids: Vec<Uuid> = differences.iter().filter_map(|difference| difference.payment_id).map(Id::uuid).collect();
        let limits = Limits::at(self.platform.clock.machine());
        self.platform
            .db
            .snapshot(ids, move |conn, ids| {
                Box::pin(async move {
                    let unsettled = store::unsettled(conn, limits).await?;
                    store::books(conn, &unsettled, Some(ids)).await
                })
            })
            .await
    }
}
