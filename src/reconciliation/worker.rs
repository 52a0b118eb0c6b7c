//! Runs reconciliation: on a schedule, and when an operator requests it. Also deletes expired runs and updates the gauges.
//!
//! At most one run is in progress, in any process. Its lease is extended by each of its writes, and while it reads. If the process
//! stops, the next one abandons the run and starts another; writes of the abandoned run are rejected. Nothing is lost, because a
//! run reads everything again.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use futures_util::future::BoxFuture;
use uuid::Uuid;

use super::commands::{self, CancelCall, NewRepair, RunLease, RunObservations, RunSchedule};
use super::compare::{self, RecordComparison};
use super::model::findings::{self, Run, RunCounts};
use super::model::kinds::{DifferenceKind, RepairRule, RunState};
use super::store::{self, RunStart};
use crate::payments::ProviderClient;
use crate::payments::model::AttemptOutcome;
use crate::payments::provider::ProviderResult;
use crate::platform::Platform;
use crate::platform::clock::MachineTime;
use crate::platform::error::Result;
use crate::platform::ids::FindingId;
use crate::platform::retention;

/// The interval of scheduled runs: the longest that a rider's money stays reserved after a free trip if its release was missed.
const EVERY: TimeDelta = TimeDelta::minutes(15);

/// The interval of runs over all payments. Changes made by hand at the provider mostly concern recent payments.
const FULL_EVERY: TimeDelta = TimeDelta::hours(24);

/// The age of the payments in a recent run: one day more than an authorization lives, so every payment that can still change is
/// included.
const RECENT: TimeDelta = TimeDelta::days(8);

/// The time without a write after which a run is abandoned.
const LEASE: TimeDelta = TimeDelta::minutes(5);

/// How often the lease is extended while records are read: a million intents take ten thousand calls. Several extensions may fail
/// before the lease expires.
const EXTEND_EVERY: Duration = Duration::from_secs(60);

/// The most differences that one run records, repairable ones first. More indicate a wrong account or an empty database.
const RECORDED_MAX: usize = 10_000;

/// Differences recorded in one transaction.
const BATCH: usize = 200;

/// Repairs attempted by one run, each with at most one call to the provider; the next run continues.
const REPAIRS_MAX: i64 = 100;

/// How long a run that repaired nothing is kept (machine time). Findings are kept forever.
const RUNS_KEPT: TimeDelta = TimeDelta::days(30);

/// What the worker needs.
#[derive(Debug, Clone)]
pub struct ReconciliationContext {
    platform: Platform,
    client: ProviderClient,
    /// When the process started: the first scheduled run is due one interval later.
    started_at: MachineTime,
}

impl ReconciliationContext {
    /// Creates the context of a worker that compares with the provider behind `client`.
    pub fn new(platform: Platform, client: ProviderClient) -> Self {
        let started_at = platform.clock.machine();
        Self { platform, client, started_at }
    }

    fn lease(&self, run: &Run) -> RunLease {
        let now = self.platform.clock.machine();
        RunLease { run: run.id, now, until: now + LEASE }
    }
}

/// Runs reconciliation if a run is queued or due. Returns the number of runs.
///
/// # Errors
/// If the database does not answer. An unreachable provider is no error: the run is `unchecked`.
pub async fn run_once(context: &ReconciliationContext) -> Result<usize> {
    let Some(run) = start(context).await? else { return Ok(0) };
    let end = execute(context, &run).await;
    let ended = match &end {
        Ok(ended) => ended.clone(),
        // Other processes need not wait for the lease to expire.
        Err(error) => Run { state: RunState::Abandoned, detail: Some(error.to_string()), ..run },
    };
    tracing::info!(run_id = %ended.id, state = ended.state.as_str(), counts = ?ended.counts, "reconciliation run ended");
    let finish = (ended, context.platform.clock.machine());
    context.platform.db.transaction(finish, |tx, (run, now)| Box::pin(commands::finish(tx, run, *now))).await?;
    end.map(|_| 1)
}

/// Compares, records and repairs. Returns the run as it ended.
async fn execute(context: &ReconciliationContext, run: &Run) -> Result<Run> {
    let comparison = with_lease(compare_records(context, run), EXTEND_EVERY, || extend_lease(context, run)).await?;
    match comparison.unchecked.clone() {
        Some(why) => Ok(Run { state: RunState::Unchecked, detail: Some(why), ..run.clone() }),
        None => record_and_repair(context, run, comparison).await,
    }
}

