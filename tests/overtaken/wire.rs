//! The wire between the service and the provider: it writes down every request that changes something, and can hold one up for as
//! long as a test likes, as a network or a stopped process would.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::http::StatusCode;
use actix_web::web::{Bytes, Data};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use reqwest::{Client, Method};
use tokio::sync::watch;

/// A POST as it went over the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    pub path: String,
    pub key: String,
    pub body: String,
}

impl Sent {
    /// What it asks for: `confirm`, `capture`, `cancel`, `payment_intents` (a create) or `refunds`.
    pub fn operation(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }
}

/// What the wire knows.
struct State {
    provider: OnceLock<SocketAddr>,
    http: Client,
    sent: Mutex<Vec<Sent>>,
    /// The next request for this operation is held up.
    to_hold: Mutex<Option<&'static str>>,
    /// 0: nothing is held up. 1: something is. 2: it may go on. 3: it has arrived, and was answered.
    held: watch::Sender<u8>,
}

/// The wire.
pub struct Wire {
    pub base_url: String,
    state: Arc<State>,
    server: ServerHandle,
}

impl Wire {
    /// A wire to nobody yet.
    pub fn start() -> Self {
        let state = Arc::new(State {
            provider: OnceLock::new(),
            http: Client::new(),
            sent: Mutex::default(),
            to_hold: Mutex::default(),
            held: watch::channel(0).0,
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

    pub fn lead_to(&self, provider: SocketAddr) {
        self.state.provider.set(provider).unwrap();
    }

    /// Every POST so far, in order.
    pub fn sent(&self) -> Vec<Sent> {
        self.state.sent.lock().unwrap().clone()
    }

    /// Holds the next request for `operation` up.
    pub fn hold(&self, operation: &'static str) {
        *self.state.to_hold.lock().unwrap() = Some(operation);
    }

    /// Waits until a request is being held up.
    pub async fn until_held(&self) {
        self.until_stage(1).await;
    }

    /// Lets it go on, and waits until the provider has answered it.
    pub async fn let_go(&self) {
        self.state.held.send_replace(2);
        self.until_stage(3).await;
    }

    async fn until_stage(&self, wanted: u8) {
        let mut held = self.state.held.subscribe();
        let reached = held.wait_for(|stage| *stage == wanted);
        let in_time = tokio::time::timeout(Duration::from_secs(20), reached).await;
        in_time.unwrap_or_else(|_| panic!("the wire never came to stage {wanted}: {:?}", self.sent())).unwrap();
    }

    pub async fn stop(self) {
        self.server.stop(false).await;
    }
}

async fn forward(request: HttpRequest, body: Bytes, state: Data<State>) -> HttpResponse {
    let state = state.into_inner();
    let (method, uri) = (request.method().to_string(), request.uri().to_string());
    // In a task of its own: a request that its sender has given up is still on its way.
    let passed = tokio::spawn(pass(state, method, uri, headers(&request), body));
    let (status, body) = passed.await.unwrap();
    HttpResponse::build(status).content_type("application/json").body(body)
}

fn headers(request: &HttpRequest) -> Vec<(String, String)> {
    ["authorization", "idempotency-key", "content-type"]
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), request.headers().get(name)?.to_str().ok()?.to_owned())))
        .collect()
}

async fn pass(
    state: Arc<State>,
    method: String,
    uri: String,
    headers: Vec<(String, String)>,
    body: Bytes,
) -> (StatusCode, Bytes) {
    let mut is_held = false;
    if method == "POST" {
        let key = headers.iter().find(|(name, _)| name == "idempotency-key").map(|(_, key)| key.clone());
        let sent =
            Sent { path: uri.clone(), key: key.unwrap_or_default(), body: String::from_utf8(body.to_vec()).unwrap() };
        is_held = state.to_hold.lock().unwrap().take_if(|operation| *operation == sent.operation()).is_some();
        state.sent.lock().unwrap().push(sent);
    }
    if is_held {
        state.held.send_replace(1);
        state.held.subscribe().wait_for(|stage| *stage == 2).await.unwrap();
    }
    let url = format!("http://{}{uri}", state.provider.get().unwrap());
    let request = state.http.request(method.parse::<Method>().unwrap(), url).body(body);
    let request = headers.into_iter().fold(request, |request, (name, value)| request.header(name, value));
    let response = request.send().await.unwrap();
    let status = StatusCode::from_u16(response.status().as_u16()).unwrap();
    let body = response.bytes().await.unwrap();
    if is_held {
        state.held.send_replace(3);
    }
    (status, body)
}
