//! Imports refunds that the provider made and our records lack: made in its dashboard, or by a call whose answer was lost.

use super::history::{self, ChangedAt};
use crate::payments::model::{PaymentState, RefundState};
use crate::payments::store::{self, InsertRefund};
use crate::platform::clock::{DomainTime, MachineTime};
use crate::platform::db::Tx;
use crate::platform::error::Result;
use crate::platform::ids::{PaymentId, RefundId};
use crate::platform::wake::Wake;

/// A refund in the provider's records.
#[derive(Debug, Clone)]
pub struct UnrecordedRefund {
    /// The provider's id, `re_…`.
    pub provider_id: String,
    /// The payment.
    pub payment_id: PaymentId,
    /// Our refund that it was made for, if known.
    pub known: Option<RefundId>,
    /// The id of a new refund, should one be needed.
    pub new_id: RefundId,
    /// Minor units of the payment's currency.
    pub amount: i64,
}

/// The result of an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefundImport {
    /// The refund is in our records, and due for a look-up.
    Imported,
    /// The payment cannot take it, or has it already; the reason is for operators.
    Rejected(&'static str),
}

/// Writes the provider's refund into our records: sets its id on the refund that it was made for, or inserts a refund.
///
/// # Errors
/// If the database fails.
pub async fn import_refund(
    tx: &mut Tx,
    found: &UnrecordedRefund,
    now: DomainTime,
    machine_now: MachineTime,
) -> Result<RefundImport> {
    let Some(payment) = store::lock_payment(tx, found.payment_id).await? else {
        return Ok(RefundImport::Rejected("the payment does not exist"));
    };
    if let Some(refund) = found.known {
        if !store::set_provider_refund_id(tx, refund, &found.provider_id, machine_now).await? {
            return Ok(RefundImport::Rejected("the refund is being worked on, or has ended"));
        }
    } else {
        if payment.state != PaymentState::Captured || !(1..=payment.refundable()).contains(&found.amount) {
            return Ok(RefundImport::Rejected("the payment has too little left to refund"));
        }
        let insert = InsertRefund {
            id: found.new_id,
            payment_id: payment.id,
            amount: found.amount,
            key_id: None,
            created_at: now,
            due_at: machine_now,
        };
        if !store::insert_imported(tx, &insert, &found.provider_id).await? {
            return Ok(RefundImport::Rejected("the refund is in our records already"));
        }
        store::reserve_refund(tx, &payment, found.amount).await?;
        let at = ChangedAt { domain: now, machine: machine_now };
        history::refund_is(tx, (payment.id, found.new_id, found.amount), RefundState::Pending, None, at).await?;
    }
    tx.wake(Wake::Settlement);
    Ok(RefundImport::Imported)
}
