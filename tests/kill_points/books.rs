//! What the provider has in its books about one payment.

use std::fmt;

use serde_json::Value;

use super::Operation;

/// The provider's intents and refunds that bear a payment's id.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    pub intents: Vec<Value>,
    pub refunds: Vec<Value>,
}

impl Seen {
    /// Whether the call was done, whatever was done before it.
    pub fn is_done(&self, operation: Operation) -> bool {
        let status = self.intents.first().map(|intent| intent["status"].as_str().unwrap());
        match operation {
            Operation::Create => status.is_some(),
            Operation::Confirm => status == Some("requires_capture"),
            Operation::Capture => status == Some("succeeded"),
            Operation::Cancel => status == Some("canceled"),
            Operation::Refund => !self.refunds.is_empty(),
        }
    }

    /// The one intent that a payment has, whatever happened.
    #[track_caller]
    pub fn only_intent(&self) -> &Value {
        assert_eq!(self.intents.len(), 1, "one intent for one payment: {self:?}");
        &self.intents[0]
    }

    pub fn refunded(&self) -> i64 {
        self.refunds.iter().map(|refund| refund["amount"].as_i64().unwrap()).sum()
    }
}

impl fmt::Display for Seen {
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
