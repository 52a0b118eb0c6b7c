//! Everything that is not the page's own goes to the service: requests, streams, and WebSockets.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use actix_web::http::header::{CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, UPGRADE};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, web};
use actix_ws::{AggregatedMessage, AggregatedMessageStream, CloseReason, Session};
use futures_util::{SinkExt, StreamExt, TryStreamExt};
use reqwest::Client;
use tokio::net::TcpStream;
use tokio::time;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::{is_locked, problem};

/// How long the service may take to accept a connection.
const CONNECTS_WITHIN: Duration = Duration::from_secs(5);

/// The longest message of a WebSocket, in bytes.
const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// Headers of one connection, which are not forwarded (RFC 9110, section 7.6.1).
const HOP_BY_HOP: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The service behind the page. A restart may give it another address.
#[derive(Debug, Clone)]
pub struct Upstream {
    base_url: Arc<RwLock<Option<String>>>,
    client: Client,
}

impl Upstream {
    /// A service at an address like `http://127.0.0.1:8080`; `None` while it is down.
    ///
    /// # Errors
    /// The HTTP client cannot be built.
    pub fn new(base_url: Option<String>) -> Result<Self, reqwest::Error> {
        let _installed = rustls::crypto::ring::default_provider().install_default();
        // Answers pass as they are: a redirect is the browser's to follow.
        let client =
            launcher::http_client().connect_timeout(CONNECTS_WITHIN).redirect(reqwest::redirect::Policy::none());
        Ok(Self { base_url: Arc::new(RwLock::new(base_url)), client: client.build()? })
    }

    /// Changes the address.
    pub fn set(&self, base_url: Option<String>) {
        *self.base_url.write().unwrap_or_else(PoisonError::into_inner) = base_url;
    }

