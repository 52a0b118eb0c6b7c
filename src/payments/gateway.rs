//! The provider's API, as much of Stripe's own as we use. It turns whatever comes back, or does not, into one of four
//! [`Answer`]s, and decides nothing.

use std::collections::BTreeMap;
use std::fmt;

use form_urlencoded::Serializer;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::machine::refund::Status as RefundStatus;
use super::machine::{Seen, Status};
use super::model::{Payment, Refund};
use crate::platform::clock::MachineTime;
use crate::platform::egress::{Call, Egress, Failure, Reply};

/// Items on a page of the provider's lists: the most that it gives.
const PAGE: usize = 100;

/// Pages looked through for one intent: 10,000 intents, made since shortly before the one that is looked for.
const FIND_PAGES_MAX: usize = 100;

/// Pages of a whole list: a million intents. Past that, books are compared day by day, and not by us.
pub(super) const BOOK_PAGES_MAX: usize = 10_000;

/// How much the provider's clock may differ from ours, seconds.
pub(super) const CLOCK_SLACK_S: i64 = 300;

/// The longest code or reason that is kept of an answer.
const REASON_CHARS_MAX: usize = 120;

/// What became of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer<T> {
    /// It was done, and this is what there is now.
    Done(T),
    /// It was refused for good, and is not done.
    Refused {
        /// The provider's reason, or the bank's.
        code: String,
        /// What there is all the same, where the refusal shows it.
        object: Option<T>,
    },
    /// It is done or not done.
    Unknown {
        /// Whether there was an answer, if not one that tells. The provider gives the same one again under the same key.
        answered: bool,
        /// What there was instead. For logs and people.
        why: String,
    },
    /// It did not reach the provider, or the provider says that it did nothing with it.
    NotSent {
        /// Why. For logs and people.
        why: String,
    },
}

impl<T> Answer<T> {
    fn and_then<U>(self, read: impl Fn(T) -> Result<U, String>) -> Answer<U> {
        match self {
            Self::Done(object) => match read(object) {
                Ok(object) => Answer::Done(object),
                Err(why) => Answer::Unknown { answered: true, why },
            },
            Self::Refused { code, object } => Answer::Refused { code, object: object.and_then(|it| read(it).ok()) },
            Self::Unknown { answered, why } => Answer::Unknown { answered, why },
            Self::NotSent { why } => Answer::NotSent { why },
        }
    }

    /// How the metric calls it.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Done(_) => "done",
            Self::Refused { .. } => "refused",
            Self::Unknown { .. } => "unknown",
            Self::NotSent { .. } => "not_sent",
        }
    }
}

/// The provider's intent: its id, and how it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderIntent {
    /// `pi_…`
    pub id: String,
    /// How it stands.
    pub seen: Seen,
}

/// The provider's refund: its id, and how it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderRefund {
    /// `re_…`
    pub id: String,
    /// How it stands.
    pub status: RefundStatus,
}

/// A client of the provider.
#[derive(Clone)]
pub struct Gateway {
    egress: Egress,
    base_url: String,
    secret_key: String,
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway").field("base_url", &self.base_url).finish_non_exhaustive()
    }
}

impl Gateway {
    /// A client of the provider at `base_url` (without a slash at its end), as the holder of `secret_key`.
    pub fn new(egress: Egress, base_url: String, secret_key: String) -> Self {
        Self { egress, base_url, secret_key }
    }

    /// Makes an intent for the payment, unconfirmed: no money moves. Our id is in its metadata, so that it can be found.
    pub async fn create(&self, payment: &Payment, key: &str) -> Answer<ProviderIntent> {
        let form = [
            ("amount", payment.amount.amount.to_string()),
            ("currency", payment.amount.currency.as_str().to_ascii_lowercase()),
            ("capture_method", "manual".to_owned()),
            ("payment_method_types[]", "card".to_owned()),
            ("payment_method", payment.method.clone()),
            ("metadata[payment_id]", payment.id.to_string()),
            ("metadata[trip_id]", payment.trip_id.to_string()),
        ];
        self.post("/v1/payment_intents", key, &form).await.and_then(WireIntent::read)
    }

    /// Reserves the amount.
    pub async fn confirm(&self, intent: &str, key: &str) -> Answer<ProviderIntent> {
        let path = format!("/v1/payment_intents/{intent}/confirm");
        self.post(&path, key, &[]).await.and_then(WireIntent::read)
    }

    /// Takes `amount` minor units of what is reserved, and releases the rest.
    pub async fn capture(&self, intent: &str, amount: i64, key: &str) -> Answer<ProviderIntent> {
        let path = format!("/v1/payment_intents/{intent}/capture");
        let form = [("amount_to_capture", amount.to_string())];
        self.post(&path, key, &form).await.and_then(WireIntent::read)
    }

