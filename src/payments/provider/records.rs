//! The provider's records, which reconciliation and the audit compare with ours.

use std::collections::BTreeSet;

use super::{ProviderClient, ProviderResult, WireDispute, WireIntent, WireRefund};
use crate::payments::model::DisputeState;
use crate::platform::clock::MachineTime;
use crate::platform::error::{Code, Error, Refusal, Result};
use crate::platform::ids::{PaymentId, RefundId};

/// The provider's code for an object that does not exist.
const MISSING: &str = "resource_missing";

/// The most pages of refunds of one intent: a thousand refunds.
const PAGES_OF_INTENT_MAX: usize = 10;

/// Intents, refunds and disputes of the provider.
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

/// A list of the provider's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordList {
    /// Disputes.
    Disputes,
    /// Refunds.
    Refunds,
    /// Intents.
    Intents,
}

impl RecordList {
    /// All lists.
    pub const ALL: [Self; 3] = [Self::Disputes, Self::Refunds, Self::Intents];
}

/// Records created from `from` on and before `until`, in whole seconds; open if absent.
#[derive(Debug, Clone, Copy, Default)]
pub struct CreatedRange {
    /// The start.
    pub from: Option<MachineTime>,
    /// The end, which does not belong to it.
    pub until: Option<MachineTime>,
}

/// Reads one page of a list, newest first, and the cursor of the next page. Records created meanwhile may be missing.
///
/// # Errors
/// [`Code::Unavailable`] if the provider does not show it.
pub async fn record_page(
    client: &ProviderClient,
    list: RecordList,
    range: CreatedRange,
    after: Option<String>,
) -> Result<(ProviderRecords, Option<String>)> {
    let seconds = |time: MachineTime| time.utc().timestamp().to_string();
    let bounds = [("created[gte]", range.from.map(seconds)), ("created[lt]", range.until.map(seconds))];
    let query: Vec<_> = bounds.into_iter().filter_map(|(name, bound)| Some((name, bound?))).collect();
    read_page(client, list, &query, after).await
}

async fn read_page(
    client: &ProviderClient,
    list: RecordList,
    query: &[(&str, String)],
    after: Option<String>,
) -> Result<(ProviderRecords, Option<String>)> {
    let mut records = ProviderRecords::default();
    let next = match list {
        RecordList::Disputes => {
            let page = done(client.page::<WireDispute>(query, after).await)?;
            let next = page.next();
            records.disputes.extend(page.data.into_iter().filter_map(DisputeRecord::of));
            next
        }
        RecordList::Refunds => {
            let page = done(client.page::<WireRefund>(query, after).await)?;
            let next = page.next();
            records.refunds.extend(page.data.into_iter().map(RefundRecord::from));
            next
        }
        RecordList::Intents => {
            let page = done(client.page::<WireIntent>(query, after).await)?;
            let next = page.next();
            records.intents.extend(page.data.into_iter().map(IntentRecord::from));
            next
        }
    };
    Ok((records, next))
}

/// Reads these intents, without those that do not exist, and their refunds and disputes.
///
/// # Errors
/// [`Code::Unavailable`] if the provider does not show them, or if one intent has more than [`PAGES_OF_INTENT_MAX`] pages of refunds.
pub async fn records_of(client: &ProviderClient, intents: &BTreeSet<String>) -> Result<ProviderRecords> {
    let mut records = ProviderRecords::default();
    for id in intents {
        let Some(intent) = intent_record(client, id).await? else { continue };
        records.intents.push(intent);
        let of_intent = [("payment_intent", id.clone())];
        for list in [RecordList::Refunds, RecordList::Disputes] {
            let (mut after, mut pages) = (None, 0);
            loop {
                let (page, next) = read_page(client, list, &of_intent, after).await?;
                records.refunds.extend(page.refunds);
                records.disputes.extend(page.disputes);
                pages += 1;
                match next {
                    None => break,
                    Some(_) if pages >= PAGES_OF_INTENT_MAX => {
                        return Err(unavailable("an intent has too many refunds"));
                    }
                    next => after = next,
                }
            }
        }
    }
    Ok(records)
}

/// Reads an intent; `None` if it does not exist.
///
/// # Errors
/// [`Code::Unavailable`] if the provider does not show it.
pub async fn intent_record(client: &ProviderClient, id: &str) -> Result<Option<IntentRecord>> {
    match client.get::<WireIntent>("get", &format!("/v1/payment_intents/{id}"), &[]).await {
        ProviderResult::Refused { code, .. } if code == MISSING => Ok(None),
        other => Ok(Some(IntentRecord::from(done(other)?))),
    }
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

fn done<T>(result: ProviderResult<T>) -> Result<T> {
    match result {
        ProviderResult::Done(object) => Ok(object),
        ProviderResult::Refused { code: why, .. }
        | ProviderResult::Rejected { code: why, .. }
        | ProviderResult::Unknown { why, .. }
        | ProviderResult::NotSent { why } => Err(unavailable(&why)),
    }
}

fn unavailable(why: &str) -> Error {
    Refusal::new(Code::Unavailable, format!("The provider's records cannot be read: {why}.")).into()
}
