//! The service, over HTTP.

use std::time::Duration;

use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::Error;
use crate::told::{Step, Told};

/// The longest that a call may take: that of a service which waits for its database.
const CALL_WITHIN: Duration = Duration::from_secs(30);

/// How long anything may take to come about that the service does by itself: two leases of its workers, and a little.
pub(crate) const COMES_WITHIN: Duration = Duration::from_secs(75);

/// How often it is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A client, and what it tells.
#[derive(Debug)]
pub(crate) struct Service {
    http: Client,
    base_url: String,
    pub told: Told,
}

/// Somebody with a token.
#[derive(Debug, Clone)]
pub(crate) struct Actor {
    token: String,
    pub id: String,
}

/// A call to make.
#[derive(Debug)]
pub(crate) struct Ask<'a> {
    /// What it is for, for whoever reads along.
    pub what: &'a str,
    pub method: Method,
    pub path: &'a str,
    pub body: Option<Value>,
    /// Who asks; nobody needs a token in the sandbox.
    pub by: Option<&'a Actor>,
}

struct Answer {
    status: u16,
    trace_id: String,
    body: Value,
}

impl Service {
    pub fn new(base_url: &str, told: Told) -> Result<Self, Error> {
        let http = Client::builder().timeout(CALL_WITHIN).no_proxy().build();
        let http = http.map_err(|source| Error::NoAnswer { call: "anything".to_owned(), source })?;
        Ok(Self { http, base_url: base_url.trim_end_matches('/').to_owned(), told })
    }

    /// Somebody new.
    pub async fn actor(&mut self, role: &str) -> Result<Actor, Error> {
        let what = format!("a token for a new {role}");
        let body = Some(json!({"role": role}));
        let ask = Ask { what: &what, method: Method::POST, path: "/v1/sandbox/tokens", body, by: None };
        let body = self.call(&ask).await?;
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        Ok(Actor { token: text("token"), id: text("subject") })
    }

    /// Makes a call, and tells of it.
    pub async fn call(&mut self, ask: &Ask<'_>) -> Result<Value, Error> {
        let began = began();
        let answer = self.send(ask).await?;
        self.tell(ask, &answer, began.elapsed());
        accept(ask, answer)
    }

    /// Makes a call again and again until `is_there` finds in its answer what is waited for, and tells of the last one.
    pub async fn wait_for<T>(
        &mut self,
        ask: &Ask<'_>,
        mut is_there: impl FnMut(&Value) -> Option<T>,
    ) -> Result<T, Error> {
        let began = began();
        loop {
            let answer = self.send(ask).await?;
            if let Some(found) = is_there(&answer.body) {
                self.tell(ask, &answer, began.elapsed());
                return Ok(found);
            }
            accept(ask, answer)?;
            if began.elapsed() > COMES_WITHIN {
                return Err(Error::Late { what: ask.what.to_owned(), within_s: COMES_WITHIN.as_secs() });
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Makes a call that nobody hears of: its failure changes nothing any more.
    pub async fn try_quietly(&self, ask: &Ask<'_>) {
        let _answer = self.send(ask).await;
    }

    fn tell(&mut self, ask: &Ask<'_>, answer: &Answer, took: Duration) {
        let (what, method, path, status) = (ask.what, ask.method.as_str(), ask.path, answer.status);
        self.told.step(&Step { what, method, path, status, ms: took.as_millis(), trace_id: &answer.trace_id });
    }

    async fn send(&self, ask: &Ask<'_>) -> Result<Answer, Error> {
        let no_answer = |source| Error::NoAnswer { call: named(ask), source };
        let mut request = self.http.request(ask.method.clone(), format!("{}{}", self.base_url, ask.path));
        if let Some(actor) = ask.by {
            // Each of these happens once to its object, so that its address is as good a key as any.
            request = request.bearer_auth(&actor.token).header("Idempotency-Key", format!("trigger-{}", ask.path));
        }
        if let Some(body) = &ask.body {
            request = request.json(body);
        }
        let response = request.send().await.map_err(no_answer)?;
        let status = response.status().as_u16();
        let trace_id =
            response.headers().get("trace-id").and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned();
        let bytes = response.bytes().await.map_err(no_answer)?;
        Ok(Answer { status, trace_id, body: serde_json::from_slice(&bytes).unwrap_or_default() })
    }
}

fn accept(ask: &Ask<'_>, answer: Answer) -> Result<Value, Error> {
    if (200..300).contains(&answer.status) {
        return Ok(answer.body);
    }
    let detail = answer.body["detail"].as_str().unwrap_or("no problem document").to_owned();
    Err(Error::Refused { call: named(ask), status: answer.status, detail })
}

fn named(ask: &Ask<'_>) -> String {
    format!("{} {}", ask.method, ask.path)
}

#[expect(clippy::disallowed_methods, reason = "measures what a person waits for")]
fn began() -> std::time::Instant {
    std::time::Instant::now()
}
