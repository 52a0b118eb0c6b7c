//! Everything that the provider remembers, in memory. [`Books::post`] is the only way to change it, live and at start
//! alike: what the journal's lines add up to *is* the books.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::errors::ApiError;
use crate::mailbox::{Event, Mailbox};
use crate::model::{Intent, Refund, UnixSeconds};
use crate::operations::Request;
use crate::shelf::Shelf;

/// How long an idempotency key is remembered: 24 h, as Stripe does it.
pub const KEY_RETENTION_MS: i64 = 24 * 60 * 60 * 1000;

/// How many keys are remembered at most, at roughly 2 KB each. A provider that forgot one too early would charge twice,
/// so that beyond this it refuses new ones instead.
pub const KEYS_MAX: usize = 1_000_000;

/// One line of the journal: everything that one request did. Values are whole, so that the last line about a thing says
/// all about it, and posting a line twice is posting it once.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// The intent as it is now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<Arc<Intent>>,
    /// The refund that was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refund: Option<Arc<Refund>>,
    /// The answer, under its idempotency key: in the same line as the effect, so that there is never one without the
    /// other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Arc<StoredAnswer>>,
    /// What has to be told to the webhook.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<Arc<Event>>,
    /// The event that needs no further delivery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled_event: Option<String>,
    /// The event that needs another delivery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resent_event: Option<String>,
    /// Everything before this line is forgotten.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub begins_anew: bool,
}

/// An answer that is replayed to whoever sends the same request under the same key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredAnswer {
    /// The idempotency key.
    pub key: String,
    /// Method and path; a key belongs to one endpoint.
    pub endpoint: String,
    /// A digest of the parameters, in hex.
    pub fingerprint: String,
    /// When it was given, in milliseconds since 1970.
    pub at_ms: i64,
    /// The first request's `Request-Id`.
    pub request_id: String,
    /// HTTP status.
    pub status: u16,
    /// The body, byte for byte.
    pub body: String,
}

/// The provider's memory.
#[derive(Debug, Default)]
pub struct Books {
    intents: Shelf<Intent>,
    /// The intents that have money reserved, the oldest reservation first.
    reserved: BTreeSet<(UnixSeconds, String)>,
    refunds: Shelf<Refund>,
    answers: HashMap<String, Arc<StoredAnswer>>,
    /// The same answers, oldest first.
    answers_by_age: VecDeque<Arc<StoredAnswer>>,
    events: Mailbox,
}

impl Books {
    /// Takes a line in. Nothing here can fail: what could be wrong was refused before the line was written.
    pub fn post(&mut self, line: &Line) {
        if line.begins_anew {
            let mut events = std::mem::take(&mut self.events);
            events.forget();
            *self = Self { events, ..Self::default() };
        }
        if let Some(intent) = &line.intent {
            let before = self.intents.get(&intent.id).and_then(|before| before.authorized_s());
            if let Some(since_s) = before {
                self.reserved.remove(&(since_s, intent.id.clone()));
            }
            if let Some(since_s) = intent.authorized_s() {
                self.reserved.insert((since_s, intent.id.clone()));
            }
            self.intents.put(Arc::clone(intent));
        }
        if let Some(refund) = &line.refund {
            self.refunds.put(Arc::clone(refund));
        }
        if let Some(answer) = &line.answer {
            self.answers.insert(answer.key.clone(), Arc::clone(answer));
            self.answers_by_age.push_back(Arc::clone(answer));
        }
        line.events.iter().cloned().for_each(|event| self.events.put(event));
        line.settled_event.iter().for_each(|id| self.events.settle(id));
        line.resent_event.iter().for_each(|id| self.events.resend(id));
    }

    /// All intents.
    pub fn intents(&self) -> &Shelf<Intent> {
        &self.intents
    }

    /// All refunds.
    pub fn refunds(&self) -> &Shelf<Refund> {
        &self.refunds
    }

