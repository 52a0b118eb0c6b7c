//! The audit that the pages show: one for all viewers, made only while a page is open.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use tokio::sync::{Notify, watch};

use crate::audit::{AuditReport, Auditor};
use crate::platform::Platform;
use crate::platform::clock::Stopwatch;
use crate::platform::error::{Code, Refusal, Result};

/// The shortest time between the starts of two audits.
const EVERY: Duration = Duration::from_secs(2);

/// An audit takes at most this share of the time: the next one waits so many times its duration.
const REST: u32 = 9;

/// How long a request waits for an audit that is new enough.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// An older report is not shown: no page was open since, or the audits fail.
const AGE_MAX: TimeDelta = TimeDelta::minutes(2);

/// The latest audit of the last eight days. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Audits {
    platform: Platform,
    auditor: Arc<Auditor>,
    wanted: Arc<Notify>,
    latest: watch::Sender<Option<AuditReport>>,
}

impl Audits {
    /// Creates it without an audit. The caller runs [`Self::run`].
    pub fn new(platform: Platform, auditor: Auditor) -> Self {
        let (latest, _) = watch::channel(None);
        Self { platform, auditor: Arc::new(auditor), wanted: Arc::default(), latest }
    }

    /// Audits whenever a report was requested since the last one, until the process shuts down.
    pub async fn run(self) {
        while self.platform.shutdown.run_until_cancelled(self.wanted.notified()).await.is_some() {
            let taken = Stopwatch::start();
            match self.auditor.run_recent(None).await {
                Ok(report) => drop(self.latest.send_replace(Some(report))),
                Err(error) => tracing::warn!(%error, "the audit for the pages failed; trying again"),
            }
            let rest = EVERY.max(taken.elapsed() * REST);
            if self.platform.shutdown.run_until_cancelled(tokio::time::sleep(rest)).await.is_none() {
                return;
            }
        }
    }

    /// Returns the latest report, at most two minutes old, and requests another. `checked_at` in it says how old it is.
    ///
    /// # Errors
    /// `unavailable` if there is none within ten seconds.
    pub async fn latest(&self) -> Result<AuditReport> {
        self.wanted.notify_one();
        let mut reports = self.latest.subscribe();
        let oldest = self.platform.clock.machine() - AGE_MAX;
        let is_new = |report: &Option<AuditReport>| report.as_ref().is_some_and(|report| report.checked_at >= oldest);
        let report = tokio::time::timeout(WAIT_MAX, reports.wait_for(is_new)).await;
        let report = report.ok().and_then(|found| found.ok()?.clone());
        report.ok_or_else(|| Refusal::new(Code::Unavailable, "No audit has ended yet.").retry_after(1).into())
    }
}