async fn start(context: &ReconciliationContext) -> Result<Option<Run>> {
    let (clock, random) = (&context.platform.clock, &context.platform.random);
    let now = clock.machine();
    let start = RunStart { now, leased_until: now + LEASE, recent_since: now - RECENT };
    let schedule = RunSchedule {
        due: now - EVERY,
        full_due: now - FULL_EVERY,
        first_is_due: now.since(context.started_at) >= EVERY,
        id: random.id(now),
    };
    let started = context
        .platform
        .db
        .transaction((start, schedule), |tx, (start, schedule)| Box::pin(commands::start(tx, *start, schedule)));
    match started.await {
        // Another process started one at the same time.
        Err(error) if error.constraint() == Some("one_run_at_a_time") => Ok(None),
        end => end,
    }
}

/// Runs `work` and extends the lease until it returns. Cancels `work` if the run was abandoned.
///
/// # Errors
/// What `work` returns, or what `extend` returns if the run was abandoned.
async fn with_lease<T>(
    work: impl Future<Output = Result<T>>,
    every: Duration,
    extend: impl Fn() -> BoxFuture<'static, Result<()>>,
) -> Result<T> {
    let mut work = pin!(work);
    loop {
        tokio::select! {
            end = &mut work => return end,
            () = tokio::time::sleep(every) => match extend().await {
                // The lease is longer than the interval: the next extension may come in time.
                Err(error) if error.is_lost() => tracing::warn!(%error, "the lease of a run could not be extended"),
                extended => extended?,
            },
        }
    }
}

fn extend_lease(context: &ReconciliationContext, run: &Run) -> BoxFuture<'static, Result<()>> {
    let (db, lease) = (context.platform.db.clone(), context.lease(run));
    Box::pin(async move {
        db.transaction(lease, |tx, lease| Box::pin(store::extend_lease(tx, lease.run, lease.until))).await
    })
}

async fn compare_records(context: &ReconciliationContext, run: &Run) -> Result<RecordComparison> {
    let (taken_at, since) = (context.platform.clock.machine(), run.since);
    let read =
        context.platform.db.snapshot((), move |conn, ()| Box::pin(compare::local_records(conn, taken_at, since)));
    compare::with_provider(&context.platform, &context.client, read.await?).await
}

/// Records what differs, closes findings that are gone, and applies the repair rules.
async fn record_and_repair(
    context: &ReconciliationContext,
    run: &Run,
    mut comparison: RecordComparison,
) -> Result<Run> {
    comparison.differences.sort_by_key(|difference| difference.repair == RepairRule::None);
    let mut counts = RunCounts {
        payments: whole(comparison.payments),
        unsettled: whole(comparison.unsettled),
        intents: whole(comparison.intents),
        foreign_intents: whole(comparison.foreign_intents),
        refunds: whole(comparison.refunds),
        differences: whole(comparison.differences.len()),
        ..RunCounts::default()
    };
    let too_many = comparison.differences.len() > RECORDED_MAX;
    let (db, random) = (&context.platform.db, &context.platform.random);
    for batch in comparison.differences.chunks(BATCH).take(RECORDED_MAX / BATCH) {
        let lease = context.lease(run);
        let batch: Vec<_> = batch.iter().map(|one| (random.id::<FindingId>(lease.now), one.clone())).collect();
        counts.found += db
            .transaction((lease, batch), |tx, (lease, batch)| Box::pin(commands::record_differences(tx, *lease, batch)))
            .await?;
    }
    counts.ended = close_absent_findings(context, run, comparison).await?;
    counts.repairs = repair(context, run).await?;
    let detail = too_many.then(|| format!("only the first {RECORDED_MAX} differences were recorded"));
    Ok(Run { state: RunState::Checked, counts, detail, ..run.clone() })
}

/// Closes findings whose difference is gone, batch by batch. Returns their number.
async fn close_absent_findings(
    context: &ReconciliationContext,
    run: &Run,
    comparison: RecordComparison,
) -> Result<i64> {
    let differences = comparison.differences.into_iter().map(|one| (one.kind, one.subject)).collect();
    let observations = Arc::new(RunObservations { differences, coverage: comparison.coverage });
    let mut closed = 0;
    let mut next = Some(FindingId::from(Uuid::nil()));
    while let Some(after) = next {
        let input = (context.lease(run), after, Arc::clone(&observations));
        let batch = context
            .platform
            .db
            .transaction(input, |tx, (lease, after, observations)| {
                Box::pin(commands::close_absent_findings(tx, *lease, *after, observations))
            })
            .await?;
        closed += batch.closed;
        next = batch.next;
    }
    Ok(closed)
}

