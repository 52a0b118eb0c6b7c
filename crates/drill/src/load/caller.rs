//! An HTTP client of the service that records every request and response.

use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::context::Context;
use super::hang_up::{request_text, reset_after};
use super::model::Keys;
use super::places::random;
use super::recording::{ForeignRecord, RequestRecord};
use launcher::BoxError;
use launcher::clock::Stopwatch;

/// How long a caller waits for a response.
const RESPONSE_WITHIN: Duration = Duration::from_secs(5);

/// Attempts of a command under one key.
const ATTEMPTS_MAX: u32 = 4;

/// The wait before the second attempt. It doubles.
const WAIT_FIRST: Duration = Duration::from_millis(150);

/// Attempts to get a token.
const TOKEN_ATTEMPTS_MAX: u32 = 40;

/// How long a caller waits who then hangs up, microseconds, from and to: about as long as a command takes, so that it is hit at different
/// points, on a fast machine as on a slow one.
const HANGS_UP_AFTER_US: std::ops::Range<u64> = 1_000..8_000;

/// The code of a request whose caller hung up on purpose.
pub const HUNG_UP: &str = "hung_up";

/// One caller with a token.
#[derive(Debug)]
pub struct Caller {
    /// What it shares with the others.
    pub context: Arc<Context>,
    /// Its decisions.
    pub random: StdRng,
    /// Its group.
    pub group: String,
    /// Its name, unique in the run.
    pub name: String,
    /// Its id in tokens.
    pub subject: String,
    pub(super) token: String,
    keys: Keys,
    keys_made: u64,
    number: usize,
}

/// A request.
#[derive(Debug, Clone)]
pub struct Call {
    /// Method and path template, as published: `GET /v1/trips/{trip_id}`.
    pub operation: String,
    /// The value for the template's parameter, or a query after `?`.
    pub path: String,
    /// The body.
    pub body: Option<Value>,
    /// The idempotency key.
    pub key: Option<String>,
    /// How long to wait.
    pub within: Duration,
}

/// A response.
#[derive(Debug, Clone, Default)]
pub struct ApiResponse {
    /// Status; 0: none.
    pub status: u16,
    /// The body as JSON; null if it is none.
    pub body: Value,
    /// Digest of the body's bytes.
    pub digest: u64,
}

impl ApiResponse {
    /// Whether the status is 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// A text member; empty if missing.
    pub fn text(&self, member: &str) -> &str {
        self.body[member].as_str().unwrap_or_default()
    }

    /// Whether the request may be repeated under its key.
    pub fn may_retry(&self) -> bool {
        matches!(self.status, 0 | 429 | 500..=599) || self.body["code"] == "request_in_progress"
    }
}

impl Call {
    /// A request of an operation: `GET /v1/trips/{trip_id}` with its parameter.
    pub fn new(operation: &str, parameter: &str) -> Self {
        let template = operation.split_once(' ').map_or(operation, |(_, template)| template);
        let path = match (template.split_once('{'), parameter.starts_with('?')) {
            (Some((before, rest)), _) => {
                let after = rest.split_once('}').map_or("", |(_, after)| after);
                format!("{before}{parameter}{after}")
            }
            (None, true) => format!("{template}{parameter}"),
            (None, false) => template.to_owned(),
        };
        Self { operation: operation.to_owned(), path, body: None, key: None, within: RESPONSE_WITHIN }
    }

    /// With a body.
    #[must_use]
    pub fn body(self, body: Value) -> Self {
        Self { body: Some(body), ..self }
    }

    pub(super) fn method(&self) -> Method {
        let name = self.operation.split(' ').next().unwrap_or_default();
        Method::from_bytes(name.as_bytes()).unwrap_or(Method::GET)
    }
}

impl Caller {
    /// Creates a caller with a token of its own. `role` is `none` for a caller without one.
    ///
    /// # Errors
    /// If the service issues no token.
    pub async fn new(context: &Arc<Context>, group: &str, number: usize, role: &str) -> Result<Self, BoxError> {
        let name = format!("{group}-{number}");
        let mut caller = Self {
            context: Arc::clone(context),
            random: random(context.target.seed, &name),
            group: group.to_owned(),
            name,
            subject: String::new(),
            token: String::new(),
            keys: Keys::Unique,
            keys_made: 0,
            number,
        };
        if role != "none" {
            caller.get_token(role).await?;
        }
        Ok(caller)
    }

