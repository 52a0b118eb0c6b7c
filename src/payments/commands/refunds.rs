//! What the worker commits about refunds: as for payments, with a refund in a payment's place.

use std::iter::zip;

use chrono::TimeDelta;

use super::news;
use super::work::{Aftermath, Attempt, FAILURES_MAX, LEASE, Round};
use crate::payments::ledger::{self, Stamp};
use crate::payments::machine::refund::{self as machine, Absent, Status, Step};
use crate::payments::model::{Operation, Payment, Refund, RefundState};
use crate::payments::store::{self, Finished, Pace, Started};
use crate::platform::clock::MachineTime;
use crate::platform::db::Tx;
use crate::platform::error::Result;
use crate::platform::ids::{PaymentId, RefundId};

/// How long until a refund that is on its way is looked at again, should no event come before.
const LOOK_AGAIN: TimeDelta = TimeDelta::minutes(1);

/// A step that the lease holder is to take now.
#[derive(Debug, Clone)]
pub struct Task {
    /// The refund, with the token of the lease.
    pub refund: Refund,
    /// The provider's id of the intent that was captured.
    pub intent: String,
    /// What to do.
    pub step: Step,
    /// The attempt that stands committed for it, if it is one.
    pub attempt: Option<Attempt>,
    /// Until when the lease lasts.
    pub leased_until: MachineTime,
}

/// Leases refunds that are due, and commits what is about to be asked of the provider.
///
/// # Errors
/// If the database does not answer.
pub async fn lease(tx: &mut Tx, round: &Round) -> Result<Vec<Task>> {
    let refunds = store::lease_refunds(tx, round.lease()).await?;
    if refunds.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<RefundId> = refunds.iter().map(|refund| refund.id).collect();
    store::forsake_refund_attempts(tx, &ids, round.now).await?;
    let unresolved = store::unresolved_refund_attempts(tx, &ids).await?;

    let mut tasks = Vec::with_capacity(refunds.len());
    for (refund, attempt_id) in zip(refunds, &round.attempt_ids) {
        let payment = store::one(tx, refund.payment_id).await?;
        let Some(intent) = payment.and_then(|payment| payment.provider_intent_id) else {
            // Never, or a bug. It must not keep the others waiting.
            let attention = Some("it is of a payment that the provider has no intent for".to_owned());
            store::save_refund(tx, &Refund { attention, failures: 0, ..refund }, Pace::REST).await?;
            continue;
        };
        let step = machine::next(&refund, unresolved.get(&refund.id), round.now);
        let task = Task { refund, intent, step, attempt: None, leased_until: round.now + LEASE };
        tasks.push(begin(tx, task, *attempt_id, round.now).await?);
    }
    Ok(tasks)
}

/// Commits to a step: writes its attempt, if it is one.
async fn begin(tx: &mut Tx, task: Task, attempt_id: uuid::Uuid, now: MachineTime) -> Result<Task> {
    let Step::Send(key) = &task.step else { return Ok(task) };
    let key = key.clone().unwrap_or_else(|| attempt_id.to_string());
    let started = Started {
        id: attempt_id,
        payment_id: task.refund.payment_id,
        refund_id: Some(task.refund.id),
        operation: Operation::Refund,
        key: &key,
        amount: Some(task.refund.amount),
        lease_token: task.refund.lease_token,
    };
    store::start_attempt(tx, &started, now).await?;
    Ok(Task { attempt: Some(Attempt { id: attempt_id, key }), ..task })
}

/// What a lease holder brings back from a step.
#[derive(Debug)]
pub struct Report {
    /// The refund.
    pub refund_id: RefundId,
    /// The payment that it is a part of.
    pub payment_id: PaymentId,
    /// The token of the lease.
    pub lease_token: i64,
    /// The provider's id of the intent that was captured.
    pub intent: String,
    /// What was done.
    pub step: Step,
    /// How its attempt ended, if it was one.
    pub end: Option<Finished>,
    /// What was heard.
    pub heard: Heard,
    /// When, and what the consequences are to be called.
    pub aftermath: Aftermath,
}

/// What a lease holder has heard from the provider.
#[derive(Debug)]
pub enum Heard {
    /// The refund as it stands.
    Seen {
        /// The provider's id of it.
        id: String,
        /// How it stands.
        status: Status,
    },
    /// It was refused for good, and is not made.
    Refused(String),
    /// It is not in the provider's list, though it was asked for.
    Absent,
    /// Nothing that tells, and why.
    Nothing(String),
}

