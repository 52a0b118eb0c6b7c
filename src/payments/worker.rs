//! Moves payments and refunds toward their goals: leases what is due, calls the provider, and commits the result.
//!
//! Its only input is the database, so any number of processes can run it. The leases of a process that died run out; its unfinished
//! calls then become unknown, and are looked up.
//!
//! Authorizations and all other work are leased apart, each for the permits of its own [`CallPool`]. So a rider's authorization never
//! waits for a capture, whatever an outage has left behind.

mod calls;

use std::iter::zip;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use futures_util::future::{BoxFuture, FutureExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

use self::calls::ProviderCalls;
use super::commands::operation::{self, CallOutcome, Cause, LEASE, LeasedOperation, ResultContext, StepResult};
use super::model::{CallPool, Payment, Refund};
use super::provider::breaker::ProviderAvailability;
use super::provider::{ProviderClient, ProviderResult};
use super::store;
use crate::platform::Platform;
use crate::platform::clock::MachineTime;
use crate::platform::config::PermitsConfig;
use crate::platform::egress::TIMEOUT_MAX;
use crate::platform::error::Result;
use crate::platform::telemetry;
use crate::platform::work::{Obstacle, RunOutcome, report_obstacle};

/// The back-off after the first failure; it doubles with each.
const RETRY_FIRST: Duration = Duration::from_millis(200);

/// The longest back-off: work resumes within a minute of the end of an outage.
const RETRY_MAX: Duration = Duration::from_secs(60);

/// How often the commit of a result is repeated at once after the database connection was lost, or a lock was not released in time.
/// After that the lease has to run out.
const COMMIT_RETRIES_MAX: u32 = 3;

/// The part of a lease that is not for the call, seconds: to take the lease, and to commit the result.
const LEASE_SLACK_S: u64 = 3;

// No configuration lets a call outlast its lease.
const _: () = assert!(TIMEOUT_MAX.as_secs() + LEASE_SLACK_S <= LEASE.num_seconds().unsigned_abs());

/// What the workers of both pools need. Clones share the permits.
#[derive(Debug, Clone)]
pub struct PaymentsContext {
    authorizations: PoolContext,
    settlement: PoolContext,
}

impl PaymentsContext {
    /// Returns the context of workers that call `client`'s provider with `permits`.
    pub fn new(platform: &Platform, client: &ProviderClient, permits: PermitsConfig) -> Self {
        let pool = |pool, permits| PoolContext::new(platform.clone(), client.of(pool), permits);
        Self {
            authorizations: pool(CallPool::Authorizations, permits.authorizations),
            settlement: pool(CallPool::Settlement, permits.settlement),
        }
    }

    /// Returns what the worker of a pool needs.
    pub fn pool(&self, pool: CallPool) -> &PoolContext {
        match pool {
            CallPool::Authorizations => &self.authorizations,
            CallPool::Settlement => &self.settlement,
        }
    }

    /// Returns the provider's client.
    pub fn client(&self) -> &ProviderClient {
        &self.settlement.client
    }

    /// Waits until everything that was started is finished.
    pub async fn finished(&self) {
        let _all = self.paused().await;
    }

    /// Waits as [`PaymentsContext::finished`] does, and starts nothing until the permits are dropped.
    pub async fn paused(&self) -> [Option<OwnedSemaphorePermit>; 2] {
        tokio::join!(self.authorizations.all_permits(), self.settlement.all_permits()).into()
    }
}

/// What the worker of one pool needs. Clones share the permits.
#[derive(Debug, Clone)]
pub struct PoolContext {
    platform: Platform,
    client: ProviderClient,
    permits: Arc<Semaphore>,
    permits_max: u32,
}

impl PoolContext {
    fn new(platform: Platform, client: ProviderClient, permits_max: u32) -> Self {
        let permits = Semaphore::new(usize::try_from(permits_max).unwrap_or(Semaphore::MAX_PERMITS));
        Self { platform, client, permits: Arc::new(permits), permits_max }
    }

    async fn all_permits(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.permits).acquire_many_owned(self.permits_max).await.ok()
    }

    /// Waits for a permit, and takes all that are free then; none at shutdown.
    async fn free_permits(&self) -> Vec<OwnedSemaphorePermit> {
        let first = tokio::select! {
            permit = Arc::clone(&self.permits).acquire_owned() => permit.ok(),
            () = self.platform.shutdown.cancelled() => return Vec::new(),
        };
        let others = std::iter::from_fn(|| Arc::clone(&self.permits).try_acquire_owned().ok());
        first.into_iter().chain(others).collect()
    }

    /// Counts a call by its result.
    fn counted<T>(&self, operation: &str, result: ProviderResult<T>) -> ProviderResult<T> {
        self.platform.metrics.provider_calls.with_label_values(&[operation, result.label()]).inc();
        result
    }

    /// Returns times and ids for the effects of a call, after `failures` earlier ones. A retry waits for `turn` and the back-off.
    fn result_context(&self, failures: i16, turn: TimeDelta) -> ResultContext {
        let (clock, random) = (&self.platform.clock, &self.platform.random);
        let now = clock.machine();
        let doublings = u32::from(failures.unsigned_abs()).min(16);
        let back_off = random.jitter(RETRY_FIRST.saturating_mul(2_u32.pow(doublings)).min(RETRY_MAX));
        ResultContext {
            now,
            domain_now: clock.domain(),
            retry_at: now + turn + TimeDelta::from_std(back_off).unwrap_or_default(),
            attempt: None,
            attempt_id: random.uuid(now),
            posting_id: random.uuid(now),
            refund_id: random.id(now),
            tip_posting_id: random.uuid(now),
            replacement_id: random.id(now),
            is_shutting_down: self.platform.shutdown.is_cancelled(),
        }
    }

    /// Commits the result of a step, and repeats the commit if the connection was lost or a row is locked, so that the result does not
    /// wait for the lease to run out.
    ///
    /// Only a transaction that finishes an attempt is repeated: that succeeds once. If the lost commit has arrived, the repeat is
    /// refused and changes nothing, and the step that it began waits for its lease to run out.
    async fn commit_with_retry<T: ProviderCalls>(&self, result: StepResult<T>) -> Result<Option<LeasedOperation<T>>> {
        let result = Arc::new(result);
        let mut retries = 0;
        loop {
            let commit = self
                .platform
                .db
                .transaction(Arc::clone(&result), |tx, result| Box::pin(operation::record_result(tx, result)));
            match commit.await {
                Err(error)
                    if result.end.is_some()
                        && (error.is_lost() || error.is_locked())
                        && retries < COMMIT_RETRIES_MAX =>
                {
                    tracing::warn!(%error, "repeating the commit of a call's result");
                    tokio::time::sleep(self.platform.random.jitter(RETRY_FIRST * 2_u32.pow(retries))).await;
                    retries += 1;
                }
                end => return end,
            }
        }
    }

    /// Returns whether a call fits into the lease. After a long stop of the process it does not, and another process has taken over.
    fn fits_lease(&self, leased_until: MachineTime) -> bool {
        self.platform.clock.machine() + self.client.call_max() <= leased_until
    }
}