    fn base_url(&self) -> Option<String> {
        self.base_url.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Forwards a request.
pub async fn forward(http: HttpRequest, body: web::Payload, upstream: web::Data<Upstream>) -> HttpResponse {
    if is_locked(http.method(), http.path()) {
        let detail = "Experiments, faults, the clock, kill and reset are locked while a drill runs. `cargo drill reset` ends it.";
        return problem(StatusCode::FORBIDDEN, "locked", "Locked during a drill", detail);
    }
    let Some(base_url) = upstream.base_url() else { return is_down("it is not running") };
    let is_upgrade = http.headers().get(UPGRADE).is_some_and(|to| to.as_bytes().eq_ignore_ascii_case(b"websocket"));
    if is_upgrade {
        return match connect(&http, &base_url).await {
            Ok((service, protocol)) => relay(&http, body, service, protocol),
            Err(Error::Http(answer)) => refused(answer.status().as_u16()),
            Err(error) => is_down(&error.to_string()),
        };
    }
    let path = http.uri().path_and_query().map_or("/", |path| path.as_str());
    let method = reqwest::Method::from_bytes(http.method().as_str().as_bytes()).unwrap_or(reqwest::Method::GET);
    let mut request = upstream.client.request(method, format!("{base_url}{path}"));
    for (name, value) in http.headers().iter().filter(|(name, _)| passes(name)) {
        request = request.header(name.as_str(), value.as_bytes());
    }
    if http.method() != Method::GET && http.method() != Method::HEAD {
        match body.to_bytes_limited(MESSAGE_BYTES_MAX).await {
            Ok(Ok(bytes)) => request = request.body(bytes),
            _ => return refused(413),
        }
    }
    match request.send().await {
        Ok(answer) => returned(answer),
        Err(error) => is_down(&error.without_url().to_string()),
    }
}

/// Returns the service's answer as it streams in. Its page may be in a frame of this address.
fn returned(answer: reqwest::Response) -> HttpResponse {
    let status = StatusCode::from_u16(answer.status().as_u16()).unwrap_or(StatusCode::BAD_GATEWAY);
    let mut response = HttpResponse::build(status);
    for (name, value) in answer.headers() {
        let (Ok(name), Ok(mut value)) =
            (HeaderName::try_from(name.as_str()), HeaderValue::from_bytes(value.as_bytes()))
        else {
            continue;
        };
        if name == CONTENT_SECURITY_POLICY
            && let Ok(framed) =
                value.to_str().unwrap_or_default().replace("frame-ancestors 'none'", "frame-ancestors 'self'").parse()
        {
            value = framed;
        }
        if passes(&name) {
            response.append_header((name, value));
        }
    }
    response.streaming(answer.bytes_stream().map_err(actix_web::error::ErrorBadGateway))
}

fn passes(name: &HeaderName) -> bool {
    !HOP_BY_HOP.contains(&name.as_str()) && name != "content-length"
}

fn refused(status: u16) -> HttpResponse {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    problem(status, "refused", "Refused by the service", "The service refused the request.")
}

fn is_down(why: &str) -> HttpResponse {
    let detail = format!("The service of the drill does not answer: {why}. `cargo drill observe` shows its log.");
    problem(StatusCode::BAD_GATEWAY, "service_down", "Service down", &detail)
}

type ServiceSocket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Opens the service's end of a WebSocket, with the browser's headers.
async fn connect(http: &HttpRequest, base_url: &str) -> Result<(ServiceSocket, Option<String>), Error> {
    let path = http.uri().path_and_query().map_or("/", |path| path.as_str());
    let mut request: Request = format!("{}{path}", base_url.replacen("http", "ws", 1)).into_client_request()?;
    for name in ["authorization", "cookie", "host", "origin", "sec-websocket-protocol"] {
        if let Some(value) = http.headers().get(name)
            && let Ok(value) = value.as_bytes().try_into()
        {
            request.headers_mut().insert(name, value);
        }
    }
    let connecting = time::timeout(CONNECTS_WITHIN, tokio_tungstenite::connect_async(request));
    let (service, answer) = connecting.await.map_err(|_| Error::Io(std::io::ErrorKind::TimedOut.into()))??;
    let protocol = answer.headers().get("sec-websocket-protocol");
    Ok((service, protocol.and_then(|protocol| protocol.to_str().ok()).map(str::to_owned)))
}

/// Passes messages both ways until one side closes.
fn relay(http: &HttpRequest, body: web::Payload, service: ServiceSocket, protocol: Option<String>) -> HttpResponse {
    let (mut response, session, messages) = match actix_ws::handle(http, body) {
        Ok(accepted) => accepted,
        Err(error) => return error.error_response(),
    };
    if let Some(protocol) = protocol.and_then(|protocol| HeaderValue::from_str(&protocol).ok()) {
        response.headers_mut().insert(HeaderName::from_static("sec-websocket-protocol"), protocol);
    }
    let messages = messages.max_frame_size(MESSAGE_BYTES_MAX).aggregate_continuations();
    actix_web::rt::spawn(pass(session, messages, service));
    response
}

async fn pass(mut session: Session, mut from_browser: AggregatedMessageStream, service: ServiceSocket) {
    let (mut to_service, mut from_service) = service.split();
    let mut reason: Option<CloseReason> = None;
    loop {
        let is_passed = tokio::select! {
            message = from_browser.next() => match message {
                Some(Ok(AggregatedMessage::Text(text))) => to_service.send(Message::text(text.to_string())).await.is_ok(),
                Some(Ok(AggregatedMessage::Binary(bytes))) => to_service.send(Message::binary(bytes)).await.is_ok(),
                Some(Ok(AggregatedMessage::Ping(bytes))) => session.pong(&bytes).await.is_ok(),
                Some(Ok(AggregatedMessage::Pong(_))) => true,
                Some(Ok(AggregatedMessage::Close(_)) | Err(_)) | None => false,
            },
            message = from_service.next() => match message {
                Some(Ok(Message::Text(text))) => session.text(text.to_string()).await.is_ok(),
                Some(Ok(Message::Binary(bytes))) => session.binary(bytes).await.is_ok(),
                Some(Ok(Message::Close(frame))) => {
                    reason = frame.map(|frame| (u16::from(frame.code).into(), frame.reason.to_string()).into());
                    false
                }
                Some(Ok(_)) => true,
                Some(Err(_)) | None => false,
            },
        };
        if !is_passed {
            break;
        }
    }
    let _closed = session.close(reason).await;
    let _closed = to_service.close().await;
}
