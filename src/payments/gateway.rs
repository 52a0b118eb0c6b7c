//! The provider's API, as much of Stripe's own as we use. It turns whatever comes back, or does not, into one of four
//! [`Answer`]s, and decides nothing about payments.
//!
//! A call is made once; who asks again is the worker's business, and how often is the retry budget's ([`budget`]). A provider
//! that does not answer is left alone until a single call has found it well again ([`breaker`]).

pub mod breaker;
pub mod budget;
mod classify;
mod valve;
mod wire;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use form_urlencoded::Serializer;
use serde::de::DeserializeOwned;

use self::breaker::Outlook;
use self::classify::classify;
use self::valve::Valve;
pub(super) use self::wire::{Listed, Page, WireIntent, WireRefund};
use super::machine::Seen;
use super::machine::refund::Status as RefundStatus;
use super::model::{Payment, Refund};
use crate::platform::Platform;
use crate::platform::clock::{MachineTime, Stopwatch};
use crate::platform::config::ProviderConfig;
use crate::platform::egress::{Ask, BaseUrl, Call, Egress};
use crate::platform::error::Result;
use crate::platform::secret::Secret;

/// Items on a page of the provider's lists: the most that it gives.
const PAGE: usize = 100;

/// Pages looked through for one intent: 10,000 intents, made since shortly before the one that is looked for.
const FIND_PAGES_MAX: usize = 100;

