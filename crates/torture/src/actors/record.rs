//! The record of requests and responses, by idempotency key.

use std::collections::BTreeMap;
use std::sync::Mutex;

use sha2::{Digest, Sha256};

use crate::lock;

/// What was sent and received under one key.
#[derive(Debug, Clone, Default)]
pub(crate) struct KeyHistory {
    /// Actor, method and path.
    pub request: String,
    /// Number of requests sent.
    pub sent: u32,
    /// Number of final responses. If it is lower than `sent`, a request may still take effect later.
    pub answered: u32,
    /// Distinct codes of final refusals (4xx that do not ask for a retry).
    pub refusals: Vec<String>,
    /// Distinct successes: status and digest of the body. More than one is a violation.
    pub successes: Vec<(u16, [u8; 32])>,
}

/// The record of all actors.
#[derive(Debug, Default)]
pub(crate) struct Record {
    keys: Mutex<BTreeMap<String, KeyHistory>>,
}

/// What a response to a request with a key means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Done, now or before.
    Done,
    /// Refused, without an effect.
    Refused,
    /// Unknown, or not now: retry with the same key.
    Retry,
}

impl Outcome {
    /// Classifies a status and the problem's code.
    pub fn of(status: u16, code: &str) -> Self {
        match status {
            200..=299 => Self::Done,
            408 | 429 | 500..=599 => Self::Retry,
            409 if code == "request_in_progress" => Self::Retry,
            _ => Self::Refused,
        }
    }
}

impl Record {
    pub fn add_request(&self, key: &str, request: &str) {
        let mut keys = lock(&self.keys);
        let history = keys.entry(key.to_owned()).or_default();
        request.clone_into(&mut history.request);
        history.sent += 1;
    }

    /// Adds a final response.
    pub fn add_response(&self, key: &str, status: u16, code: &str, body: &[u8]) {
        let mut keys = lock(&self.keys);
        let history = keys.entry(key.to_owned()).or_default();
        history.answered += 1;
        if (200..300).contains(&status) {
            let success = (status, digest(body));
            if !history.successes.contains(&success) {
                history.successes.push(success);
            }
        } else if !history.refusals.iter().any(|known| known == code) {
            history.refusals.push(code.to_owned());
        }
    }

    pub fn all(&self) -> BTreeMap<String, KeyHistory> {
        lock(&self.keys).clone()
    }
}

/// The digest by which bodies are compared.
pub(crate) fn digest(body: &[u8]) -> [u8; 32] {
    Sha256::digest(body).into()
}
