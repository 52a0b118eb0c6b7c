//! One run: compares window by window, records what differs, closes what is gone, and repairs what a rule covers.
//!
//! A finding that is locked or fails does not end the run: it is counted, and the run says that it is incomplete.

use std::collections::HashSet;
use std::time::Duration;

use uuid::Uuid;

use super::{EVERY, EXTEND_EVERY, RECENT, ReconciliationContext, extend_lease, with_lease};
use crate::payments::model::AttemptOutcome;
use crate::payments::provider::ProviderResult;
use crate::platform::clock::MachineTime;
use crate::platform::error::{Error, Result};
use crate::platform::ids::{FindingId, Id, PaymentId};
use crate::platform::work::{Obstacle, report_obstacle};
use crate::reconciliation::commands::{self, CancelCall, ChangedFindings, FindingChange, NewRepair};
use crate::reconciliation::compare::{Comparer, ConfirmedDifferences, Interrupted, Suspects, WindowScan};
use crate::reconciliation::model::SettlementLimits;
use crate::reconciliation::model::differences::Difference;
use crate::reconciliation::model::findings::{self, Finding, Run};
use crate::reconciliation::model::kinds::{DifferenceKind, RepairRule, RunScope};
use crate::reconciliation::model::windows::{Window, whole_second};
use crate::reconciliation::store;

/// The pauses before a window is read again that the provider did not show: a single failed call does not end a run of thousands.
const READ_AGAIN_AFTER: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(2)];

/// Findings changed in one transaction.
const BATCH: usize = 200;

/// Payments whose open findings are read at once.
const PAYMENTS_AT_ONCE: usize = 1_000;

/// Open findings that no window contains, and that a run looks for by themselves. The least recently seen ones have the first turn.
const LOOKED_FOR_MAX: i64 = 1_000;

/// Repairs attempted by one run, each with at most one call to the provider; the next run continues.
const REPAIRS_MAX: i64 = 100;

/// A run in progress.
#[derive(Debug)]
pub(super) struct Sweep<'a> {
    context: &'a ReconciliationContext,
    pub run: Run,
    /// Whether a window had more suspects than are compared.
    has_more: bool,
    /// The findings that this process could not process.
    failed: HashSet<String>,
}

impl<'a> Sweep<'a> {
    pub fn new(context: &'a ReconciliationContext, run: Run) -> Self {
        Self { context, run, has_more: false, failed: HashSet::new() }
    }

    /// Returns why the run is incomplete; `None` if it is complete.
    pub fn incomplete(&self) -> Option<String> {
        let failed = (self.run.counts.failed > 0)
            .then(|| format!("{} findings could not be processed; the next run tries again", self.run.counts.failed));
        let more = self.has_more.then(|| "a window had too many differing payments; not all were compared".to_owned());
        let all: Vec<_> = failed.into_iter().chain(more).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }

    /// Compares every window that is left, then looks for open findings that none of them contained.
    ///
    /// A run of all payments can last for hours. Meanwhile it compares the recent ones whenever a scheduled run would be due.
    ///
    /// # Errors
    /// If the provider does not answer, the process shuts down, or the database fails.
    pub async fn run_to_end(&mut self) -> Result<(), Interrupted> {
        let started_at = self.run.started_at.unwrap_or(self.run.requested_at);
        let mut recent_at = self.context.platform.clock.machine();
        while let Some((window, next)) = self.next_window(self.run.position.or(self.run.since), started_at).await? {
            let now = self.context.platform.clock.machine();
            if self.run.scope == RunScope::All && now.since(recent_at) >= EVERY {
                recent_at = now;
                self.compare_recent(now).await?;
            }
            self.compare(window).await?;
            self.run.position = Some(next);
            self.save_progress().await?;
        }
        self.look_for_unseen(started_at).await?;
        self.count_unsettled().await?;
        self.save_progress().await?;
        self.move_watermark(started_at).await?;
        Ok(())
    }

