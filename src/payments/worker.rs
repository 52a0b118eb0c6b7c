//! Moves payments and refunds towards what is wanted of them: leases what is due, calls the provider, commits what it said.
//!
//! Its only input is the database, so that any process may run it, several may, and one that died is missed by nobody: its leases
//! run out, and what it had started becomes unknown and is found out about.

mod payment;
mod refund;

use std::iter::zip;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use futures_util::future::{BoxFuture, FutureExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::Instrument;

use super::commands::work::{Aftermath, Round};
use super::commands::{refunds, work};
use super::gateway::breaker::Outlook;
use super::gateway::{Answer, Gateway};
use super::store;
use crate::platform::Platform;
use crate::platform::clock::MachineTime;
use crate::platform::egress::TIMEOUT_MAX;
use crate::platform::error::Result;
use crate::platform::telemetry;

/// Payments and refunds that a process works on at the same time: as many calls to the provider are under way at most.
pub const HANDS: usize = 16;

/// The back-off after the first failure; it doubles with each.
const RETRY_FIRST: Duration = Duration::from_millis(200);

/// The longest back-off. An outage of the provider is over for everybody within a minute.
const RETRY_MAX: Duration = Duration::from_secs(60);

/// How often the commit of what came of a call is tried again at once, when the connection to the database is lost. After that the
/// lease has to run out.
const COMMITS_AGAIN_MAX: u32 = 3;

/// What a lease has to be longer than the longest call by, seconds: to take the lease, and to commit what came of the call.
const LEASE_SLACK_S: u64 = 3;

// No configuration can make a call outlast the lease that it is made under.
const _: () = assert!(TIMEOUT_MAX.as_secs() + LEASE_SLACK_S <= work::LEASE.num_seconds().unsigned_abs());

/// What the worker needs. Clones share its hands.
#[derive(Debug, Clone)]
pub struct PaymentsContext {
    platform: Platform,
    gateway: Gateway,
    /// A permit for each payment or refund that may be worked on.
    hands: Arc<Semaphore>,
}

impl PaymentsContext {
    /// A worker with [`HANDS`] hands.
    pub fn new(platform: Platform, gateway: Gateway) -> Self {
        Self { platform, gateway, hands: Arc::new(Semaphore::new(HANDS)) }
    }

    /// The provider that it asks.
    pub fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// Returns when everything is finished that was set going so far.
    pub async fn finished(&self) {
        let all = u32::try_from(HANDS).unwrap_or(u32::MAX);
        let _all = self.hands.acquire_many(all).await;
    }

    /// As [`PaymentsContext::finished`], and nothing is set going until what this returns is dropped.
    pub async fn paused(&self) -> Option<OwnedSemaphorePermit> {
        let all = u32::try_from(HANDS).unwrap_or(u32::MAX);
        Arc::clone(&self.hands).acquire_many_owned(all).await.ok()
    }

    /// Waits for a free hand, and takes all that are free then; none when the process is about to end.
    async fn free_hands(&self) -> Vec<OwnedSemaphorePermit> {
        let first = tokio::select! {
            hand = Arc::clone(&self.hands).acquire_owned() => hand.ok(),
            () = self.platform.shutdown.cancelled() => return Vec::new(),
        };
        let others = std::iter::from_fn(|| Arc::clone(&self.hands).try_acquire_owned().ok());
        first.into_iter().chain(others).collect()
    }

    /// Counts a call by its answer.
    fn counted<T>(&self, operation: &str, answer: Answer<T>) -> Answer<T> {
        self.platform.metrics.provider_calls.with_label_values(&[operation, answer.label()]).inc();
        answer
    }

    /// Times and ids for what follows from a call, `failures` calls having failed before it. If it is made again, then after
    /// `turn` and the back-off.
    fn aftermath(&self, failures: i16, turn: TimeDelta) -> Aftermath {
        let (clock, dice) = (&self.platform.clock, &self.platform.dice);
        let now = clock.machine();
        let doublings = u32::from(failures.unsigned_abs()).min(16);
        let back_off = dice.jitter(RETRY_FIRST.saturating_mul(2_u32.pow(doublings)).min(RETRY_MAX));
        Aftermath {
            now,
            domain_now: clock.domain(),
            retry_at: now + turn + TimeDelta::from_std(back_off).unwrap_or_default(),
            attempt_id: dice.uuid(now),
            posting_id: dice.uuid(now),
            refund_id: dice.id(now),
            tip_posting_id: dice.uuid(now),
            replacement_id: dice.id(now),
            is_last: self.platform.shutdown.is_cancelled(),
        }
    }

    /// Commits what came of a call; and again at once if the connection was lost on the way, so that what is known does not wait
    /// for the lease to run out.
    ///
    /// `has_attempt`: the transaction finishes an attempt, which can be done once. So if the commit that nobody answered for has
    /// arrived after all, the next one is refused and changes nothing; a step that the first one has begun waits for its lease.
    /// Without an attempt nothing is lost but a look.
    async fn insist<T, F>(&self, has_attempt: bool, commit: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let mut again = 0;
        loop {
            match commit().await {
                Err(error) if has_attempt && error.is_lost() && again < COMMITS_AGAIN_MAX => {
                    tracing::warn!(%error, "what came of a call is committed again");
                    tokio::time::sleep(self.platform.dice.jitter(RETRY_FIRST * 2_u32.pow(again))).await;
                    again += 1;
                }
                end => return end,
            }
        }
    }

    /// Whether there is time for a call before a lease runs out. A process that was stopped for long, and wakes up with a call
    /// on its lips, holds its tongue: somebody else has long asked.
    fn may_call(&self, leased_until: MachineTime) -> bool {
        self.platform.clock.machine() + self.gateway.call_max() <= leased_until
    }
}

type Drive = BoxFuture<'static, Result<()>>;

/// Leases what is due, as much of it as there are free hands, and sets it going; returns how much. Zero means that nothing is due,
/// or that the provider is left alone: then nothing is leased, so that an outage uses up no attempt and no patience.
///
/// It does not wait for the provider: a slow answer holds up nothing but its own payment. [`PaymentsContext::finished`] does. The
/// one exception is the probe of a provider that did not answer: until it is back, there is nothing else to do.
///
/// # Errors
/// If the database does not answer.
pub async fn run_once(context: &PaymentsContext) -> Result<usize> {
    let mut hands = context.free_hands().await;
    let outlook = context.gateway.outlook();
    match outlook {
        Outlook::Flow => {}
        Outlook::Probe => hands.truncate(1),
        Outlook::Wait(_) => return Ok(0),
    }
    if hands.is_empty() {
        return Ok(0);
    }
    let drives = lease(context, hands.len()).await?;
    let count = drives.len();
    for (drive, hand) in zip(drives, hands) {
        let drive = traced(context, drive);
        let drive = tokio::spawn(async move {
            let _hand = hand;
            drive.await;
        });
        if outlook == Outlook::Probe {
            let _end = drive.await;
        }
    }
    Ok(count)
}

/// How long until something is due, by what is written now, and the provider may be asked; `None` if nothing will be due.
///
/// # Errors
/// If the database does not answer.
pub async fn until_next(context: &PaymentsContext) -> Result<Option<Duration>> {
    let due = context.platform.db.read((), |conn, ()| Box::pin(store::next_due(conn))).await?;
    let now = context.platform.clock.machine();
    let rest = match context.gateway.outlook() {
        Outlook::Flow | Outlook::Probe => TimeDelta::zero(),
        Outlook::Wait(rest) => rest,
    };
    Ok(due.map(|due| due.since(now).max(rest).to_std().unwrap_or_default()))
}

/// Leases `limit` payments and refunds at most.
async fn lease(context: &PaymentsContext, limit: usize) -> Result<Vec<Drive>> {
    let (clock, dice) = (&context.platform.clock, &context.platform.dice);
    let now = clock.machine();
    let round = || Round { now, domain_now: clock.domain(), attempt_ids: (0..limit).map(|_| dice.uuid(now)).collect() };
    let leased = context.platform.db.transaction((round(), round()), |tx, (for_payments, for_refunds)| {
        Box::pin(async move {
            let payments = work::lease(tx, for_payments).await?;
            let left = for_refunds.less(payments.len());
            Ok((payments, refunds::lease(tx, &left).await?))
        })
    });
    let (payments, refunds) = leased.await?;
    let failures =
        payments.iter().map(|task| task.payment.failures).chain(refunds.iter().map(|task| task.refund.failures));
    context.gateway.begun(failures.filter(|failures| *failures == 0).count());
    let payments = payments.into_iter().map(|task| payment::drive(context.clone(), task).boxed());
    let refunds = refunds.into_iter().map(|task| refund::drive(context.clone(), task).boxed());
    Ok(payments.chain(refunds).collect())
}

/// Gives a drive a trace id of its own, so that its log lines are found together. One that breaks off is taken up again when its
/// lease has run out.
fn traced(context: &PaymentsContext, drive: Drive) -> BoxFuture<'static, ()> {
    let trace_id = context.platform.dice.uuid(context.platform.clock.machine()).simple().to_string();
    let trace = telemetry::Context { trace_id: trace_id.into(), path: "payments".into() };
    let span = telemetry::span(&trace);
    let logged = async {
        if let Err(error) = drive.await {
            tracing::warn!(%error, "work on a payment was broken off");
        }
    };
    telemetry::within(Some(trace), logged).instrument(span).boxed()
}
