//! The client of the payment provider's API, a subset of Stripe's. It maps every end of a call to one of four [`ProviderResult`]s,
//! and decides nothing about payments.
//!
//! A call is made once. The worker retries, at the rate of the [`retry_budget`]. The [`breaker`] stops calls to a failing provider
//! until a probe succeeds. Each [`CallPool`] has a budget and a breaker of its own, so that failing captures stop no authorization.

pub mod breaker;
mod classify;
mod client_guard;
pub mod records;
mod result;
pub mod retry_budget;
mod wire;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use form_urlencoded::Serializer;
use serde::de::DeserializeOwned;

use self::breaker::ProviderAvailability;
use self::classify::classify;
use self::client_guard::ClientGuard;
pub use self::result::ProviderResult;
pub(super) use self::wire::{Listed, ProviderPage, WireDispute, WireIntent, WireRefund};
use super::model::{CallPool, DisputeState, Payment, ProviderOperation, Refund};
use super::state_machine::IntentSnapshot;
use super::state_machine::refund::ProviderRefundStatus;
use crate::platform::Platform;
use crate::platform::clock::{MachineTime, Stopwatch};
use crate::platform::config::ProviderConfig;
use crate::platform::egress::{BaseUrl, Call, CallMethod, Egress};
use crate::platform::error::Result;
use crate::platform::secret::Secret;

/// The version of the provider's API that [`wire`] reads. Every call names it, so that an upgrade of the account changes nothing.
pub const API_VERSION: &str = "2025-03-31.basil";

/// Items on a page of the provider's lists: its maximum.
const PAGE: usize = 100;

/// Pages searched for one intent: 10,000 intents.
const FIND_PAGES_MAX: usize = 100;

/// How long a search goes on to further pages. A search and its last call end well within a lease.
const FIND_WITHIN: Duration = Duration::from_secs(5);

/// How far the provider's clock may differ from ours, seconds.
const CLOCK_SLACK_S: i64 = 300;

/// The longest code or reason that is kept of a response.
const REASON_CHARS_MAX: usize = 120;

/// The provider's intent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderIntent {
    /// `pi_…`
    pub id: String,
    /// The intent as it is now.
    pub snapshot: IntentSnapshot,
}

/// The provider's refund.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderRefund {
    /// `re_…`
    pub id: String,
    /// The status.
    pub status: ProviderRefundStatus,
}

/// A client of the provider for the calls of one pool. Clones share connections, breakers and retry budgets.
#[derive(Clone)]
pub struct ProviderClient(Arc<Parts>, CallPool);

struct Parts {
    platform: Platform,
    egress: Egress,
    base_url: BaseUrl,
    secret_key: Secret,
    call_max: TimeDelta,
    authorizations: ClientGuard,
    settlement: ClientGuard,
}

impl fmt::Debug for ProviderClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ProviderClient").field(&self.0.base_url.as_str()).finish()
    }
}

impl ProviderClient {
    /// Returns a client of the configured provider, for calls of [`CallPool::Settlement`].
    ///
    /// # Errors
    /// If the HTTP client cannot be built.
    pub fn new(platform: Platform, config: &ProviderConfig) -> Result<Self> {
        let settings = config.egress();
        let call_max = TimeDelta::from_std(settings.timeout).unwrap_or(TimeDelta::MAX);
        let parts = Parts {
            egress: Egress::new(settings)?,
            base_url: config.base_url.clone(),
            secret_key: config.secret_key.clone(),
            call_max,
            authorizations: ClientGuard::new(platform.clone(), CallPool::Authorizations, call_max),
            settlement: ClientGuard::new(platform.clone(), CallPool::Settlement, call_max),
            platform,
        };
        Ok(Self(Arc::new(parts), CallPool::Settlement))
    }

    /// Returns this client for the calls of `pool`.
    #[must_use]
    pub fn of(&self, pool: CallPool) -> Self {
        Self(Arc::clone(&self.0), pool)
    }

    /// Returns the pool of its calls.
    pub fn pool(&self) -> CallPool {
        self.1
    }

    fn guard(&self) -> &ClientGuard {
        match self.1 {
            CallPool::Authorizations => &self.0.authorizations,
            CallPool::Settlement => &self.0.settlement,
        }
    }

    /// Returns the longest duration of a call.
    pub fn call_max(&self) -> TimeDelta {
        self.0.call_max
    }

