//! A call of the service, and its errors.

use std::time::Duration;

use reqwest::Method;
use serde::Serialize;

#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) key: Option<String>,
    pub(super) body: Option<Vec<u8>>,
}

impl Call {
    pub fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), key: None, body: None }
    }

    pub fn put(path: impl Into<String>, body: &impl Serialize) -> Self {
        Self { method: Method::PUT, ..Self::get(path) }.with(body)
    }

    pub fn post(path: impl Into<String>, body: &impl Serialize) -> Self {
        Self { method: Method::POST, ..Self::get(path) }.with(body)
    }

    /// A command with an idempotency key: all attempts together have one effect.
    pub fn command(path: impl Into<String>, key: impl Into<String>, body: &impl Serialize) -> Self {
        Self { key: Some(key.into()), ..Self::post(path, body) }
    }

    fn with(mut self, body: &impl Serialize) -> Self {
        // Serializing the plain structs of this crate does not fail; the service would reject an empty body.
        self.body = Some(serde_json::to_vec(body).unwrap_or_default());
        self
    }
}

/// Why a call failed.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum CallError {
    /// The service rejected the call, and would reject it again.
    #[error("rejected with {status} {code}")]
    Rejected { status: u16, code: String },
    /// No definite response; the effect is unknown.
    #[error("no response: {last}")]
    NoResponse { last: String },
    /// A response that this client cannot parse.
    #[error("unreadable response: {0}")]
    Unreadable(String),
}

impl CallError {
    /// The problem code, if the service rejected the call.
    pub fn code(&self) -> &str {
        match self {
            Self::Rejected { code, .. } => code,
            Self::NoResponse { .. } | Self::Unreadable(_) => "",
        }
    }
}

/// Why an attempt failed.
#[derive(Debug)]
pub(super) enum AttemptError {
    /// A retry is useless.
    Permanent(CallError),
    /// Retry with a new token.
    TokenRejected,
    /// Retry, after `Retry-After` if the service has sent it.
    Transient { retry_after: Option<Duration>, reason: String },
}

impl AttemptError {
    /// The `Retry-After` of the service and the reason, if a retry makes sense.
    ///
    /// # Errors
    /// A retry is useless.
    pub fn retryable(self) -> Result<(Option<Duration>, String), CallError> {
        match self {
            Self::Permanent(error) => Err(error),
            Self::TokenRejected => Ok((None, "the token was rejected".into())),
            Self::Transient { retry_after, reason } => Ok((retry_after, reason)),
        }
    }

    /// The error of the call, if there is no other attempt.
    pub fn into_call_error(self) -> CallError {
        self.retryable().map_or_else(|error| error, |(_, last)| CallError::NoResponse { last })
    }
}
