//! Somebody who receives webhooks: a server that keeps what comes, answers as it is told, and checks signatures by itself.

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

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Got {
    pub headers: HashMap<String, String>,
    pub body: String,
}

impl Got {
    pub fn event(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub fn header(&self, name: &str) -> &str {
        &self.headers[name]
    }

    /// How many of its signatures fit this secret.
    pub fn signatures_of(&self, secret: &str) -> usize {
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
    got: Mutex<Vec<Got>>,
    answers: Mutex<VecDeque<u16>>,
    /// Whether answers are held back.
    held: watch::Sender<bool>,
    /// Requests under way: now, and at most so far.
    under_way: Mutex<(usize, usize)>,
}

/// The server. It answers 204 unless it was told otherwise.
#[derive(Clone)]
pub struct Receiver {
    pub url: String,
    inner: Arc<Inner>,
}

impl Receiver {
    pub fn start() -> Self {
        let inner = Arc::new(Inner::default());
        let data = web::Data::from(Arc::clone(&inner));
        let server = HttpServer::new(move || Web::new().app_data(data.clone()).default_service(web::to(take)))
            .workers(1)
            .disable_signals()
            // Who hangs up is gone, and his request with him.
            .h1_allow_half_closed(false)
            .bind(("127.0.0.1", 0))
            .unwrap();
        let url = format!("http://{}/hooks", server.addrs()[0]);
        tokio::spawn(server.run());
        Self { url, inner }
    }

    /// What to answer next, one status for each request.
    pub fn will_answer(&self, statuses: impl IntoIterator<Item = u16>) {
        self.inner.answers.lock().unwrap().extend(statuses);
    }

    /// Answers nobody until it is let go.
    pub fn hold(&self) {
        self.inner.held.send_replace(true);
    }

    pub fn let_go(&self) {
        self.inner.held.send_replace(false);
    }

    pub fn got(&self) -> Vec<Got> {
        self.inner.got.lock().unwrap().clone()
    }

    /// The most requests that were under way at the same time.
    pub fn at_once_max(&self) -> usize {
        self.inner.under_way.lock().unwrap().1
    }

    /// Waits for so many requests.
    pub async fn until_got(&self, count: usize) -> Vec<Got> {
        until(&format!("{count} webhooks have come"), async || Some(self.got()).filter(|got| got.len() >= count)).await
    }

    /// Registers it.
    pub async fn register(&self, ops: &Actor, event_types: &[&str]) -> Value {
        let body = json!({"url": self.url, "event_types": event_types});
        ops.post("/v1/ops/webhook_endpoints", &body).await.expect(201)
    }
}

/// A request under way: until it is answered, or whoever made it has hung up.
struct UnderWay(web::Data<Inner>);

impl UnderWay {
    fn begin(inner: web::Data<Inner>) -> Self {
        {
            let mut under_way = inner.under_way.lock().unwrap();
            under_way.0 += 1;
            under_way.1 = under_way.1.max(under_way.0);
        }
        Self(inner)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.lock().unwrap().0 -= 1;
    }
}

async fn take(request: HttpRequest, body: String, inner: web::Data<Inner>) -> HttpResponse {
    let headers = request.headers().iter();
    let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
    inner.got.lock().unwrap().push(Got { headers, body });
    let under_way = UnderWay::begin(inner.clone());
    let mut held = inner.held.subscribe();
    let _let_go = held.wait_for(|held| !held).await;
    drop(under_way);
    let status = inner.answers.lock().unwrap().pop_front().unwrap_or(204);
    let mut answer = HttpResponse::build(actix_web::http::StatusCode::from_u16(status).unwrap());
    if status == 302 {
        answer.insert_header(("Location", "/elsewhere"));
    }
    answer.finish()
}
