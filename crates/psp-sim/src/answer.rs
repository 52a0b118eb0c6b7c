//! What callers get.

use crate::books::StoredAnswer;
use crate::errors::ApiError;

/// What a caller gets.
#[derive(Debug)]
pub enum Reply {
    /// An answer.
    Answer(Answer),
    /// Nothing: the connection is closed.
    Silence,
}

impl From<ApiError> for Reply {
    fn from(error: ApiError) -> Self {
        Self::Answer(error.into())
    }
}

/// What a request is answered.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// JSON.
    pub body: String,
    /// The `Request-Id` of the request whose answer this is, if it is a replay.
    pub replay_of: Option<String>,
    /// When to come again, in seconds.
    pub retry_after_s: Option<u64>,
}

impl Answer {
    /// A 200.
    pub fn ok(body: String) -> Self {
        Self { status: 200, body, replay_of: None, retry_after_s: None }
    }
}

impl From<ApiError> for Answer {
    fn from(error: ApiError) -> Self {
        Self { status: error.status, ..Self::ok(error.body()) }
    }
}

impl From<&StoredAnswer> for Answer {
    fn from(stored: &StoredAnswer) -> Self {
        let replay_of = Some(stored.request_id.clone());
        Self { status: stored.status, replay_of, ..Self::ok(stored.body.clone()) }
    }
}
