//! Repairs of findings.

use uuid::Uuid;

use super::RunLease;
use crate::payments::commands::import::{RefundImport, UnrecordedRefund, import_refund};
use crate::payments::commands::{recheck_intent, release};
use crate::payments::model::{AttemptOutcome, Hint, Payment, PaymentState};
use crate::platform::clock::DomainTime;
use crate::platform::db::Tx;
use crate::platform::error::Result;
use crate::platform::ids::{FindingId, RefundId};
use crate::reconciliation::model::findings::{self, Finding};
use crate::reconciliation::model::kinds::RepairRule;
use crate::reconciliation::store::{self, NewRepairRow};

/// A repair to make, with the ids that it may need.
#[derive(Debug, Clone, Copy)]
pub struct NewRepair {
    /// The finding.
    pub finding_id: FindingId,
    /// The id of the repair; it is also the idempotency key of its call.
    pub id: Uuid,
    /// The id of an adopted refund.
    pub refund_id: RefundId,
    /// The current domain time.
    pub domain_now: DomainTime,
}

/// A call to the provider that is recorded and can be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CancelCall {
    /// The repair.
    pub repair: Uuid,
    /// The intent to cancel.
    pub intent: String,
    /// The `Idempotency-Key` to send.
    pub key: String,
}

/// Applies the rule of a finding. Changes our side in this transaction; returns the call to the provider if the rule needs one.
///
/// # Errors
/// If the lease was lost, or the database does not answer.
pub async fn repair(tx: &mut Tx, lease: RunLease, new: &NewRepair) -> Result<Option<CancelCall>> {
    lease.extend(tx).await?;
    let finding = store::lock_finding(tx, new.finding_id).await?;
    let Some(finding) = finding.filter(findings::is_repairable) else { return Ok(None) };
    let key = new.id.to_string();
    let calls = finding.difference.repair == RepairRule::CancelIntent;
    let row = NewRepairRow {
        id: new.id,
        finding_id: finding.id,
        run_id: lease.run,
        repair: finding.difference.repair,
        key: calls.then_some(key.as_str()),
        at: lease.now,
    };
    store::insert_repair(tx, row).await?;
    let refused = match apply(tx, lease, new, &finding).await? {
        Applied::Cancel(intent) => return Ok(Some(CancelCall { repair: new.id, intent, key })),
        Applied::Done => None,
        Applied::Refused(why) => Some(why),
    };
    let outcome = if refused.is_some() { AttemptOutcome::Declined } else { AttemptOutcome::Succeeded };
    store::finish_repair(tx, new.id, (outcome, refused), lease.now).await?;
    Ok(None)
}

/// The effect of a rule.
enum Applied {
    Done,
    Refused(&'static str),
    /// The intent has to be canceled at the provider.
    Cancel(String),
}

async fn apply(tx: &mut Tx, lease: RunLease, new: &NewRepair, finding: &Finding) -> Result<Applied> {
    let found = &finding.difference;
    match (found.repair, &found.intent_id, found.payment_id, found.trip_id) {
        (RepairRule::LookAgain, Some(intent), ..) => {
            recheck_intent(tx, intent, Hint::Charge, lease.now).await?;
            Ok(Applied::Done)
        }
        (RepairRule::Release, _, _, Some(trip)) => {
            release(tx, trip, new.domain_now, lease.now).await?;
            Ok(Applied::Done)
        }
        (RepairRule::CancelIntent, Some(intent), Some(payment), _) => {
            let payment = crate::payments::store::lock_payment(tx, payment).await?;
            match payment.is_some_and(|payment| is_unneeded(&payment, intent)) {
                true => Ok(Applied::Cancel(intent.clone())),
                false => Ok(Applied::Refused("the payment has changed and may need the intent")),
            }
        }
        (RepairRule::AdoptRefund, _, Some(payment_id), _) => {
            let refund = UnrecordedRefund {
                provider_id: found.subject.clone(),
                payment_id,
                known: found.refund_id,
                new_id: new.refund_id,
                amount: found.amounts.map_or(0, |(_, theirs)| theirs),
            };
            match import_refund(tx, &refund, new.domain_now, lease.now).await? {
                RefundImport::Imported => Ok(Applied::Done),
                RefundImport::Rejected(why) => Ok(Applied::Refused(why)),
            }
        }
        (
            RepairRule::None
            | RepairRule::LookAgain
            | RepairRule::Release
            | RepairRule::CancelIntent
            | RepairRule::AdoptRefund,
            ..,
        ) => Ok(Applied::Refused("the finding lacks what the rule needs")),
    }
}

/// Returns whether `payment` will never need `intent`, which was made for it. A payment that is over never changes, nor does the id
/// of its intent, so a true result stays true.
fn is_unneeded(payment: &Payment, intent: &str) -> bool {
    match payment.provider_intent_id.as_deref() {
        Some(own) if own == intent => {
            matches!(
                payment.state,
                PaymentState::Declined | PaymentState::Voided | PaymentState::AuthExpired | PaymentState::CaptureFailed
            )
        }
        Some(_) => true,
        None => payment.state.is_terminal(),
    }
}

/// Records the outcome of a call.
///
/// # Errors
/// If the lease was lost, or the database does not answer.
pub async fn record_outcome(
    tx: &mut Tx,
    lease: RunLease,
    repair: Uuid,
    (outcome, detail): &(AttemptOutcome, Option<String>),
) -> Result<()> {
    lease.extend(tx).await?;
    store::finish_repair(tx, repair, (*outcome, detail.as_deref()), lease.now).await
}
