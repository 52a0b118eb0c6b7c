//! Refunds that the provider has made and our books do not have: by hand in its dashboard, or by a call whose answer never came.
//! Money that went back went back, so they are written down; how they stand the worker finds out, as for every other refund.

use crate::payments::model::State;
use crate::payments::store::{self, Adopted};
use crate::platform::clock::{DomainTime, MachineTime};
use crate::platform::db::Tx;
use crate::platform::error::Result;
use crate::platform::ids::{PaymentId, RefundId};
use crate::platform::wake::Wake;

/// A refund in the provider's books.
#[derive(Debug, Clone)]
pub struct FoundRefund {
    /// The provider's id of it, `re_…`.
    pub provider_id: String,
    /// The payment that it is a part of.
    pub payment_id: PaymentId,
    /// Ours that it was made for, if we know.
    pub known: Option<RefundId>,
    /// Our id for it, should it need one.
    pub new_id: RefundId,
    /// Minor units of the payment's currency.
    pub amount: i64,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adoption {
    /// It is in our books, and due for a look.
    Done,
    /// The payment cannot take it, or has it by now; why is for people.
    Not(&'static str),
}

/// Writes the provider's refund into our books: gives its name to the refund that it was made for, or makes one.
///
/// # Errors
/// If the database does not answer.
pub async fn adopt_refund(
    tx: &mut Tx,
    found: &FoundRefund,
    now: DomainTime,
    machine_now: MachineTime,
) -> Result<Adoption> {
    let Some(payment) = store::lock(tx, found.payment_id).await? else {
        return Ok(Adoption::Not("there is no such payment"));
    };
    if let Some(refund) = found.known {
        if !store::name_refund(tx, refund, &found.provider_id, machine_now).await? {
            return Ok(Adoption::Not("the refund is being worked on, or is over"));
        }
    } else {
        if payment.state != State::Captured || !(1..=payment.refundable()).contains(&found.amount) {
            return Ok(Adoption::Not("the payment has not so much left"));
        }
        let adopted = Adopted {
            id: found.new_id,
            payment_id: payment.id,
            amount: found.amount,
            provider_id: &found.provider_id,
            created_at: now,
            due_at: machine_now,
        };
        if !store::insert_adopted(tx, &adopted).await? {
            return Ok(Adoption::Not("it is in our books by now"));
        }
        store::reserve_refund(tx, &payment, found.amount).await?;
    }
    tx.wake(Wake::Payments);
    Ok(Adoption::Done)
}
