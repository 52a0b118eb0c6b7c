//! Runs reconciliation: on a schedule, and when an operator requests it. Also updates the gauges.
//!
//! At most one run is in progress, in any process. It compares window by window ([`Sweep`]) and commits after each where it goes on. Its
//! lease is extended by each of its writes, and while it reads. If the process stops, the next one continues at that window, under a
//! greater token; writes of the former process are rejected.

mod sweep;

use std::pin::pin;
use std::time::Duration;

use chrono::TimeDelta;
use futures_util::future::BoxFuture;

use self::sweep::Sweep;
use super::commands::{self, RunLease, RunSchedule};
use super::compare::Interrupted;
use super::model::findings::Run;
use super::model::kinds::{DifferenceKind, RunScope, RunState};
use super::model::windows::whole_second;
use super::store::{self, RunStart};
use crate::payments::ProviderClient;
use crate::platform::Platform;
use crate::platform::clock::MachineTime;
use crate::platform::error::{Error, Result};

/// The interval of scheduled runs: the longest that a rider's money stays reserved after a free trip if its release was missed.
const EVERY: TimeDelta = TimeDelta::minutes(15);

/// The interval of runs that go back for [`RECENT`]: they find changes at the provider whose events were lost.
const RECENT_EVERY: TimeDelta = TimeDelta::hours(24);

/// The interval of runs over all payments. What changes at the provider after eight days has an event, or is a refund or a dispute,
/// which each run finds by its own creation.
const FULL_EVERY: TimeDelta = TimeDelta::days(7);

/// One day more than an authorization lives, so every payment that can still change is included.
const RECENT: TimeDelta = TimeDelta::days(8);

/// The time without a write after which another process continues a run.
const LEASE: TimeDelta = TimeDelta::minutes(5);

/// How often the lease is extended while records are read: a window of 20,000 payments takes hundreds of calls. Several extensions may
/// fail before the lease expires.
const EXTEND_EVERY: Duration = Duration::from_secs(60);

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
        RunLease { run: run.id, token: run.lease_token, now, until: now + LEASE }
    }
}

/// Runs reconciliation if a run is queued, due, or left by another process. Returns the number of runs.
///
/// # Errors
/// If the database does not answer. An unreachable provider is no error: the run is `unchecked`.
pub async fn run_once(context: &ReconciliationContext) -> Result<usize> {
    let Some(run) = start(context).await? else { return Ok(0) };
    let mut sweep = Sweep::new(context, run);
    let (state, detail) = match sweep.run_to_end().await {
        Ok(()) => (RunState::Checked, sweep.incomplete()),
        Err(Interrupted::Provider(why)) => {
            tracing::warn!(why, "the provider's records could not be read");
            (RunState::Unchecked, Some(why))
        }
        Err(Interrupted::Shutdown) => return release(context, &sweep.run, None).await.map(|()| 0),
        Err(Interrupted::Failed(error)) => {
            // Another process, or this one, continues; after several failures the run is abandoned.
            if let Err(error) = release(context, &sweep.run, Some(&error)).await {
                tracing::debug!(%error, "the lease of a run could not be ended; it expires");
            }
            return Err(error);
        }
    };
    let run = sweep.run;
    tracing::info!(run_id = %run.id, state = state.as_str(), counts = ?run.counts, "reconciliation run ended");
    let input = (context.lease(&run), run, detail);
    let finish = context.platform.db.transaction(input, move |tx, (lease, run, detail)| {
        Box::pin(commands::finish(tx, *lease, (run, state, detail.as_deref())))
    });
    finish.await.map(|()| 1)
}

