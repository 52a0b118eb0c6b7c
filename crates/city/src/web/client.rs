//! Calls of the service, with timeouts and retries, and with every failure counted by its code.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{RequestBuilder, Response, StatusCode};
use serde::de::DeserializeOwned;

use crate::clock::{Reading, machine_now};
use crate::statistics::Statistics;

use super::api::{ClockReading, NewToken, Token};
use super::call::AttemptError;
use super::{Backoff, Call, CallError, Role, Session};

/// Long enough for a command that waits for its own first attempt (2 s), on a busy machine.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// The longest `Retry-After` that is respected.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(10);

/// A client with kept-alive connections.
///
/// With `reqwest` a position report takes 28 µs of CPU, with a bare hyper connection 25 µs: most of it is the kernel.
#[derive(Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    /// Without a trailing slash.
    base_url: String,
    statistics: Arc<Statistics>,
}

impl Client {
    /// A client for a service without TLS.
    ///
    /// # Errors
    /// The client cannot be set up.
    pub fn new(base_url: &str, statistics: Arc<Statistics>) -> Result<Self, reqwest::Error> {
        // Fails if the process has a cryptography provider already, which is then used.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        // A service on this machine is not behind the proxy of HTTP_PROXY, and without TLS no roots are needed.
        let http = reqwest::Client::builder().no_proxy().tls_certs_only([]).connect_timeout(CONNECT_TIMEOUT).build()?;
        Ok(Self { http, base_url: base_url.trim_end_matches('/').to_owned(), statistics })
    }

    /// Makes a call, with retries until a definite response or until the attempts are used up.
    ///
    /// # Errors
    /// A rejection, or no response.
    pub async fn call<T: DeserializeOwned>(&self, session: &Session, call: &Call) -> Result<T, CallError> {
        let mut backoff = Backoff::new(session.name());
        loop {
            let response = self.attempt_as(session, call).await;
            if let Some(bytes) = response_or_wait(response, &mut backoff).await? {
                return self.read(&bytes);
            }
        }
    }

    /// Makes a call without retries.
    ///
    /// # Errors
    /// A response other than a success, or no response.
    pub async fn once<T: DeserializeOwned>(&self, session: &Session, call: &Call) -> Result<T, CallError> {
        self.read(&self.attempt_as(session, call).await.map_err(AttemptError::into_call_error)?)
    }

    /// Gets a token for a session.
    pub(super) async fn new_token(&self, role: Role, subject: Option<&str>) -> Result<String, CallError> {
        let call = Call::post("/v1/sandbox/tokens", &NewToken { role, subject });
        let label = subject.unwrap_or_default();
        let token: Token = self.read(&self.without_token(label, &call).await?)?;
        Ok(token.token)
    }

    /// Reads the clock of the service, without retries.
    ///
    /// # Errors
    /// A rejection, or no response.
    pub async fn clock(&self) -> Result<Reading, CallError> {
        let sent = machine_now();
        let bytes = self.attempt(None, &Call::get("/v1/sandbox/clock")).await.map_err(AttemptError::into_call_error)?;
        let received = machine_now();
        let ClockReading { domain, scale } = self.read(&bytes)?;
        if !(scale.is_finite() && scale > 0.0) {
            return Err(CallError::Unreadable(format!("clock with scale {scale}")));
        }
        Ok(Reading { domain, scale, received, round_trip: received - sent })
    }

