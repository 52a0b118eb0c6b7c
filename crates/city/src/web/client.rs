//! Calls to the service: bounded, tried again under the same key, and every failure counted by its code.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{RequestBuilder, Response, StatusCode};
use serde::de::DeserializeOwned;

use crate::clock::{Reading, machine_now};
use crate::tally::Tally;

use super::api::{ClockReading, NewToken, Token};
use super::call::Setback;
use super::{Backoff, Call, Failure, Role, Session};

/// Long enough for a command that waits for its own first attempt (2 s) on a busy machine.
const ANSWER_MAX: Duration = Duration::from_secs(10);
const CONNECT_MAX: Duration = Duration::from_secs(2);
/// A service that asks for more than this is not waited for that long.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(10);

/// The service at one address, over kept connections.
///
/// It is `reqwest`: one position costs it 28 µs of CPU on a kept connection, and hyper's bare connection 25 µs; what costs
/// is the kernel.
#[derive(Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    /// Without a slash at its end.
    base_url: String,
    tally: Arc<Tally>,
}

impl Client {
    /// A client for a service without TLS.
    ///
    /// # Errors
    /// When the operating system's networking can't be set up.
    pub fn new(base_url: &str, tally: Arc<Tally>) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder().connect_timeout(CONNECT_MAX).build()?;
        Ok(Self { http, base_url: base_url.trim_end_matches('/').to_owned(), tally })
    }

    /// Makes a call, again and again until there is a definite answer or the attempts are used up.
    ///
    /// # Errors
    /// A refusal, or no answer.
    pub async fn call<T: DeserializeOwned>(&self, session: &Session, call: &Call) -> Result<T, Failure> {
        let mut backoff = Backoff::new(session.name());
        loop {
            let answer = self.attempt_as(session, call).await;
            if let Some(bytes) = answer_or_wait(answer, &mut backoff).await? {
                return self.read(&bytes);
            }
        }
    }

    /// Makes a call once; for what the next one replaces anyway.
    ///
    /// # Errors
    /// Any answer but a success, or none.
    pub async fn once<T: DeserializeOwned>(&self, session: &Session, call: &Call) -> Result<T, Failure> {
        self.read(&self.attempt_as(session, call).await.map_err(Setback::into_failure)?)
    }

    /// Asks for a token, for a session.
    pub(super) async fn new_token(&self, role: Role, subject: Option<&str>) -> Result<String, Failure> {
        let call = Call::post("/v1/sandbox/tokens", &NewToken { role, subject });
        let label = subject.unwrap_or_default();
        let token: Token = self.read(&self.without_token(label, &call).await?)?;
        Ok(token.token)
    }

    /// Reads the service's clock, once.
    ///
    /// # Errors
    /// A refusal, or no answer.
    pub async fn clock(&self) -> Result<Reading, Failure> {
        let asked = machine_now();
        let bytes = self.attempt(None, &Call::get("/v1/sandbox/clock")).await.map_err(Setback::into_failure)?;
        let received = machine_now();
        let ClockReading { domain, scale } = self.read(&bytes)?;
        if !(scale.is_finite() && scale > 0.0) {
            return Err(Failure::Unreadable(format!("a clock of scale {scale}")));
        }
        Ok(Reading { domain, scale, received, round_trip: received - asked })
    }

    /// Reads a page of text that needs no token.
    ///
    /// # Errors
    /// A refusal, or no answer.
    pub async fn text(&self, path: &str) -> Result<String, Failure> {
        let bytes = self.without_token(path, &Call::get(path)).await?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Puts something where no token is needed, and no answer is looked at.
    ///
    /// # Errors
    /// A refusal, or no answer.
    pub async fn publish(&self, path: &str, body: &impl serde::Serialize) -> Result<(), Failure> {
        self.without_token(path, &Call::put(path, body)).await.map(drop)
    }

    /// Opens an event stream, from after `last_id` on; once.
    pub(super) async fn open(&self, session: &Session, path: &str, last_id: Option<&str>) -> Result<Response, Setback> {
        let token = session.token(self).await.map_err(Setback::Definite)?;
        let mut request = self.http.get(format!("{}{path}", self.base_url)).bearer_auth(&token);
        request = request.header("accept", "text/event-stream");
        if let Some(id) = last_id {
            request = request.header("last-event-id", id);
        }
        // The stream itself may be silent for long; only its start is hurried.
        let answer = match tokio::time::timeout(ANSWER_MAX, self.send(request)).await {
            Ok(answer) => answer,
            Err(elapsed) => {
                self.tally.http_error("timeout");
                Err(Setback::Passing { asked: None, why: elapsed.to_string() })
            }
        };
        session.take_back_if_refused(&token, &answer);
        answer
    }

    /// Counts a connection that broke while it was being read.
    pub(super) fn count_broken_stream(&self) {
        self.tally.http_error("connection");
    }

    async fn without_token(&self, label: &str, call: &Call) -> Result<Vec<u8>, Failure> {
        let mut backoff = Backoff::new(label);
        loop {
            let answer = self.attempt(None, call).await;
            if let Some(bytes) = answer_or_wait(answer, &mut backoff).await? {
                return Ok(bytes);
            }
        }
    }

    async fn attempt_as(&self, session: &Session, call: &Call) -> Result<Vec<u8>, Setback> {
        let token = session.token(self).await.map_err(Setback::Definite)?;
        let answer = self.attempt(Some(&token), call).await;
        session.take_back_if_refused(&token, &answer);
        answer
    }

    async fn attempt(&self, token: Option<&str>, call: &Call) -> Result<Vec<u8>, Setback> {
        let mut request = self.http.request(call.method.clone(), format!("{}{}", self.base_url, call.path));
        request = request.timeout(ANSWER_MAX);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(key) = &call.key {
            request = request.header("idempotency-key", key);
        }
        if let Some(body) = &call.body {
            request = request.header(CONTENT_TYPE, HeaderValue::from_static("application/json")).body(body.clone());
        }
        let answer = self.send(request).await?;
        answer.bytes().await.map(Into::into).map_err(|error| self.transport(&error))
    }

    /// Sends a request, and sorts the answers that are no success.
    async fn send(&self, request: RequestBuilder) -> Result<Response, Setback> {
        let answer = request.send().await.map_err(|error| self.transport(&error))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let asked = retry_after(answer.headers());
        let body = answer.bytes().await.unwrap_or_default();
        let code = problem_code(&body).unwrap_or_else(|| status.as_str().to_owned());
        self.tally.http_error(&code);
        let is_passing = match status {
            StatusCode::UNAUTHORIZED => return Err(Setback::TokenRefused),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => true,
            // The first attempt under this key is still at work.
            StatusCode::CONFLICT => code == "request_in_progress",
            _ => status.is_server_error(),
        };
        Err(if is_passing {
            Setback::Passing { asked, why: format!("{status} {code}") }
        } else {
            Setback::Definite(Failure::Refused { status: status.as_u16(), code })
        })
    }

    fn transport(&self, error: &reqwest::Error) -> Setback {
        self.tally.http_error(if error.is_timeout() { "timeout" } else { "connection" });
        Setback::Passing { asked: None, why: error.to_string() }
    }

    fn read<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, Failure> {
        serde_json::from_slice(bytes).map_err(|error| {
            self.tally.http_error("unreadable");
            Failure::Unreadable(error.to_string())
        })
    }
}

/// The answer, or nothing after a wait that makes another attempt worth it.
///
/// # Errors
/// When none is, or so many have failed that it is time to give up.
async fn answer_or_wait(answer: Result<Vec<u8>, Setback>, backoff: &mut Backoff) -> Result<Option<Vec<u8>>, Failure> {
    let (asked, last) = match answer {
        Ok(bytes) => return Ok(Some(bytes)),
        Err(setback) => setback.passing()?,
    };
    if backoff.is_exhausted() {
        return Err(Failure::NoAnswer { last });
    }
    tokio::time::sleep(backoff.wait(asked)).await;
    Ok(None)
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u64 = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
}

/// The stable name of a problem document (RFC 9457); `None` for a body that is none.
fn problem_code(body: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Problem {
        code: String,
    }
    serde_json::from_slice::<Problem>(body).ok().map(|problem| problem.code)
}
