//! The responses to callers.

use serde::{Deserialize, Serialize};

use crate::api_error::ApiError;

/// What a caller gets.
#[derive(Debug)]
pub enum Reply {
    Response(Response),
    /// No response: the connection is closed.
    CloseConnection,
}

impl From<ApiError> for Reply {
    fn from(error: ApiError) -> Self {
        Self::Response(error.into())
    }
}

#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub body: String,
    /// The `Request-Id` of the first request, if this is a replay.
    pub replay_of: Option<String>,
    /// `Retry-After`, in seconds.
    pub retry_after_s: Option<u64>,
}

impl Response {
    pub fn ok(body: String) -> Self {
        Self { status: 200, body, replay_of: None, retry_after_s: None }
    }
}

impl From<ApiError> for Response {
    fn from(error: ApiError) -> Self {
        Self { status: error.status, ..Self::ok(error.body()) }
    }
}

/// A response stored under an idempotency key; the same request with the same key gets it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredResponse {
    pub key: String,
    /// The path; a key belongs to one endpoint.
    pub endpoint: String,
    /// A digest of the parameters, in hex.
    pub fingerprint: String,
    /// The time of the response, in milliseconds since 1970.
    pub at_ms: i64,
    /// The `Request-Id` of the first request.
    pub request_id: String,
    pub status: u16,
    /// The body, byte for byte.
    pub body: String,
}

impl From<&StoredResponse> for Response {
    fn from(stored: &StoredResponse) -> Self {
        let replay_of = Some(stored.request_id.clone());
        Self { status: stored.status, replay_of, ..Self::ok(stored.body.clone()) }
    }
}