/// Leases what is due of a pool, as much as there are free permits, and starts it. Does nothing if nothing is due, or the provider is
/// unavailable: an outage takes no leases and starts no attempts.
///
/// It does not wait for the provider, so a slow answer delays only its own payment; [`PaymentsContext::finished`] waits. Exception:
/// it waits for the probe of a failing provider.
///
/// # Errors
/// If the database fails.
pub async fn run_once(context: &PoolContext) -> Result<RunOutcome> {
    let mut permits = context.free_permits().await;
    let availability = context.client.availability();
    match availability {
        ProviderAvailability::Available => {}
        ProviderAvailability::Probe => permits.truncate(1),
        ProviderAvailability::Unavailable(_) => return Ok(RunOutcome::default()),
    }
    if permits.is_empty() {
        return Ok(RunOutcome::default());
    }
    let (runs, failed) = lease(context, permits.len()).await?;
    let outcome = RunOutcome { done: runs.len(), failed };
    for (run, permit) in zip(runs, permits) {
        let run = tokio::spawn(async move {
            let _permit = permit;
            run.await;
        });
        if availability == ProviderAvailability::Probe {
            let _end = run.await;
        }
    }
    Ok(outcome)
}

/// Returns how long until something of a pool is due and the provider available; `None` if nothing will be due.
///
/// # Errors
/// If the database fails.
pub async fn until_next(context: &PoolContext) -> Result<Option<Duration>> {
    let due =
        context.platform.db.read(context.client.pool(), |conn, pool| Box::pin(store::next_due(conn, *pool))).await?;
    let now = context.platform.clock.machine();
    let unavailable_for = match context.client.availability() {
        ProviderAvailability::Available | ProviderAvailability::Probe => TimeDelta::zero(),
        ProviderAvailability::Unavailable(duration) => duration,
    };
    Ok(due.map(|due| due.since(now).max(unavailable_for).to_std().unwrap_or_default()))
}

