//! What was asked under which key, and what was answered.

use std::collections::BTreeMap;
use std::sync::Mutex;

use sha2::{Digest, Sha256};

use crate::lock;

/// One key, and what came of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asked {
    /// Role and path, for people.
    pub what: String,
    /// Times it was sent.
    pub sent: u32,
    /// Answers that were heard and stand. Where there are fewer than were sent, something may still be done later.
    pub heard: u32,
    /// Codes of refusals that stand: 4xx, but for those that ask to come again.
    pub refusals: Vec<String>,
    /// Successes: status, and the digest of the body. More than one different one is a broken promise.
    pub successes: Vec<(u16, [u8; 32])>,
}

/// Everybody's record.
#[derive(Debug, Default)]
pub(crate) struct Record {
    keys: Mutex<BTreeMap<String, Asked>>,
}

/// What an answer to a keyed command means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// It is done, now or before.
    Done,
    /// It is refused, and nothing was done.
    Refused,
    /// Nobody knows, or not now: the same key again.
    Again,
}

impl Meaning {
    /// Of a status, and the problem's code.
    pub fn of(status: u16, code: &str) -> Self {
        match status {
            200..=299 => Self::Done,
            408 | 429 | 500..=599 => Self::Again,
            409 if code == "request_in_progress" => Self::Again,
            // A token of another life of the service would be an error of ours.
            _ => Self::Refused,
        }
    }
}

impl Record {
    /// The key is sent, once more.
    pub fn sends(&self, key: &str, what: &str) {
        let mut keys = lock(&self.keys);
        let asked = keys.entry(key.to_owned()).or_default();
        what.clone_into(&mut asked.what);
        asked.sent += 1;
    }

    /// An answer that stands has come.
    pub fn hears(&self, key: &str, status: u16, code: &str, body: &[u8]) {
        let mut keys = lock(&self.keys);
        let asked = keys.entry(key.to_owned()).or_default();
        asked.heard += 1;
        if (200..300).contains(&status) {
            let success = (status, digest(body));
            if !asked.successes.contains(&success) {
                asked.successes.push(success);
            }
        } else if !asked.refusals.iter().any(|known| known == code) {
            asked.refusals.push(code.to_owned());
        }
    }

    /// Everything, as it stands.
    pub fn all(&self) -> BTreeMap<String, Asked> {
        lock(&self.keys).clone()
    }
}

/// How bodies are compared.
pub(crate) fn digest(body: &[u8]) -> [u8; 32] {
    Sha256::digest(body).into()
}
