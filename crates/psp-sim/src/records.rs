//! The records of the provider, in memory. [`Records::apply`] is the only way to change them, at runtime and at start:
//! the records are the sum of the lines of the journal.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::api_error::ApiError;
use crate::catalog::Catalog;
use crate::event_queue::{Event, EventQueue};
use crate::model::{Dispute, Intent, Refund, UnixSeconds};
use crate::request::Request;
use crate::response::StoredResponse;

/// How long an idempotency key is kept: 24 h, as Stripe does.
pub const KEY_RETENTION_MS: i64 = 24 * 60 * 60 * 1000;

/// The most idempotency keys, at about 2 KB each. Removing a key too early would charge twice, so beyond this new keys
/// are refused.
pub const KEYS_MAX: usize = 1_000_000;

/// One line of the journal: everything that one request changed. It holds whole objects, so that applying a line twice
/// has the effect of once.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
pub struct JournalLine {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<Arc<Intent>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refund: Option<Arc<Refund>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dispute: Option<Arc<Dispute>>,
    /// The response, with its idempotency key. In the line of the effect, so that neither is written without the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<Arc<StoredResponse>>,
    /// The new events for the webhook.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<Arc<Event>>,
    /// The id of an event that needs no further delivery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_event: Option<String>,
    /// The id of an event that is sent again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resent_event: Option<String>,
    /// Removes everything before this line.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reset: bool,
}

#[derive(Debug, Default)]
pub struct Records {
    intents: Catalog<Intent>,
    /// The open authorizations, oldest first.
    authorized: BTreeSet<(UnixSeconds, String)>,
    refunds: Catalog<Refund>,
    disputes: Catalog<Dispute>,
    responses: HashMap<String, Arc<StoredResponse>>,
    /// The same responses, oldest first.
    responses_by_age: VecDeque<Arc<StoredResponse>>,
    events: EventQueue,
}

impl Records {
    /// Applies a line. This cannot fail: invalid requests are rejected before a line is made.
    pub fn apply(&mut self, line: &JournalLine) {
        if line.reset {
            let mut events = std::mem::take(&mut self.events);
            events.clear();
            *self = Self { events, ..Self::default() };
        }
        if let Some(intent) = &line.intent {
            let before = self.intents.get(&intent.id).and_then(|before| before.authorized_s());
            if let Some(since_s) = before {
                self.authorized.remove(&(since_s, intent.id.clone()));
            }
            if let Some(since_s) = intent.authorized_s() {
                self.authorized.insert((since_s, intent.id.clone()));
            }
            self.intents.put(Arc::clone(intent));
        }
        if let Some(refund) = &line.refund {
            self.refunds.put(Arc::clone(refund));
        }
        if let Some(dispute) = &line.dispute {
            self.disputes.put(Arc::clone(dispute));
        }
        if let Some(response) = &line.response {
            self.responses.insert(response.key.clone(), Arc::clone(response));
            self.responses_by_age.push_back(Arc::clone(response));
        }
        line.events.iter().cloned().for_each(|event| self.events.push(event));
        line.finished_event.iter().for_each(|id| self.events.finish(id));
        line.resent_event.iter().for_each(|id| self.events.resend(id));
    }

    pub fn intents(&self) -> &Catalog<Intent> {
        &self.intents
    }

    pub fn refunds(&self) -> &Catalog<Refund> {
        &self.refunds
    }

    pub fn disputes(&self) -> &Catalog<Dispute> {
        &self.disputes
    }

    /// The dispute of this intent that was opened last.
    pub fn dispute_of(&self, intent: &str) -> Option<&Arc<Dispute>> {
        self.disputes.all().iter().rev().find(|dispute| dispute.payment_intent == intent)
    }

    /// The intent with this id, or the one of the refund with this id.
    pub fn intent_of(&self, id: &str) -> Option<&Arc<Intent>> {
        let refunded = || self.intents.get(&self.refunds.get(id)?.payment_intent);
        self.intents.get(id).or_else(refunded)
    }

