//! Operators' decisions about payments and refunds that need review, recorded with the operator, the time and the reason.

use uuid::Uuid;

use super::history::{self, ChangedAt};
use super::{Replacement, check_undisputed, events, replace};
use crate::payments::ledger::{self, PostingStamp};
use crate::payments::model::{CallPool, Goal, Payment, Refund, RefundState};
use crate::payments::state_machine::resolve::{
    self as state_machine, NotResolvable, PaymentResolution, RefundResolution, ResolveAction,
};
use crate::payments::store::{self, InsertRefund, ResolutionRow};
use crate::platform::clock::{DomainTime, MachineTime};
use crate::platform::db::Tx;
use crate::platform::error::{Code, IfMatch, OnConstraint, Refusal, Result, check_version};
use crate::platform::ids::{Id, PaymentId, RefundId};
use crate::platform::wake::Wake;

/// An operator's decision, with times and ids for its effects.
#[derive(Debug, Clone)]
pub struct ResolveDecision {
    /// The decision.
    pub action: ResolveAction,
    /// The reason, 1 to 500 characters.
    pub note: String,
    /// The operator.
    pub operator_id: Uuid,
    /// The versions that the payment may have.
    pub if_version: IfMatch,
    /// The domain's time.
    pub now: DomainTime,
    /// The machine's time.
    pub machine_now: MachineTime,
    /// The id of the decision.
    pub id: Uuid,
    /// The id of a posting.
    pub posting_id: Uuid,
    /// The id of a payment that requests a debt.
    pub payment_id: PaymentId,
    /// The id of a refund that replaces a failed one.
    pub refund_id: RefundId,
}

impl ResolveDecision {
    fn at(&self) -> ChangedAt {
        ChangedAt { domain: self.now, machine: self.machine_now }
    }
}

/// Resolves a payment; returns it after that.
///
/// # Errors
/// 404 without such a payment; 409 `not_resolvable` if it needs no review or the action does not apply; 412.
pub async fn payment(tx: &mut Tx, (id, decision): &(PaymentId, ResolveDecision)) -> Result<Payment> {
    let before = lock(tx, *id, decision).await?;
    let written_off = match state_machine::payment(&before, decision.action).map_err(refused)? {
        PaymentResolution::Retry(_) => {
            store::retry_payment(tx, &before, decision.machine_now).await?;
            tx.wake(CallPool::of(before.state, before.goal).wake());
            0
        }
        PaymentResolution::Replace(after, amount) => {
            close(tx, &before, &after, decision).await?;
            let new = Replacement { id: decision.payment_id, goal: Goal::Capture(amount), amount };
            let has_replacement = || refused(NotResolvable("another payment requests the debt already"));
            replace(tx, &after, new, decision.now, decision.machine_now)
                .await
                .on_constraint("one_live_payment_per_purpose", has_replacement)
                .on_constraint("replaced_once", has_replacement)?;
            0
        }
        PaymentResolution::Close(after, amount) => {
            close(tx, &before, &after, decision).await?;
            if after.state != before.state {
                let saved = Payment { version: before.version + 1, ..after.clone() };
                events::payment_changed(tx, &saved, decision.now, decision.machine_now).await?;
            }
            if amount > 0 {
                let stamp = PostingStamp { id: decision.posting_id, at: decision.now };
                store::post(tx, &[ledger::write_off(&after, amount, stamp)]).await?;
            }
            amount
        }
    };
    let review = before.needs_review.as_deref().unwrap_or_default();
    record(tx, decision, Subject { payment_id: before.id, refund_id: None, review, written_off }).await?;
    reread(tx, before.id).await
}