    /// Gives the intent up. A confirmation that comes later fails.
    pub async fn cancel(&self, intent: &str, key: &str) -> Answer<ProviderIntent> {
        let path = format!("/v1/payment_intents/{intent}/cancel");
        self.post(&path, key, &[]).await.and_then(WireIntent::read)
    }

    /// Asks how the intent stands.
    pub async fn intent(&self, intent: &str) -> Answer<ProviderIntent> {
        self.get(&format!("/v1/payment_intents/{intent}"), &[]).await.and_then(WireIntent::read)
    }

    /// Looks through the list for the intent that was made for the payment after about `since`.
    pub async fn find_intent(&self, payment: &Payment, since: MachineTime) -> Answer<Option<ProviderIntent>> {
        let from = [("created[gte]", (since.utc().timestamp() - CLOCK_SLACK_S).to_string())];
        let ours = payment.id.to_string();
        let is_ours = |intent: &WireIntent| intent.metadata.get("payment_id") == Some(&ours);
        let found = self.search(&from, is_ours).await;
        found.and_then(|found| found.map(WireIntent::read).transpose())
    }

    /// Asks for a part of what was taken to be given back.
    pub async fn refund(&self, refund: &Refund, intent: &str, key: &str) -> Answer<ProviderRefund> {
        let form = [
            ("payment_intent", intent.to_owned()),
            ("amount", refund.amount.to_string()),
            ("metadata[refund_id]", refund.id.to_string()),
        ];
        self.post("/v1/refunds", key, &form).await.and_then(WireRefund::read)
    }

    /// Asks how the refund stands.
    pub async fn look_at_refund(&self, provider_refund: &str) -> Answer<ProviderRefund> {
        self.get(&format!("/v1/refunds/{provider_refund}"), &[]).await.and_then(WireRefund::read)
    }

    /// Looks through the refunds of an intent for ours.
    pub async fn find_refund(&self, refund: &Refund, intent: &str) -> Answer<Option<ProviderRefund>> {
        let of_intent = [("payment_intent", intent.to_owned())];
        let ours = refund.id.to_string();
        let is_ours = |refund: &WireRefund| refund.metadata.get("refund_id") == Some(&ours);
        let found = self.search(&of_intent, is_ours).await;
        found.and_then(|found| found.map(WireRefund::read).transpose())
    }

    /// The first item of a list that `is_ours`. That there is none is only said when the list was read to its end.
    async fn search<T: Listed>(&self, query: &[(&str, String)], is_ours: impl Fn(&T) -> bool) -> Answer<Option<T>> {
        let mut after = None;
        for _ in 0..FIND_PAGES_MAX {
            let page = match self.page(query, after).await {
                Answer::Done(page) => page,
                other => return other.and_then(|_: Page<T>| Ok(None)),
            };
            let (next, found) = (page.next(), page.data.into_iter().find(&is_ours));
            if found.is_some() || next.is_none() {
                return Answer::Done(found);
            }
            after = next;
        }
        Answer::Unknown { answered: true, why: format!("not among {FIND_PAGES_MAX} pages, and there are more") }
    }

    /// One page of a list, newest first.
    pub(super) async fn page<T: Listed>(&self, query: &[(&str, String)], after: Option<String>) -> Answer<Page<T>> {
        let mut query = query.to_vec();
        query.push(("limit", PAGE.to_string()));
        query.extend(after.map(|id| ("starting_after", id)));
        self.get(T::PATH, &query).await
    }

    async fn post<T: DeserializeOwned>(&self, path: &str, key: &str, form: &[(&str, String)]) -> Answer<T> {
        let url = format!("{}{path}", self.base_url);
        let call = Call { url, bearer: &self.secret_key, idempotency_key: Some(key), form: Some(form) };
        self.call(call).await
    }

    async fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, String)]) -> Answer<T> {
        let query = Serializer::new(String::new()).extend_pairs(query).finish();
        let mark = if query.is_empty() { "" } else { "?" };
        let url = format!("{}{path}{mark}{query}", self.base_url);
        let call = Call { url, bearer: &self.secret_key, idempotency_key: None, form: None };
        self.call(call).await
    }

    async fn call<T: DeserializeOwned>(&self, call: Call<'_>) -> Answer<T> {
        match self.egress.call(call).await {
            Ok(reply) => classify(&reply),
            Err(Failure::NotSent(why)) => Answer::NotSent { why: short(&why) },
            Err(Failure::NoAnswer(why)) => Answer::Unknown { answered: false, why: short(&why) },
        }
    }
}