    /// A caller that sends no token.
    pub fn without_token(context: &Arc<Context>, group: &str, number: usize) -> Self {
        Self::known(context, group, number, ("", ""))
    }

    /// The caller with a token whose signature is wrong.
    #[must_use]
    pub fn with_forged_token(mut self) -> Self {
        let signature = self.token.rfind('.').map_or(0, |dot| dot + 1);
        self.token.truncate(signature);
        self.token.push_str("c2lnbmF0dXJlIG9mIG5vIG9uZQ");
        self
    }

    /// The same caller once more, with the token that it has, for what happens at the same time.
    pub(super) fn known(context: &Arc<Context>, group: &str, number: usize, (subject, token): (&str, &str)) -> Self {
        let name = format!("{group}-{number}");
        Self {
            context: Arc::clone(context),
            random: random(context.target.seed, &format!("{name} again")),
            group: group.to_owned(),
            name,
            subject: subject.to_owned(),
            token: token.to_owned(),
            keys: Keys::Unique,
            keys_made: u64::from(u32::MAX),
            number,
        }
    }

    /// Counts its keys, or makes them unique.
    #[must_use]
    pub fn with_keys(self, keys: Keys) -> Self {
        Self { keys, ..self }
    }

    async fn get_token(&mut self, role: &str) -> Result<(), BoxError> {
        for _ in 0..TOKEN_ATTEMPTS_MAX {
            let call = Call::new("POST /v1/sandbox/tokens", "").body(json!({ "role": role }));
            let response = self.send(&call).await;
            if response.is_success() {
                (self.token, self.subject) = (response.text("token").to_owned(), response.text("subject").to_owned());
                return Ok(());
            }
            tokio::time::sleep(WAIT_FIRST).await;
        }
        Err(format!("no token for {}", self.name).into())
    }

    /// Draws whether something with this probability happens.
    pub fn draws(&mut self, share: f64) -> bool {
        // Drawn also for 0 and 1, so that a change of one share changes no other decision.
        self.random.random_range(0.0..1.0) < share
    }

    /// Waits for a time between two numbers of milliseconds.
    pub async fn wait_ms(&mut self, [from, to]: [u64; 2]) {
        let ms = self.random.random_range(from..=to.max(from));
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }

    /// A new idempotency key.
    pub fn new_key(&mut self) -> String {
        self.keys_made += 1;
        match self.keys {
            Keys::Unique => format!("drill-{}-{}-{}", self.context.target.seed, self.name, self.keys_made),
            Keys::Counted => format!("request-{}", self.keys_made),
        }
    }

    /// Gets an object.
    pub async fn get(&self, operation: &str, parameter: &str) -> ApiResponse {
        self.send(&Call::new(operation, parameter)).await
    }

    /// Sends a command under a new key until there is a final response, up to four times.
    pub async fn command(&mut self, operation: &str, parameter: &str, body: Value) -> ApiResponse {
        let key = self.new_key();
        let call = Call { key: Some(key), ..Call::new(operation, parameter).body(body) };
        self.send_until_final(&call).await
    }

    /// Sends a command as [`Self::command`] does. With the given probabilities hangs up during an attempt before, at a time that the seed
    /// decides, and sends the command again after its success.
    pub async fn command_with(&mut self, call: Call, hang_up: f64, repeat: f64) -> ApiResponse {
        let call = Call { key: Some(self.new_key()), ..call };
        if self.draws(hang_up) {
            let after = Duration::from_micros(self.random.random_range(HANGS_UP_AFTER_US));
            self.send_and_hang_up(&call, after).await;
        }
        let response = self.send_until_final(&call).await;
        if self.draws(repeat) && response.is_success() {
            self.send(&call).await;
        }
        response
    }

    async fn send_until_final(&self, call: &Call) -> ApiResponse {
        let mut wait = WAIT_FIRST;
        for _ in 1..ATTEMPTS_MAX {
            let response = self.send(call).await;
            if !response.may_retry() {
                return response;
            }
            tokio::time::sleep(wait).await;
            wait *= 2;
        }
        self.send(call).await
    }

