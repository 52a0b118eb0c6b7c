//! What the worker commits about payments. Between two commits there is at most one call to the provider, and no transaction is
//! open while it is made: [`lease`] commits what is about to be asked, [`conclude`] what was answered and what is asked next.

use chrono::TimeDelta;
use serde_json::json;
use uuid::Uuid;

use super::{Replacement, news, replace};
use crate::payments::ledger::{self, Stamp};
use crate::payments::machine::{self, News, Step};
use crate::payments::model::{Operation, Payment, Purpose, State};
use crate::payments::store::{self, Finished, InsertRefund, Lease, Pace, Started};
use crate::platform::clock::{DomainTime, MachineTime};
use crate::platform::db::Tx;
use crate::platform::error::Result;
use crate::platform::ids::{PaymentId, RefundId};
use crate::platform::outbox;
use crate::platform::wake::Wake;

/// How long a lease lasts; each commit under it begins it anew. Longer than any call (`worker.rs` has that checked).
pub const LEASE: TimeDelta = TimeDelta::seconds(30);

/// After so many calls in a row without an answer (about five minutes) a person is told. The calls go on.
pub const FAILURES_MAX: i16 = 12;

/// A hold is looked at after this long. Card networks give one up after seven days, and the provider tells: but an event can be
/// lost, and the last day is when it matters.
const HOLD_LOOKED_AT_AFTER: TimeDelta = TimeDelta::days(6);

/// And then again after this long, until it is captured, released or gone.
const HOLD_LOOKED_AT_EVERY: TimeDelta = TimeDelta::hours(12);

/// An attempt that stands committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Its id.
    pub id: Uuid,
    /// The `Idempotency-Key` to send.
    pub key: String,
}

/// A step that the lease holder is to take now.
#[derive(Debug, Clone)]
pub struct Task {
    /// The payment, with the token of the lease.
    pub payment: Payment,
    /// What to do.
    pub step: Step,
    /// The attempt that stands committed for it, if it changes something at the provider.
    pub attempt: Option<Attempt>,
    /// Until when the lease lasts.
    pub leased_until: MachineTime,
}

/// A round of leasing.
#[derive(Debug)]
pub struct Round {
    /// The machine's time.
    pub now: MachineTime,
    /// The domain's time.
    pub domain_now: DomainTime,
    /// An id for each attempt that may be started: no more than these are leased.
    pub attempt_ids: Vec<Uuid>,
}

impl Round {
    /// The same, for so many fewer.
    pub fn less(&self, count: usize) -> Self {
        Self { attempt_ids: self.attempt_ids.iter().skip(count).copied().collect(), ..*self }
    }

    /// The leases to take.
    pub(super) fn lease(&self) -> Lease {
        let limit = i64::try_from(self.attempt_ids.len()).unwrap_or(i64::MAX);
        Lease { now: self.now, domain_now: self.domain_now, until: self.now + LEASE, limit }
    }
}

/// Leases payments that are due, and commits what is about to be asked of the provider.
///
/// What a former lease holder had started, and never finished, becomes unknown here.
///
/// # Errors
/// If the database does not answer.
pub async fn lease(tx: &mut Tx, round: &Round) -> Result<Vec<Task>> {
    let payments = store::lease_payments(tx, round.lease()).await?;
    if payments.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<PaymentId> = payments.iter().map(|payment| payment.id).collect();
    store::forsake_attempts(tx, &ids, round.now).await?;
    let unresolved = store::unresolved_attempts(tx, &ids).await?;

    let mut tasks = Vec::with_capacity(payments.len());
    for (payment, attempt_id) in payments.into_iter().zip(&round.attempt_ids) {
        let step = match machine::next(&payment, unresolved.get(&payment.id), round.now) {
            // It rests, and is due all the same: the provider has hinted at news, or it is time to look.
            Step::Rest => Step::LookUp,
            step => step,
        };
        tasks.push(begin(tx, payment, step, Begin { attempt_id: *attempt_id, now: round.now }).await?);
    }
    Ok(tasks)
}

/// When a step begins, and the id of its attempt.
struct Begin {
    attempt_id: Uuid,
    now: MachineTime,
}

