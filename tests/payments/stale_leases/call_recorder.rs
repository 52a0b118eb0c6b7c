//! A proxy between the service and the provider: it records every request that changes something, and can delay one, as a network or a
//! stopped process would.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::http::StatusCode;
use actix_web::web::{Bytes, Data};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use reqwest::{Client, Method};
use tokio::sync::watch;

/// A recorded POST.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedCall {
    pub path: String,
    pub key: String,
    pub body: String,
}

impl RecordedCall {
    /// Returns `confirm`, `capture`, `cancel`, `payment_intents` (a create) or `refunds`.
    pub fn operation(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }
}

/// The state of the proxy.
struct RecorderState {
    provider: OnceLock<SocketAddr>,
    http: Client,
    sent: Mutex<Vec<RecordedCall>>,
    /// The next request for this operation is delayed.
    to_delay: Mutex<Option<&'static str>>,
    /// 0: no request is delayed. 1: one is. 2: it may continue. 3: the provider has answered it.
    delayed: watch::Sender<u8>,
}

/// The proxy.
pub struct CallRecorder {
    pub base_url: String,
    state: Arc<RecorderState>,
    server: ServerHandle,
}

impl CallRecorder {
    /// Starts a proxy without a target.
    pub fn start() -> Self {
        let state = Arc::new(RecorderState {
            provider: OnceLock::new(),
            http: launcher::http_client().build().unwrap(),
            sent: Mutex::default(),
            to_delay: Mutex::default(),
            delayed: watch::channel(0).0,
        });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        let data = Data::from(Arc::clone(&state));
        let app = move || App::new().app_data(data.clone()).default_service(actix_web::web::to(forward));
        let server =
            HttpServer::new(app).workers(1).disable_signals().shutdown_timeout(1).listen(listener).unwrap().run();
        let handle = server.handle();
        tokio::spawn(server);
        Self { base_url, state, server: handle }
    }

    pub fn set_target(&self, provider: SocketAddr) {
        self.state.provider.set(provider).unwrap();
    }

    /// Returns every POST so far, in order.
    pub fn sent(&self) -> Vec<RecordedCall> {
        self.state.sent.lock().unwrap().clone()
    }

    /// Delays the next request for `operation`.
    pub fn delay(&self, operation: &'static str) {
        *self.state.to_delay.lock().unwrap() = Some(operation);
    }

    /// Waits until a request is delayed.
    pub async fn until_delayed(&self) {
        self.until_stage(1).await;
    }

    /// Lets the delayed request continue, and waits until the provider has answered it.
    pub async fn release(&self) {
        self.state.delayed.send_replace(2);
        self.until_stage(3).await;
    }

    async fn until_stage(&self, wanted: u8) {
        let mut delayed = self.state.delayed.subscribe();
        let reached = delayed.wait_for(|stage| *stage == wanted);
        let in_time = tokio::time::timeout(Duration::from_secs(20), reached).await;
        in_time.unwrap_or_else(|_| panic!("stage {wanted} was not reached: {:?}", self.sent())).unwrap();
    }

    pub async fn stop(self) {
        self.server.stop(false).await;
    }
}

async fn forward(request: HttpRequest, body: Bytes, state: Data<RecorderState>) -> HttpResponse {
    let state = state.into_inner();
    let (method, uri) = (request.method().to_string(), request.uri().to_string());
    // In a task of its own: a request stays in flight after its sender's time-out.
    let passed = tokio::spawn(pass(state, method, uri, headers(&request), body));
    let (status, body) = passed.await.unwrap();
    HttpResponse::build(status).content_type("application/json").body(body)
}

fn headers(request: &HttpRequest) -> Vec<(String, String)> {
    ["authorization", "idempotency-key", "stripe-version", "content-type"]
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), request.headers().get(name)?.to_str().ok()?.to_owned())))
        .collect()
}

async fn pass(
    state: Arc<RecorderState>,
    method: String,
    uri: String,
    headers: Vec<(String, String)>,
    body: Bytes,
) -> (StatusCode, Bytes) {
    let mut is_delayed = false;
    if method == "POST" {
        let key = headers.iter().find(|(name, _)| name == "idempotency-key").map(|(_, key)| key.clone());
        let sent = RecordedCall {
            path: uri.clone(),
            key: key.unwrap_or_default(),
            body: String::from_utf8(body.to_vec()).unwrap(),
        };
        is_delayed = state.to_delay.lock().unwrap().take_if(|operation| *operation == sent.operation()).is_some();
        state.sent.lock().unwrap().push(sent);
    }
    if is_delayed {
        state.delayed.send_replace(1);
        state.delayed.subscribe().wait_for(|stage| *stage == 2).await.unwrap();
    }
    let url = format!("http://{}{uri}", state.provider.get().unwrap());
    let request = state.http.request(method.parse::<Method>().unwrap(), url).body(body);
    let request = headers.into_iter().fold(request, |request, (name, value)| request.header(name, value));
    let response = request.send().await.unwrap();
    let status = StatusCode::from_u16(response.status().as_u16()).unwrap();
    let body = response.bytes().await.unwrap();
    if is_delayed {
        state.delayed.send_replace(3);
    }
    (status, body)
}
