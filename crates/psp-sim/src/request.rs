//! A request that changes something, as it was received.

use sha2::{Digest, Sha256};

use crate::fault_kinds::FaultStep;
use crate::params::Params;

#[derive(Debug)]
pub struct Request {
    /// `req_…`
    pub id: String,
    pub key: Option<String>,
    pub target: Target,
    pub params: Params,
}

/// The endpoint of a request, with the id of the intent in its path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    Create,
    Confirm(String),
    Capture(String),
    Cancel(String),
    Refund,
}

impl Request {
    /// The step, and the id of the intent if it exists already.
    pub fn subject(&self) -> (FaultStep, Option<&str>) {
        match &self.target {
            Target::Create => (FaultStep::Create, None),
            Target::Confirm(id) => (FaultStep::Confirm, Some(id)),
            Target::Capture(id) => (FaultStep::Capture, Some(id)),
            Target::Cancel(id) => (FaultStep::Cancel, Some(id)),
            Target::Refund => (FaultStep::Refund, self.params.peek("payment_intent")),
        }
    }

    /// The path, to which an idempotency key belongs. All requests are POSTs.
    pub fn endpoint(&self) -> String {
        match &self.target {
            Target::Create => "/v1/payment_intents".to_owned(),
            Target::Confirm(id) => format!("/v1/payment_intents/{id}/confirm"),
            Target::Capture(id) => format!("/v1/payment_intents/{id}/capture"),
            Target::Cancel(id) => format!("/v1/payment_intents/{id}/cancel"),
            Target::Refund => "/v1/refunds".to_owned(),
        }
    }

    /// A digest of the parameters, independent of their order.
    pub fn fingerprint(&self) -> String {
        let mut digest = Sha256::new();
        for text in self.params.canonical().flat_map(|(name, value)| [name, value]) {
            // The length keeps `a=bc` and `ab=c` apart.
            digest.update(text.len().to_le_bytes());
            digest.update(text);
        }
        hex::encode(digest.finalize())
    }
}