/// Commits to a step: writes its attempt, if it changes something at the provider.
async fn begin(tx: &mut Tx, payment: Payment, step: Step, begin: Begin) -> Result<Task> {
    let leased_until = begin.now + LEASE;
    let (operation, key, amount) = match &step {
        Step::Create(key) => (Operation::Create, key.clone(), Some(payment.amount.amount)),
        Step::Confirm => (Operation::Confirm, None, None),
        Step::Capture(amount) => (Operation::Capture, None, Some(*amount)),
        Step::Cancel => (Operation::Cancel, None, None),
        Step::Rest | Step::Find(_) | Step::Forget | Step::LookUp => {
            return Ok(Task { payment, step, attempt: None, leased_until });
        }
    };
    let key = key.unwrap_or_else(|| begin.attempt_id.to_string());
    let started = Started {
        id: begin.attempt_id,
        payment_id: payment.id,
        refund_id: None,
        operation,
        key: &key,
        amount,
        lease_token: payment.lease_token,
    };
    store::start_attempt(tx, &started, begin.now).await?;
    Ok(Task { payment, step, attempt: Some(Attempt { id: begin.attempt_id, key }), leased_until })
}

/// What a lease holder brings back from a step.
#[derive(Debug)]
pub struct Report {
    /// The payment.
    pub payment_id: PaymentId,
    /// The token of the lease.
    pub lease_token: i64,
    /// What was done.
    pub step: Step,
    /// How its attempt ended, if it had one.
    pub end: Option<Finished>,
    /// What was heard.
    pub heard: Heard,
    /// When, and what the consequences are to be called.
    pub aftermath: Aftermath,
}

/// What a lease holder has heard from the provider.
#[derive(Debug)]
pub enum Heard {
    /// Something that tells.
    News {
        /// The provider's id of the intent, where the answer shows one.
        intent_id: Option<String>,
        /// What it tells.
        news: News,
    },
    /// Nothing that tells, and why.
    Nothing(String),
}

/// The times of a conclusion, and ids for what it may bring about. Made before the transaction, so that one that is run again
/// does the same.
#[derive(Debug, Clone)]
pub struct Aftermath {
    /// The machine's time.
    pub now: MachineTime,
    /// The domain's time.
    pub domain_now: DomainTime,
    /// When to try again, if it comes to that.
    pub retry_at: MachineTime,
    /// For the next attempt.
    pub attempt_id: Uuid,
    /// For a posting.
    pub posting_id: Uuid,
    /// For a refund of what should not have been taken.
    pub refund_id: RefundId,
    /// For a tip's posting.
    pub tip_posting_id: Uuid,
    /// For a payment that takes this one's place.
    pub replacement_id: PaymentId,
    /// The process is about to end: the next step is left to another.
    pub is_last: bool,
}

/// Commits what was heard and what follows from it; returns the next step, if there is one to take at once.
///
/// A step never leads to itself: an answer that leaves a payment where it was is a failure, and has to wait. So the steps under
/// one lease are as few as the payment's states.
///
/// # Errors
/// If the database does not answer. A lease that was lost is no error: its new holder knows better, and nothing is written.
pub async fn conclude(tx: &mut Tx, report: &Report) -> Result<Option<Task>> {
    let aftermath = &report.aftermath;
    let Some(before) = store::leased_payment(tx, report.payment_id, report.lease_token).await? else {
        tracing::warn!(payment_id = %report.payment_id, "overtaken: the lease was lost");
        return Ok(None);
    };
    if let Some(end) = &report.end {
        store::finish_attempt(tx, end, report.lease_token, aftermath.now).await?;
    }
    let (after, step) = match &report.heard {
        Heard::Nothing(why) => (failed(&before, why), None),
        Heard::News { intent_id, news } => {
            let known = Payment {
                provider_intent_id: before.provider_intent_id.clone().or_else(|| intent_id.clone()),
                ..before.clone()
            };
            follow(&report.step, machine::learn(&known, news), aftermath.now)
        }
    };
    let after = Payment { version: before.version + i64::from(has_changed(&before, &after)), ..after };
    let pace = match (&step, after.failures) {
        (Some(_), _) if aftermath.is_last => Pace::due(aftermath.now),
        (Some(_), _) => Pace::going_on(aftermath.now, aftermath.now + LEASE),
        (None, 0) => Pace { look_at: look_at(&before, &after, aftermath.domain_now), ..Pace::REST },
        (None, _) => Pace::due(aftermath.retry_at),
    };
    store::save_payment(tx, &before, &after, pace, aftermath.domain_now).await?;
    consequences(tx, &before, &after, aftermath).await?;
    let is_told = matches!(report.heard, Heard::News { .. });
    if is_told && (after.attention.is_none() || after.state.is_terminal()) {
        store::resolve_attempts(tx, after.id, aftermath.now).await?;
    }
    match step.filter(|_| !aftermath.is_last) {
        Some(step) => {
            let next = Begin { attempt_id: aftermath.attempt_id, now: aftermath.now };
            begin(tx, after, step, next).await.map(Some)
        }
        None => Ok(None),
    }
}

