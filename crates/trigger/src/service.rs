//! A client of the service.

use std::time::Duration;

use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::Error;
use crate::reporter::{Reporter, Step};

/// Timeout of a call; longer than a service waits for its database.
const CALL_WITHIN: Duration = Duration::from_secs(30);

/// Timeout of what the service does by itself: two leases of its workers, and a margin.
pub(crate) const REACHED_WITHIN: Duration = Duration::from_secs(75);

/// Between two polls.
const POLL_EVERY: Duration = Duration::from_millis(100);

/// The client. It reports its calls.
#[derive(Debug)]
pub(crate) struct Service {
    http: Client,
    base_url: String,
    pub reporter: Reporter,
}

/// A rider, driver or operator with a token.
#[derive(Debug, Clone)]
pub(crate) struct Actor {
    token: String,
    pub id: String,
}

/// A call to make.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    /// What it does, for the report.
    pub what: &'a str,
    pub method: Method,
    pub path: &'a str,
    pub body: Option<Value>,
    /// The caller. The sandbox needs none.
    pub by: Option<&'a Actor>,
}

struct Response {
    status: u16,
    trace_id: String,
    body: Value,
}

impl Service {
    pub fn new(base_url: &str, reporter: Reporter) -> Result<Self, Error> {
        // reqwest needs one even for plain HTTP. An error means that one is installed already.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let http = Client::builder().timeout(CALL_WITHIN).no_proxy().tls_certs_only([]).build();
        let http = http.map_err(|source| Error::NoResponse { call: "anything".to_owned(), source })?;
        Ok(Self { http, base_url: base_url.trim_end_matches('/').to_owned(), reporter })
    }

    /// Creates an actor.
    pub async fn actor(&mut self, role: &str) -> Result<Actor, Error> {
        let what = format!("a token for a new {role}");
        let body = Some(json!({"role": role}));
        let call = Call { what: &what, method: Method::POST, path: "/v1/sandbox/tokens", body, by: None };
        let body = self.call(&call).await?;
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        Ok(Actor { token: text("token"), id: text("subject") })
    }

    /// Makes a call and reports it. Returns the body.
    pub async fn call(&mut self, call: &Call<'_>) -> Result<Value, Error> {
        let started = now();
        let response = self.send(call).await?;
        self.report(call, &response, started.elapsed());
        body_of(call, response)
    }

    /// Repeats a call until `find` finds something in its response, and reports the last one.
    pub async fn poll<T>(&mut self, call: &Call<'_>, mut find: impl FnMut(&Value) -> Option<T>) -> Result<T, Error> {
        let started = now();
        loop {
            let response = self.send(call).await?;
            if let Some(found) = find(&response.body) {
                self.report(call, &response, started.elapsed());
                return Ok(found);
            }
            body_of(call, response)?;
            if started.elapsed() > REACHED_WITHIN {
                return Err(Error::TimedOut { what: call.what.to_owned(), within_s: REACHED_WITHIN.as_secs() });
            }
            tokio::time::sleep(POLL_EVERY).await;
        }
    }

    /// Makes a call without a report, and ignores its failure.
    pub async fn call_silently(&self, call: &Call<'_>) {
        let _ignored = self.send(call).await;
    }

    fn report(&mut self, call: &Call<'_>, response: &Response, took: Duration) {
        let (what, method, path, status) = (call.what, call.method.as_str(), call.path, response.status);
        self.reporter.step(&Step { what, method, path, status, ms: took.as_millis(), trace_id: &response.trace_id });
    }

    async fn send(&self, call: &Call<'_>) -> Result<Response, Error> {
        let no_response = |source| Error::NoResponse { call: name(call), source };
        let mut request = self.http.request(call.method.clone(), format!("{}{}", self.base_url, call.path));
        if let Some(actor) = call.by {
            // A recipe makes each call once per object, so the path identifies it.
            request = request.bearer_auth(&actor.token).header("Idempotency-Key", format!("trigger-{}", call.path));
        }
        if let Some(body) = &call.body {
            request = request.json(body);
        }
        let response = request.send().await.map_err(no_response)?;
        let status = response.status().as_u16();
        let trace_id =
            response.headers().get("trace-id").and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned();
        let bytes = response.bytes().await.map_err(no_response)?;
        Ok(Response { status, trace_id, body: serde_json::from_slice(&bytes).unwrap_or_default() })
    }
}

fn body_of(call: &Call<'_>, response: Response) -> Result<Value, Error> {
    if (200..300).contains(&response.status) {
        return Ok(response.body);
    }
    let detail = response.body["detail"].as_str().unwrap_or("no problem document").to_owned();
    Err(Error::Refused { call: name(call), status: response.status, detail })
}

fn name(call: &Call<'_>) -> String {
    format!("{} {}", call.method, call.path)
}

#[expect(clippy::disallowed_methods, reason = "durations for the report and the timeout")]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}
