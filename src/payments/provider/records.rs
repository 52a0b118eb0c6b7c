//! The provider's records, which reconciliation and the audit compare with ours.

use super::{
    CLOCK_SLACK_S, Listed, ProviderClient, ProviderResult, RECORD_PAGES_MAX, WireDispute, WireIntent, WireRefund,
};
use crate::payments::model::DisputeState;
use crate::platform::clock::MachineTime;
use crate::platform::error::{Code, Error, Refusal, Result};
use crate::platform::ids::{PaymentId, RefundId};

/// The provider's intents, refunds and disputes.
#[derive(Debug, Clone, Default)]
pub struct ProviderRecords {
    /// Intents, newest first. At most one of the intents of a payment was ever confirmed.
    pub intents: Vec<IntentRecord>,
    /// Refunds, newest first.
    pub refunds: Vec<RefundRecord>,
    /// Disputes, newest first.
    pub disputes: Vec<DisputeRecord>,
}

/// An intent in the provider's records. Amounts are minor units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntentRecord {
    /// `pi_…`
    pub id: String,
    /// The payment in its metadata; `None` if there is none, or it is unreadable.
    pub payment_id: Option<PaymentId>,
    /// Whether its metadata has a payment, readable or not. An intent without one belongs to another system.
    pub is_marked: bool,
    /// The stage.
    pub stage: IntentStage,
    /// The provider's status: `requires_capture`, `succeeded`, `canceled`, …
    pub status: String,
    /// Three capital letters.
    pub currency: String,
    /// The requested amount.
    pub amount: i64,
    /// The captured amount, refunds not deducted.
    pub amount_received: i64,
}

/// The stage of an intent, as far as records can differ by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntentStage {
    /// Nothing is reserved, and it can still be confirmed.
    Confirmable,
    /// The amount is reserved, and neither captured nor released.
    Held,
    /// Money was captured.
    Captured,
    /// Ended without money.
    Canceled,
    /// Transient, or an unknown status.
    Transient,
}

impl IntentStage {
    /// All values.
    pub const ALL: [Self; 5] = [Self::Confirmable, Self::Held, Self::Captured, Self::Canceled, Self::Transient];

    fn of(status: &str) -> Self {
        match status {
            "requires_payment_method" | "requires_confirmation" | "requires_action" => Self::Confirmable,
            "requires_capture" => Self::Held,
            "succeeded" => Self::Captured,
            "canceled" => Self::Canceled,
            _ => Self::Transient,
        }
    }
}

/// A refund in the provider's records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefundRecord {
    /// `re_…`
    pub id: String,
    /// The refund in its metadata; `None` if it is not one of ours.
    pub refund_id: Option<RefundId>,
    /// The refunded intent.
    pub intent_id: Option<String>,
    /// The stage.
    pub stage: RefundStage,
    /// Minor units of the intent's currency.
    pub amount: i64,
}

/// The stage of a refund.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefundStage {
    /// In progress, or an unknown status.
    Pending,
    /// The money was returned.
    Succeeded,
    /// The money will not be returned.
    Failed,
}

impl RefundStage {
    fn of(status: &str) -> Self {
        match status {
            "succeeded" => Self::Succeeded,
            "failed" | "canceled" => Self::Failed,
            _ => Self::Pending,
        }
    }
}

/// A dispute in the provider's records. An inquiry is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DisputeRecord {
    /// `du_…`
    pub id: String,
    /// The disputed intent.
    pub intent_id: Option<String>,
    /// The state.
    pub state: DisputeState,
}

/// Reads the provider's intents, refunds and disputes, page by page: those created since about `since`, or all. Records created meanwhile may
/// be missing.
///
/// # Errors
/// [`Code::Unavailable`] if the provider does not show them, or has more than a million.
pub async fn provider_records(client: &ProviderClient, since: Option<MachineTime>) -> Result<ProviderRecords> {
    let since: Vec<_> = since
        .map(|since| ("created[gte]", (since.utc().timestamp() - CLOCK_SLACK_S).to_string()))
        .into_iter()
        .collect();
    // The refunds and disputes first, so that each has its intent in the list.
    let disputes: Vec<WireDispute> = read_all(client, &since).await?;
    let refunds: Vec<WireRefund> = read_all(client, &since).await?;
    let intents: Vec<WireIntent> = read_all(client, &since).await?;
    Ok(ProviderRecords {
        intents: intents.into_iter().map(IntentRecord::from).collect(),
        refunds: refunds.into_iter().map(RefundRecord::from).collect(),
        disputes: disputes.into_iter().filter_map(DisputeRecord::of).collect(),
    })
}

impl DisputeRecord {
    fn of(dispute: WireDispute) -> Option<Self> {
        let state = dispute.state()?;
        Some(Self { id: dispute.id, intent_id: dispute.payment_intent, state })
    }
}

impl From<WireIntent> for IntentRecord {
    fn from(intent: WireIntent) -> Self {
        Self {
            payment_id: intent.metadata.get("payment_id").and_then(|id| id.parse().ok()),
            is_marked: intent.metadata.contains_key("payment_id"),
            id: intent.id,
            stage: IntentStage::of(&intent.status),
            status: intent.status,
            currency: intent.currency.to_ascii_uppercase(),
            amount: intent.amount,
            amount_received: intent.amount_received,
        }
    }
}

impl From<WireRefund> for RefundRecord {
    fn from(refund: WireRefund) -> Self {
        Self {
            refund_id: refund.metadata.get("refund_id").and_then(|id| id.parse().ok()),
            id: refund.id,
            intent_id: refund.payment_intent,
            stage: RefundStage::of(&refund.status),
            amount: refund.amount,
        }
    }
}

async fn read_all<T: Listed>(client: &ProviderClient, query: &[(&str, String)]) -> Result<Vec<T>> {
    let mut all = Vec::new();
    let mut after = None;
    for _ in 0..RECORD_PAGES_MAX {
        let page = match client.page(query, after).await {
            ProviderResult::Done(page) => page,
            ProviderResult::Refused { code: why, .. }
            | ProviderResult::Rejected { code: why, .. }
            | ProviderResult::Unknown { why, .. }
            | ProviderResult::NotSent { why } => {
                return Err(unavailable(&why));
            }
        };
        let next = page.next();
        all.extend(page.data);
        if next.is_none() {
            return Ok(all);
        }
        after = next;
    }
    Err(unavailable("too many pages"))
}

fn unavailable(why: &str) -> Error {
    Refusal::new(Code::Unavailable, format!("The provider's records cannot be read: {why}.")).into()
}
