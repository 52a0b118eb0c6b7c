//! The only HTTP client. Nothing calls it inside a transaction.
//!
//! HTTPS is rustls, with the roots that the system trusts and those of one more file. A call is made once: it follows no
//! redirect, goes through no proxy that an environment variable names, and is never sent again behind the caller's back, because
//! only the caller knows what a second one would do. What comes back is an answer, or one of two [`Failure`]s.

mod address;
pub mod public;

use std::error::Error as _;
use std::fmt;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};

pub use self::address::BaseUrl;
use super::error::{Error, Result};
use super::secret::Secret;

/// The longest that a call may be allowed to take. Whoever holds a lease while he calls has one that is longer (see
/// `payments::worker`).
pub const TIMEOUT_MAX: Duration = Duration::from_secs(25);

/// Answers are read up to this size; a longer one is cut, and then cannot be understood. A page of a hundred intents is some
/// 300 KiB.
pub const BODY_BYTES_MAX: usize = 4 << 20;

/// How to call.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How long it may take to find the address, connect, and agree on a key.
    pub connect_timeout: Duration,
    /// How long a call may take in all, the connection included; at most [`TIMEOUT_MAX`].
    pub timeout: Duration,
    /// Who is trusted beside the system's roots.
    pub roots: Roots,
}

/// Root certificates.
#[derive(Clone, Default)]
pub struct Roots(Vec<reqwest::Certificate>);

impl Roots {
    /// Reads the certificates of a PEM file.
    ///
    /// # Errors
    /// A sentence for its operator, if the file cannot be read, or holds no certificate that can be a root.
    pub fn read(path: &str) -> Result<Self, String> {
        let pem = std::fs::read(path).map_err(|error| format!("cannot be read: {error}"))?;
        let roots = reqwest::Certificate::from_pem_bundle(&pem).unwrap_or_default();
        // The library looks into a certificate only when it makes a client.
        let is_usable = !roots.is_empty() && reqwest::Client::builder().tls_certs_merge(roots.clone()).build().is_ok();
        if is_usable { Ok(Self(roots)) } else { Err("holds no certificate in PEM".to_owned()) }
    }
}

impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} roots", self.0.len())
    }
}

/// An answer, read whole.
#[derive(Debug, Clone)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// The body, at most [`BODY_BYTES_MAX`].
    pub body: Vec<u8>,
    /// When the server wants to be asked again, if it said so in seconds.
    pub retry_after: Option<Duration>,
}

/// Why there is no answer. The texts name no URL: one may hold what must not be in a log.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// No connection was made, or none to whom it should have been: the request cannot have arrived.
    #[error("not sent: {0}")]
    NotSent(String),
    /// The request was, or may have been, sent; what became of it is not known.
    #[error("no answer: {0}")]
    NoAnswer(String),
}

/// A client with kept connections and time-outs.
#[derive(Debug, Clone)]
pub struct Egress(reqwest::Client);

/// One request. It cannot be printed: its form may name a card.
pub struct Call<'a> {
    /// The whole URL.
    pub url: String,
    /// The bearer token.
    pub bearer: &'a Secret,
    /// The provider's idempotency key.
    pub idempotency_key: Option<&'a str>,
    /// What is asked.
    pub ask: Ask<'a>,
}

/// What a call asks.
#[derive(Clone, Copy)]
pub enum Ask<'a> {
    /// GET.
    Get,
    /// POST with this form.
    Form(&'a [(&'a str, String)]),
    /// PUT with this JSON.
    Put(&'a str),
    /// DELETE.
    Delete,
}

impl Egress {
    /// Makes a client.
    ///
    /// # Errors
    /// If a time-out is past its bound, or the HTTP library cannot be started.
    pub fn new(settings: Settings) -> Result<Self> {
        if settings.timeout > TIMEOUT_MAX || settings.connect_timeout > settings.timeout {
            return Err(Error::Bug(format!("time-outs out of bounds: {settings:?}")));
        }
        let client = reqwest::Client::builder()
            .connect_timeout(settings.connect_timeout)
            .timeout(settings.timeout)
            .tls_certs_merge(settings.roots.0)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .build()
            .map_err(|error| Error::Bug(format!("no HTTP client: {error}")))?;
        Ok(Self(client))
    }

    /// Makes one call.
    ///
    /// # Errors
    /// [`Failure`], which tells what cannot have happened from what may have.
    pub async fn call(&self, call: Call<'_>) -> Result<Reply, Failure> {
        let mut request = match call.ask {
            Ask::Get => self.0.get(&call.url),
            Ask::Form(form) => self.0.post(&call.url).form(form),
            Ask::Put(json) => self.0.put(&call.url).header(CONTENT_TYPE, "application/json").body(json.to_owned()),
            Ask::Delete => self.0.delete(&call.url),
        }
        .bearer_auth(call.bearer.expose());
        if let Some(key) = call.idempotency_key {
            request = request.header("Idempotency-Key", key);
        }
        let mut response = request.send().await.map_err(|error| {
            if error.is_connect() || error.is_builder() {
                Failure::NotSent(reason(error))
            } else {
                Failure::NoAnswer(reason(error))
            }
        })?;
        let status = response.status().as_u16();
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| Failure::NoAnswer(reason(error)))? {
            body.extend_from_slice(&chunk[..chunk.len().min(BODY_BYTES_MAX - body.len())]);
            if body.len() == BODY_BYTES_MAX {
                break; // what follows would be read for nothing, for as long as somebody cares to send it
            }
        }
        Ok(Reply { status, body, retry_after: retry_after.map(Duration::from_secs) })
    }
}

/// What an error comes down to, without the URL: its innermost cause says most.
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