async fn start(context: &ReconciliationContext) -> Result<Option<Run>> {
    let (clock, random) = (&context.platform.clock, &context.platform.random);
    let now = clock.machine();
    let start = RunStart { now, leased_until: now + LEASE, recent_since: whole_second(now - RECENT) };
    let schedule = RunSchedule {
        due: now - EVERY,
        recent_due: now - RECENT_EVERY,
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

/// Ends the lease of a run that this process does not finish.
async fn release(context: &ReconciliationContext, run: &Run, error: Option<&Error>) -> Result<()> {
    let input = (run.id, run.lease_token, error.map(ToString::to_string));
    let now = context.platform.clock.machine();
    let release = context.platform.db.transaction(input, move |tx, (run, token, detail)| {
        Box::pin(store::release_run(tx, (*run, *token), (now, detail.as_deref())))
    });
    release.await
}

/// Runs `work` and extends the lease until it returns. Cancels `work` if the lease was lost.
///
/// # Errors
/// What `work` returns, or what `extend` returns if the lease was lost.
async fn with_lease<T, E: From<Error>>(
    work: impl Future<Output = Result<T, E>>,
    every: Duration,
    extend: impl Fn() -> BoxFuture<'static, Result<()>>,
) -> Result<T, E> {
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
    Box::pin(async move { db.transaction(lease, |tx, lease| Box::pin(lease.extend(tx))).await })
}

/// Updates the gauges of the module's tables.
///
/// # Errors
/// If the database does not answer.
pub async fn gauges(platform: &Platform) -> Result<()> {
    let (findings, last, watermark) = platform
        .db
        .read((), |conn, ()| {
            Box::pin(async move {
                let watermark = store::watermark(conn, RunScope::Recent).await?;
                Ok((store::open_by_kind(conn).await?, store::last_checked(conn).await?, watermark))
            })
        })
        .await?;
    let metrics = &platform.metrics;
    for kind in DifferenceKind::ALL {
        let open = findings.iter().find(|(name, _)| name == kind.as_str()).map_or(0, |(_, open)| *open);
        metrics.reconciliation_open.with_label_values(&[kind.as_str()]).set(open);
    }
    let started_at = last.and_then(|run| run.started_at);
    metrics.reconciliation_age.set(started_at.map_or(-1, |at| platform.clock.machine().seconds_since(at)));
    let now = platform.clock.machine();
    metrics.reconciliation_watermark_age.set(watermark.map_or(-1, |reached| now.seconds_since(reached)));
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::platform::error::{Code, Refusal};

    const IMMEDIATELY: Duration = Duration::ZERO;

    #[tokio::test]
    async fn lease_is_extended_until_the_work_returns() {
        let extensions = Arc::new(AtomicU32::new(0));
        let reading = async {
            while extensions.load(Ordering::Relaxed) < 3 {
                tokio::task::yield_now().await;
            }
            Ok::<_, Error>("read")
        };
        let extend = || {
            extensions.fetch_add(1, Ordering::Relaxed);
            Box::pin(async { Ok(()) }) as BoxFuture<'static, _>
        };
        assert_eq!(with_lease(reading, IMMEDIATELY, extend).await.expect("the lease is extended"), "read");
        assert_eq!(extensions.load(Ordering::Relaxed), 3, "extended after the end");
    }

    #[tokio::test]
    async fn work_is_cancelled_if_the_lease_was_lost() {
        let abandoned =
            || Box::pin(async { Err(Refusal::new(Code::Internal, "abandoned").into()) }) as BoxFuture<'static, _>;
        let end = with_lease(pending::<Result<(), Error>>(), IMMEDIATELY, abandoned).await;
        assert!(matches!(end, Err(Error::Refused(_))), "{end:?}");
    }

    #[tokio::test]
    async fn work_continues_if_an_extension_fails_without_an_answer() {
        let tries = AtomicU32::new(0);
        let reading = async {
            while tries.load(Ordering::Relaxed) < 2 {
                tokio::task::yield_now().await;
            }
            Ok::<_, Error>("read")
        };
        let extend = || {
            tries.fetch_add(1, Ordering::Relaxed);
            Box::pin(async { Err(Refusal::new(Code::Overloaded, "no connection in time").into()) })
                as BoxFuture<'static, _>
        };
        assert_eq!(with_lease(reading, IMMEDIATELY, extend).await.expect("the lease is extended"), "read");
    }
}
