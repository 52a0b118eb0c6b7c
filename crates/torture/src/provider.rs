//! The payment provider from its own side: its bad days, through the simulator's control interface, and its books, through the
//! interface that every provider of this kind has.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;

use reqwest::{Client, Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::BoxError;
use crate::lock;

/// How long the simulator may take to answer; it is on this machine, and past every proxy.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Entries of a page of a list; the provider gives no more.
const PAGE: usize = 100;

/// Pages that are read at most.
const PAGES_MAX: usize = 10_000;

/// A door to the provider that no adversary stands in.
#[derive(Debug)]
pub(crate) struct Provider {
    http: Client,
    key: &'static str,
    /// By kind, over all of its lives.
    kinds: Mutex<Counter<String>>,
    /// By step and kind, over all of its lives.
    cells: Mutex<Counter<Cell>>,
}

/// A step of a payment, and what struck it.
pub(crate) type Cell = (String, String);

/// Counts of something that forgets them now and then and begins at zero again.
#[derive(Debug)]
struct Counter<K> {
    /// Of lives that are over.
    before: BTreeMap<K, u64>,
    /// Of this life, as last heard.
    now: BTreeMap<K, u64>,
}

impl<K> Default for Counter<K> {
    fn default() -> Self {
        Self { before: BTreeMap::new(), now: BTreeMap::new() }
    }
}

impl<K: Ord + Clone> Counter<K> {
    /// What is heard now; a count that has gone back is that of a new life.
    fn hear(&mut self, now: BTreeMap<K, u64>) {
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

/// An intent in its books.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Intent {
    pub id: String,
    pub status: String,
    pub currency: String,
    pub amount_received: i64,
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
    /// Why it was cancelled, if it was.
    pub cancellation_reason: Option<String>,
    /// The last time that it charged a card, or tried to.
    pub latest_charge: Option<String>,
    /// How its money moved, by kind. The list does not say; the simulator's own books do.
    #[serde(skip)]
    pub moved: BTreeSet<String>,
}

impl Intent {
    /// Whether a bank refused it: a card was charged, and nothing came of it.
    pub fn was_declined(&self) -> bool {
        self.latest_charge.is_some() && !self.moved.contains("authorized")
    }

    /// Whether money was reserved until somebody had it set free: it was not captured, and had not expired.
    pub fn was_released_on_demand(&self) -> bool {
        self.status == "canceled"
            && self.moved.contains("released")
            && self.cancellation_reason.as_deref() != Some("automatic")
    }
}

/// Its books.
#[derive(Debug)]
pub(crate) struct Theirs {
    pub intents: Vec<Intent>,
    pub refunds: Vec<Refund>,
    /// The keys of all requests that moved money.
    pub moved_by: BTreeSet<String>,
}

/// The simulator's own account of a payment.
#[derive(Debug, Deserialize)]
struct Account {
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
struct Accounts {
    payment_intents: Vec<Account>,
}

/// A refund in its books.
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
    /// A door for whoever has the key.
    ///
    /// # Errors
    /// If there can be no HTTP client.
    pub fn new(key: &'static str) -> Result<Self, BoxError> {
        let http = Client::builder().timeout(ANSWER_WITHIN).build()?;
        Ok(Self { http, key, kinds: Mutex::default(), cells: Mutex::default() })
    }

    /// Plans a day. `false`: it was not heard, or this provider has no bad days to plan.
    ///
    /// # Errors
    /// If it refuses the plan: that is a mistake of ours, and nothing of the plan would strike.
    pub async fn plan(&self, url: &str, faults: &Value, seed: u64) -> Result<bool, BoxError> {
        let body = json!({ "faults": faults, "seed": seed });
        let Ok(answer) = self.request(Method::PUT, url, "/sim/faults").json(&body).send().await else {
            return Ok(false);
        };
        let status = answer.status();
        if status.is_client_error() && status != StatusCode::NOT_FOUND {
            let why = answer.text().await.unwrap_or_default();
            return Err(format!("the provider refused a plan with {status}: {why}").into());
        }
        Ok(status.is_success())
    }

    /// Lets everything be well again.
    pub async fn heal(&self, url: &str) {
        let _perhaps = self.request(Method::DELETE, url, "/sim/faults").send().await;
        let _perhaps = self.request(Method::POST, url, "/sim/webhooks/flush").send().await;
    }

    /// Lets an authorisation expire, as banks do when they like. Whether it was one.
    pub async fn expire(&self, url: &str, intent: &str) -> bool {
        let path = format!("/sim/payment_intents/{intent}/expire");
        self.request(Method::POST, url, &path).send().await.is_ok_and(|answer| answer.status().is_success())
    }

    /// Reads what struck.
    pub async fn count(&self, url: &str) {
        let Ok(answer) = self.request(Method::GET, url, "/sim/faults").send().await else { return };
        let Ok(shown) = answer.json::<Value>().await else { return };
        lock(&self.kinds).hear(serde_json::from_value(shown["totals"].clone()).unwrap_or_default());
        let steps: BTreeMap<String, BTreeMap<String, u64>> =
            serde_json::from_value(shown["steps"].clone()).unwrap_or_default();
        let of_step = |(step, kinds): (String, BTreeMap<String, u64>)| {
            kinds.into_iter().map(move |(kind, count)| ((step.clone(), kind), count))
        };
        let cells: BTreeMap<Cell, u64> = steps.into_iter().flat_map(of_step).collect();
        lock(&self.cells).hear(cells);
    }

    /// How often each kind of fault has struck.
    pub fn struck(&self) -> BTreeMap<String, u64> {
        lock(&self.kinds).sum()
    }

    /// How often each step was struck by each kind of fault, whoever planned it and for whichever step.
    pub fn cells(&self) -> BTreeMap<Cell, u64> {
        lock(&self.cells).sum()
    }

    /// Its books: the lists that every provider of this kind has, and how money moved, which only the simulator shows.
    ///
    /// # Errors
    /// If it does not show them.
    pub async fn books(&self, url: &str) -> Result<Theirs, BoxError> {
        let mut intents = self.list(url, "payment_intents", |intent: &Intent| intent.id.clone()).await?;
        let refunds = self.list(url, "refunds", |refund: &Refund| refund.id.clone()).await?;
        let shown = self.request(Method::GET, url, "/sim/books").send().await?.error_for_status()?;
        let Accounts { payment_intents } = shown.json().await?;
        let (mut kinds, mut moved_by) = (BTreeMap::<String, BTreeSet<String>>::new(), BTreeSet::new());
        for Account { id, movements } in payment_intents {
            let moved = kinds.entry(id).or_default();
            for Movement { kind, idempotency_key } in movements {
                moved.insert(kind);
                moved_by.extend(idempotency_key);
            }
        }
        for intent in &mut intents {
            intent.moved = kinds.remove(&intent.id).unwrap_or_default();
        }
        Ok(Theirs { intents, refunds, moved_by })
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
        self.http.request(method, format!("{url}{path}")).bearer_auth(self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_outlive_what_is_counted() {
        let mut counter = Counter::default();
        for now in [vec![("a", 2)], vec![("a", 3), ("b", 1)], vec![("b", 1)], vec![], vec![("a", 1)]] {
            counter.hear(now.into_iter().collect());
        }
        assert_eq!(counter.sum(), BTreeMap::from([("a", 4), ("b", 2)]));
    }
}
