//! What operators decide about payments and refunds that wait for a person, written down with who, when and why.

use uuid::Uuid;

use super::{Replacement, news, replace};
use crate::payments::ledger::{self, Stamp};
use crate::payments::machine::resolve::{self as machine, Action, NotNow, RefundResolved, Resolved};
use crate::payments::model::{Intent, Payment, Refund};
use crate::payments::store::{self, InsertRefund, Resolution};
use crate::platform::clock::{DomainTime, MachineTime};
use crate::platform::db::Tx;
use crate::platform::error::{Code, OnConstraint, Refusal, Result};
use crate::platform::ids::{PaymentId, RefundId};
use crate::platform::wake::Wake;

/// An operator's decision, with the times and ids for what it may bring about.
#[derive(Debug, Clone)]
pub struct Decision {
    /// What is decided.
    pub action: Action,
    /// Why, for whoever reads it later: 1 to 500 characters.
    pub note: String,
    /// Who decides.
    pub operator_id: Uuid,
    /// The version that the payment must have, if the caller cares.
    pub if_version: Option<i64>,
    /// The domain's time.
    pub now: DomainTime,
    /// The machine's time.
    pub machine_now: MachineTime,
    /// For the decision itself.
    pub id: Uuid,
    /// For a posting.
    pub posting_id: Uuid,
    /// For a payment that asks for a debt.
    pub payment_id: PaymentId,
    /// For a refund in a failed one's place.
    pub refund_id: RefundId,
}

/// Decides about a payment; it as it is then.
///
/// # Errors
/// 404 without such a payment; 409 `not_resolvable` if it waits for nobody or the action does not fit; 412.
pub async fn payment(tx: &mut Tx, (id, decision): &(PaymentId, Decision)) -> Result<Payment> {
    let before = locked(tx, *id, decision).await?;
    let attention = before.attention.clone().unwrap_or_default();
    let written_off = match machine::payment(&before, decision.action).map_err(refused)? {
        Resolved::Again(_) => {
            store::due_again(tx, &before, decision.machine_now).await?;
            tx.wake(Wake::Payments);
            0
        }
        Resolved::Asked(after, amount) => {
            store::save_closed(tx, &before, &after, decision.machine_now).await?;
            let new = Replacement { id: decision.payment_id, intent: Intent::Capture(amount), amount };
            replace(tx, &after, new, decision.now, decision.machine_now)
                .await
                .on_constraint("one_live_payment_per_purpose", || {
                    refused(NotNow("another payment asks for it already"))
                })
                .on_constraint("replaced_once", || refused(NotNow("another payment has asked for it already")))?;
            0
        }
        Resolved::Closed(after, amount) => {
            store::save_closed(tx, &before, &after, decision.machine_now).await?;
            if after.state != before.state {
                let told = Payment { version: before.version + 1, ..after.clone() };
                news::payment_changed(tx, &told, decision.now, decision.machine_now).await?;
            }
            if amount > 0 {
                let stamp = Stamp { id: decision.posting_id, at: decision.now };
                store::post(tx, &ledger::write_off(&after, amount, stamp)).await?;
            }
            amount
        }
    };
    record(tx, decision, About { payment_id: before.id, refund_id: None, attention: &attention, written_off }).await?;
    reread(tx, before.id).await
}

/// Decides about a refund; its payment as it is then.
///
/// # Errors
/// As [`payment`]; 409 `not_refundable` if a failed one is to be made anew and there is not so much left.
pub async fn refund(tx: &mut Tx, (id, decision): &(RefundId, Decision)) -> Result<Payment> {
    let found = store::refund(tx, *id).await?.ok_or_else(|| Refusal::not_found("refund"))?;
    // The payment's lock first, as in every command.
    let payment = locked(tx, found.payment_id, decision).await?;
    let before = store::lock_refund(tx, *id).await?.ok_or_else(|| Refusal::not_found("refund"))?;
    let attention = before.attention.clone().unwrap_or_default();
    let unresolved = store::unresolved_refund_attempts(tx, &[before.id]).await?;
    let is_answered = unresolved.get(&before.id).is_some_and(|sent| sent.answered);
    match machine::refund(&before, decision.action, is_answered).map_err(refused)? {
        RefundResolved::Again(after) => {
            store::refund_due_again(tx, &after, decision.machine_now).await?;
            store::reserve_refund(tx, &payment, 0).await?;
            tx.wake(Wake::Payments);
        }
        RefundResolved::Anew(after) => {
            store::save_closed_refund(tx, &after, decision.machine_now).await?;
            anew(tx, &payment, &after, decision).await?;
        }
        RefundResolved::Freed(after) => {
            store::save_closed_refund(tx, &after, decision.machine_now).await?;
            store::reserve_refund(tx, &payment, -after.amount).await?;
            let seq = payment.version + 1;
            news::refund_changed(tx, (&after, &payment), seq, decision.now, decision.machine_now).await?;
        }
        RefundResolved::Closed(after) => {
            store::save_closed_refund(tx, &after, decision.machine_now).await?;
            store::reserve_refund(tx, &payment, 0).await?;
        }
    }
    let about = About { payment_id: payment.id, refund_id: Some(before.id), attention: &attention, written_off: 0 };
    record(tx, decision, about).await?;
    reread(tx, payment.id).await
}

/// Makes a refund of the same amount as one that failed.
async fn anew(tx: &mut Tx, payment: &Payment, failed: &Refund, decision: &Decision) -> Result<()> {
    let left = payment.refundable();
    if failed.amount > left {
        let detail = format!("{left} of it can be refunded, and the refund that failed was of {}.", failed.amount);
        return Err(Refusal::new(Code::NotRefundable, detail).into());
    }
    store::reserve_refund(tx, payment, failed.amount).await?;
    let insert = InsertRefund {
        id: decision.refund_id,
        payment_id: payment.id,
        amount: failed.amount,
        key_id: None, // the decision's row carries it
        created_at: decision.now,
        due_at: decision.machine_now,
    };
    store::insert_refund(tx, &insert).await?;
    tx.wake(Wake::Payments);
    Ok(())
}

async fn locked(tx: &mut Tx, id: PaymentId, decision: &Decision) -> Result<Payment> {
    let payment = store::lock(tx, id).await?.ok_or_else(|| Refusal::not_found("payment"))?;
    super::check_version(&payment, decision.if_version)?;
    Ok(payment)
}

async fn reread(tx: &mut Tx, id: PaymentId) -> Result<Payment> {
    Ok(store::one(tx, id).await?.ok_or_else(|| Refusal::not_found("payment"))?)
}

fn refused(NotNow(why): NotNow) -> Refusal {
    Refusal::new(Code::NotResolvable, format!("It cannot be resolved like this: {why}."))
}

/// What a decision is about.
struct About<'a> {
    payment_id: PaymentId,
    refund_id: Option<RefundId>,
    attention: &'a str,
    written_off: i64,
}

async fn record(tx: &mut Tx, decision: &Decision, about: About<'_>) -> Result<()> {
    let resolution = Resolution {
        id: decision.id,
        payment_id: about.payment_id,
        refund_id: about.refund_id,
        action: decision.action,
        attention: about.attention,
        note: &decision.note,
        operator_id: decision.operator_id,
        written_off: about.written_off,
        at: decision.now,
    };
    let key_id = tx.key_id();
    store::insert_resolution(tx, &resolution, key_id).await
}
