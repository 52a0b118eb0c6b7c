//! Runs an audit: reads our side in one snapshot, then the provider's records; compares the driver index with the database.
//!
//! The two sides cannot be read at one moment. [`crate::reconciliation::compare`] explains why that causes no false alarms.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::model::{AuditLimits, CheckResult, Invariant};
use super::report::{self, AuditReport};
use super::store;
use crate::payments::ProviderClient;
use crate::platform::Platform;
use crate::platform::clock::Stopwatch;
use crate::platform::config::ProviderConfig;
use crate::platform::error::{Error, Result};
use crate::reconciliation::compare::{self, LocalRecords};
use crate::reconciliation::model::SettlementLimits;
use crate::reconciliation::unsettled_trips;
use crate::supply::Supply;
use crate::trips;

/// How often an audit that waits for unsettled trips checks again.
const SETTLE_POLL: Duration = Duration::from_millis(250);

/// The addresses that an audit in a process of its own needs.
#[derive(Clone)]
pub struct AuditConfig {
    /// The service's database.
    pub database_url: String,
    /// The payment provider.
    pub psp: ProviderConfig,
}

/// Audits a service, one audit at a time: each reads every trip and all of the provider's records.
#[derive(Debug)]
pub struct Auditor {
    platform: Platform,
    client: ProviderClient,
    supply: Arc<Supply>,
    permit: Semaphore,
}

/// What one snapshot of our own records contains.
struct Snapshot {
    results: Vec<(Invariant, CheckResult)>,
    records: LocalRecords,
}

impl Auditor {
    /// Creates an auditor of the service behind `platform`, of the provider behind `client`, and of this process's driver index.
    pub fn new(platform: Platform, client: ProviderClient, supply: Arc<Supply>) -> Self {
        Self { platform, client, supply, permit: Semaphore::new(1) }
    }

    /// Runs an audit. With `settle`, waits first, at most that long, until no trip is unsettled; trips that still are make the
    /// report unclean.
    ///
    /// # Errors
    /// If the database does not answer. An unreachable provider is no error: the report says `unchecked`.
    pub async fn run(&self, settle: Option<Duration>) -> Result<AuditReport> {
        let _permit =
            self.permit.acquire().await.map_err(|_| Error::Bug("the auditor's semaphore is closed".to_owned()))?;
        if let Some(wait_max) = settle {
            self.wait_until_settled(wait_max).await?;
        }
        let Snapshot { mut results, records } = self.snapshot().await?;
        let comparison = compare::with_provider(&self.platform, &self.client, records).await?;
        results.push((Invariant::Provider, report::provider_result(&comparison.differences)));
        let index_differences = trips::worker::index::differences(&self.platform, &self.supply).await?;
        Ok(AuditReport::new(&comparison, results, settle.is_some()).with_index(index_differences))
    }

    async fn wait_until_settled(&self, wait_max: Duration) -> Result<()> {
        let waited = Stopwatch::start();
        loop {
            let limits = SettlementLimits::at(self.platform.clock.machine());
            let unsettled =
                self.platform.db.read(limits, |conn, limits| Box::pin(unsettled_trips(conn, *limits))).await?;
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
                    let records = compare::local_records(conn, taken_at, None).await?;
                    let results = store::check(conn, &records.unsettled, AuditLimits::at(taken_at)).await?;
                    Ok(Snapshot { results, records })
                })
            })
            .await
    }
}
