//! Runs an audit: checks our records window by window, then compares them with the provider's, and the driver index with the database.
//!
//! A window holds at most [`TRIPS_AT_ONCE`] trips, so that memory and the length of a snapshot do not grow with the history. Our records
//! and the provider's cannot be read at one moment. [`crate::reconciliation::compare`] explains why that causes no false alarms.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::model::{AuditLimits, CheckResult, CheckResults, Invariant, TripWindow};
use super::report::{self, AuditReport, RecordComparison};
use super::store;
use crate::payments::ProviderClient;
use crate::platform::Platform;
use crate::platform::clock::{MachineTime, Stopwatch};
use crate::platform::config::ProviderConfig;
use crate::platform::error::{Error, Result};
use crate::reconciliation::compare::{Comparer, Interrupted};
use crate::reconciliation::model::windows::whole_second;
use crate::reconciliation::model::{SettlementLimits, first_id_at};
use crate::reconciliation::unsettled_trips;
use crate::supply::Supply;
use crate::trips;

/// How often an audit that waits for unsettled trips checks again.
const SETTLE_POLL: Duration = Duration::from_millis(250);

/// The trips whose records one snapshot reads: less than a second.
const TRIPS_AT_ONCE: i64 = 2_000;

/// The time that an audit of recent trips goes back: one day more than an authorization lives.
const RECENT: TimeDelta = TimeDelta::days(8);

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

impl Auditor {
    /// Creates an auditor of the service behind `platform`, of the provider behind `client`, and of this process's driver index.
    pub fn new(platform: Platform, client: ProviderClient, supply: Arc<Supply>) -> Self {
        Self { platform, client, supply, permit: Semaphore::new(1) }
    }

    /// Audits everything. With `settle`, waits first, at most that long, until no trip is unsettled; trips that still are make the
    /// report unclean.
    ///
    /// # Errors
    /// If the database does not answer. An unreachable provider is no error: the report says `unchecked`.
    pub fn run(&self, settle: Option<Duration>) -> BoxFuture<'_, Result<AuditReport>> {
        Box::pin(self.run_since(None, settle))
    }

    /// Audits the trips of the last eight days, and what the provider has from then: its cost does not grow with the history.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn run_recent(&self, settle: Option<Duration>) -> BoxFuture<'_, Result<AuditReport>> {
        Box::pin(self.run_since(Some(whole_second(self.platform.clock.machine() - RECENT)), settle))
    }

    async fn run_since(&self, since: Option<MachineTime>, settle: Option<Duration>) -> Result<AuditReport> {
        let _permit =
            self.permit.acquire().await.map_err(|_| Error::Bug("the auditor's semaphore is closed".to_owned()))?;
        if let Some(wait_max) = settle {
            self.wait_until_settled(wait_max).await?;
        }
        let mut results = self.check_present().await?;
        self.check_history(since, &mut results).await?;
        let comparison = self.compare(since, &mut results).await?;
        let index_differences = trips::worker::index::differences(&self.platform, &self.supply).await?;
        Ok(AuditReport::new(&comparison, results, settle.is_some()).with_index(index_differences))
    }

    /// Checks what is now: engagements and open work.
    async fn check_present(&self) -> Result<CheckResults> {
        let limits = AuditLimits::at(self.platform.clock.machine());
        let check = self.platform.db.snapshot(limits, |conn, limits| Box::pin(store::check_present(conn, *limits)));
        check.await
    }

    /// Checks the trips, window by window, each in a snapshot of its own: an invariant is about one trip.
    async fn check_history(&self, since: Option<MachineTime>, results: &mut CheckResults) -> Result<()> {
        let mut first = Some(since.map_or(Uuid::nil(), first_id_at));
        while let Some(from) = first {
            let taken_at = self.platform.clock.machine();
            let check = self.platform.db.snapshot(from, move |conn, from| {
                Box::pin(async move {
                    let end = store::end_of_window(conn, *from, TRIPS_AT_ONCE).await?;
                    let unsettled = unsettled_trips(conn, SettlementLimits::at(taken_at)).await?;
                    let window = TripWindow { first: *from, end: end.unwrap_or(Uuid::max()) };
                    let results = store::check_window(conn, (window, &unsettled), AuditLimits::at(taken_at)).await?;
                    Ok((end, results))
                })
            });
            let (end, found) = check.await?;
            results.add(found);
            first = end;
        }
        Ok(())
    }

    /// Compares our records with the provider's, window by window.
    async fn compare(&self, since: Option<MachineTime>, results: &mut CheckResults) -> Result<RecordComparison> {
        let checked_at = self.platform.clock.machine();
        let mut comparison = RecordComparison::new(checked_at, self.unsettled().await?.len());
        results.add([(Invariant::Provider, CheckResult::default())]);
        let comparer = Comparer { platform: &self.platform, client: &self.client };
        let mut position = since;
        while let Some((window, next)) = comparer.next_window(position, checked_at).await? {
            let end = async {
                let scan = comparer.scan(window).await?;
                let confirmed = comparer.payments(&scan.suspects).await?;
                Ok::<_, Interrupted>((scan, confirmed))
            };
            match end.await {
                Ok((scan, confirmed)) => {
                    comparison.add(&scan);
                    results.add([(Invariant::Provider, report::provider_result(&scan.unknown))]);
                    results.add([(Invariant::Provider, report::provider_result(&confirmed.differences))]);
                }
                Err(Interrupted::Failed(error)) => return Err(error),
                Err(Interrupted::Provider(why)) => {
                    tracing::warn!(why, "the provider's records could not be read");
                    return Ok(comparison.unchecked());
                }
                Err(Interrupted::Shutdown) => return Ok(comparison.unchecked()),
            }
            position = Some(next);
        }
        Ok(comparison)
    }

    async fn unsettled(&self) -> Result<Vec<Uuid>> {
        let limits = SettlementLimits::at(self.platform.clock.machine());
        self.platform.db.read(limits, |conn, limits| Box::pin(unsettled_trips(conn, *limits))).await
    }

    async fn wait_until_settled(&self, wait_max: Duration) -> Result<()> {
        let waited = Stopwatch::start();
        loop {
            let unsettled = self.unsettled().await?;
            if unsettled.is_empty() || waited.elapsed() >= wait_max {
                return Ok(());
            }
            tokio::time::sleep(SETTLE_POLL).await;
        }
    }
}
