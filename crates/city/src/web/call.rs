//! What is asked of the service, and what can come of it other than an answer.

use std::time::Duration;

use reqwest::Method;
use serde::Serialize;

/// One call.
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

    /// A command under its idempotency key: however often it is tried, it has one effect.
    pub fn command(path: impl Into<String>, key: impl Into<String>, body: &impl Serialize) -> Self {
        Self { key: Some(key.into()), ..Self::post(path, body) }
    }

    fn with(mut self, body: &impl Serialize) -> Self {
        // Bodies are plain structs of this crate; serialising one can't fail, and if it did the service would say so.
        self.body = Some(serde_json::to_vec(body).unwrap_or_default());
        self
    }
}

/// Why a call led to nothing.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Failure {
    /// The service said no, and will say so again.
    #[error("refused with {status} {code}")]
    Refused { status: u16, code: String },
    /// No definite answer; the effect is unknown.
    #[error("no answer: {last}")]
    NoAnswer { last: String },
    /// An answer that this client doesn't understand.
    #[error("an answer nobody understands: {0}")]
    Unreadable(String),
}

impl Failure {
    /// The problem's code when the service refused.
    pub fn code(&self) -> &str {
        match self {
            Self::Refused { code, .. } => code,
            Self::NoAnswer { .. } | Self::Unreadable(_) => "",
        }
    }
}

/// What one attempt can end with, other than an answer.
#[derive(Debug)]
pub(super) enum Setback {
    /// Trying again is of no use.
    Definite(Failure),
    /// Worth another attempt with another token.
    TokenRefused,
    /// Worth another attempt, after what the service asked for.
    Passing { asked: Option<Duration>, why: String },
}

impl Setback {
    /// What the service asked to wait before another attempt, and why one is worth it.
    ///
    /// # Errors
    /// When none is.
    pub fn passing(self) -> Result<(Option<Duration>, String), Failure> {
        match self {
            Self::Definite(failure) => Err(failure),
            Self::TokenRefused => Ok((None, "the token was refused".into())),
            Self::Passing { asked, why } => Ok((asked, why)),
        }
    }

    /// What is left of it when there is no other attempt.
    pub fn into_failure(self) -> Failure {
        self.passing().map_or_else(|failure| failure, |(_, last)| Failure::NoAnswer { last })
    }
}
