//! HTTP clients of a service, as riders, drivers and operators.

use std::sync::atomic::{AtomicU32, Ordering};

use chrono::TimeDelta;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use ridematch::platform::auth::{Caller, Role, TokenKey};
use serde_json::{Value, json};

use super::openapi_check::{Checked, check_response};
use super::{App, HERE, JWT_SECRET, THERE, until};

static KEYS: AtomicU32 = AtomicU32::new(0);

/// Returns a new idempotency key.
pub fn new_key() -> String {
    format!("key-{}", KEYS.fetch_add(1, Ordering::Relaxed))
}

/// A rider, driver or operator with a token.
#[derive(Clone)]
pub struct Actor {
    pub http: Client,
    pub base_url: String,
    pub token: String,
    pub id: String,
}

/// A response with its whole body.
#[derive(Debug)]
pub struct ApiResponse {
    pub status: StatusCode,
    pub headers: reqwest::header::HeaderMap,
    pub bytes: Vec<u8>,
}

impl ApiResponse {
    /// Sends a request. The response must match the OpenAPI document.
    pub async fn of(request: RequestBuilder) -> Self {
        Self::attempt(request).await.expect("a response")
    }

    /// The same, for a service that may not respond. The body of a stream is not read.
    ///
    /// # Errors
    /// If there is no complete response.
    pub async fn attempt(request: RequestBuilder) -> reqwest::Result<Self> {
        let (method, path, response) = send(request).await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let is_stream = headers.get("content-type").is_some_and(|kind| kind == "text/event-stream");
        let body = if is_stream { None } else { Some(response.bytes().await?.to_vec()) };
        check_response(&method, &path, &Checked { status, headers: &headers, body: body.as_deref() });
        Ok(Self { status, headers, bytes: body.unwrap_or_default() })
    }

    /// Sends a request for a stream, and leaves the body to the caller.
    pub async fn open(request: RequestBuilder) -> Response {
        let (method, path, response) = send(request).await.expect("a response");
        check_response(&method, &path, &Checked { status: response.status(), headers: response.headers(), body: None });
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

    /// Returns the body. Panics if the status is another one.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        let body = self.json();
        assert_eq!(self.status.as_u16(), status, "{body:#}");
        body
    }

    /// Returns the body. Panics unless it is this problem, with all members.
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

/// Sends a request. Returns its method and path with the response.
async fn send(request: RequestBuilder) -> reqwest::Result<(Method, String, Response)> {
    let (client, request) = request.build_split();
    let request = request?;
    let (method, path) = (request.method().clone(), request.url().path().to_owned());
    Ok((method, path, client.execute(request).await?))
}

impl Actor {
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base_url)).bearer_auth(&self.token)
    }

    /// Returns the same actor with a token that expires in some seconds.
    pub fn expiring_in(&self, app: &App, role: Role, seconds: i64) -> Self {
        let caller = Caller { role, subject: role.parse_subject(&self.id).unwrap() };
        let expires_at = app.service().platform().clock.machine() + TimeDelta::seconds(seconds);
        let token =
            TokenKey::Secret(JWT_SECRET.to_owned()).issue(caller, expires_at, &app.config.expected_claims()).unwrap();
        Self { token, ..self.clone() }
    }

    pub async fn get(&self, path: &str) -> ApiResponse {
        ApiResponse::of(self.request(Method::GET, path)).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> ApiResponse {
        ApiResponse::of(self.request(Method::PUT, path).json(body)).await
    }

    /// Sends a POST without a key.
    pub async fn post_unkeyed(&self, path: &str, body: &Value) -> ApiResponse {
        ApiResponse::of(self.request(Method::POST, path).json(body)).await
    }

    /// Sends a POST with a new key.
    pub async fn post(&self, path: &str, body: &Value) -> ApiResponse {
        self.post_with(&new_key(), path, body).await
    }

    /// Sends a POST with this key.
    pub async fn post_with(&self, key: &str, path: &str, body: &Value) -> ApiResponse {
        ApiResponse::of(self.request(Method::POST, path).header("Idempotency-Key", key).json(body)).await
    }

    /// Sends the driver's position, with the current domain time. Returns the verdict.
    pub async fn send_position(&self, app: &App, (lat, lon): (f64, f64)) -> String {
        let body = json!({"position": {"lat": lat, "lon": lon}, "recorded_at": app.now().await});
        self.put("/v1/drivers/me/location", &body).await.expect(200)["verdict"].as_str().unwrap().to_owned()
    }

    /// Requests a quote.
    pub async fn quote(&self, from: (f64, f64), to: (f64, f64)) -> Value {
        let body = json!({"pickup": {"lat": from.0, "lon": from.1}, "dropoff": {"lat": to.0, "lon": to.1}});
        self.post_unkeyed("/v1/quotes", &body).await.expect(201)
    }

    /// Requests a trip from [`HERE`] to [`THERE`].
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

    /// Runs a command on a trip, like `arrive`.
    pub async fn command(&self, trip: &str, command: &str) -> ApiResponse {
        self.post(&format!("/v1/trips/{trip}/{command}"), &json!({})).await
    }
}