/// What a payment is, and what to do next, once `after` was learnt from taking `step`.
fn follow(step: &Step, after: Payment, now: MachineTime) -> (Payment, Option<Step>) {
    if after.attention.is_some() {
        return (after, None);
    }
    match machine::next(&after, None, now) {
        Step::Rest => (after, None),
        next if next == *step => (failed(&after, "the answer left it where it was"), None),
        next => (after, Some(next)),
    }
}

/// A payment after one more call that brought nothing.
fn failed(payment: &Payment, why: &str) -> Payment {
    let failures = payment.failures.saturating_add(1);
    let told = (failures >= FAILURES_MAX).then(|| format!("no use of {failures} calls in a row: {why}"));
    Payment { failures, attention: told.or_else(|| payment.attention.clone()), ..payment.clone() }
}

/// When a hold is looked at next: shortly before the provider is expected to give it up, and then twice a day.
fn look_at(before: &Payment, after: &Payment, now: DomainTime) -> Option<DomainTime> {
    match (before.state, after.state) {
        (State::Authorized, State::Authorized) => Some(now + HOLD_LOOKED_AT_EVERY),
        (_, State::Authorized) => Some(now + HOLD_LOOKED_AT_AFTER),
        _ => None,
    }
}

/// Whether a reader would notice.
fn has_changed(before: &Payment, after: &Payment) -> bool {
    let seen = |payment: &Payment| {
        let Payment { state, authorized, captured, refund_reserved, .. } = *payment;
        (state, authorized, captured, refund_reserved, payment.decline_code.clone(), payment.attention.clone())
    };
    seen(before) != seen(after)
}

/// Writes what follows from a change: the ledger, a refund of what should not have been taken, a payment in this one's place, news
/// for the trip.
async fn consequences(tx: &mut Tx, before: &Payment, after: &Payment, aftermath: &Aftermath) -> Result<()> {
    if before.state == after.state {
        return Ok(());
    }
    let (now, domain_now) = (aftermath.now, aftermath.domain_now);
    news::payment_changed(tx, after, domain_now, now).await?;
    if after.state == State::Captured {
        let stamp = |id| Stamp { id, at: domain_now };
        for posting in ledger::capture(after, stamp(aftermath.posting_id), stamp(aftermath.tip_posting_id)) {
            store::post(tx, &posting).await?;
        }
    }
    if after.refund_reserved > before.refund_reserved {
        let refund = InsertRefund {
            id: aftermath.refund_id,
            payment_id: after.id,
            amount: after.refund_reserved - before.refund_reserved,
            key_id: None,
            created_at: domain_now,
            due_at: now,
        };
        store::insert_refund(tx, &refund).await?;
        tx.wake(Wake::Payments);
    }
    if let Some(intent) = machine::replacement(after) {
        let amount = intent.capture_amount().unwrap_or(after.amount.amount);
        let new = Replacement { id: aftermath.replacement_id, intent, amount };
        replace(tx, after, new, domain_now, now).await?;
    }
    tell_trip(tx, after, now).await
}

/// Tells the trip what became of its fare.
async fn tell_trip(tx: &mut Tx, payment: &Payment, now: MachineTime) -> Result<()> {
    let mut payload = json!({ "payment_id": payment.id, "purpose": payment.purpose.as_str() });
    let topic = match (payment.purpose, payment.state) {
        (Purpose::Fare, State::Authorized) => {
            payload["authorized_at"] = json!(now);
            "payment.authorized"
        }
        (Purpose::Fare, State::Declined) => "payment.declined",
        _ => return Ok(()),
    };
    outbox::publish(tx, topic, payment.trip_id, payload, now).await
}