/// Past that no further page is asked for: a search and its last call end well within a lease.
const FIND_WITHIN: Duration = Duration::from_secs(5);

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

    /// Why it does not tell; empty if it does.
    fn why(&self) -> &str {
        match self {
            Self::Unknown { why, .. } | Self::NotSent { why } => why,
            Self::Done(_) | Self::Refused { .. } => "",
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

/// A client of the provider. Clones share its connections, its breaker and its retry budget.
#[derive(Clone)]
pub struct Gateway(Arc<Parts>);

struct Parts {
    platform: Platform,
    egress: Egress,
    base_url: BaseUrl,
    secret_key: Secret,
    call_max: TimeDelta,
    valve: Valve,
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Gateway").field(&self.0.base_url.as_str()).finish()
    }
}

impl Gateway {
    /// A client of the configured provider.
    ///
    /// # Errors
    /// If there can be no HTTP client.
    pub fn new(platform: Platform, config: &ProviderConfig) -> Result<Self> {
        let settings = config.egress();
        let call_max = TimeDelta::from_std(settings.timeout).unwrap_or(TimeDelta::MAX);
        let parts = Parts {
            egress: Egress::new(settings)?,
            base_url: config.base_url.clone(),
            secret_key: config.secret_key.clone(),
            call_max,
            valve: Valve::new(platform.clone(), call_max),
            platform,
        };
        Ok(Self(Arc::new(parts)))
    }

    /// The longest that a call takes.
    pub fn call_max(&self) -> TimeDelta {
        self.0.call_max
    }

    /// What whoever has work for the provider can do now. Calls are held back by themselves while the provider is ill; but
    /// who asks first need not commit to a call that will not be made.
    pub fn outlook(&self) -> Outlook {
        self.0.valve.outlook()
    }

    /// So many pieces of work were begun for the first time: a share of them may be retried.
    pub(super) fn begun(&self, count: usize) {
        self.0.valve.begun(count);
    }

    /// Plans a retry; returns how long it has to wait for its turn, beside its own back-off.
    pub(super) fn plan_retry(&self) -> TimeDelta {
        self.0.valve.plan_retry()
    }

    /// Makes an intent for the payment, unconfirmed: no money moves. Our id is in its metadata, so that it can be found.
    ///
    /// Amounts are sent as they are: our minor units are the provider's. One that the provider could not take whole, a part of
    /// the smallest coin, is refused here, and not rounded.
    pub async fn create(&self, payment: &Payment, key: &str) -> Answer<ProviderIntent> {
        if payment.amount.amount % payment.amount.currency.smallest_step() != 0 {
            return Answer::Refused { code: "amount_not_payable".to_owned(), object: None };
        }
        let form = [
            ("amount", payment.amount.amount.to_string()),
            ("currency", payment.amount.currency.as_str().to_ascii_lowercase()),
            ("capture_method", "manual".to_owned()),
            ("payment_method_types[]", "card".to_owned()),
            ("payment_method", payment.method.clone()),
            ("metadata[payment_id]", payment.id.to_string()),
            ("metadata[trip_id]", payment.trip_id.to_string()),
        ];
        self.post("create", "/v1/payment_intents", key, &form).await.and_then(|made: WireIntent| made.read_for(payment))
    }

    /// Reserves the amount.
    pub async fn confirm(&self, intent: &str, key: &str) -> Answer<ProviderIntent> {
        let path = format!("/v1/payment_intents/{intent}/confirm");
        self.post("confirm", &path, key, &[]).await.and_then(|it: WireIntent| it.read_as(intent))
    }

    /// Takes `amount` minor units of what is reserved, and releases the rest.
    pub async fn capture(&self, intent: &str, amount: i64, key: &str) -> Answer<ProviderIntent> {
        let path = format!("/v1/payment_intents/{intent}/capture");
        let form = [("amount_to_capture", amount.to_string())];
        self.post("capture", &path, key, &form).await.and_then(|it: WireIntent| it.read_as(intent))
    }

    /// Gives the intent up. A confirmation that comes later fails.
    pub async fn cancel(&self, intent: &str, key: &str) -> Answer<ProviderIntent> {
        let path = format!("/v1/payment_intents/{intent}/cancel");
        self.post("cancel", &path, key, &[]).await.and_then(|it: WireIntent| it.read_as(intent))
    }

    /// Asks how the intent stands.
    pub async fn intent(&self, intent: &str) -> Answer<ProviderIntent> {
        let path = format!("/v1/payment_intents/{intent}");
        self.get("get", &path, &[]).await.and_then(|it: WireIntent| it.read_as(intent))
    }

    /// Looks through the list for the intent that was made for the payment after about `since`.
    pub async fn find_intent(&self, payment: &Payment, since: MachineTime) -> Answer<Option<ProviderIntent>> {
        let from = [("created[gte]", (since.utc().timestamp() - CLOCK_SLACK_S).to_string())];
        let ours = payment.id.to_string();
        let is_ours = |intent: &WireIntent| intent.metadata.get("payment_id") == Some(&ours);
        let found = self.search(&from, is_ours).await;
        found.and_then(|found| found.map(|found| found.read_for(payment)).transpose())
    }

    /// Asks for a part of what was taken to be given back.
    pub async fn refund(&self, refund: &Refund, intent: &str, key: &str) -> Answer<ProviderRefund> {
        let form = [
            ("payment_intent", intent.to_owned()),
            ("amount", refund.amount.to_string()),
            ("metadata[refund_id]", refund.id.to_string()),
        ];
        self.post("refund", "/v1/refunds", key, &form).await.and_then(|made: WireRefund| made.read_for(refund.amount))
    }

    /// Asks how the refund stands.
    pub async fn look_at_refund(&self, provider_refund: &str) -> Answer<ProviderRefund> {
        self.get("get_refund", &format!("/v1/refunds/{provider_refund}"), &[]).await.and_then(WireRefund::read)
    }

    /// Looks through the refunds of an intent for ours.
    pub async fn find_refund(&self, refund: &Refund, intent: &str) -> Answer<Option<ProviderRefund>> {
        let of_intent = [("payment_intent", intent.to_owned())];
        let ours = refund.id.to_string();
        let is_ours = |refund: &WireRefund| refund.metadata.get("refund_id") == Some(&ours);
        let found = self.search(&of_intent, is_ours).await;
        found.and_then(|found| found.map(|found| found.read_for(refund.amount)).transpose())
    }

    /// The first item of a list that `is_ours`. That there is none is only said when the list was read to its end.
    async fn search<T: Listed>(&self, query: &[(&str, String)], is_ours: impl Fn(&T) -> bool) -> Answer<Option<T>> {
        let (mut after, mut pages, watch) = (None, 0, Stopwatch::start());
        while pages < FIND_PAGES_MAX && watch.elapsed() < FIND_WITHIN {
            pages += 1;
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
        Answer::Unknown { answered: true, why: format!("not among {pages} pages, and there are more") }
    }

    /// One page of a list, newest first.
    pub(super) async fn page<T: Listed>(&self, query: &[(&str, String)], after: Option<String>) -> Answer<Page<T>> {
        let mut query = query.to_vec();
        query.push(("limit", PAGE.to_string()));
        query.extend(after.map(|id| ("starting_after", id)));
        self.get(T::OPERATION, T::PATH, &query).await
    }

    async fn post<T>(&self, operation: &str, path: &str, key: &str, form: &[(&str, String)]) -> Answer<T>
    where
        T: DeserializeOwned,
    {
        let url = format!("{}{path}", self.0.base_url);
        let call = Call { url, bearer: &self.0.secret_key, idempotency_key: Some(key), ask: Ask::Form(form) };
        self.call(operation, call).await
    }

    async fn get<T: DeserializeOwned>(&self, operation: &str, path: &str, query: &[(&str, String)]) -> Answer<T> {
        let query = Serializer::new(String::new()).extend_pairs(query).finish();
        let mark = if query.is_empty() { "" } else { "?" };
        let url = format!("{}{path}{mark}{query}", self.0.base_url);
        let call = Call { url, bearer: &self.0.secret_key, idempotency_key: None, ask: Ask::Get };
        self.call(operation, call).await
    }

    /// Makes a call, if the breaker lets it through, and tells the breaker what came of it.
    async fn call<T: DeserializeOwned>(&self, operation: &str, call: Call<'_>) -> Answer<T> {
        let Parts { platform, egress, valve, .. } = &*self.0;
        let Some(pass) = valve.admit() else {
            return Answer::NotSent { why: "held back: the provider does not answer".to_owned() };
        };
        let watch = Stopwatch::start();
        let (answer, health) = classify(egress.call(call).await);
        let latency = platform.metrics.provider_latency.with_label_values(&[operation, answer.label()]);
        latency.observe(watch.elapsed().as_secs_f64());
        valve.record(pass, health, answer.why());
        answer
    }
}

fn short(text: &str) -> String {
    text.chars().take(REASON_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests;
