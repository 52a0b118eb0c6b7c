//! Compares our books with the provider's: on a schedule, and when an operator asks. Writes down what differs, applies the rules,
//! and leaves the rest to people.
//!
//! One process at a time is at it, because one run can be; any process may be the next. A run holds a lease that each of its
//! writes renews, and that is renewed while it reads; the run of a process that is gone is abandoned by the next one, and whatever
//! it still wants to write is refused. Nothing is lost with it: a run reads everything anew.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use futures_util::future::BoxFuture;
use uuid::Uuid;

use crate::ops::commands::{self, CancelCall, Holder, NewRepair, Schedule, Survey};
use crate::ops::compare::{self, Comparison};
use crate::ops::model::findings::{self, Counts, Run};
use crate::ops::model::kinds::{Repair, RunState};
use crate::ops::store::{self, Start};
use crate::payments::Gateway;
use crate::payments::gateway::Answer;
use crate::payments::model::Outcome;
use crate::platform::Platform;
use crate::platform::clock::MachineTime;
use crate::platform::error::Result;
use crate::platform::ids::FindingId;

/// How often the schedule asks for a run. A hold that outlived its trip should not annoy its rider for much longer.
const EVERY: TimeDelta = TimeDelta::minutes(15);

/// How often the schedule asks for a run of everything: what is changed by hand at the provider is mostly recent.
const WHOLE_EVERY: TimeDelta = TimeDelta::hours(24);

/// How far a recent run looks back: a day longer than an authorisation lives, so that whatever still moves by itself is in it.
pub const RECENT: TimeDelta = TimeDelta::days(8);

/// How long a run may be silent before it is given up.
const LEASE: TimeDelta = TimeDelta::minutes(5);

/// How often the lease is renewed while books are read: a million intents are ten thousand calls. Several renewals may fail to
/// come before the lease has run out.
const RENEWED_EVERY: Duration = Duration::from_secs(60);

/// Differences that one run writes down, those first that a rule covers. More of them mean another account or an empty database,
/// and no one reads a list of these.
const WRITTEN_MAX: usize = 10_000;

/// Differences that one transaction writes down.
const BATCH: usize = 200;

/// Repairs that one run tries; the rest have the next one. Each may be a call to the provider.
const REPAIRS_MAX: i64 = 100;

/// What the worker needs.
#[derive(Debug, Clone)]
pub struct Reconciler {
    platform: Platform,
    gateway: Gateway,
    /// When the process began: the first run of all is due a while after it.
    began_at: MachineTime,
}

impl Reconciler {
    /// A worker of the service behind `platform`, which takes its payments through `gateway`.
    pub fn new(platform: Platform, gateway: Gateway) -> Self {
        let began_at = platform.clock.machine();
        Self { platform, gateway, began_at }
    }

    fn holder(&self, run: &Run) -> Holder {
        let now = self.platform.clock.machine();
        Holder { run: run.id, now, until: now + LEASE }
    }
}

/// Makes a run, if one is asked for or due; returns how many it made.
///
/// # Errors
/// If the database does not answer. A provider that does not answer is no error: the run is `unchecked`.
pub async fn run_once(context: &Reconciler) -> Result<usize> {
    let Some(run) = begin(context).await? else { return Ok(0) };
    let end = make(context, &run).await;
    let ended = match &end {
        Ok(ended) => ended.clone(),
        // Gone as far as the others are concerned: they need not wait for the lease.
        Err(error) => Run { state: RunState::Abandoned, detail: Some(error.to_string()), ..run },
    };
    tracing::info!(run_id = %ended.id, state = ended.state.as_str(), counts = ?ended.counts, "the books were compared");
    let finish = (ended, context.platform.clock.machine());
    context.platform.db.transaction(finish, |tx, (run, now)| Box::pin(commands::finish(tx, run, *now))).await?;
    end.map(|_| 1)
}

/// Compares, writes down, repairs; the run as it ended.
async fn make(context: &Reconciler, run: &Run) -> Result<Run> {
    let comparison = holding(compare_books(context, run), RENEWED_EVERY, || renew(context, run)).await?;
    match comparison.unchecked.clone() {
        Some(why) => Ok(Run { state: RunState::Unchecked, detail: Some(why), ..run.clone() }),
        None => conclude(context, run, comparison).await,
    }
}