    /// Sends a request once, and records it.
    pub async fn send(&self, call: &Call) -> ApiResponse {
        let takes_positions = call.path.ends_with("/location") || call.path == "/v1/locations";
        let url = if takes_positions { self.context.matcher_url() } else { self.context.url_of(self.number) };
        let mut request = self.context.http.request(call.method(), format!("{url}{}", call.path));
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        if let Some(key) = &call.key {
            request = request.header("Idempotency-Key", key);
        }
        if let Some(body) = &call.body {
            request = request.json(body);
        }
        let (at_s, watch) = (self.context.now_s(), Stopwatch::start());
        let received = tokio::time::timeout(call.within, receive(request)).await.ok().and_then(Result::ok);
        let ms = watch.elapsed().as_secs_f64() * 1_000.0;
        let Received { response, trace_id, replayed } = received.unwrap_or_default();
        let record = RequestRecord {
            at_s,
            ms,
            operation: call.operation.clone(),
            group: self.group.clone(),
            caller: self.name.clone(),
            status: response.status,
            code: response.text("code").to_owned(),
            trace_id,
            key: call.key.clone().unwrap_or_default(),
            replayed,
            digest: response.digest,
        };
        self.context.recording().requests.push(record);
        self.check_owner(call, &response);
        response
    }

    /// Sends a request, and hangs up before the response. Records it under the code [`HUNG_UP`].
    async fn send_and_hang_up(&self, call: &Call, after: Duration) {
        let host = self.context.url_of(self.number).trim_start_matches("http://");
        let (at_s, watch) = (self.context.now_s(), Stopwatch::start());
        let _unanswered = reset_after(host, &request_text(call, host, &self.token), after).await;
        let record = RequestRecord {
            at_s,
            ms: watch.elapsed().as_secs_f64() * 1_000.0,
            operation: call.operation.clone(),
            group: self.group.clone(),
            caller: self.name.clone(),
            code: HUNG_UP.to_owned(),
            key: call.key.clone().unwrap_or_default(),
            ..RequestRecord::default()
        };
        self.context.recording().requests.push(record);
    }

    /// Records a response to a rider that shows another rider's object.
    fn check_owner(&self, call: &Call, response: &ApiResponse) {
        if !self.subject.starts_with("rdr_") || !response.is_success() {
            return;
        }
        let items = response.body["items"].as_array().map_or(&[][..], Vec::as_slice);
        for object in std::iter::once(&response.body).chain(items) {
            let id = object["id"].as_str().or(object["trip_id"].as_str()).unwrap_or_default();
            let named = object["rider_id"].as_str();
            let mut owner = named.filter(|rider| *rider != self.subject).map(str::to_owned);
            if owner.is_none() && !id.is_empty() {
                let mut known = self.context.known();
                let first = known.owners.entry(id.to_owned()).or_insert_with(|| self.name.clone());
                owner = Some(first.clone()).filter(|first| *first != self.name);
            }
            if let Some(owner) = owner {
                let (group, caller) = (self.group.clone(), self.name.clone());
                let (operation, object) = (call.operation.clone(), id.to_owned());
                let at_s = self.context.now_s();
                self.context.recording().foreign.push(ForeignRecord { at_s, operation, group, caller, object, owner });
            }
        }
    }
}

#[derive(Default)]
struct Received {
    response: ApiResponse,
    trace_id: String,
    replayed: bool,
}

async fn receive(request: reqwest::RequestBuilder) -> Result<Received, reqwest::Error> {
    let response = request.send().await?;
    let status = response.status().as_u16();
    let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (trace_id, replayed) = (header("trace-id").to_owned(), header("idempotent-replayed") == "true");
    let bytes = response.bytes().await?;
    let hash = Sha256::digest(&bytes);
    let digest = hash.iter().take(8).fold(0, |digest, byte| digest << 8 | u64::from(*byte));
    let body = serde_json::from_slice(&bytes).unwrap_or_default();
    Ok(Received { response: ApiResponse { status, body, digest }, trace_id, replayed })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_and_queries_go_into_the_path() {
        let path = |operation, parameter| Call::new(operation, parameter).path;
        assert_eq!(path("GET /v1/trips/{trip_id}/driver", "trip_1"), "/v1/trips/trip_1/driver");
        assert_eq!(path("GET /v1/drivers/nearby", "?lat=1"), "/v1/drivers/nearby?lat=1");
        assert_eq!(path("POST /v1/quotes", ""), "/v1/quotes");
    }
}