    /// The intent with the oldest open authorization, if that is of `until_s` or before. O(log n).
    pub fn authorized_until(&self, until_s: UnixSeconds) -> Option<&Arc<Intent>> {
        let (since_s, id) = self.authorized.first()?;
        if *since_s <= until_s { self.intents.get(id) } else { None }
    }

    pub fn events(&self) -> &EventQueue {
        &self.events
    }

    /// The number of idempotency keys.
    pub fn keys(&self) -> usize {
        self.responses.len()
    }

    /// Whether a response is stored under this key.
    pub fn has_response(&self, key: &str) -> bool {
        self.responses.contains_key(key)
    }

    /// Removes the keys that are older than [`KEY_RETENTION_MS`].
    pub fn prune(&mut self, now_ms: i64) {
        while let Some(oldest) = self.responses_by_age.front()
            && now_ms.saturating_sub(oldest.at_ms) >= KEY_RETENTION_MS
        {
            // A key that was removed and used again has a newer response, which stays.
            if self.responses.get(&oldest.key).is_some_and(|response| Arc::ptr_eq(response, oldest)) {
                self.responses.remove(&oldest.key);
            }
            self.responses_by_age.pop_front();
        }
    }

    /// The response stored under the key of this request.
    ///
    /// # Errors
    /// 400 if the key was used for another request; 429 if no further key can be stored.
    pub fn stored_response(&self, request: &Request) -> Result<Option<&Arc<StoredResponse>>, ApiError> {
        let Some(key) = &request.key else {
            return Ok(None);
        };
        let endpoint = request.endpoint();
        match self.responses.get(key) {
            Some(response) if response.endpoint != endpoint => Err(ApiError::key_reused(&format!(
                "Keys for idempotent requests can only be used for the same endpoint they were first used for \
                 ('{endpoint}' vs '{}').",
                response.endpoint
            ))),
            Some(response) if response.fingerprint != request.fingerprint() => Err(ApiError::key_reused(
                "Keys for idempotent requests can only be used with the same parameters they were first used with.",
            )),
            Some(response) => Ok(Some(response)),
            None if self.responses.len() >= KEYS_MAX => Err(ApiError::too_many_keys()),
            None => Ok(None),
        }
    }

    /// The shortest journal of these records: one line per object. Cheap: the objects are shared.
    pub fn lines(&self) -> Vec<JournalLine> {
        let intents = self
            .intents
            .all()
            .iter()
            .map(|intent| JournalLine { intent: Some(Arc::clone(intent)), ..JournalLine::default() });
        let refunds = self
            .refunds
            .all()
            .iter()
            .map(|refund| JournalLine { refund: Some(Arc::clone(refund)), ..JournalLine::default() });
        let disputes = self
            .disputes
            .all()
            .iter()
            .map(|dispute| JournalLine { dispute: Some(Arc::clone(dispute)), ..JournalLine::default() });
        let responses = self
            .responses_by_age
            .iter()
            .map(|response| JournalLine { response: Some(Arc::clone(response)), ..JournalLine::default() });
        let event = |event: &Arc<Event>| JournalLine { events: vec![Arc::clone(event)], ..JournalLine::default() };
        let finished = self
            .events
            .finished()
            .map(|finished| JournalLine { finished_event: Some(finished.id.clone()), ..event(finished) });
        let pending = self.events.pending().map(event);
        intents.chain(refunds).chain(disputes).chain(responses).chain(finished).chain(pending).collect()
    }

    /// The last created ids.
    pub fn newest_ids(&self) -> String {
        let intent = self.intents.all().last().map(|intent| intent.id.as_str());
        let refund = self.refunds.all().last().map(|refund| refund.id.as_str());
        let request = self.responses_by_age.back().map(|response| response.request_id.as_str());
        [intent, refund, request].into_iter().flatten().collect()
    }
}
