//! A provider operation under a lease, the same for payments and refunds.
//!
//! Between two commits there is at most one provider call, and no transaction is open during it. [`lease`] commits the attempt at
//! the call; [`record_result`] commits its result, the effects, and the next attempt.
//!
//! Invariant: a provider call that changes something has a committed attempt with its own key, made by the holder of the lease. A
//! repeat of a create or a refund that may have arrived has the key of the first; other calls are looked up.

mod payment;
mod refund;

use std::fmt::Debug;
use std::iter::zip;

use chrono::TimeDelta;
use uuid::Uuid;

pub use self::payment::ObservedIntent;
use crate::payments::model::{CallPool, ProviderOperation, UnresolvedAttempt};
use crate::payments::store::{self, FinishedAttempt, LeaseQuery, RetrySchedule, StartedAttempt};
use crate::platform::clock::{DomainTime, MachineTime};
use crate::platform::db::{Conn, Tx};
use crate::platform::error::{Error, Result};
use crate::platform::ids::{PaymentId, RefundId, TripId};
use crate::platform::telemetry;

/// How long a lease lasts; each commit under it renews it. Longer than any call (asserted in `worker.rs`).
pub const LEASE: TimeDelta = TimeDelta::seconds(30);

/// A row that provider calls change under a lease: a payment or a refund.
pub trait Leased: Clone + Debug + Send + Sync + Sized + 'static {
    /// What the worker can do with it.
    type Step: Debug + Send + Sync;
    /// What a call can show about it.
    type Observation: Debug + Send + Sync;

    /// Returns the payment.
    fn payment_id(&self) -> PaymentId;

    /// Returns the refund, if it is one.
    fn refund_id(&self) -> Option<RefundId>;

    /// Returns the id of the row.
    fn target_id(&self) -> Uuid;

    /// Returns the fencing token of the lease.
    fn lease_token(&self) -> i64;

    /// Returns what the work belongs to.
    fn cause(&self) -> Cause;

    /// Returns the number of inconclusive calls in a row.
    fn failures(&self) -> i16;

    /// Returns the next step.
    fn next_step(&self, unresolved: Option<&UnresolvedAttempt>, now: MachineTime) -> Self::Step;

    /// Returns the call that `step` consists of, if it changes something at the provider.
    fn request(&self, step: &Self::Step) -> Option<CallRequest>;

    /// Returns the row after `step` had this outcome, and what follows.
    fn update(
        &self,
        step: &Self::Step,
        outcome: &CallOutcome<Self::Observation>,
        now: MachineTime,
    ) -> TargetUpdate<Self>;

    /// Returns the schedule once no step follows at once and no call failed.
    fn idle_schedule(&self, before: &Self, context: &ResultContext) -> RetrySchedule;

    /// Leases due rows. One that cannot be read is an error beside the others.
    fn lease(conn: &mut Conn, query: LeaseQuery) -> impl Future<Output = Result<Vec<Result<Self>>>> + Send;

    /// Locks and returns the row, if the lease is still the latest. The payment's lock comes before the refund's.
    fn lock_leased(&self, conn: &mut Conn) -> impl Future<Output = Result<Option<Self>>> + Send;

    /// Writes the row, guarded by the fencing token.
    fn save(
        &self,
        conn: &mut Conn,
        before: &Self,
        schedule: RetrySchedule,
        now: DomainTime,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Writes the effects of a changed state: the ledger, other payments and refunds, events.
    fn write_effects(
        &self,
        tx: &mut Tx,
        before: &Self,
        context: &ResultContext,
    ) -> impl Future<Output = Result<()>> + Send;
}

/// What work on a payment or a refund belongs to.
#[derive(Debug, Clone)]
pub struct Cause {
    /// The trip.
    pub trip_id: TripId,
    /// The trace of the request or the worker run that asked for it.
    pub trace_id: Option<String>,
}

/// A call that changes something at the provider.
#[derive(Debug)]
pub struct CallRequest {
    /// What it does.
    pub operation: ProviderOperation,
    /// The key of an earlier attempt that may have arrived; `None`: a new key.
    pub key: Option<String>,
    /// Minor units, where the operation names an amount.
    pub amount: Option<i64>,
}

/// An attempt whose row is committed, so that its call may be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedAttempt {
    /// The attempt's id.
    pub id: Uuid,
    /// The `Idempotency-Key` to send.
    pub key: String,
}

/// A step that the lease holder takes now.
#[derive(Debug)]
pub struct LeasedOperation<T: Leased> {
    /// The payment or refund, with the fencing token of the lease.
    pub target: T,
    /// What to do.
    pub step: T::Step,
    /// The committed attempt, if the step changes something at the provider.
    pub attempt: Option<CommittedAttempt>,
    /// When the lease ends.
    pub leased_until: MachineTime,
}

/// What a step showed.
#[derive(Debug)]
pub enum CallOutcome<O> {
    /// A conclusive answer.
    Observed(O),
    /// Nothing conclusive, and why.
    Inconclusive(String),
}

/// The result of a step.
#[derive(Debug)]
pub struct StepResult<T: Leased> {
    /// The step.
    pub operation: LeasedOperation<T>,
    /// The end of its attempt.
    pub end: Option<FinishedAttempt>,
    /// What it showed.
    pub outcome: CallOutcome<T::Observation>,
    /// Times and ids for the effects.
    pub context: ResultContext,
}

