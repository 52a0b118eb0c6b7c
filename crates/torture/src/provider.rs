//! The payment provider: its faults, through the simulator's control interface, and its records, through its public one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;

use psp_sim::{FaultKind, FaultStep};
use reqwest::{Client, Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::BoxError;
use crate::lock;

/// How long the simulator may take to respond. It is on this machine, and no proxy is between.
const RESPONSE_WITHIN: Duration = Duration::from_secs(5);

/// Entries of a page of a list, the most that the provider returns.
const PAGE: usize = 100;

/// Pages that are read at most.
const PAGES_MAX: usize = 10_000;

/// A client of the provider that no fault affects.
#[derive(Debug)]
pub(crate) struct Provider {
    http: Client,
    key: &'static str,
    /// By kind, across restarts.
    kinds: Mutex<Counter<FaultKind>>,
    /// By operation and kind, across restarts.
    cells: Mutex<Counter<Cell>>,
}

/// An operation and a kind of fault.
pub(crate) type Cell = (FaultStep, FaultKind);

/// Counts of a process that restarts at zero.
#[derive(Debug)]
struct Counter<K> {
    /// Of processes that ended.
    before: BTreeMap<K, u64>,
    /// Of this process, as last read.
    now: BTreeMap<K, u64>,
}

impl<K> Default for Counter<K> {
    fn default() -> Self {
        Self { before: BTreeMap::new(), now: BTreeMap::new() }
    }
}

impl<K: Ord + Clone> Counter<K> {
    /// Sets the current counts. A count that went back means a restart.
    fn update(&mut self, now: BTreeMap<K, u64>) {
        if self.now.iter().any(|(key, count)| now.get(key).is_none_or(|now| now < count)) {
            for (key, count) in std::mem::take(&mut self.now) {
                *self.before.entry(key).or_default() += count;
            }
        }
        self.now = now;
    }

    fn sum(&self) -> BTreeMap<K, u64> {
        let mut sum = self.before.clone();
        for (key, count) in &self.now {
            *sum.entry(key.clone()).or_default() += count;
        }
        sum
    }
}

/// A payment intent.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Intent {
    pub id: String,
    pub status: String,
    pub currency: String,
    pub amount_received: i64,
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
    pub cancellation_reason: Option<String>,
    /// The last charge, successful or not.
    pub latest_charge: Option<String>,
    /// Kinds of its money movements. Only the simulator shows them.
    #[serde(skip)]
    pub moved: BTreeSet<String>,
}

impl Intent {
    /// Whether a bank declined it: it has a charge, and no authorization.
    pub fn was_declined(&self) -> bool {
        self.latest_charge.is_some() && !self.moved.contains("authorized")
    }

    /// Whether an authorization was released on request, neither captured nor expired.
    pub fn was_released_on_request(&self) -> bool {
        self.status == "canceled"
            && self.moved.contains("released")
            && self.cancellation_reason.as_deref() != Some("automatic")
    }
}

/// The provider's records.
#[derive(Debug)]
pub(crate) struct ProviderRecords {
    pub intents: Vec<Intent>,
    pub refunds: Vec<Refund>,
    /// Intents whose charge was disputed.
    pub disputed: BTreeSet<String>,
    /// Idempotency keys of all requests that moved money.
    pub moved_by: BTreeSet<String>,
}

/// The simulator's state of an intent.
#[derive(Debug, Deserialize)]
struct IntentState {
    id: String,
    movements: Vec<Movement>,
}

#[derive(Debug, Deserialize)]
struct Movement {
    #[serde(rename = "type")]
    kind: String,
    idempotency_key: Option<String>,
}

#[derive(Debug, Deserialize)]
struct State {
    payment_intents: Vec<IntentState>,
}

/// A dispute.
#[derive(Debug, Deserialize)]
struct Dispute {
    id: String,
    payment_intent: String,
}

/// A refund.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Refund {
    pub id: String,
    pub status: String,
    pub amount: i64,
    pub payment_intent: Option<String>,
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
struct Page<T> {
    data: Vec<T>,
    has_more: bool,
}

impl Provider {
    /// Creates a client with the provider's secret key.
    ///
    /// # Errors
    /// If the HTTP client cannot be built.
    pub fn new(key: &'static str) -> Result<Self, BoxError> {
        let http = launcher::http_client().timeout(RESPONSE_WITHIN).build()?;
        Ok(Self { http, key, kinds: Mutex::default(), cells: Mutex::default() })
    }

