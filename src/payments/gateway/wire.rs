//! What the provider's objects look like on the wire, as much of them as we read. What is new in them is not an error.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{ProviderIntent, ProviderRefund, short};
use crate::payments::machine::refund::Status as RefundStatus;
use crate::payments::machine::{Seen, Status};
use crate::payments::model::Payment;

/// The body of a refusal.
#[derive(Debug, Deserialize)]
pub(super) struct WireFailure {
    pub(super) error: WireError,
}

/// Why something was refused.
#[derive(Debug, Deserialize)]
pub(super) struct WireError {
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    pub(super) code: Option<String>,
    pub(super) decline_code: Option<String>,
    pub(super) payment_intent: Option<Value>,
}

/// Something that stands in the provider's lists.
pub(in crate::payments) trait Listed: DeserializeOwned {
    /// Where the list is.
    const PATH: &'static str;

    /// What the metrics call a look at it.
    const OPERATION: &'static str;

    /// Its id: the next page starts after it.
    fn id(&self) -> &str;
}

/// A page of a list.
#[derive(Debug, Deserialize)]
pub(in crate::payments) struct Page<T> {
    pub(in crate::payments) data: Vec<T>,
    has_more: bool,
}

impl<T: Listed> Page<T> {
    /// What the next page starts after, if there is one.
    pub(in crate::payments) fn next(&self) -> Option<String> {
        self.data.last().filter(|_| self.has_more).map(|last| last.id().to_owned())
    }
}

/// An intent on the wire.
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
    /// A status that we do not know says nothing; `processing` is one of them, for it will be another soon.
    pub(super) fn read(self) -> Result<ProviderIntent, String> {
        let status = match self.status.as_str() {
            "requires_confirmation" => Status::Unconfirmed,
            "requires_payment_method" => Status::MethodRefused,
            "requires_action" => Status::ActionRequired,
            "requires_capture" => Status::Authorized,
            "succeeded" => Status::Succeeded,
            "canceled" => Status::Canceled,
            other => return Err(short(&format!("the intent's status is {other}"))),
        };
        let decline_code = self.last_payment_error.and_then(|error| error.decline_code.or(error.code));
        let seen = Seen {
            status,
            capturable: self.amount_capturable,
            received: self.amount_received,
            decline_code: decline_code.as_deref().map(short),
        };
        Ok(ProviderIntent { id: self.id, seen })
    }

    /// Reads the answer to a question about one intent. An answer about another one, as a cache on the way might give, says
    /// nothing about ours.
    pub(super) fn read_as(self, intent: &str) -> Result<ProviderIntent, String> {
        if self.id == intent { self.read() } else { Err("the answer is about another intent".to_owned()) }
    }

    /// Reads the intent that was made for a payment. One for another sum is not what was asked for: it is never confirmed.
    pub(super) fn read_for(self, payment: &Payment) -> Result<ProviderIntent, String> {
        let asked = payment.amount;
        if self.amount != asked.amount || !self.currency.eq_ignore_ascii_case(asked.currency.as_str()) {
            let why = format!("{asked} asked for, and the intent is for {} {}", self.amount, self.currency);
            return Err(short(&why));
        }
        self.read()
    }
}

/// A refund on the wire.
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
            "pending" | "requires_action" => RefundStatus::Pending,
            "succeeded" => RefundStatus::Succeeded,
            "failed" | "canceled" => RefundStatus::Failed { code: short(&self.failure_reason.unwrap_or(self.status)) },
            other => return Err(short(&format!("the refund's status is {other}"))),
        };
        Ok(ProviderRefund { id: self.id, status })
    }

    /// Reads the answer about one refund of ours. One of another amount says nothing about it.
    pub(super) fn read_for(self, amount: i64) -> Result<ProviderRefund, String> {
        if self.amount == amount {
            self.read()
        } else {
            Err(format!("{amount} asked for, and the refund is of {}", self.amount))
        }
    }
}