type RunFuture = BoxFuture<'static, ()>;

/// Leases up to `limit` payments and refunds, payments first. Returns the work on them, and how many cannot be read.
async fn lease(context: &PoolContext, limit: usize) -> Result<(Vec<RunFuture>, usize)> {
    let (clock, random) = (&context.platform.clock, &context.platform.random);
    let now = clock.machine();
    let attempt_ids: Vec<Uuid> = (0..limit).map(|_| random.uuid(now)).collect();
    let input = (context.client.pool(), attempt_ids, (now, clock.domain()));
    let leased = context.platform.db.transaction(input, |tx, (pool, attempt_ids, times)| {
        Box::pin(async move {
            let payments = operation::lease::<Payment>(tx, *pool, *times, attempt_ids).await?;
            let left = match pool {
                CallPool::Authorizations => &[],
                CallPool::Settlement => attempt_ids.get(payments.operations.len()..).unwrap_or_default(),
            };
            Ok((payments, operation::lease::<Refund>(tx, *pool, *times, left).await?))
        })
    });
    let (payments, refunds) = leased.await?;
    let unreadable = payments.unreadable.iter().chain(&refunds.unreadable);
    let count = unreadable.clone().count();
    unreadable.for_each(|why| {
        report_obstacle(
            &context.platform,
            context.client.pool().as_str(),
            (&"a payment or a refund", why),
            Obstacle::of(why),
        )
    });
    let (payments, refunds) = (payments.operations, refunds.operations);
    let failures = payments.iter().map(|one| one.target.failures).chain(refunds.iter().map(|one| one.target.failures));
    context.client.count_first_tries(failures.filter(|failures| *failures == 0).count());
    let payments = payments.into_iter().map(|operation| traced(context, operation));
    let refunds = refunds.into_iter().map(|operation| traced(context, operation));
    Ok((payments.chain(refunds).collect(), count))
}

/// Takes steps under one lease until nothing more can be done now. Each step ends in a commit, which returns the next.
async fn run<T: ProviderCalls>(context: PoolContext, operation: LeasedOperation<T>) -> Result<()> {
    let mut next = Some(operation);
    while let Some(operation) = next {
        let target = &operation.target;
        if !context.fits_lease(operation.leased_until) {
            tracing::warn!(payment_id = %target.payment_id(), refund_id = ?target.refund_id(), "the lease is too short for a call");
            return Ok(());
        }
        let (end, outcome) = T::call(&context, &operation).await;
        tracing::debug!(payment_id = %target.payment_id(), step = ?operation.step, ?outcome, "a step was taken");
        let turn = match outcome {
            CallOutcome::Inconclusive(_) => context.client.plan_retry(),
            CallOutcome::Observed(_) => TimeDelta::zero(),
        };
        let attempt = operation.attempt.as_ref().map(|attempt| attempt.id);
        let context_of_result = ResultContext { attempt, ..context.result_context(target.failures(), turn) };
        next = context.commit_with_retry(StepResult { operation, end, outcome, context: context_of_result }).await?;
    }
    Ok(())
}

/// Runs an operation under the trace of what asked for it; without one, under that of the worker's run. A run that fails is resumed
/// once its lease has run out.
fn traced<T: ProviderCalls>(context: &PoolContext, operation: LeasedOperation<T>) -> RunFuture {
    let Cause { trip_id, trace_id } = operation.target.cause();
    let new_trace = || context.platform.random.uuid(context.platform.clock.machine()).simple().to_string();
    let trace_id = trace_id.or_else(telemetry::trace_id).unwrap_or_else(new_trace);
    let trace = telemetry::Context {
        trip_id: Some(trip_id),
        payment_id: Some(operation.target.payment_id()),
        ..telemetry::Context::new(trace_id, "payments")
    };
    let run = run(context.clone(), operation);
    let logged = async move {
        if let Err(error) = run.await {
            tracing::warn!(%error, "work on a payment was interrupted");
        }
    };
    telemetry::traced(trace, logged).boxed()
}
