//! A receiver of webhooks: it keeps requests, responds as set, and verifies signatures.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use actix_web::{App as Web, HttpRequest, HttpResponse, HttpServer, web};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::sync::watch;

use crate::harness::{Actor, until};

/// A received webhook.
#[derive(Debug, Clone)]
pub struct ReceivedWebhook {
    pub headers: HashMap<String, String>,
    pub body: String,
}

impl ReceivedWebhook {
    pub fn event(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub fn header(&self, name: &str) -> &str {
        &self.headers[name]
    }

    /// Counts the signatures that are valid for this secret.
    pub fn valid_signatures(&self, secret: &str) -> usize {
        let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
        mac.update(
            format!("{}.{}.{}", self.header("webhook-id"), self.header("webhook-timestamp"), self.body).as_bytes(),
        );
        let ours = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
        self.header("webhook-signature").split(' ').filter(|theirs| *theirs == ours).count()
    }
}

#[derive(Default)]
struct Inner {
    received: Mutex<Vec<ReceivedWebhook>>,
    responses: Mutex<VecDeque<u16>>,
    /// Whether responses are held.
    held: watch::Sender<bool>,
    /// Concurrent requests: now, and at most so far.
    concurrent: Mutex<(usize, usize)>,
}

/// The server. It responds with 204 by default.
#[derive(Clone)]
pub struct WebhookReceiver {
    pub url: String,
    inner: Arc<Inner>,
}

impl WebhookReceiver {
    pub fn start() -> Self {
        let inner = Arc::new(Inner::default());
        let data = web::Data::from(Arc::clone(&inner));
        let server = HttpServer::new(move || Web::new().app_data(data.clone()).default_service(web::to(take)))
            .workers(1)
            .disable_signals()
            // A client that disconnects cancels its request.
            .h1_allow_half_closed(false)
            .bind(("127.0.0.1", 0))
            .unwrap();
        let url = format!("http://{}/hooks", server.addrs()[0]);
        tokio::spawn(server.run());
        Self { url, inner }
    }

    /// Sets the next responses: one status per request.
    pub fn respond_with(&self, statuses: impl IntoIterator<Item = u16>) {
        self.inner.responses.lock().unwrap().extend(statuses);
    }

    /// Holds responses until [`WebhookReceiver::release`].
    pub fn hold(&self) {
        self.inner.held.send_replace(true);
    }

    pub fn release(&self) {
        self.inner.held.send_replace(false);
    }

    pub fn received(&self) -> Vec<ReceivedWebhook> {
        self.inner.received.lock().unwrap().clone()
    }

    /// The highest number of concurrent requests so far.
    pub fn concurrent_max(&self) -> usize {
        self.inner.concurrent.lock().unwrap().1
    }

    /// Waits until `count` requests were received.
    pub async fn until_received(&self, count: usize) -> Vec<ReceivedWebhook> {
        until(&format!("{count} webhooks were received"), async || {
            Some(self.received()).filter(|received| received.len() >= count)
        })
        .await
    }

    /// Registers the endpoint.
    pub async fn register(&self, ops: &Actor, event_types: &[&str]) -> Value {
        let body = json!({"url": self.url, "event_types": event_types});
        ops.post("/v1/ops/webhook_endpoints", &body).await.expect(201)
    }
}

/// A request in progress: until the response, or the disconnection of the client.
struct InProgress(web::Data<Inner>);

impl InProgress {
    fn begin(inner: web::Data<Inner>) -> Self {
        {
            let mut concurrent = inner.concurrent.lock().unwrap();
            concurrent.0 += 1;
            concurrent.1 = concurrent.1.max(concurrent.0);
        }
        Self(inner)
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        self.0.concurrent.lock().unwrap().0 -= 1;
    }
}

async fn take(request: HttpRequest, body: String, inner: web::Data<Inner>) -> HttpResponse {
    let headers = request.headers().iter();
    let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
    inner.received.lock().unwrap().push(ReceivedWebhook { headers, body });
    let in_progress = InProgress::begin(inner.clone());
    let mut held = inner.held.subscribe();
    let _released = held.wait_for(|held| !held).await;
    drop(in_progress);
    let status = inner.responses.lock().unwrap().pop_front().unwrap_or(204);
    let mut response = HttpResponse::build(actix_web::http::StatusCode::from_u16(status).unwrap());
    if status == 302 {
        response.insert_header(("Location", "/elsewhere"));
    }
    response.finish()
}
