//! The crowd: its riders, the drivers and operator of the rides before, and their requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use launcher::clock::Stopwatch;
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use sqlx::types::Uuid;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::LOOK_EVERY;
use super::stack::StadiumStack;
use crate::BoxError;
use crate::ledger_check::uuid;

/// Requests at the same time while something is prepared.
const PREPARING_MAX: usize = 24;

/// Polls of a driver for an offer, or of the database for the captures; one each half a second.
const LOOKS_MAX: u32 = 60;

/// What an aborted ride of the preparation costs, minor units.
const CHARGE: i64 = 700;

/// The riders, by their tokens.
pub(super) struct Crowd {
    caller: Caller,
    riders: Vec<String>,
}

/// A rider's token, and the id of their quote.
pub(super) struct Quoted {
    rider: String,
    quote: String,
}

/// What became of the requests.
pub(super) struct Requested {
    pub trips: Vec<Uuid>,
    /// Requests that were not answered with 201, in words.
    pub refused: Vec<String>,
    /// Response times, sorted.
    pub response_ms: Vec<u64>,
}

/// Sends requests to the service.
#[derive(Clone)]
struct Caller {
    http: Client,
    url: String,
    keys: Arc<AtomicU64>,
}

impl Caller {
    async fn send(
        &self,
        token: Option<&str>,
        (method, path): (Method, &str),
        body: Option<&Value>,
    ) -> Result<(StatusCode, Value), BoxError> {
        let key = format!("stadium-{}", self.keys.fetch_add(1, Ordering::Relaxed));
        let mut request =
            self.http.request(method, format!("{}{path}", self.url)).header("Idempotency-Key", format!("\"{key}\""));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await?;
        Ok((response.status(), response.json().await.unwrap_or_default()))
    }

    /// Sends a request that must succeed.
    async fn must(&self, token: Option<&str>, method: Method, path: &str, body: &Value) -> Result<Value, BoxError> {
        match self.send(token, (method, path), Some(body)).await? {
            (status, answer) if status.is_success() => Ok(answer),
            (status, answer) => Err(format!("{path} was refused with {status}: {answer}").into()),
        }
    }

    async fn token(&self, role: &str) -> Result<String, BoxError> {
        let answer = self.must(None, Method::POST, "/v1/sandbox/tokens", &json!({ "role": role })).await?;
        Ok(answer["token"].as_str().ok_or("no token")?.to_owned())
    }

    /// Gets a price for a short ride from `pickup`; returns the quote's id.
    async fn quote(&self, rider: &str, (lat, lon): (f64, f64)) -> Result<String, BoxError> {
        let body = json!({"pickup": {"lat": lat, "lon": lon}, "dropoff": {"lat": lat + 0.02, "lon": lon}});
        let quote = self.must(Some(rider), Method::POST, "/v1/quotes", &body).await?;
        Ok(quote["id"].as_str().ok_or("no quote")?.to_owned())
    }

    async fn request_trip(&self, rider: &str, quote: &str) -> Result<(StatusCode, Value), BoxError> {
        let body = json!({"quote_id": quote, "payment_method": "pm_card_visa"});
        self.send(Some(rider), (Method::POST, "/v1/trips"), Some(&body)).await
    }