/// Applies the rules to the findings of this run. Returns the number of attempts.
async fn repair(context: &ReconciliationContext, run: &Run) -> Result<i64> {
    let (db, random, clock) = (&context.platform.db, &context.platform.random, &context.platform.clock);
    let since = run.started_at.unwrap_or(run.requested_at);
    let repairable = db.read(since, |conn, since| {
        Box::pin(store::repairable_findings(conn, *since, findings::REPAIRS_MAX, REPAIRS_MAX))
    });
    let mut tried = 0;
    for finding_id in repairable.await? {
        if context.platform.shutdown.is_cancelled() {
            break;
        }
        let lease = context.lease(run);
        let new = NewRepair {
            finding_id,
            id: random.uuid(lease.now),
            refund_id: random.id(lease.now),
            domain_now: clock.domain(),
        };
        let call = db.transaction((lease, new), |tx, (lease, new)| Box::pin(commands::repair(tx, *lease, new))).await?;
        if let Some(call) = call {
            let end = cancel(context, &call).await;
            let input = (context.lease(run), call.repair, end);
            db.transaction(input, |tx, (lease, id, end)| Box::pin(commands::record_outcome(tx, *lease, *id, end)))
                .await?;
        }
        tried += 1;
    }
    Ok(tried)
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

/// Deletes a batch of expired runs. Returns their number.
///
/// # Errors
/// If the database does not answer.
pub async fn reap_once(platform: &Platform) -> Result<usize> {
    let before = platform.clock.machine() - RUNS_KEPT;
    let delete =
        platform.db.transaction((), move |tx, ()| Box::pin(store::delete_expired_runs(tx, before, retention::BATCH)));
    Ok(usize::try_from(delete.await?).unwrap_or(usize::MAX))
}

/// Updates the gauges of the module's tables.
///
/// # Errors
/// If the database does not answer.
pub async fn gauges(platform: &Platform) -> Result<()> {
    let (findings, last) = platform
        .db
        .read((), |conn, ()| {
            Box::pin(async move { Ok((store::open_by_kind(conn).await?, store::last_checked(conn).await?)) })
        })
        .await?;
    let metrics = &platform.metrics;
    for kind in DifferenceKind::ALL {
        let open = findings.iter().find(|(name, _)| name == kind.as_str()).map_or(0, |(_, open)| *open);
        metrics.reconciliation_open.with_label_values(&[kind.as_str()]).set(open);
    }
    let started_at = last.and_then(|run| run.started_at);
    metrics.reconciliation_age.set(started_at.map_or(-1, |at| platform.clock.machine().seconds_since(at)));
    Ok(())
}

fn whole(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::platform::error::{Code, Error, Refusal};

    const IMMEDIATELY: Duration = Duration::ZERO;

    #[tokio::test]
    async fn lease_is_extended_until_the_work_returns() {
        let extensions = Arc::new(AtomicU32::new(0));
        let reading = async {
            while extensions.load(Ordering::Relaxed) < 3 {
                tokio::task::yield_now().await;
            }
            Ok("read")
        };
        let extend = || {
            extensions.fetch_add(1, Ordering::Relaxed);
            Box::pin(async { Ok(()) }) as BoxFuture<'static, _>
        };
        assert_eq!(with_lease(reading, IMMEDIATELY, extend).await.expect("the lease is extended"), "read");
        assert_eq!(extensions.load(Ordering::Relaxed), 3, "extended after the end");
    }

    #[tokio::test]
    async fn work_is_cancelled_if_the_run_was_abandoned() {
        let abandoned =
            || Box::pin(async { Err(Refusal::new(Code::Internal, "abandoned").into()) }) as BoxFuture<'static, _>;
        let end = with_lease(pending::<Result<()>>(), IMMEDIATELY, abandoned).await;
        assert!(matches!(end, Err(Error::Refused(_))), "{end:?}");
    }

    #[tokio::test]
    async fn work_continues_if_an_extension_fails_without_an_answer() {
        let tries = AtomicU32::new(0);
        let reading = async {
            while tries.load(Ordering::Relaxed) < 2 {
                tokio::task::yield_now().await;
            }
            Ok("read")
        };
        let extend = || {
            tries.fetch_add(1, Ordering::Relaxed);
            Box::pin(async { Err(Refusal::new(Code::Overloaded, "no connection in time").into()) })
                as BoxFuture<'static, _>
        };
        assert_eq!(with_lease(reading, IMMEDIATELY, extend).await.expect("the lease is extended"), "read");
    }
}