/// What a reply says about the request.
fn classify<T: DeserializeOwned>(reply: &Reply) -> Answer<T> {
    let status = reply.status;
    let unknown = |answered, what: &str| Answer::Unknown { answered, why: format!("{status} {what}") };
    match status {
        200..=299 => match serde_json::from_slice(&reply.body) {
            Ok(object) => Answer::Done(object),
            Err(error) => unknown(true, &short(&format!("cannot be read: {error}"))),
        },
        // Our key is wrong, or we are too fast: the provider did nothing.
        401 | 403 | 429 => Answer::NotSent { why: format!("{status}") },
        // The first request under this key is still running.
        409 => unknown(false, "the key is in use"),
        400..=499 => {
            let Ok(WireFailure { error }) = serde_json::from_slice(&reply.body) else {
                return unknown(true, "without a reason");
            };
            if error.kind.as_deref() == Some("idempotency_error") {
                return unknown(true, "the key belongs to another request");
            }
            let code = error.decline_code.or(error.code).or(error.kind);
            let object = error.payment_intent.and_then(|intent| serde_json::from_value(intent).ok());
            Answer::Refused { code: short(&code.unwrap_or_else(|| status.to_string())), object }
        }
        _ => unknown(true, "from the provider"),
    }
}

fn short(text: &str) -> String {
    text.chars().take(REASON_CHARS_MAX).collect()
}

#[derive(Debug, Deserialize)]
struct WireFailure {
    error: WireError,
}

#[derive(Debug, Deserialize)]
struct WireError {
    #[serde(rename = "type")]
    kind: Option<String>,
    code: Option<String>,
    decline_code: Option<String>,
    payment_intent: Option<Value>,
}

/// Something that stands in the provider's lists.
pub(super) trait Listed: DeserializeOwned {
    /// Where the list is.
    const PATH: &'static str;

    /// Its id: the next page starts after it.
    fn id(&self) -> &str;
}

/// A page of a list.
#[derive(Debug, Deserialize)]
pub(super) struct Page<T> {
    pub(super) data: Vec<T>,
    has_more: bool,
}

impl<T: Listed> Page<T> {
    /// What the next page starts after, if there is one.
    pub(super) fn next(&self) -> Option<String> {
        self.data.last().filter(|_| self.has_more).map(|last| last.id().to_owned())
    }
}

/// An intent on the wire.
#[derive(Debug, Deserialize)]
pub(super) struct WireIntent {
    pub(super) id: String,
    pub(super) status: String,
    pub(super) amount: i64,
    pub(super) currency: String,
    #[serde(default)]
    amount_capturable: i64,
    #[serde(default)]
    pub(super) amount_received: i64,
    #[serde(default)]
    pub(super) metadata: BTreeMap<String, String>,
    last_payment_error: Option<WireError>,
}

impl Listed for WireIntent {
    const PATH: &'static str = "/v1/payment_intents";

    fn id(&self) -> &str {
        &self.id
    }
}

impl WireIntent {
    /// A status that we do not know says nothing; `processing` is one of them, for it will be another soon.
    fn read(self) -> Result<ProviderIntent, String> {
        let status = match self.status.as_str() {
            "requires_confirmation" => Status::Unconfirmed,
            "requires_payment_method" => Status::MethodRefused,
            "requires_action" => Status::ActionRequired,
            "requires_capture" => Status::Authorized,
            "succeeded" => Status::Succeeded,
            "canceled" => Status::Canceled,
            other => return Err(short(&format!("the intent's status is {other}"))),
        };
        let decline_code = self.last_payment_error.and_then(|error| error.decline_code.or(error.code));
        let seen = Seen {
            status,
            capturable: self.amount_capturable,
            received: self.amount_received,
            decline_code: decline_code.as_deref().map(short),
        };
        Ok(ProviderIntent { id: self.id, seen })
    }
}

/// A refund on the wire.
#[derive(Debug, Deserialize)]
pub(super) struct WireRefund {
    pub(super) id: String,
    pub(super) status: String,
    pub(super) amount: i64,
    pub(super) payment_intent: Option<String>,
    failure_reason: Option<String>,
    #[serde(default)]
    pub(super) metadata: BTreeMap<String, String>,
}

impl Listed for WireRefund {
    const PATH: &'static str = "/v1/refunds";

    fn id(&self) -> &str {
        &self.id
    }
}

impl WireRefund {
    fn read(self) -> Result<ProviderRefund, String> {
        let status = match self.status.as_str() {
            "pending" | "requires_action" => RefundStatus::Pending,
            "succeeded" => RefundStatus::Succeeded,
            "failed" | "canceled" => RefundStatus::Failed { code: short(&self.failure_reason.unwrap_or(self.status)) },
            other => return Err(short(&format!("the refund's status is {other}"))),
        };
        Ok(ProviderRefund { id: self.id, status })
    }
}

#[cfg(test)]
mod tests;