    /// Takes a ride up to its assignment: a driver beside the rider, a request, an offer, an acceptance. Returns the trip's id.
    async fn assigned_trip(&self, number: u32) -> Result<String, BoxError> {
        // 200 m apart, so that each driver is the nearest one of their own rider.
        let pickup = (40.5 + f64::from(number % 50) * 0.002, -74.5 + f64::from(number / 50) * 0.003);
        let (rider, driver) = (self.token("rider").await?, self.token("driver").await?);
        let vehicle =
            json!({"available": true, "name": "Stadium", "class": "standard", "plate": format!("ST {number}")});
        self.must(Some(&driver), Method::PUT, "/v1/drivers/me/availability", &vehicle).await?;
        let clock = self.send(Some(&driver), (Method::GET, "/v1/sandbox/clock"), None).await?.1;
        let position = json!({"position": {"lat": pickup.0, "lon": pickup.1}, "recorded_at": clock["domain"]});
        self.must(Some(&driver), Method::PUT, "/v1/drivers/me/location", &position).await?;
        let quote = self.quote(&rider, pickup).await?;
        let (status, trip) = self.request_trip(&rider, &quote).await?;
        let id = trip["id"].as_str().ok_or_else(|| format!("no trip: {status} {trip}"))?.to_owned();
        for _ in 0..LOOKS_MAX {
            let profile = self.send(Some(&driver), (Method::GET, "/v1/drivers/me"), None).await?.1;
            if let Some(offer) = profile["offer"]["id"].as_str() {
                let path = format!("/v1/offers/{offer}/accept");
                self.must(Some(&driver), Method::POST, &path, &json!({})).await?;
                return Ok(profile["offer"]["trip_id"].as_str().map_or(id, str::to_owned));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Err(format!("{id} was not offered to a driver").into())
    }
}

impl Crowd {
    /// Creates the riders.
    ///
    /// # Errors
    /// If the service refuses one.
    pub async fn new(stack: &StadiumStack, riders: u32) -> Result<Self, BoxError> {
        let caller = Caller { http: stack.http.clone(), url: stack.url(), keys: Arc::default() };
        let create = |_| {
            let caller = caller.clone();
            async move { caller.token("rider").await }
        };
        let riders = concurrently(0..riders, create).await?;
        Ok(Self { caller, riders })
    }

    /// Takes rides, then cuts the provider off and ends them with a charge, so that their captures are due. Returns their trips.
    ///
    /// # Errors
    /// If a ride fails, or the captures do not become due.
    pub async fn leave_captures(&self, stack: &StadiumStack, count: u32) -> Result<Vec<Uuid>, BoxError> {
        let caller = self.caller.clone();
        let ride = |number| {
            let caller = caller.clone();
            async move { caller.assigned_trip(number).await }
        };
        let trips = concurrently(0..count, ride).await?;
        stack.plan(&json!([{"on": "any", "kind": "error_503"}])).await?;
        let abort = |trip: String| {
            let caller = self.caller.clone();
            async move {
                // Each by another operator: a caller runs few commands at the same time.
                let operator = caller.token("ops").await?;
                let body = json!({"charge": {"amount": CHARGE, "currency": "USD"}});
                caller.must(Some(&operator), Method::POST, &format!("/v1/trips/{trip}/abort"), &body).await
            }
        };
        concurrently(trips.clone(), abort).await?;
        let ids: Vec<Uuid> = trips.iter().filter_map(|trip| uuid(trip)).collect();
        let mut conn = stack.database.session().await?;
        let due = "select count(*) from payments where trip_id = any($1) and state = 'capturing'";
        for _ in 0..LOOKS_MAX {
            let due: i64 = sqlx::query_scalar(due).bind(&ids).fetch_one(&mut conn).await?;
            if due == i64::from(count) {
                return Ok(ids);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Err("not all captures became due".into())
    }

    /// Gets a price for every rider. It is valid for two minutes.
    ///
    /// # Errors
    /// If the service refuses one.
    pub async fn quotes(&self) -> Result<Vec<Quoted>, BoxError> {
        let quote = |rider: String| {
            let caller = self.caller.clone();
            async move {
                let quote = caller.quote(&rider, (40.75, -73.98)).await?;
                Ok(Quoted { rider, quote })
            }
        };
        concurrently(self.riders.clone(), quote).await
    }

    /// Requests a trip at every price, evenly within `time`.
    pub async fn request(&self, quoted: Vec<Quoted>, time: Duration) -> Requested {
        let mut requested = Requested { trips: Vec::new(), refused: Vec::new(), response_ms: Vec::new() };
        let (since, mut tasks) = (Stopwatch::start(), JoinSet::new());
        let between = time / u32::try_from(quoted.len()).unwrap_or(u32::MAX).max(1);
        for (number, Quoted { rider, quote }) in (0_u32..).zip(quoted) {
            tokio::time::sleep((between * number).saturating_sub(since.elapsed())).await;
            let caller = self.caller.clone();
            tasks.spawn(async move {
                let watch = Stopwatch::start();
                let end = caller.request_trip(&rider, &quote).await;
                (end, watch.elapsed())
            });
        }
        while let Some(Ok((end, elapsed))) = tasks.join_next().await {
            requested.response_ms.push(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX));
            match end {
                Ok((StatusCode::CREATED, trip)) => {
                    requested.trips.extend(trip["id"].as_str().and_then(uuid));
                }
                Ok((status, body)) => requested.refused.push(format!("{status} {}", body["code"])),
                Err(error) => requested.refused.push(error.to_string()),
            }
        }
        requested.response_ms.sort_unstable();
        requested
    }
}

/// Runs `work` on all items, some at a time. Returns the results, or the first error.
async fn concurrently<I, T, F>(items: impl IntoIterator<Item = I>, work: impl Fn(I) -> F) -> Result<Vec<T>, BoxError>
where
    T: Send + 'static,
    F: Future<Output = Result<T, BoxError>> + Send + 'static,
{
    let (permits, mut tasks) = (Arc::new(Semaphore::new(PREPARING_MAX)), JoinSet::new());
    for item in items {
        let (permits, work) = (Arc::clone(&permits), work(item));
        tasks.spawn(async move {
            let _permit = permits.acquire_owned().await;
            work.await
        });
    }
    let mut results = Vec::new();
    while let Some(end) = tasks.join_next().await {
        results.push(end??);
    }
    Ok(results)
}