/// Commits what was heard and what follows from it; returns the next step, if there is one to take at once.
///
/// # Errors
/// If the database does not answer. A lease that was lost is no error: its new holder knows better, and nothing is written.
pub async fn conclude(tx: &mut Tx, report: &Report) -> Result<Option<Task>> {
    let aftermath = &report.aftermath;
    // The payment's lock first, as in every command.
    let payment = store::lock(tx, report.payment_id).await?;
    let before = store::leased_refund(tx, report.refund_id, report.lease_token).await?;
    let (Some(payment), Some(before)) = (payment, before) else {
        tracing::warn!(refund_id = %report.refund_id, "overtaken: the lease was lost");
        return Ok(None);
    };
    if let Some(end) = &report.end {
        store::finish_attempt(tx, end, report.lease_token, aftermath.now).await?;
    }
    let retry = Pace::due(aftermath.retry_at);
    let (after, pace) = match (&report.heard, &report.step) {
        (Heard::Seen { id, status }, _) => {
            let after = seen(&before, id, status);
            let is_pending = after.state == RefundState::Pending;
            (after, if is_pending { Pace::due(aftermath.now + LOOK_AGAIN) } else { Pace::REST })
        }
        (Heard::Refused(code), Step::Send(_)) => (refused(&before, code), Pace::REST),
        (Heard::Refused(code), _) => (given_up(&before, format!("the provider does not show it: {code}")), Pace::REST),
        (Heard::Absent, Step::Find(next @ (Absent::Again(_) | Absent::Anew))) => {
            return send(tx, report, before, next).await.map(Some);
        }
        (Heard::Absent, _) => {
            let why = "it was sent, the provider does not list it, and its key is too old to be used again";
            (given_up(&before, why.to_owned()), Pace::REST)
        }
        (Heard::Nothing(why), _) => (failed(&before, why), retry),
    };
    store::save_refund(tx, &after, pace).await?;
    if after.provider_refund_id.is_some() || after.state != RefundState::Pending {
        store::resolve_refund_attempts(tx, after.id, aftermath.now).await?;
    }
    settle(tx, &payment, &after, aftermath).await?;
    Ok(None)
}

/// Goes on to ask for a refund that is not in the provider's list.
async fn send(tx: &mut Tx, report: &Report, before: Refund, next: &Absent) -> Result<Task> {
    let now = report.aftermath.now;
    let key = match next {
        Absent::Again(key) => Some(key.clone()),
        Absent::Anew | Absent::GiveUp => {
            store::resolve_refund_attempts(tx, before.id, now).await?;
            None
        }
    };
    let refund = Refund { another_key: false, ..before };
    store::save_refund(tx, &refund, Pace::going_on(now, now + LEASE)).await?;
    let (intent, step) = (report.intent.clone(), Step::Send(key));
    let task = Task { refund, intent, step, attempt: None, leased_until: now + LEASE };
    begin(tx, task, report.aftermath.attempt_id, now).await
}

/// Writes what the end of a refund means for the payment and the ledger.
async fn settle(tx: &mut Tx, payment: &Payment, after: &Refund, aftermath: &Aftermath) -> Result<()> {
    match after.state {
        RefundState::Pending => return Ok(()),
        RefundState::Succeeded => {
            let stamp = Stamp { id: aftermath.posting_id, at: aftermath.domain_now };
            store::post(tx, &ledger::refund(after, payment, stamp)).await?;
            store::reserve_refund(tx, payment, 0).await?;
        }
        RefundState::Failed => store::reserve_refund(tx, payment, -after.amount).await?,
    }
    // Its end is a new version of the payment.
    news::refund_changed(tx, (after, payment), payment.version + 1, aftermath.domain_now, aftermath.now).await
}

fn seen(before: &Refund, id: &str, status: &Status) -> Refund {
    let after = Refund {
        state: machine::learn(before.state, status),
        provider_refund_id: Some(id.to_owned()),
        failures: 0,
        attention: None,
        ..before.clone()
    };
    match status {
        Status::Failed { code } => told_of_failure(after, code),
        Status::Pending | Status::Succeeded => after,
    }
}

fn refused(before: &Refund, code: &str) -> Refund {
    told_of_failure(Refund { state: RefundState::Failed, ..before.clone() }, code)
}

/// Going on could give the money back twice, so a person decides.
fn given_up(before: &Refund, why: String) -> Refund {
    Refund { attention: Some(why), failures: 0, ..before.clone() }
}

/// The rider is owed it still, so a person looks at it.
fn told_of_failure(refund: Refund, code: &str) -> Refund {
    Refund { failure_code: Some(code.to_owned()), attention: Some(format!("the refund failed: {code}")), ..refund }
}

/// A refund after one more call that brought nothing.
fn failed(refund: &Refund, why: &str) -> Refund {
    let failures = refund.failures.saturating_add(1);
    let told = (failures >= FAILURES_MAX).then(|| format!("no use of {failures} calls in a row: {why}"));
    Refund { failures, attention: told.or_else(|| refund.attention.clone()), ..refund.clone() }
}
