//! The provider's records of one payment.

use std::fmt;

use serde_json::Value;

use ridematch::payments::model::ProviderOperation;

/// The provider's intents and refunds with a payment's id.
#[derive(Debug, Clone, PartialEq)]
pub struct ProviderState {
    pub intents: Vec<Value>,
    pub refunds: Vec<Value>,
}

impl ProviderState {
    /// Whether the call was done.
    pub fn is_done(&self, operation: ProviderOperation) -> bool {
        let status = self.intents.first().map(|intent| intent["status"].as_str().unwrap());
        match operation {
            ProviderOperation::Create => status.is_some(),
            ProviderOperation::Confirm => status == Some("requires_capture"),
            ProviderOperation::Capture => status == Some("succeeded"),
            ProviderOperation::Cancel => status == Some("canceled"),
            ProviderOperation::Refund => !self.refunds.is_empty(),
        }
    }

    /// Returns the only intent.
    #[track_caller]
    pub fn only_intent(&self) -> &Value {
        assert_eq!(self.intents.len(), 1, "one intent for one payment: {self:?}");
        &self.intents[0]
    }

    pub fn refunded(&self) -> i64 {
        self.refunds.iter().map(|refund| refund["amount"].as_i64().unwrap()).sum()
    }
}

impl fmt::Display for ProviderState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let intents: Vec<&str> = self.intents.iter().map(|intent| intent["status"].as_str().unwrap()).collect();
        let refunded = match self.refunds.len() {
            0 => String::new(),
            count => format!(", {count} refund"),
        };
        let intents = if intents.is_empty() { "nothing".to_owned() } else { intents.join("+") };
        f.pad(&format!("{intents}{refunded}"))
    }
}
