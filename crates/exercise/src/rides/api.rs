//! The judge's own calls, which go to the service without the proxy.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::Result;

/// Timeout of a call.
const CALL_WITHIN: Duration = Duration::from_secs(30);

/// A client of the service. Clones share their keys.
#[derive(Debug, Clone)]
pub(super) struct Api {
    http: Client,
    pub base_url: String,
    next_key: Arc<AtomicU64>,
}

/// A caller with a token.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Caller {
    pub id: String,
    pub token: String,
}

impl Api {
    /// Creates a client of the service at `base_url`.
    pub fn new(base_url: &str) -> Result<Self> {
        // reqwest needs one even for plain HTTP. An error means that one is installed already.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let http = launcher::http_client().timeout(CALL_WITHIN).build()?;
        Ok(Self { http, base_url: base_url.to_owned(), next_key: Arc::default() })
    }

    /// Creates a caller.
    pub async fn caller(&self, role: &str) -> Result<Caller> {
        let body = self.call(Method::POST, "/v1/sandbox/tokens", "", Some(&json!({"role": role}))).await?;
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        Ok(Caller { id: text("subject"), token: text("token") })
    }

    pub async fn get(&self, path: &str, token: &str) -> Result<Value> {
        self.call(Method::GET, path, token, None).await
    }

    /// Makes a call, each with a new idempotency key.
    ///
    /// # Errors
    /// There is no answer, or its status is not a success.
    pub async fn call(&self, method: Method, path: &str, token: &str, body: Option<&Value>) -> Result<Value> {
        let mut request = self.http.request(method.clone(), format!("{}{path}", self.base_url));
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            let key = self.next_key.fetch_add(1, Ordering::Relaxed);
            request = request.header("Idempotency-Key", format!("judge-{key}")).json(body);
        }
        let response = request.send().await?;
        let status = response.status();
        let body: Value = serde_json::from_slice(&response.bytes().await?).unwrap_or_default();
        if status.is_success() {
            return Ok(body);
        }
        Err(format!("the status of {method} {path} is {status}: {}", body["detail"].as_str().unwrap_or_default())
            .into())
    }
}