async fn begin(context: &Reconciler) -> Result<Option<Run>> {
    let (clock, dice) = (&context.platform.clock, &context.platform.dice);
    let now = clock.machine();
    let start = Start { now, leased_until: now + LEASE, recent: now - RECENT };
    let schedule = Schedule {
        due: now - EVERY,
        whole_due: now - WHOLE_EVERY,
        first_is_due: now.since(context.began_at) >= EVERY,
        id: dice.id(now),
    };
    let begun = context
        .platform
        .db
        .transaction((start, schedule), |tx, (start, schedule)| Box::pin(commands::start(tx, *start, schedule)));
    match begun.await {
        // Another process was faster.
        Err(error) if error.constraint() == Some("one_run_at_a_time") => Ok(None),
        end => end,
    }
}

/// Does `work`, and has the lease renewed while it lasts; breaks it off if the run was given up meanwhile.
///
/// # Errors
/// What `work` returns, or `renew` when the run is somebody else's.
async fn holding<T>(
    work: impl Future<Output = Result<T>>,
    every: Duration,
    renew: impl Fn() -> BoxFuture<'static, Result<()>>,
) -> Result<T> {
    let mut work = pin!(work);
    loop {
        tokio::select! {
            end = &mut work => return end,
            () = tokio::time::sleep(every) => match renew().await {
                // The lease is longer than that: the next one may come in time.
                Err(error) if error.is_lost() => tracing::warn!(%error, "a run's lease could not be renewed"),
                held => held?,
            },
        }
    }
}

/// Begins the run's lease anew.
fn renew(context: &Reconciler, run: &Run) -> BoxFuture<'static, Result<()>> {
    let (db, holder) = (context.platform.db.clone(), context.holder(run));
    Box::pin(async move {
        db.transaction(holder, |tx, holder| Box::pin(store::hold_run(tx, holder.run, holder.until))).await
    })
}

async fn compare_books(context: &Reconciler, run: &Run) -> Result<Comparison> {
    let (taken_at, since) = (context.platform.clock.machine(), run.since);
    let ours =
        context.platform.db.snapshot((), move |conn, ()| Box::pin(compare::our_books(conn, taken_at, since))).await?;
    compare::with_provider(&context.platform, &context.gateway, ours).await
}

/// Writes down what was seen and what is gone, and applies the rules.
async fn conclude(context: &Reconciler, run: &Run, mut comparison: Comparison) -> Result<Run> {
    comparison.differences.sort_by_key(|difference| difference.repair == Repair::None);
    let (payments, intents, refunds) = comparison.sizes;
    let mut counts = Counts {
        payments: whole(payments),
        unsettled: whole(comparison.unsettled),
        intents: whole(intents),
        foreign_intents: whole(comparison.foreign),
        refunds: whole(refunds),
        differences: whole(comparison.differences.len()),
        ..Counts::default()
    };
    let too_many = comparison.differences.len() > WRITTEN_MAX;
    let (db, dice) = (&context.platform.db, &context.platform.dice);
    for batch in comparison.differences.chunks(BATCH).take(WRITTEN_MAX / BATCH) {
        let holder = context.holder(run);
        let batch: Vec<_> = batch.iter().map(|one| (dice.id::<FindingId>(holder.now), one.clone())).collect();
        counts.found += db
            .transaction((holder, batch), |tx, (holder, batch)| Box::pin(commands::record(tx, *holder, batch)))
            .await?;
    }
    counts.ended = end_gone(context, run, comparison).await?;
    counts.repairs = repair(context, run).await?;
    let detail = too_many.then(|| format!("only the first {WRITTEN_MAX} differences were written down"));
    Ok(Run { state: RunState::Checked, counts, detail, ..run.clone() })
}

