//! An HTTP client of the service that retries under one key until it gets a final response, and sometimes sends duplicates.

use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::Context;
use super::record::Outcome;
use crate::random::random;

/// The wait between attempts doubles from the first to the second value.
const WAIT_FIRST: Duration = Duration::from_millis(50);
const WAIT_MAX: Duration = Duration::from_secs(2);

/// Share of commands that are sent twice at the same time, and of successful ones that are sent again.
const CONCURRENT_DUPLICATE_SHARE: f64 = 0.08;
const LATE_DUPLICATE_SHARE: f64 = 0.08;

/// The role in an actor's token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Rider,
    Driver,
    Ops,
}

/// A response.
#[derive(Debug, Clone)]
pub(crate) struct Response {
    pub status: u16,
    pub body: Value,
}

/// A rider, driver or operator.
#[derive(Debug)]
pub(crate) struct Actor {
    pub context: Arc<Context>,
    pub random: StdRng,
    role: Role,
    name: String,
    token: Option<String>,
    keys: u64,
}

impl Role {
    fn as_str(self) -> &'static str {
        match self {
            Self::Rider => "rider",
            Self::Driver => "driver",
            Self::Ops => "ops",
        }
    }
}

impl Response {
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub fn text(&self, member: &str) -> &str {
        self.body[member].as_str().unwrap_or_default()
    }
}

impl Actor {
    pub fn new(context: &Arc<Context>, role: Role, number: u32) -> Self {
        let name = format!("{}-{number}", role.as_str());
        let random = random(context.seed, &name);
        Self { context: Arc::clone(context), random, role, name, token: None, keys: 0 }
    }

    /// Waits for 0.5 to 1.5 times `about`.
    pub async fn wait(&mut self, about: Duration) {
        let share = self.random.random_range(0.5..1.5);
        tokio::time::sleep(about.mul_f64(share)).await;
    }

    pub async fn get(&mut self, path: &str) -> Option<Response> {
        let url = self.service_url();
        self.send_unkeyed(&url, Method::GET, path, None).await
    }

    /// Sends a PUT to the matcher.
    pub async fn put(&mut self, path: &str, body: &Value) -> Option<Response> {
        let url = self.context.matcher_url.clone();
        self.send_unkeyed(&url, Method::PUT, path, Some(body)).await
    }

    /// Sends a PUT to the service at `url`.
    pub async fn put_to(&mut self, url: &str, path: &str, body: &Value) -> Option<Response> {
        self.send_unkeyed(url, Method::PUT, path, Some(body)).await
    }

    /// Sends a POST without a key.
    pub async fn post_unkeyed(&mut self, path: &str, body: &Value) -> Option<Response> {
        let url = self.service_url();
        self.send_unkeyed(&url, Method::POST, path, Some(body)).await
    }

    /// Sends a command under a new key until there is a final response. Returns `None` if the run ends first.
    pub async fn command(&mut self, path: &str, body: &Value) -> Option<Response> {
        let key = self.new_key();
        if self.random.random_bool(CONCURRENT_DUPLICATE_SHARE) {
            let (one, other) = (self.keyed(&key, path, body).await?, self.keyed(&key, path, body).await?);
            let (_first, _second) = tokio::join!(self.send(one, &key, path), self.send(other, &key, path));
        }
        let mut wait = WAIT_FIRST;
        loop {
            let request = self.keyed(&key, path, body).await?;
            if let Some(response) = self.send(request, &key, path).await {
                if response.is_success() && self.random.random_bool(LATE_DUPLICATE_SHARE) {
                    let request = self.keyed(&key, path, body).await?;
                    self.send(request, &key, path).await;
                }
                return Some(response);
            }
            if self.context.is_closed() {
                return None;
            }
            self.wait(wait).await;
            wait = (wait * 2).min(WAIT_MAX);
        }
    }

    /// Sends a command once, under a new key.
    pub async fn command_once(&mut self, path: &str, body: &Value) -> Option<Response> {
        let key = self.new_key();
        let request = self.keyed(&key, path, body).await?;
        self.send(request, &key, path).await
    }

    fn new_key(&mut self) -> String {
        self.keys += 1;
        format!("torture-{}-{}-{}", self.context.seed, self.name, self.keys)
    }

    /// Picks one of the two services.
    fn service_url(&mut self) -> String {
        let number = usize::from(self.random.random_bool(0.5));
        self.context.service_urls[number].clone()
    }

    async fn keyed(&mut self, key: &str, path: &str, body: &Value) -> Option<RequestBuilder> {
        let url = self.service_url();
        let token = self.token().await?;
        let request = self.context.http.post(format!("{url}{path}")).bearer_auth(token);
        Some(request.header("Idempotency-Key", key).json(body))
    }

    /// Sends a command once and records it. Returns the response if it is final.
    async fn send(&self, request: RequestBuilder, key: &str, path: &str) -> Option<Response> {
        self.context.record.add_request(key, &format!("{} POST {path}", self.name));
        let response = request.send().await.ok()?;
        let status = response.status().as_u16();
        let bytes = response.bytes().await.ok()?;
        let body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let code = body["code"].as_str().unwrap_or_default();
        match Outcome::of(status, code) {
            Outcome::Retry => None,
            Outcome::Done | Outcome::Refused => {
                self.context.record.add_response(key, status, code, &bytes);
                Some(Response { status, body })
            }
        }
    }

    async fn send_unkeyed(&mut self, url: &str, method: Method, path: &str, body: Option<&Value>) -> Option<Response> {
        let token = self.token().await?;
        let mut request = self.context.http.request(method, format!("{url}{path}")).bearer_auth(token);
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.ok()?;
        let status = response.status().as_u16();
        let body = response.json().await.unwrap_or_default();
        Some(Response { status, body })
    }

    /// Requests a token until one arrives. Returns `None` if the run ends first.
    async fn token(&mut self) -> Option<String> {
        while self.token.is_none() {
            let url = self.service_url();
            let request = self.context.http.post(format!("{url}/v1/sandbox/tokens"));
            let response = request.json(&json!({ "role": self.role.as_str() })).send().await;
            if let Ok(response) = response
                && let Ok(body) = response.json::<Value>().await
            {
                self.token = body["token"].as_str().map(str::to_owned);
            }
            if self.token.is_none() {
                if self.context.is_closed() {
                    return None;
                }
                self.wait(WAIT_MAX / 4).await;
            }
        }
        self.token.clone()
    }
}