    /// Sets the fault plan. Returns `false` if the provider does not respond or has no fault injection.
    ///
    /// # Errors
    /// If it refuses the plan, which is a bug here.
    pub async fn plan(&self, url: &str, faults: &Value, seed: u64) -> Result<bool, BoxError> {
        let body = json!({ "faults": faults, "seed": seed });
        let Ok(response) = self.request(Method::PUT, url, "/sim/faults").json(&body).send().await else {
            return Ok(false);
        };
        let status = response.status();
        if status.is_client_error() && status != StatusCode::NOT_FOUND {
            let why = response.text().await.unwrap_or_default();
            return Err(format!("the provider refused a plan with {status}: {why}").into());
        }
        Ok(status.is_success())
    }

    /// Removes all faults, and delivers all webhooks.
    pub async fn heal(&self, url: &str) {
        let _ignored = self.request(Method::DELETE, url, "/sim/faults").send().await;
        let _ignored = self.request(Method::POST, url, "/sim/webhooks/flush").send().await;
    }

    /// Expires an authorization, as a bank may at any time. Returns whether it was one.
    pub async fn expire(&self, url: &str, intent: &str) -> bool {
        let path = format!("/sim/payment_intents/{intent}/expire");
        self.request(Method::POST, url, &path).send().await.is_ok_and(|response| response.status().is_success())
    }

    /// Reads the counts of faults that struck.
    pub async fn count(&self, url: &str) {
        let Ok(response) = self.request(Method::GET, url, "/sim/faults").send().await else { return };
        let Ok(shown) = response.json::<Value>().await else { return };
        lock(&self.kinds).update(serde_json::from_value(shown["totals"].clone()).unwrap_or_default());
        let steps: BTreeMap<FaultStep, BTreeMap<FaultKind, u64>> =
            serde_json::from_value(shown["steps"].clone()).unwrap_or_default();
        let cells_of = |(step, kinds): (FaultStep, BTreeMap<FaultKind, u64>)| {
            kinds.into_iter().map(move |(kind, count)| ((step, kind), count))
        };
        let cells = steps.into_iter().flat_map(cells_of).collect();
        lock(&self.cells).update(cells);
    }

    /// How often each kind of fault has struck.
    pub fn struck(&self) -> BTreeMap<FaultKind, u64> {
        lock(&self.kinds).sum()
    }

    /// How often each kind of fault has struck each operation, whatever it was planned for.
    pub fn cells(&self) -> BTreeMap<Cell, u64> {
        lock(&self.cells).sum()
    }

    /// Reads the lists of intents and refunds, and the money movements.
    ///
    /// # Errors
    /// If the provider does not respond.
    pub async fn records(&self, url: &str) -> Result<ProviderRecords, BoxError> {
        let mut intents = self.list(url, "payment_intents", |intent: &Intent| intent.id.clone()).await?;
        let refunds = self.list(url, "refunds", |refund: &Refund| refund.id.clone()).await?;
        let disputes = self.list(url, "disputes", |dispute: &Dispute| dispute.id.clone()).await?;
        let disputed = disputes.into_iter().map(|dispute| dispute.payment_intent).collect();
        let state = self.request(Method::GET, url, "/sim/state").send().await?.error_for_status()?;
        let State { payment_intents } = state.json().await?;
        let (mut kinds, mut moved_by) = (BTreeMap::<String, BTreeSet<String>>::new(), BTreeSet::new());
        for IntentState { id, movements } in payment_intents {
            let moved = kinds.entry(id).or_default();
            for Movement { kind, idempotency_key } in movements {
                moved.insert(kind);
                moved_by.extend(idempotency_key);
            }
        }
        for intent in &mut intents {
            intent.moved = kinds.remove(&intent.id).unwrap_or_default();
        }
        Ok(ProviderRecords { intents, refunds, disputed, moved_by })
    }

    async fn list<T: DeserializeOwned>(&self, url: &str, what: &str, id: fn(&T) -> String) -> Result<Vec<T>, BoxError> {
        let mut all: Vec<T> = Vec::new();
        for _ in 0..PAGES_MAX {
            let after = all.last().map(|last| format!("&starting_after={}", id(last))).unwrap_or_default();
            let path = format!("/v1/{what}?limit={PAGE}{after}");
            let page = self.request(Method::GET, url, &path).send().await?.error_for_status()?;
            let Page { data, has_more } = page.json().await?;
            all.extend(data);
            if !has_more {
                return Ok(all);
            }
        }
        Err(format!("the provider has more than {PAGES_MAX} pages of {what}").into())
    }

    fn request(&self, method: Method, url: &str, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, format!("{url}{path}"));
        request.bearer_auth(self.key).header("Stripe-Version", psp_sim::API_VERSION)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_survive_restarts() {
        let mut counter = Counter::default();
        for now in [vec![("a", 2)], vec![("a", 3), ("b", 1)], vec![("b", 1)], vec![], vec![("a", 1)]] {
            counter.update(now.into_iter().collect());
        }
        assert_eq!(counter.sum(), BTreeMap::from([("a", 4), ("b", 2)]));
    }
}