/// Resolves a refund; returns its payment after that.
///
/// # Errors
/// As [`payment`]; 409 `not_refundable` if a failed refund is to be replaced and too little is left, `payment_disputed` if the charge
/// is disputed.
pub async fn refund(tx: &mut Tx, (id, decision): &(RefundId, ResolveDecision)) -> Result<Payment> {
    let found = store::refund(tx, *id).await?.ok_or_else(|| Refusal::not_found("refund"))?;
    // The payment's lock comes first, as in every command.
    let payment = lock(tx, found.payment_id, decision).await?;
    let before = store::lock_refund(tx, *id).await?.ok_or_else(|| Refusal::not_found("refund"))?;
    let unresolved = store::unresolved_attempts(tx, &[before.id.uuid()]).await?;
    let is_answered = unresolved.get(&before.id.uuid()).is_some_and(|sent| sent.answered);
    match state_machine::refund(&before, decision.action, is_answered).map_err(refused)? {
        RefundResolution::Retry(after) => {
            store::retry_refund(tx, &after, decision.machine_now).await?;
            store::reserve_refund(tx, &payment, 0).await?;
            tx.wake(Wake::Settlement);
        }
        RefundResolution::Replace(after) => {
            store::close_refund(tx, &after, decision.machine_now).await?;
            replace_refund(tx, &payment, &after, decision).await?;
        }
        RefundResolution::Fail(after) => {
            store::close_refund(tx, &after, decision.machine_now).await?;
            store::reserve_refund(tx, &payment, -after.amount).await?;
            let refund = (payment.id, after.id, after.amount);
            history::refund_is(tx, refund, RefundState::Failed, None, decision.at()).await?;
            let seq = payment.version + 1;
            events::refund_changed(tx, (&after, &payment), seq, decision.now, decision.machine_now).await?;
        }
        RefundResolution::Close(after) => {
            store::close_refund(tx, &after, decision.machine_now).await?;
            store::reserve_refund(tx, &payment, 0).await?;
        }
    }
    let review = before.needs_review.as_deref().unwrap_or_default();
    record(tx, decision, Subject { payment_id: payment.id, refund_id: Some(before.id), review, written_off: 0 })
        .await?;
    reread(tx, payment.id).await
}

/// Ends the review of a payment, and records the change of its state if there is one.
async fn close(tx: &mut Tx, before: &Payment, after: &Payment, decision: &ResolveDecision) -> Result<()> {
    store::close_payment(tx, before, after, decision.machine_now).await?;
    if after.state == before.state {
        return Ok(());
    }
    history::state_changed(tx, before, after, None, decision.at()).await
}

/// Requests a refund of the same amount as one that failed.
async fn replace_refund(tx: &mut Tx, payment: &Payment, failed: &Refund, decision: &ResolveDecision) -> Result<()> {
    let left = payment.refundable();
    if failed.amount > left {
        let (amount, left) = (payment.money(failed.amount), payment.money(left));
        let detail = format!("Cannot refund {amount} again: {left} can be refunded.");
        return Err(Refusal::new(Code::NotRefundable, detail).into());
    }
    check_undisputed(payment)?;
    store::reserve_refund(tx, payment, failed.amount).await?;
    let insert = InsertRefund {
        id: decision.refund_id,
        payment_id: payment.id,
        amount: failed.amount,
        key_id: None, // The row of the decision has it.
        created_at: decision.now,
        due_at: decision.machine_now,
    };
    store::insert_refund(tx, &insert).await?;
    let refund = (payment.id, insert.id, insert.amount);
    history::refund_is(tx, refund, RefundState::Pending, None, decision.at()).await?;
    tx.wake(Wake::Settlement);
    Ok(())
}

async fn lock(tx: &mut Tx, id: PaymentId, decision: &ResolveDecision) -> Result<Payment> {
    let payment = store::lock_payment(tx, id).await?.ok_or_else(|| Refusal::not_found("payment"))?;
    check_version("payment", payment.version, &decision.if_version)?;
    Ok(payment)
}

async fn reread(tx: &mut Tx, id: PaymentId) -> Result<Payment> {
    Ok(store::payment(tx, id).await?.ok_or_else(|| Refusal::not_found("payment"))?)
}

fn refused(NotResolvable(why): NotResolvable) -> Refusal {
    Refusal::new(Code::NotResolvable, format!("Cannot resolve: {why}."))
}

/// What a decision is about.
struct Subject<'a> {
    payment_id: PaymentId,
    refund_id: Option<RefundId>,
    review: &'a str,
    written_off: i64,
}

async fn record(tx: &mut Tx, decision: &ResolveDecision, subject: Subject<'_>) -> Result<()> {
    let resolution = ResolutionRow {
        id: decision.id,
        payment_id: subject.payment_id,
        refund_id: subject.refund_id,
        action: decision.action,
        needs_review: subject.review,
        note: &decision.note,
        operator_id: decision.operator_id,
        written_off: subject.written_off,
        key_id: tx.key_id(),
        at: decision.now,
    };
    store::insert_resolution(tx, &resolution).await
}