    fn comparer(&self) -> Comparer<'a> {
        Comparer { platform: &self.context.platform, client: &self.context.client }
    }

    async fn next_window(
        &self,
        position: Option<MachineTime>,
        started_at: MachineTime,
    ) -> Result<Option<(Window, MachineTime)>> {
        self.comparer().next_window(position, started_at).await
    }

    /// Compares what changed since the watermark.
    async fn compare_recent(&mut self, now: MachineTime) -> Result<(), Interrupted> {
        let earliest = whole_second(now - RECENT);
        let since = self
            .context
            .platform
            .db
            .transaction(earliest, |tx, earliest| Box::pin(commands::changed_since(tx, *earliest)));
        let mut position = since.await?;
        while let Some((window, next)) = self.next_window(Some(position), now).await? {
            self.compare(window).await?;
            position = next;
        }
        self.save_progress().await?;
        self.move_watermark(now).await?;
        Ok(())
    }

    /// Compares a window, records the result, and repairs.
    async fn compare(&mut self, window: Window) -> Result<(), Interrupted> {
        let began_at = self.context.platform.clock.machine();
        let extend = || extend_lease(self.context, &self.run);
        let (scan, confirmed) = with_lease(self.read(window), EXTEND_EVERY, extend).await?;
        let counts = &mut self.run.counts;
        counts.windows += 1;
        counts.payments += whole(scan.payments);
        counts.intents += whole(scan.intents);
        counts.foreign_intents += whole(scan.foreign_intents);
        counts.refunds += whole(scan.refunds);
        self.has_more |= scan.has_more;
        self.record(confirmed).await?;
        self.repair(began_at).await?;
        Ok(())
    }

    /// Reads a window of both sides, and compares its suspects by themselves.
    async fn read(&self, window: Window) -> Result<(WindowScan, ConfirmedDifferences), Interrupted> {
        let mut pauses = READ_AGAIN_AFTER.into_iter();
        loop {
            match (self.read_once(window).await, pauses.next()) {
                (Err(Interrupted::Provider(why)), Some(pause)) => {
                    tracing::debug!(why, "a window of the provider's records could not be read; trying again");
                    tokio::time::sleep(pause).await;
                }
                (end, _) => return end,
            }
        }
    }

    async fn read_once(&self, window: Window) -> Result<(WindowScan, ConfirmedDifferences), Interrupted> {
        let mut scan = self.comparer().scan(window).await?;
        // An open finding may be about an intent of another window.
        let open = self.open_findings(scan.suspects.keys().copied().collect()).await?;
        add_intents(&mut scan.suspects, &open);
        let mut confirmed = self.comparer().payments(&scan.suspects).await?;
        confirmed.differences.append(&mut scan.unknown);
        Ok((scan, confirmed))
    }

    /// Returns the open findings of these payments.
    async fn open_findings(&self, payments: Vec<PaymentId>) -> Result<Vec<Finding>> {
        let mut all = Vec::new();
        for chunk in payments.chunks(PAYMENTS_AT_ONCE) {
            let ids: Vec<Uuid> = chunk.iter().map(|id| id.uuid()).collect();
            let read = self.context.platform.db.read(ids, |conn, ids| Box::pin(store::open_findings_of(conn, ids)));
            all.extend(read.await?);
        }
        Ok(all)
    }

    /// Records the differences, and closes the findings of the compared payments whose difference is gone.
    async fn record(&mut self, confirmed: ConfirmedDifferences) -> Result<()> {
        let ConfirmedDifferences { compared, mut differences } = confirmed;
        differences.sort_by_key(|difference| difference.repair == RepairRule::None);
        self.run.counts.differences += whole(differences.len());
        let still: HashSet<(DifferenceKind, String)> =
            differences.iter().map(|one| (one.kind, one.subject.clone())).collect();
        let open = self.open_findings(compared.into_iter().collect()).await?;
        let is_gone = |finding: &Finding| {
            let Difference { kind, ref subject, .. } = finding.difference;
            !still.contains(&(kind, subject.clone()))
        };
        let changes = differences.into_iter().map(|difference| self.to_record(difference));
        let changes = changes.chain(open.into_iter().filter(is_gone).map(FindingChange::Close)).collect();
        self.change(changes).await
    }

    fn to_record(&self, difference: Difference) -> FindingChange {
        let platform = &self.context.platform;
        FindingChange::Record(platform.random.id::<FindingId>(platform.clock.machine()), difference)
    }

    /// Changes findings, batch by batch; one by one in a batch that fails. A finding that fails is counted.
    async fn change(&mut self, changes: Vec<FindingChange>) -> Result<()> {
        for batch in changes.chunks(BATCH) {
            match self.change_together(batch.to_vec()).await {
                Err(error) if ends_the_run(&error) => return Err(error),
                Err(_) => {
                    for change in batch {
                        let end = self.change_together(vec![change.clone()]).await;
                        self.count_failure(change.subject(), end)?;
                    }
                }
                Ok(()) => {}
            }
        }
        Ok(())
    }

    async fn change_together(&mut self, changes: Vec<FindingChange>) -> Result<()> {
        let input = (self.context.lease(&self.run), changes);
        let db = self.context.platform.db.waiting_briefly();
        let change =
            db.transaction(input, |tx, (lease, changes)| Box::pin(commands::change_findings(tx, *lease, changes)));
        let ChangedFindings { found, ended } = change.await?;
        self.run.counts.found += found;
        self.run.counts.ended += ended;
        Ok(())
    }

    /// Counts a finding that could not be processed.
    ///
    /// # Errors
    /// If the lease or the database connection was lost.
    fn count_failure(&mut self, subject: &str, end: Result<()>) -> Result<()> {
        match end {
            Err(error) if ends_the_run(&error) => Err(error),
            Err(error) => {
                report_obstacle(&self.context.platform, "reconciliation", (&subject, &error), Obstacle::of(&error));
                // It may be found in several windows.
                self.run.counts.failed += i64::from(self.failed.insert(subject.to_owned()));
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// Looks for the open findings that no window has shown since `started_at`.
    async fn look_for_unseen(&mut self, started_at: MachineTime) -> Result<(), Interrupted> {
        let began_at = self.context.platform.clock.machine();
        let read = self
            .context
            .platform
            .db
            .read(started_at, |conn, before| Box::pin(store::unseen_findings(conn, *before, LOOKED_FOR_MAX)));
        let unseen = read.await?;
        let mut suspects = Suspects::new();
        add_intents(&mut suspects, &self.open_findings(unseen.iter().filter_map(payment_of).collect()).await?);
        let extend = || extend_lease(self.context, &self.run);
        let (confirmed, changes) = with_lease(self.look_for(&suspects, unseen), EXTEND_EVERY, extend).await?;
        self.record(confirmed).await?;
        self.change(changes).await?;
        self.repair(began_at).await?;
        Ok(())
    }

    /// Compares the payments of findings again, and looks for intents that belong to no payment.
    async fn look_for(
        &self,
        suspects: &Suspects,
        unseen: Vec<Finding>,
    ) -> Result<(ConfirmedDifferences, Vec<FindingChange>), Interrupted> {
        let comparer = self.comparer();
        let confirmed = comparer.payments(suspects).await?;
        let mut changes = Vec::new();
        for finding in unseen.into_iter().filter(|finding| finding.difference.kind == DifferenceKind::UnknownToUs) {
            if payment_of(&finding).is_some_and(|payment| confirmed.compared.contains(&payment)) {
                continue;
            }
            changes.push(match comparer.has_intent(&finding.difference.subject).await? {
                true => self.to_record(finding.difference),
                false => FindingChange::Close(finding),
            });
        }
        Ok((confirmed, changes))
    }

    /// Applies the rules to the findings that were seen since `since`.
    async fn repair(&mut self, since: MachineTime) -> Result<()> {
        let limit = REPAIRS_MAX - self.run.counts.repairs;
        if limit <= 0 {
            return Ok(());
        }
        let repairable = self.context.platform.db.read(since, move |conn, since| {
            Box::pin(store::repairable_findings(conn, *since, findings::REPAIRS_MAX, limit))
        });
        for finding in repairable.await? {
            if self.context.platform.shutdown.is_cancelled() {
                break;
            }
            let end = self.repair_one(finding).await;
            self.run.counts.repairs += 1;
            self.count_failure(&finding.to_string(), end)?;
        }
        Ok(())
    }

    async fn repair_one(&self, finding_id: FindingId) -> Result<()> {
        let (random, clock) = (&self.context.platform.random, &self.context.platform.clock);
        let lease = self.context.lease(&self.run);
        let (id, refund_id) = (random.uuid(lease.now), random.id(lease.now));
        let new = NewRepair { finding_id, id, refund_id, domain_now: clock.domain() };
        let db = self.context.platform.db.waiting_briefly();
        let call = db.transaction((lease, new), |tx, (lease, new)| Box::pin(commands::repair(tx, *lease, new))).await?;
        let Some(call) = call else { return Ok(()) };
        let end = cancel(self.context, &call).await;
        let input = (self.context.lease(&self.run), call.repair, end);
        db.transaction(input, |tx, (lease, id, end)| Box::pin(commands::record_outcome(tx, *lease, *id, end))).await
    }

    async fn count_unsettled(&mut self) -> Result<()> {
        let limits = SettlementLimits::at(self.context.platform.clock.machine());
        let read =
            self.context.platform.db.read(limits, |conn, limits| Box::pin(store::unsettled_trips(conn, *limits)));
        self.run.counts.unsettled = whole(read.await?.len());
        Ok(())
    }

    async fn save_progress(&self) -> Result<()> {
        let input = (self.context.lease(&self.run), self.run.clone());
        let save = self
            .context
            .platform
            .db
            .transaction(input, |tx, (lease, run)| Box::pin(commands::save_progress(tx, *lease, run)));
        save.await
    }

    /// Moves the watermark of recent payments, unless the run is incomplete.
    async fn move_watermark(&self, started_at: MachineTime) -> Result<()> {
        if self.incomplete().is_some() {
            return Ok(());
        }
        let input = (self.context.lease(&self.run), (whole_second(started_at - RECENT), started_at));
        let moved = self
            .context
            .platform
            .db
            .transaction(input, |tx, (lease, times)| Box::pin(commands::move_watermark(tx, *lease, *times)));
        moved.await
    }
}

/// Whether another process has the run now, or the database cannot be reached.
fn ends_the_run(error: &Error) -> bool {
    error.is_lost() || matches!(error, Error::Refused(_))
}

fn payment_of(finding: &Finding) -> Option<PaymentId> {
    finding.difference.payment_id
}

/// Adds the payments of findings, each with the intents that they name.
fn add_intents(suspects: &mut Suspects, findings: &[Finding]) {
    for finding in findings {
        let Some(payment) = payment_of(finding) else { continue };
        suspects.entry(payment).or_default().extend(finding.difference.intent_id.clone());
    }
}

/// Makes a recorded call. If its outcome is unknown, the next run sees the state of the intent.
async fn cancel(context: &ReconciliationContext, call: &CancelCall) -> (AttemptOutcome, Option<String>) {
    let answer = context.client.cancel(&call.intent, &call.key).await;
    context.platform.metrics.provider_calls.with_label_values(&["cancel", answer.label()]).inc();
    match answer {
        ProviderResult::Done(_) => (AttemptOutcome::Succeeded, None),
        ProviderResult::Refused { code, .. } | ProviderResult::Rejected { code, .. } => {
            (AttemptOutcome::Declined, Some(code))
        }
        ProviderResult::Unknown { why, .. } => (AttemptOutcome::Unknown, Some(why)),
        ProviderResult::NotSent { why } => (AttemptOutcome::NotSent, Some(why)),
    }
}

fn whole(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
