//! The provider's books, read whole: what the audit compares ours with.

use std::collections::HashMap;

use super::gateway::{Answer, BOOK_PAGES_MAX, Gateway, Listed, WireIntent, WireRefund};
use crate::platform::error::{Code, Refusal, Result};
use crate::platform::ids::PaymentId;

/// Everything that the provider has of ours.
#[derive(Debug, Clone, Default)]
pub struct ProviderBooks {
    /// Its intents, newest first. Of the intents of one payment at most one was ever confirmed.
    pub intents: Vec<BookedIntent>,
}

/// One intent in the provider's books. Amounts are minor units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BookedIntent {
    /// `pi_…`
    pub id: String,
    /// The payment that it was made for; `None` if it is not one of ours.
    pub payment_id: Option<PaymentId>,
    /// `requires_capture`, `succeeded`, `canceled`, …: in the provider's words.
    pub status: String,
    /// Three capital letters.
    pub currency: String,
    /// What it was made for.
    pub amount: i64,
    /// What was taken, whatever went back since.
    pub amount_received: i64,
    /// What went back.
    pub amount_refunded: i64,
}

impl BookedIntent {
    /// Whether the amount is reserved, and neither taken nor released.
    pub fn is_open(&self) -> bool {
        self.status == "requires_capture"
    }
}

/// Pages through the provider's intents and refunds. What is made meanwhile may be missing, as in any list that is read while it
/// grows.
///
/// # Errors
/// [`Code::Unavailable`] if the provider does not show them, or has more than a million.
pub async fn books(gateway: &Gateway) -> Result<ProviderBooks> {
    // The refunds first: one that is made meanwhile is then missing beside its intent, and not the other way round.
    let refunds: Vec<WireRefund> = everything(gateway).await?;
    let mut refunded = HashMap::new();
    for refund in refunds.into_iter().filter(|refund| refund.status == "succeeded") {
        *refunded.entry(refund.payment_intent.unwrap_or_default()).or_insert(0) += refund.amount;
    }
    let intents: Vec<WireIntent> = everything(gateway).await?;
    let intents = intents.into_iter().map(|intent| BookedIntent {
        payment_id: intent.metadata.get("payment_id").and_then(|id| id.parse().ok()),
        amount_refunded: refunded.get(&intent.id).copied().unwrap_or(0),
        id: intent.id,
        status: intent.status,
        currency: intent.currency.to_ascii_uppercase(),
        amount: intent.amount,
        amount_received: intent.amount_received,
    });
    Ok(ProviderBooks { intents: intents.collect() })
}

async fn everything<T: Listed>(gateway: &Gateway) -> Result<Vec<T>> {
    let mut all = Vec::new();
    let mut after = None;
    for _ in 0..BOOK_PAGES_MAX {
        let page = match gateway.page(&[], after).await {
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

fn unavailable(why: &str) -> crate::platform::error::Error {
    Refusal::new(Code::Unavailable, format!("The provider's books cannot be read: {why}.")).into()
}