    /// Reads a page without a token.
    ///
    /// # Errors
    /// A rejection, or no response.
    pub async fn text(&self, path: &str) -> Result<String, CallError> {
        let bytes = self.without_token(path, &Call::get(path)).await?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Puts a body without a token, and ignores the response body.
    ///
    /// # Errors
    /// A rejection, or no response.
    pub async fn publish(&self, path: &str, body: &impl serde::Serialize) -> Result<(), CallError> {
        self.without_token(path, &Call::put(path, body)).await.map(drop)
    }

    /// Opens an event stream after the event `last_id`, without retries.
    pub(super) async fn open(
        &self,
        session: &Session,
        path: &str,
        last_id: Option<&str>,
    ) -> Result<Response, AttemptError> {
        let token = session.token(self).await.map_err(AttemptError::Permanent)?;
        let mut request = self.http.get(format!("{}{path}", self.base_url)).bearer_auth(&token);
        request = request.header("accept", "text/event-stream");
        if let Some(id) = last_id {
            request = request.header("last-event-id", id);
        }
        // Only the start has a timeout: the stream itself may be silent.
        let response = match tokio::time::timeout(RESPONSE_TIMEOUT, self.send(request)).await {
            Ok(response) => response,
            Err(elapsed) => {
                self.statistics.http_error("timeout");
                Err(AttemptError::Transient { retry_after: None, reason: elapsed.to_string() })
            }
        };
        session.discard_token_if_rejected(&token, &response);
        response
    }

    /// Counts a broken event stream.
    pub(super) fn count_broken_stream(&self) {
        self.statistics.http_error("connection");
    }

    async fn without_token(&self, label: &str, call: &Call) -> Result<Vec<u8>, CallError> {
        let mut backoff = Backoff::new(label);
        loop {
            let response = self.attempt(None, call).await;
            if let Some(bytes) = response_or_wait(response, &mut backoff).await? {
                return Ok(bytes);
            }
        }
    }

    async fn attempt_as(&self, session: &Session, call: &Call) -> Result<Vec<u8>, AttemptError> {
        let token = session.token(self).await.map_err(AttemptError::Permanent)?;
        let response = self.attempt(Some(&token), call).await;
        session.discard_token_if_rejected(&token, &response);
        response
    }

    async fn attempt(&self, token: Option<&str>, call: &Call) -> Result<Vec<u8>, AttemptError> {
        let mut request = self.http.request(call.method.clone(), format!("{}{}", self.base_url, call.path));
        request = request.timeout(RESPONSE_TIMEOUT);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(key) = &call.key {
            request = request.header("idempotency-key", key);
        }
        if let Some(body) = &call.body {
            request = request.header(CONTENT_TYPE, HeaderValue::from_static("application/json")).body(body.clone());
        }
        let response = self.send(request).await?;
        response.bytes().await.map(Into::into).map_err(|error| self.transport(&error))
    }

    /// Sends a request, and converts responses other than a success to errors.
    async fn send(&self, request: RequestBuilder) -> Result<Response, AttemptError> {
        let response = request.send().await.map_err(|error| self.transport(&error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let retry_after = retry_after(response.headers());
        let body = response.bytes().await.unwrap_or_default();
        let code = problem_code(&body).unwrap_or_else(|| status.as_str().to_owned());
        self.statistics.http_error(&code);
        let is_transient = match status {
            StatusCode::UNAUTHORIZED => return Err(AttemptError::TokenRejected),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => true,
            // The first attempt with this key is still in progress.
            StatusCode::CONFLICT => code == "request_in_progress",
            _ => status.is_server_error(),
        };
        Err(if is_transient {
            AttemptError::Transient { retry_after, reason: format!("{status} {code}") }
        } else {
            AttemptError::Permanent(CallError::Rejected { status: status.as_u16(), code })
        })
    }

    fn transport(&self, error: &reqwest::Error) -> AttemptError {
        self.statistics.http_error(if error.is_timeout() { "timeout" } else { "connection" });
        AttemptError::Transient { retry_after: None, reason: error.to_string() }
    }

    fn read<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, CallError> {
        serde_json::from_slice(bytes).map_err(|error| {
            self.statistics.http_error("unreadable");
            CallError::Unreadable(error.to_string())
        })
    }
}

/// Returns the response, or `None` after the wait before a retry.
///
/// # Errors
/// A permanent error, or all attempts are used up.
async fn response_or_wait(
    response: Result<Vec<u8>, AttemptError>,
    backoff: &mut Backoff,
) -> Result<Option<Vec<u8>>, CallError> {
    let (retry_after, last) = match response {
        Ok(bytes) => return Ok(Some(bytes)),
        Err(error) => error.retryable()?,
    };
    if backoff.is_exhausted() {
        return Err(CallError::NoResponse { last });
    }
    tokio::time::sleep(backoff.wait(retry_after)).await;
    Ok(None)
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u64 = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
}

/// The code of a problem document (RFC 9457), if the body is one.
fn problem_code(body: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Problem {
        code: String,
    }
    serde_json::from_slice::<Problem>(body).ok().map(|problem| problem.code)
}