    /// The intent with this id, or the one that was refunded by the refund with this id.
    pub fn intent_of(&self, id: &str) -> Option<&Arc<Intent>> {
        let refunded = || self.intents.get(&self.refunds.get(id)?.payment_intent);
        self.intents.get(id).or_else(refunded)
    }

    /// The oldest reservation, if it is of `until_s` or before. O(log n).
    pub fn reserved_until(&self, until_s: UnixSeconds) -> Option<&Arc<Intent>> {
        let (since_s, id) = self.reserved.first()?;
        if *since_s <= until_s { self.intents.get(id) } else { None }
    }

    /// All events.
    pub fn events(&self) -> &Mailbox {
        &self.events
    }

    /// How many idempotency keys are remembered.
    pub fn keys(&self) -> usize {
        self.answers.len()
    }

    /// Whether a request with this key was answered.
    pub fn has_answered(&self, key: &str) -> bool {
        self.answers.contains_key(key)
    }

    /// Forgets the keys that are older than [`KEY_RETENTION_MS`].
    pub fn prune(&mut self, now_ms: i64) {
        while let Some(oldest) = self.answers_by_age.front()
            && now_ms.saturating_sub(oldest.at_ms) >= KEY_RETENTION_MS
        {
            // A key that was forgotten and used again has a younger answer, which stays.
            if self.answers.get(&oldest.key).is_some_and(|answer| Arc::ptr_eq(answer, oldest)) {
                self.answers.remove(&oldest.key);
            }
            self.answers_by_age.pop_front();
        }
    }

    /// The answer stored under the request's key, if it was given to the very same request.
    ///
    /// # Errors
    /// 400 if the key was used for another request; 429 if no further key can be remembered.
    pub fn stored_answer(&self, request: &Request) -> Result<Option<&Arc<StoredAnswer>>, ApiError> {
        let Some(key) = &request.key else {
            return Ok(None);
        };
        let endpoint = request.endpoint();
        match self.answers.get(key) {
            Some(answer) if answer.endpoint != endpoint => Err(ApiError::key_reused(&format!(
                "Keys for idempotent requests can only be used for the same endpoint they were first used for \
                 ('{endpoint}' vs '{}').",
                answer.endpoint
            ))),
            Some(answer) if answer.fingerprint != request.fingerprint() => Err(ApiError::key_reused(
                "Keys for idempotent requests can only be used with the same parameters they were first used with.",
            )),
            Some(answer) => Ok(Some(answer)),
            None if self.answers.len() >= KEYS_MAX => Err(ApiError::too_many_keys()),
            None => Ok(None),
        }
    }

    /// The shortest journal that adds up to these books: one line per thing. Cheap, the values are shared.
    pub fn lines(&self) -> Vec<Line> {
        let intents =
            self.intents.all().iter().map(|intent| Line { intent: Some(Arc::clone(intent)), ..Line::default() });
        let refunds =
            self.refunds.all().iter().map(|refund| Line { refund: Some(Arc::clone(refund)), ..Line::default() });
        let answers =
            self.answers_by_age.iter().map(|answer| Line { answer: Some(Arc::clone(answer)), ..Line::default() });
        let event = |event: &Arc<Event>| Line { events: vec![Arc::clone(event)], ..Line::default() };
        let settled =
            self.events.settled().map(|settled| Line { settled_event: Some(settled.id.clone()), ..event(settled) });
        let pending = self.events.pending().map(event);
        intents.chain(refunds).chain(answers).chain(settled).chain(pending).collect()
    }

    /// The ids that were given out last.
    pub fn newest_ids(&self) -> String {
        let intent = self.intents.all().last().map(|intent| intent.id.as_str());
        let refund = self.refunds.all().last().map(|refund| refund.id.as_str());
        let request = self.answers_by_age.back().map(|answer| answer.request_id.as_str());
        [intent, refund, request].into_iter().flatten().collect()
    }
}