    /// Returns whether the provider can be called. The breaker blocks calls in any case; asking first avoids committing attempts at
    /// calls that would not be made.
    pub fn availability(&self) -> ProviderAvailability {
        self.guard().availability()
    }

    /// Counts first tries: a share of them may be retried.
    pub(super) fn count_first_tries(&self, count: usize) {
        self.guard().count_first_tries(count);
    }

    /// Plans a retry; returns how long it waits for its turn, besides its own back-off.
    pub(super) fn plan_retry(&self) -> TimeDelta {
        self.guard().plan_retry()
    }

    /// Creates an unconfirmed intent for the payment: no money moves. Its metadata has our id, so that it can be found.
    ///
    /// Our minor units are the provider's. An amount that is no multiple of the smallest coin is refused here, and not rounded.
    pub async fn create(&self, payment: &Payment, key: &str) -> ProviderResult<ProviderIntent> {
        if payment.amount.amount % payment.amount.currency.smallest_step() != 0 {
            return ProviderResult::Refused { code: "amount_not_payable".to_owned(), object: None };
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
        let made = self.post(ProviderOperation::Create, "/v1/payment_intents", key, &form).await;
        made.and_then(|made: WireIntent| made.read_for(payment))
    }

    /// Confirms the intent: reserves the amount.
    pub async fn confirm(&self, intent: &str, key: &str) -> ProviderResult<ProviderIntent> {
        let path = format!("/v1/payment_intents/{intent}/confirm");
        self.post(ProviderOperation::Confirm, &path, key, &[]).await.and_then(|it: WireIntent| it.read_as(intent))
    }

    /// Captures `amount` minor units, and releases the rest.
    pub async fn capture(&self, intent: &str, amount: i64, key: &str) -> ProviderResult<ProviderIntent> {
        let path = format!("/v1/payment_intents/{intent}/capture");
        let form = [("amount_to_capture", amount.to_string())];
        self.post(ProviderOperation::Capture, &path, key, &form).await.and_then(|it: WireIntent| it.read_as(intent))
    }

    /// Cancels the intent. A later confirmation fails.
    pub async fn cancel(&self, intent: &str, key: &str) -> ProviderResult<ProviderIntent> {
        let path = format!("/v1/payment_intents/{intent}/cancel");
        self.post(ProviderOperation::Cancel, &path, key, &[]).await.and_then(|it: WireIntent| it.read_as(intent))
    }

    /// Gets the intent.
    pub async fn intent(&self, intent: &str) -> ProviderResult<ProviderIntent> {
        let path = format!("/v1/payment_intents/{intent}");
        self.get("get", &path, &[]).await.and_then(|it: WireIntent| it.read_as(intent))
    }

    /// Searches the list for the payment's intent, created by an attempt that was made between `since` and `until`. The window has an
    /// end, so that the search does not grow with what was created after the attempts.
    pub async fn find_intent(
        &self,
        payment: &Payment,
        (since, until): (MachineTime, MachineTime),
    ) -> ProviderResult<Option<ProviderIntent>> {
        let latest = until + self.0.call_max;
        let window = [
            ("created[gte]", (since.utc().timestamp() - CLOCK_SLACK_S).to_string()),
            ("created[lte]", (latest.utc().timestamp() + CLOCK_SLACK_S).to_string()),
        ];
        let ours = payment.id.to_string();
        let is_ours = |intent: &WireIntent| intent.metadata.get("payment_id") == Some(&ours);
        let found = self.search(&window, is_ours).await;
        found.and_then(|found| found.map(|found| found.read_for(payment)).transpose())
    }

    /// Requests a refund.
    pub async fn refund(&self, refund: &Refund, intent: &str, key: &str) -> ProviderResult<ProviderRefund> {
        let form = [
            ("payment_intent", intent.to_owned()),
            ("amount", refund.amount.to_string()),
            ("metadata[refund_id]", refund.id.to_string()),
        ];
        let made = self.post(ProviderOperation::Refund, "/v1/refunds", key, &form).await;
        made.and_then(|made: WireRefund| made.read_for(refund.amount))
    }

    /// Gets the refund.
    pub async fn refund_status(&self, provider_refund: &str) -> ProviderResult<ProviderRefund> {
        self.get("get_refund", &format!("/v1/refunds/{provider_refund}"), &[]).await.and_then(WireRefund::read)
    }

    /// Searches the refunds of an intent for ours.
    pub async fn find_refund(&self, refund: &Refund, intent: &str) -> ProviderResult<Option<ProviderRefund>> {
        let of_intent = [("payment_intent", intent.to_owned())];
        let ours = refund.id.to_string();
        let is_ours = |refund: &WireRefund| refund.metadata.get("refund_id") == Some(&ours);
        let found = self.search(&of_intent, is_ours).await;
        found.and_then(|found| found.map(|found| found.read_for(refund.amount)).transpose())
    }

    /// Reads the disputes of an intent's charge; `None` if it has none.
    pub async fn dispute(&self, intent: &str) -> ProviderResult<Option<DisputeState>> {
        let query = [("payment_intent", intent.to_owned())];
        let page = self.page(&query, None).await;
        page.and_then(|page: ProviderPage<WireDispute>| {
            Ok(DisputeState::most_severe(page.data.iter().filter_map(WireDispute::state)))
        })
    }

    /// Returns the first item of a list that `is_ours`; `None` only once the list was read to its end.
    async fn search<T: Listed>(
        &self,
        query: &[(&str, String)],
        is_ours: impl Fn(&T) -> bool,
    ) -> ProviderResult<Option<T>> {
        let (mut after, mut pages, watch) = (None, 0, Stopwatch::start());
        while pages < FIND_PAGES_MAX && watch.elapsed() < FIND_WITHIN {
            pages += 1;
            let page = match self.page(query, after).await {
                ProviderResult::Done(page) => page,
                other => return other.and_then(|_: ProviderPage<T>| Ok(None)),
            };
            let (next, found) = (page.next(), page.data.into_iter().find(&is_ours));
            if found.is_some() || next.is_none() {
                return ProviderResult::Done(found);
            }
            after = next;
        }
        ProviderResult::Unknown { answered: true, why: format!("not among {pages} pages, and there are more") }
    }

    /// Returns one page of a list, newest first.
    pub(super) async fn page<T: Listed>(
        &self,
        query: &[(&str, String)],
        after: Option<String>,
    ) -> ProviderResult<ProviderPage<T>> {
        let mut query = query.to_vec();
        query.push(("limit", PAGE.to_string()));
        query.extend(after.map(|id| ("starting_after", id)));
        self.get(T::OPERATION, T::PATH, &query).await
    }

    async fn post<T: DeserializeOwned>(
        &self,
        operation: ProviderOperation,
        path: &str,
        key: &str,
        form: &[(&str, String)],
    ) -> ProviderResult<T> {
        let call = Call { idempotency_key: Some(key), ..self.call_of(path, CallMethod::Form(form)) };
        self.call(operation.as_str(), Some(operation), call).await
    }

    fn call_of<'a>(&'a self, path: &str, method: CallMethod<'a>) -> Call<'a> {
        Call {
            url: format!("{}{path}", self.0.base_url),
            bearer: &self.0.secret_key,
            api_version: Some(API_VERSION),
            idempotency_key: None,
            method,
        }
    }

    async fn get<T: DeserializeOwned>(
        &self,
        operation: &str,
        path: &str,
        query: &[(&str, String)],
    ) -> ProviderResult<T> {
        let query = Serializer::new(String::new()).extend_pairs(query).finish();
        let mark = if query.is_empty() { "" } else { "?" };
        let call = self.call_of(&format!("{path}{mark}{query}"), CallMethod::Get);
        self.call(operation, None, call).await
    }

    /// Makes a call, if the breaker admits it, and records its result under `label`. `operation`: `None` for a read.
    async fn call<T: DeserializeOwned>(
        &self,
        label: &str,
        operation: Option<ProviderOperation>,
        call: Call<'_>,
    ) -> ProviderResult<T> {
        let (Parts { platform, egress, .. }, guard) = (&*self.0, self.guard());
        let Some(admitted) = guard.admit() else {
            return ProviderResult::NotSent { why: "not made: the circuit breaker is open".to_owned() };
        };
        let watch = Stopwatch::start();
        let (result, health) = classify(operation, egress.call(call).await);
        let latency = platform.metrics.provider_latency.with_label_values(&[label, result.label()]);
        latency.observe(watch.elapsed().as_secs_f64());
        guard.record(admitted, health, result.why());
        result
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(REASON_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests;
