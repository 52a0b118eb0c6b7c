//! The only HTTP client. Nothing calls it inside a transaction.

pub mod public;

use std::time::Duration;

use super::error::{Error, Result};

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a call may take in all. A payment provider answers in well under a second or is in trouble.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(10);

/// An answer, read whole.
#[derive(Debug, Clone)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// The body, at most [`BODY_BYTES_MAX`].
    pub body: Vec<u8>,
}

/// Answers are read up to this size; a longer one is cut, and then cannot be understood.
pub const BODY_BYTES_MAX: usize = 1 << 20;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// No connection was made: the request cannot have arrived.
    #[error("not sent: {0}")]
    NotSent(String),
    /// The request was, or may have been, sent; what became of it is not known.
    #[error("no answer: {0}")]
    NoAnswer(String),
}

/// A client with kept connections and time-outs.
#[derive(Debug, Clone)]
pub struct Egress(reqwest::Client);

/// One request.
#[derive(Debug, Clone)]
pub struct Call<'a> {
    /// The whole URL.
    pub url: String,
    /// The bearer token.
    pub bearer: &'a str,
    /// The provider's idempotency key.
    pub idempotency_key: Option<&'a str>,
    /// `Some`: a POST with this form. `None`: a GET.
    pub form: Option<&'a [(&'a str, String)]>,
}

impl Egress {
    /// Makes a client.
    ///
    /// # Errors
    /// If the HTTP library cannot be started.
    pub fn new() -> Result<Self> {
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TOTAL_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| Error::Bug(format!("no HTTP client: {error}")))?;
        Ok(Self(client))
    }

    /// Makes one call.
    ///
    /// # Errors
    /// [`Failure`], which tells what cannot have happened from what may have.
    pub async fn call(&self, call: Call<'_>) -> std::result::Result<Reply, Failure> {
        let mut request = match call.form {
            Some(form) => self.0.post(&call.url).form(form),
            None => self.0.get(&call.url),
        }
        .bearer_auth(call.bearer);
        if let Some(key) = call.idempotency_key {
            request = request.header("Idempotency-Key", key);
        }
        let mut response = request.send().await.map_err(|error| {
            if error.is_connect() || error.is_builder() {
                Failure::NotSent(error.to_string())
            } else {
                Failure::NoAnswer(error.to_string())
            }
        })?;
        let status = response.status().as_u16();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| Failure::NoAnswer(error.to_string()))? {
            body.extend_from_slice(&chunk[..chunk.len().min(BODY_BYTES_MAX - body.len())]);
        }
        Ok(Reply { status, body })
    }
}
