//! Actors, who speak HTTP with a service, and the answers that they get.

use std::sync::atomic::{AtomicU32, Ordering};

use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};

use super::document::{Reply, judge};
use super::{App, HERE, THERE, until};

static KEYS: AtomicU32 = AtomicU32::new(0);

/// A key that no other request has.
pub fn new_key() -> String {
    format!("key-{}", KEYS.fetch_add(1, Ordering::Relaxed))
}

/// Somebody who speaks HTTP with the service.
#[derive(Clone)]
pub struct Actor {
    pub http: Client,
    pub base_url: String,
    pub token: String,
    pub id: String,
}

/// An answer, read whole.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: reqwest::header::HeaderMap,
    pub bytes: Vec<u8>,
}

impl Answer {
    /// Asks the service, which has to answer as the document says.
    pub async fn of(request: RequestBuilder) -> Self {
        Self::attempt(request).await.expect("an answer")
    }

    /// The same, where there may be no answer. A stream has no end: its body is left unread.
    ///
    /// # Errors
    /// If nobody answers, or not to the end.
    pub async fn attempt(request: RequestBuilder) -> reqwest::Result<Self> {
        let (method, path, response) = ask(request).await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let is_stream = headers.get("content-type").is_some_and(|kind| kind == "text/event-stream");
        let body = if is_stream { None } else { Some(response.bytes().await?.to_vec()) };
        judge(&method, &path, &Reply { status, headers: &headers, body: body.as_deref() });
        Ok(Self { status, headers, bytes: body.unwrap_or_default() })
    }

    /// Asks for an answer that may have no end, and leaves its body to be read.
    pub async fn open(request: RequestBuilder) -> Response {
        let (method, path, response) = ask(request).await.expect("an answer");
        judge(&method, &path, &Reply { status: response.status(), headers: response.headers(), body: None });
        response
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or(Value::Null)
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.bytes.clone()).expect("UTF-8")
    }

    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body, if the status is as expected.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        let body = self.json();
        assert_eq!(self.status.as_u16(), status, "{body:#}");
        body
    }

    /// Fails unless it is this problem, as a problem document has to be.
    #[track_caller]
    pub fn expect_problem(self, status: u16, code: &str) -> Value {
        let body = self.json();
        assert_eq!((self.status.as_u16(), body["code"].as_str().unwrap_or_default()), (status, code), "{body:#}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        assert_eq!(body["status"], status);
        assert_eq!(body["type"], format!("/problems/{code}"));
        for member in ["title", "detail", "instance", "trace_id"] {
            assert!(body[member].is_string(), "{member} is missing: {body:#}");
        }
        body
    }
}

/// Sends a request; its method and path, and what comes back.
async fn ask(request: RequestBuilder) -> reqwest::Result<(Method, String, Response)> {
    let (client, request) = request.build_split();
    let request = request?;
    let (method, path) = (request.method().clone(), request.url().path().to_owned());
    Ok((method, path, client.execute(request).await?))
}

impl Actor {
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base_url)).bearer_auth(&self.token)
    }

    pub async fn get(&self, path: &str) -> Answer {
        Answer::of(self.request(Method::GET, path)).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        Answer::of(self.request(Method::PUT, path).json(body)).await
    }

    /// A POST with no key.
    pub async fn post_unkeyed(&self, path: &str, body: &Value) -> Answer {
        Answer::of(self.request(Method::POST, path).json(body)).await
    }

    /// A POST with a new key.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_with(&new_key(), path, body).await
    }

    /// A POST with this key.
    pub async fn post_with(&self, key: &str, path: &str, body: &Value) -> Answer {
        Answer::of(self.request(Method::POST, path).header("Idempotency-Key", key).json(body)).await
    }

    /// Sends where he is, now; the verdict.
    pub async fn send_position(&self, app: &App, (lat, lon): (f64, f64)) -> String {
        let body = json!({"position": {"lat": lat, "lon": lon}, "recorded_at": app.now().await});
        self.put("/v1/drivers/me/location", &body).await.expect(200)["verdict"].as_str().unwrap().to_owned()
    }

    /// A quote from one place to another.
    pub async fn quote(&self, from: (f64, f64), to: (f64, f64)) -> Value {
        let body = json!({"pickup": {"lat": from.0, "lon": from.1}, "dropoff": {"lat": to.0, "lon": to.1}});
        self.post_unkeyed("/v1/quotes", &body).await.expect(201)
    }

    /// Asks for a trip from [`HERE`] to [`THERE`].
    pub async fn request_trip(&self) -> Value {
        self.request_trip_with("pm_card_visa").await
    }

    pub async fn request_trip_with(&self, payment_method: &str) -> Value {
        let quote = self.quote(HERE, THERE).await;
        let body = json!({"quote_id": quote["id"], "payment_method": payment_method});
        self.post("/v1/trips", &body).await.expect(201)
    }

    /// Waits until a trip is in a state.
    pub async fn until_state(&self, trip: &str, state: &str) -> Value {
        until(&format!("{trip} is {state}"), async || {
            let trip = self.get(&format!("/v1/trips/{trip}")).await.expect(200);
            (trip["state"] == state).then_some(trip)
        })
        .await
    }

    /// Waits for an offer.
    pub async fn until_offered(&self) -> Value {
        until("there is an offer", async || {
            let me = self.get("/v1/drivers/me").await.expect(200);
            Some(me["offer"].clone()).filter(Value::is_object)
        })
        .await
    }

    /// Does something to a trip, like `arrive`.
    pub async fn act(&self, trip: &str, what: &str) -> Answer {
        self.post(&format!("/v1/trips/{trip}/{what}"), &json!({})).await
    }
}
