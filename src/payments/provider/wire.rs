//! The provider's objects as JSON, as far as they are read. Unknown fields are ignored.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{ProviderIntent, ProviderRefund, shortened};
use crate::payments::model::{DisputeState, Payment};
use crate::payments::state_machine::refund::ProviderRefundStatus;
use crate::payments::state_machine::{IntentSnapshot, IntentStatus};

/// The body of a refusal.
#[derive(Debug, Deserialize)]
pub(super) struct WireFailure {
    pub(super) error: WireError,
}

/// The reason of a refusal.
#[derive(Debug, Deserialize)]
pub(super) struct WireError {
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    pub(super) code: Option<String>,
    pub(super) decline_code: Option<String>,
    pub(super) payment_intent: Option<Value>,
}

/// An object of the provider's lists.
pub(in crate::payments) trait Listed: DeserializeOwned {
    /// The path of the list.
    const PATH: &'static str;

    /// The metrics' label.
    const OPERATION: &'static str;

    /// Returns its id, the cursor of the next page.
    fn id(&self) -> &str;
}

/// A page of a list.
#[derive(Debug, Deserialize)]
pub(in crate::payments) struct ProviderPage<T> {
    pub(in crate::payments) data: Vec<T>,
    has_more: bool,
}

impl<T: Listed> ProviderPage<T> {
    /// Returns the cursor of the next page, if one exists.
    pub(in crate::payments) fn next(&self) -> Option<String> {
        self.data.last().filter(|_| self.has_more).map(|last| last.id().to_owned())
    }
}

/// A payment intent as JSON.
#[derive(Debug, Deserialize)]
pub(in crate::payments) struct WireIntent {
    pub(in crate::payments) id: String,
    pub(in crate::payments) status: String,
    pub(in crate::payments) amount: i64,
    pub(in crate::payments) currency: String,
    #[serde(default)]
    amount_capturable: i64,
    #[serde(default)]
    pub(in crate::payments) amount_received: i64,
    #[serde(default)]
    pub(in crate::payments) metadata: BTreeMap<String, String>,
    last_payment_error: Option<WireError>,
}

impl Listed for WireIntent {
    const PATH: &'static str = "/v1/payment_intents";
    const OPERATION: &'static str = "list";

    fn id(&self) -> &str {
        &self.id
    }
}

impl WireIntent {
    /// Reads the intent. An unknown status is an error; so is `processing`, which is transient.
    pub(super) fn read(self) -> Result<ProviderIntent, String> {
        let status = match self.status.as_str() {
            "requires_confirmation" => IntentStatus::Unconfirmed,
            "requires_payment_method" => IntentStatus::MethodRefused,
            "requires_action" => IntentStatus::ActionRequired,
            "requires_capture" => IntentStatus::Authorized,
            "succeeded" => IntentStatus::Succeeded,
            "canceled" => IntentStatus::Canceled,
            other => return Err(shortened(&format!("the intent's status is {other}"))),
        };
        let decline_code = self.last_payment_error.and_then(|error| error.decline_code.or(error.code));
        let snapshot = IntentSnapshot {
            status,
            capturable: self.amount_capturable,
            received: self.amount_received,
            decline_code: decline_code.as_deref().map(shortened),
        };
        Ok(ProviderIntent { id: self.id, snapshot })
    }

    /// Reads the response to a request about `intent`. A response about another one, as from a wrong cache, is an error.
    pub(super) fn read_as(self, intent: &str) -> Result<ProviderIntent, String> {
        if self.id == intent { self.read() } else { Err("the response is about another intent".to_owned()) }
    }

    /// Reads the intent that was created for a payment. One for another amount is an error, and is never confirmed.
    pub(super) fn read_for(self, payment: &Payment) -> Result<ProviderIntent, String> {
        let requested = payment.amount;
        if self.amount != requested.amount || !self.currency.eq_ignore_ascii_case(requested.currency.as_str()) {
            let why = format!("{requested} requested, and the intent is for {} {}", self.amount, self.currency);
            return Err(shortened(&why));
        }
        self.read()
    }
}

/// A refund as JSON.
#[derive(Debug, Deserialize)]
pub(in crate::payments) struct WireRefund {
    pub(in crate::payments) id: String,
    pub(in crate::payments) status: String,
    pub(in crate::payments) amount: i64,
    pub(in crate::payments) payment_intent: Option<String>,
    failure_reason: Option<String>,
    #[serde(default)]
    pub(in crate::payments) metadata: BTreeMap<String, String>,
}

impl Listed for WireRefund {
    const PATH: &'static str = "/v1/refunds";
    const OPERATION: &'static str = "list_refunds";

    fn id(&self) -> &str {
        &self.id
    }
}

impl WireRefund {
    pub(super) fn read(self) -> Result<ProviderRefund, String> {
        let status = match self.status.as_str() {
            "pending" | "requires_action" => ProviderRefundStatus::Pending,
            "succeeded" => ProviderRefundStatus::Succeeded,
            "failed" | "canceled" => {
                ProviderRefundStatus::Failed { code: shortened(&self.failure_reason.unwrap_or(self.status)) }
            }
            other => return Err(shortened(&format!("the refund's status is {other}"))),
        };
        Ok(ProviderRefund { id: self.id, status })
    }

    /// Reads the response about one refund of ours. Another amount is an error.
    pub(super) fn read_for(self, amount: i64) -> Result<ProviderRefund, String> {
        if self.amount == amount {
            self.read()
        } else {
            Err(format!("{amount} requested, and the refund is of {}", self.amount))
        }
    }
}

/// A dispute as JSON.
#[derive(Debug, Deserialize)]
pub(in crate::payments) struct WireDispute {
    pub(in crate::payments) id: String,
    status: String,
    pub(in crate::payments) payment_intent: Option<String>,
}

impl Listed for WireDispute {
    const PATH: &'static str = "/v1/disputes";
    const OPERATION: &'static str = "list_disputes";

    fn id(&self) -> &str {
        &self.id
    }
}

impl WireDispute {
    /// Reads the state; `None` for an inquiry, which takes no money and which a refund settles.
    pub(in crate::payments) fn state(&self) -> Option<DisputeState> {
        match self.status.as_str() {
            "won" => Some(DisputeState::Won),
            "lost" => Some(DisputeState::Lost),
            "warning_needs_response" | "warning_under_review" | "warning_closed" | "prevented" => None,
            // `needs_response`, `under_review`, and what is unknown: until it is known to be won, nothing is refunded.
            _ => Some(DisputeState::Open),
        }
    }
}