/// Ends what was looked for and is gone, batch by batch; returns how much.
async fn end_gone(context: &Reconciler, run: &Run, comparison: Comparison) -> Result<i64> {
    let seen = comparison.differences.into_iter().map(|difference| (difference.kind, difference.subject)).collect();
    let survey = Arc::new(Survey { seen, looked: comparison.looked });
    let mut count = 0;
    let mut next = Some(FindingId::from(Uuid::nil()));
    while let Some(after) = next {
        let batch = (context.holder(run), after, Arc::clone(&survey));
        let ended = context
            .platform
            .db
            .transaction(batch, |tx, (holder, after, survey)| Box::pin(commands::end_gone(tx, *holder, *after, survey)))
            .await?;
        count += ended.count;
        next = ended.next;
    }
    Ok(count)
}

/// Applies the rules to what this run has seen; returns how often.
async fn repair(context: &Reconciler, run: &Run) -> Result<i64> {
    let (db, dice, clock) = (&context.platform.db, &context.platform.dice, &context.platform.clock);
    let since = run.started_at.unwrap_or(run.asked_at);
    let repairable = db.read(since, |conn, since| {
        Box::pin(store::repairable_findings(conn, *since, findings::REPAIRS_MAX, REPAIRS_MAX))
    });
    let mut tried = 0;
    for finding_id in repairable.await? {
        if context.platform.shutdown.is_cancelled() {
            break;
        }
        let holder = context.holder(run);
        let new = NewRepair {
            finding_id,
            id: dice.uuid(holder.now),
            refund_id: dice.id(holder.now),
            domain_now: clock.domain(),
        };
        let call =
            db.transaction((holder, new), |tx, (holder, new)| Box::pin(commands::repair(tx, *holder, new))).await?;
        if let Some(call) = call {
            let end = cancel(context, &call).await;
            let input = (context.holder(run), call.repair, end);
            db.transaction(input, |tx, (holder, id, end)| Box::pin(commands::end_repair(tx, *holder, *id, end)))
                .await?;
        }
        tried += 1;
    }
    Ok(tried)
}

/// Makes the call that stands committed. Whatever comes of it, the next run sees how the intent stands.
async fn cancel(context: &Reconciler, call: &CancelCall) -> (Outcome, Option<String>) {
    let answer = context.gateway.cancel(&call.intent, &call.key).await;
    context.platform.metrics.provider_calls.with_label_values(&["cancel", answer.label()]).inc();
    match answer {
        Answer::Done(_) => (Outcome::Succeeded, None),
        Answer::Refused { code, .. } => (Outcome::Declined, Some(code)),
        Answer::Unknown { why, .. } => (Outcome::Unknown, Some(why)),
        Answer::NotSent { why } => (Outcome::NotSent, Some(why)),
    }
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

    const AT_ONCE: Duration = Duration::ZERO;

    #[tokio::test]
    async fn the_lease_is_renewed_for_as_long_as_the_books_are_read() {
        let renewed = Arc::new(AtomicU32::new(0));
        let reading = async {
            while renewed.load(Ordering::Relaxed) < 3 {
                tokio::task::yield_now().await;
            }
            Ok("read")
        };
        let renew = || {
            renewed.fetch_add(1, Ordering::Relaxed);
            Box::pin(async { Ok(()) }) as BoxFuture<'static, _>
        };
        assert_eq!(holding(reading, AT_ONCE, renew).await.expect("it is held"), "read");
        assert_eq!(renewed.load(Ordering::Relaxed), 3, "it was renewed after the end");
    }

    #[tokio::test]
    async fn reading_is_broken_off_when_the_run_was_given_up() {
        let given_up =
            || Box::pin(async { Err(Refusal::new(Code::Internal, "given up").into()) }) as BoxFuture<'static, _>;
        let end = holding(pending::<Result<()>>(), AT_ONCE, given_up).await;
        assert!(matches!(end, Err(Error::Refused(_))), "{end:?}");
    }

    #[tokio::test]
    async fn reading_goes_on_when_a_renewal_is_lost() {
        let tries = AtomicU32::new(0);
        let reading = async {
            while tries.load(Ordering::Relaxed) < 2 {
                tokio::task::yield_now().await;
            }
            Ok("read")
        };
        let renew = || {
            tries.fetch_add(1, Ordering::Relaxed);
            Box::pin(async { Err(Refusal::new(Code::Overloaded, "no connection in time").into()) })
                as BoxFuture<'static, _>
        };
        assert_eq!(holding(reading, AT_ONCE, renew).await.expect("it is held"), "read");
    }
}
