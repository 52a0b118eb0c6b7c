//! The provider's books: what reconciliation and the audit compare ours with.

use super::gateway::{Answer, BOOK_PAGES_MAX, CLOCK_SLACK_S, Gateway, Listed, WireIntent, WireRefund};
use crate::platform::clock::MachineTime;
use crate::platform::error::{Code, Error, Refusal, Result};
use crate::platform::ids::{PaymentId, RefundId};

/// What the provider has of ours.
#[derive(Debug, Clone, Default)]
pub struct ProviderBooks {
    /// Its intents, newest first. Of the intents of one payment at most one was ever confirmed.
    pub intents: Vec<BookedIntent>,
    /// Its refunds, newest first.
    pub refunds: Vec<BookedRefund>,
}

/// One intent in the provider's books. Amounts are minor units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BookedIntent {
    /// `pi_…`
    pub id: String,
    /// The payment that it was made for; `None` if none is named, or the name cannot be read.
    pub payment_id: Option<PaymentId>,
    /// Whether it says that it was made for a payment, readably or not. One that says nothing is somebody else's.
    pub is_marked: bool,
    /// Where it stands.
    pub stage: Stage,
    /// The same in the provider's own word: `requires_capture`, `succeeded`, `canceled`, …
    pub status: String,
    /// Three capital letters.
    pub currency: String,
    /// What it was made for.
    pub amount: i64,
    /// What was taken, whatever went back since.
    pub amount_received: i64,
}

/// Where an intent stands, as far as books can differ by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Nothing is reserved, and it may still be confirmed.
    Confirmable,
    /// The amount is reserved, and neither taken nor released.
    Held,
    /// Money was taken.
    Taken,
    /// Over, without money.
    Canceled,
    /// On its way from one to another, or a word that we do not know.
    Unclear,
}

impl Stage {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Confirmable, Self::Held, Self::Taken, Self::Canceled, Self::Unclear];

    fn of(status: &str) -> Self {
        match status {
            "requires_payment_method" | "requires_confirmation" | "requires_action" => Self::Confirmable,
            "requires_capture" => Self::Held,
            "succeeded" => Self::Taken,
            "canceled" => Self::Canceled,
            _ => Self::Unclear,
        }
    }
}

/// One refund in the provider's books.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BookedRefund {
    /// `re_…`
    pub id: String,
    /// The refund that it was made for; `None` if it is not one of ours.
    pub refund_id: Option<RefundId>,
    /// The intent whose money goes back.
    pub intent_id: Option<String>,
    /// Where it stands.
    pub stage: RefundStage,
    /// Minor units of the intent's currency.
    pub amount: i64,
}

/// Where a refund stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefundStage {
    /// On its way, or a word that we do not know.
    Pending,
    /// The money went back.
    Succeeded,
    /// It did not, and will not.
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

/// Pages through the provider's intents and refunds: those made since about `since`, or all. What is made meanwhile may be
/// missing, as in any list that is read while it grows.
///
/// # Errors
/// [`Code::Unavailable`] if the provider does not show them, or has more than a million.
pub async fn books(gateway: &Gateway, since: Option<MachineTime>) -> Result<ProviderBooks> {
    let since: Vec<_> = since
        .map(|since| ("created[gte]", (since.utc().timestamp() - CLOCK_SLACK_S).to_string()))
        .into_iter()
        .collect();
    // The refunds first: of one that is made meanwhile the intent is then there, and not the other way round.
    let refunds: Vec<WireRefund> = everything(gateway, &since).await?;
    let intents: Vec<WireIntent> = everything(gateway, &since).await?;
    Ok(ProviderBooks {
        intents: intents.into_iter().map(BookedIntent::from).collect(),
        refunds: refunds.into_iter().map(BookedRefund::from).collect(),
    })
}

impl From<WireIntent> for BookedIntent {
    fn from(intent: WireIntent) -> Self {
        Self {
            payment_id: intent.metadata.get("payment_id").and_then(|id| id.parse().ok()),
            is_marked: intent.metadata.contains_key("payment_id"),
            id: intent.id,
            stage: Stage::of(&intent.status),
            status: intent.status,
            currency: intent.currency.to_ascii_uppercase(),
            amount: intent.amount,
            amount_received: intent.amount_received,
        }
    }
}

impl From<WireRefund> for BookedRefund {
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

async fn everything<T: Listed>(gateway: &Gateway, query: &[(&str, String)]) -> Result<Vec<T>> {
    let mut all = Vec::new();
    let mut after = None;
    for _ in 0..BOOK_PAGES_MAX {
        let page = match gateway.page(query, after).await {
            Answer::Done(page) => page,
            Answer::Refused { code: why, .. } | Answer::Unknown { why, .. } | Answer::NotSent { why } => {
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
    Err(unavailable("there are too many pages"))
}

fn unavailable(why: &str) -> Error {
    Refusal::new(Code::Unavailable, format!("The provider's books cannot be read: {why}.")).into()
}