/// Times and ids for the effects of a result. Made before the transaction, so that a repeat of the transaction does the same.
#[derive(Debug, Clone)]
pub struct ResultContext {
    /// The machine's time.
    pub now: MachineTime,
    /// The domain's time.
    pub domain_now: DomainTime,
    /// When to retry a call that failed.
    pub retry_at: MachineTime,
    /// The attempt whose result it is; `None` after a look-up.
    pub attempt: Option<Uuid>,
    /// The id of the next attempt.
    pub attempt_id: Uuid,
    /// The id of a posting.
    pub posting_id: Uuid,
    /// The id of a refund of an unwanted capture.
    pub refund_id: RefundId,
    /// The id of a tip's posting.
    pub tip_posting_id: Uuid,
    /// The id of a payment that replaces this one.
    pub replacement_id: PaymentId,
    /// The process is shutting down: the next step is left to another process.
    pub is_shutting_down: bool,
}

/// The row after a step, and what follows.
#[derive(Debug)]
pub struct TargetUpdate<T: Leased> {
    /// The row.
    pub after: T,
    /// The step that follows at once.
    pub next: Option<T::Step>,
    /// Whether the result of the unknown attempts is known now.
    pub resolves_attempts: bool,
}

/// The rows that were leased.
#[derive(Debug)]
pub struct LeasedRows<T: Leased> {
    /// What to do with each.
    pub operations: Vec<LeasedOperation<T>>,
    /// Why the others cannot be read. Their leases keep them from delaying the next ones.
    pub unreadable: Vec<Error>,
}

/// Leases due rows of a pool, at most one for each attempt id, and commits the attempts that the next steps need.
///
/// The unfinished attempts of former lease holders become unknown.
///
/// # Errors
/// If the database fails.
pub async fn lease<T: Leased>(
    tx: &mut Tx,
    pool: CallPool,
    (now, domain_now): (MachineTime, DomainTime),
    attempt_ids: &[Uuid],
) -> Result<LeasedRows<T>> {
    let (mut targets, mut unreadable) = (Vec::new(), Vec::new());
    if attempt_ids.is_empty() {
        return Ok(LeasedRows { operations: Vec::new(), unreadable });
    }
    let limit = i64::try_from(attempt_ids.len()).unwrap_or(i64::MAX);
    for row in T::lease(tx, LeaseQuery { pool, now, domain_now, until: now + LEASE, limit }).await? {
        match row {
            Ok(target) => targets.push(target),
            Err(impossible) => unreadable.push(impossible),
        }
    }
    let ids: Vec<_> = targets.iter().map(T::target_id).collect();
    if ids.is_empty() {
        return Ok(LeasedRows { operations: Vec::new(), unreadable });
    }
    store::expire_attempts(tx, &ids, now).await?;
    let unresolved = store::unresolved_attempts(tx, &ids).await?;
    let mut operations = Vec::with_capacity(ids.len());
    for (target, attempt_id) in zip(targets, attempt_ids) {
        let step = target.next_step(unresolved.get(&target.target_id()), now);
        operations.push(begin(tx, target, step, *attempt_id, now).await?);
    }
    Ok(LeasedRows { operations, unreadable })
}

/// Commits to a step: inserts its attempt, if it changes something at the provider.
async fn begin<T: Leased>(
    tx: &mut Tx,
    target: T,
    step: T::Step,
    attempt_id: Uuid,
    now: MachineTime,
) -> Result<LeasedOperation<T>> {
    let mut attempt = None;
    if let Some(CallRequest { operation, key, amount }) = target.request(&step) {
        let key = key.unwrap_or_else(|| attempt_id.to_string());
        let started = StartedAttempt {
            id: attempt_id,
            payment_id: target.payment_id(),
            refund_id: target.refund_id(),
            operation,
            key: &key,
            amount,
            lease_token: target.lease_token(),
            trace_id: target.cause().trace_id.or_else(telemetry::trace_id),
        };
        store::start_attempt(tx, &started, now).await?;
        attempt = Some(CommittedAttempt { id: attempt_id, key });
    }
    Ok(LeasedOperation { target, step, attempt, leased_until: now + LEASE })
}

/// Commits the result of a step and its effects; returns the step that follows at once.
///
/// A step never leads to itself: an answer that changes nothing counts as a failure. So the number of steps under one lease is
/// bounded by the number of states.
///
/// # Errors
/// If the database fails. A lost lease is no error: nothing is written.
pub async fn record_result<T: Leased>(tx: &mut Tx, result: &StepResult<T>) -> Result<Option<LeasedOperation<T>>> {
    let StepResult { operation, end, outcome, context } = result;
    let leased = &operation.target;
    let Some(before) = leased.lock_leased(tx).await? else {
        tracing::warn!(payment_id = %leased.payment_id(), refund_id = ?leased.refund_id(), "the lease was lost: the result is dropped");
        return Ok(None);
    };
    if let Some(end) = end {
        store::finish_attempt(tx, end, leased.lease_token(), context.now).await?;
    }
    let TargetUpdate { after, next, resolves_attempts } = before.update(&operation.step, outcome, context.now);
    let schedule = match (&next, after.failures()) {
        (Some(_), _) if context.is_shutting_down => RetrySchedule::due(context.now),
        (Some(_), _) => RetrySchedule::keep_lease(context.now, context.now + LEASE),
        (None, 0) => after.idle_schedule(&before, context),
        (None, _) => RetrySchedule::due(context.retry_at),
    };
    after.save(tx, &before, schedule, context.domain_now).await?;
    after.write_effects(tx, &before, context).await?;
    if resolves_attempts {
        store::resolve_attempts(tx, after.target_id(), context.now).await?;
    }
    match next.filter(|_| !context.is_shutting_down) {
        Some(step) => begin(tx, after, step, context.attempt_id, context.now).await.map(Some),
        None => Ok(None),
    }
}
