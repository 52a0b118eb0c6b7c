//! The HTTP client for the payment provider. Nothing calls it inside a transaction.
//!
//! TLS is rustls, with the system's root certificates and those of one more file. The client follows no redirect, uses no proxy
//! from the environment, and never retries: only the caller knows what a second request would do.

mod address;
pub mod public;

use std::error::Error as _;
use std::fmt;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};

pub use self::address::BaseUrl;
use super::crypto;
use super::error::{Error, Result};
use super::secret::Secret;

/// The upper bound for the timeout of a call. A lease that is held during a call is longer (see `payments::worker`).
pub const TIMEOUT_MAX: Duration = Duration::from_secs(25);

/// The maximum size of a response body, bytes. A longer one is truncated and then fails to parse. A page of a hundred intents
/// has about 300 KiB.
pub const BODY_BYTES_MAX: usize = 4 << 20;

/// The settings of a client.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The timeout of name resolution, connection and TLS handshake.
    pub connect_timeout: Duration,
    /// The timeout of a whole call, connecting included; at most [`TIMEOUT_MAX`].
    pub timeout: Duration,
    /// The root certificates to trust besides the system's.
    pub roots: Roots,
}

/// Root certificates.
#[derive(Clone, Default)]
pub struct Roots(Vec<reqwest::Certificate>);

impl Roots {
    /// Reads the certificates of a PEM file.
    ///
    /// # Errors
    /// A message for the operator, if the file cannot be read or holds no usable certificate.
    pub fn read(path: &str) -> Result<Self, String> {
        crypto::install();
        let pem = std::fs::read(path).map_err(|error| format!("cannot be read: {error}"))?;
        let roots = reqwest::Certificate::from_pem_bundle(&pem).unwrap_or_default();
        // The library validates a certificate only when it builds a client.
        let client = reqwest::Client::builder().no_proxy().tls_certs_merge(roots.clone());
        let is_usable = !roots.is_empty() && client.build().is_ok();
        if is_usable { Ok(Self(roots)) } else { Err("contains no PEM certificate".to_owned()) }
    }
}

impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} roots", self.0.len())
    }
}

/// The response to a call.
#[derive(Debug, Clone)]
pub struct CallResponse {
    /// The HTTP status.
    pub status: u16,
    /// The body, at most [`BODY_BYTES_MAX`].
    pub body: Vec<u8>,
    /// The value of `Retry-After`, if it is a number of seconds.
    pub retry_after: Option<Duration>,
}

/// Why a call got no response. The messages contain no URL, because one may hold secrets.
#[derive(Debug, thiserror::Error)]
pub enum CallFailure {
    /// No connection to the right server was made: the request was not sent.
    #[error("not sent: {0}")]
    NotSent(String),
    /// The request was or may have been sent; its effect is unknown.
    #[error("no response: {0}")]
    NoResponse(String),
}

/// An HTTP client with a connection pool and timeouts.
#[derive(Debug, Clone)]
pub struct Egress(reqwest::Client);

/// A request. Not `Debug`, because its form may contain a payment method.
pub struct Call<'a> {
    /// The absolute URL.
    pub url: String,
    /// The bearer token.
    pub bearer: &'a Secret,
    /// The version of the provider's API.
    pub api_version: Option<&'a str>,
    /// The provider's idempotency key.
    pub idempotency_key: Option<&'a str>,
    /// The method and the body.
    pub method: CallMethod<'a>,
}

/// The method and the body of a call.
#[derive(Clone, Copy)]
pub enum CallMethod<'a> {
    /// GET.
    Get,
    /// POST with a form.
    Form(&'a [(&'a str, String)]),
    /// PUT with JSON.
    Put(&'a str),
    /// DELETE.
    Delete,
}

impl Egress {
    /// Creates a client.
    ///
    /// # Errors
    /// If a timeout is out of bounds, or the HTTP library fails to start.
    pub fn new(settings: Settings) -> Result<Self> {
        if settings.timeout > TIMEOUT_MAX || settings.connect_timeout > settings.timeout {
            return Err(Error::Bug(format!("timeouts out of bounds: {settings:?}")));
        }
        crypto::install();
        let client = reqwest::Client::builder()
            .connect_timeout(settings.connect_timeout)
            .timeout(settings.timeout)
            .tls_certs_merge(settings.roots.0)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .build()
            .map_err(|error| Error::Bug(format!("HTTP client: {error}")))?;
        Ok(Self(client))
    }

    /// Makes one call.
    ///
    /// # Errors
    /// [`CallFailure`]
    pub async fn call(&self, call: Call<'_>) -> Result<CallResponse, CallFailure> {
        let mut request = match call.method {
            CallMethod::Get => self.0.get(&call.url),
            CallMethod::Form(form) => self.0.post(&call.url).form(form),
            CallMethod::Put(json) => {
                self.0.put(&call.url).header(CONTENT_TYPE, "application/json").body(json.to_owned())
            }
            CallMethod::Delete => self.0.delete(&call.url),
        }
        .bearer_auth(call.bearer.expose());
        if let Some(version) = call.api_version {
            request = request.header("Stripe-Version", version);
        }
        if let Some(key) = call.idempotency_key {
            request = request.header("Idempotency-Key", key);
        }
        let mut response = request.send().await.map_err(|error| {
            if error.is_connect() || error.is_builder() {
                CallFailure::NotSent(reason(error))
            } else {
                CallFailure::NoResponse(reason(error))
            }
        })?;
        let status = response.status().as_u16();
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| CallFailure::NoResponse(reason(error)))? {
            body.extend_from_slice(&chunk[..chunk.len().min(BODY_BYTES_MAX - body.len())]);
            if body.len() == BODY_BYTES_MAX {
                break;
            }
        }
        Ok(CallResponse { status, body, retry_after: retry_after.map(Duration::from_secs) })
    }
}

/// The innermost cause of an error, without the URL.
fn reason(error: reqwest::Error) -> String {
    let error = error.without_url();
    let kind = if error.is_timeout() { "timed out" } else { "failed" };
    let mut source = error.source();
    let mut innermost = None;
    while let Some(cause) = source {
        (source, innermost) = (cause.source(), Some(cause.to_string()));
    }
    innermost.map_or_else(|| error.to_string(), |cause| format!("{kind}: {cause}"))
}
