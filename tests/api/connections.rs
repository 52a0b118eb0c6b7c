//! Connections byte by byte: a client that stops sending or reading, several requests on one connection, and offers to upgrade.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::harness::{Actor, App, HERE};

/// The limits are ten seconds.
const LIMITED_WITHIN: Duration = Duration::from_secs(20);

async fn connect(app: &App) -> TcpStream {
    TcpStream::connect(app.service().address).await.unwrap()
}

/// Reads until the service closes the connection, or has sent something and then nothing for two seconds.
async fn read_all(stream: &mut TcpStream) -> String {
    let (mut all, mut part) = (Vec::new(), [0; 65_536]);
    let mut limit = Duration::from_secs(30);
    while let Ok(Ok(read @ 1..)) = tokio::time::timeout(limit, stream.read(&mut part)).await {
        all.extend_from_slice(&part[..read]);
        limit = Duration::from_secs(2);
    }
    String::from_utf8_lossy(&all).into_owned()
}

fn statuses(responses: &str) -> Vec<&str> {
    responses.split("HTTP/1.1 ").skip(1).map(|response| &response[..3]).collect()
}

/// The head of a POST that declares a body of `length` bytes.
fn post(path: &str, actor: Option<&Actor>, length: usize) -> String {
    let token = actor.map(|actor| format!("Authorization: Bearer {}\r\n", actor.token)).unwrap_or_default();
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\n{token}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    )
}

const GET: &str = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn body_that_never_comes_is_408() {
    let app = App::start().await;
    let rider = app.rider().await;
    let silent = async {
        let mut stream = connect(&app).await;
        stream.write_all(post("/v1/quotes", Some(&rider), 500).as_bytes()).await.unwrap();
        stream.write_all(b"{").await.unwrap();
        stream
    };
    let slow = async {
        let mut stream = connect(&app).await;
        stream.write_all(post("/v1/quotes", Some(&rider), 500).as_bytes()).await.unwrap();
        // A byte now and then does not extend the limit.
        while stream.write_all(b" ").await.is_ok() && stream.peek_now().await.is_none() {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        stream
    };
    let (mut silent, mut slow) = tokio::join!(silent, tokio::time::timeout(LIMITED_WITHIN, slow));
    for stream in [&mut silent, slow.as_mut().expect("answered in time")] {
        let mut first = [0; 12];
        tokio::time::timeout(LIMITED_WITHIN, stream.read_exact(&mut first)).await.expect("answered in time").unwrap();
        assert_eq!(&first, b"HTTP/1.1 408");
        let rest = read_all(stream).await;
        assert!(rest.contains("connection: close") && rest.contains("\"request_timeout\""), "{rest}");
    }
    app.assert_clean().await;
}

/// Looks for data without waiting.
trait PeekNow {
    async fn peek_now(&self) -> Option<usize>;
}

impl PeekNow for TcpStream {
    async fn peek_now(&self) -> Option<usize> {
        tokio::time::timeout(Duration::ZERO, self.peek(&mut [0; 1])).await.ok()?.ok()
    }
}

#[tokio::test(flavor = "multi_thread")]
#[cfg(target_os = "linux")]
async fn client_that_reads_no_response_is_disconnected() {
    let app = App::start().await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut stream = socket.connect(app.service().address).await.unwrap();
    // Together larger than all buffers.
    let request = "GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.write_all(request.repeat(16).as_bytes()).await.unwrap();
    let disconnected = async {
        // The system answers data for a closed connection with a reset.
        while stream.write_all(b"\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(LIMITED_WITHIN, disconnected).await.expect("disconnected in time");
    // Others are served.
    let mut other = connect(&app).await;
    other.write_all(request.as_bytes()).await.unwrap();
    assert_eq!(statuses(&read_all(&mut other).await), ["200"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_body_is_not_read_as_the_next_request() {
    let app = App::start().await;
    let smuggled = "GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let with_body = |more: &str| {
        let head = post("/v1/trips", None, smuggled.len());
        head.replace("\r\n\r\n", &format!("\r\n{more}\r\n"))
    };
    let cases = [
        vec![with_body("") + smuggled + GET],
        vec![with_body(""), smuggled.to_owned(), GET.to_owned()],
        vec![with_body("Expect: 100-continue\r\n"), smuggled.to_owned(), GET.to_owned()],
        vec![
            "POST /v1/trips HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n"
                .to_owned()
                + GET,
        ],
    ];
    for parts in cases {
        let mut stream = connect(&app).await;
        for part in &parts {
            // The service may have closed the connection after its refusal.
            let _closed = stream.write_all(part.as_bytes()).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let responses = read_all(&mut stream).await;
        let statuses: Vec<_> = statuses(&responses).into_iter().filter(|status| *status != "100").collect();
        assert!(statuses == ["401"] || statuses == ["401", "200"], "{parts:?}: {responses}");
        assert!(!responses.contains("\"matcher\""), "the body was read as a request: {responses}");
    }
    let mut stream = connect(&app).await;
    stream.write_all(GET.repeat(2).as_bytes()).await.unwrap();
    assert_eq!(statuses(&read_all(&mut stream).await), ["200", "200"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn offer_of_another_protocol_is_ignored() {
    let app = App::start().await;
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let body = r#"{"pickup": {"lat": 1, "lon": 2}, "dropoff": {"lat": 1.01, "lon": 2}}"#;
    let offers = [
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\n",
        "Connection: Upgrade\r\nUpgrade: TLS/1.3\r\n",
    ];
    for offer in offers {
        let get = |path: &str, actor: &Actor| {
            let token = &actor.token;
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n{offer}\r\n")
        };
        let quote =
            post("/v1/quotes", Some(&rider), body.len()).replace("\r\n\r\n", &format!("\r\n{offer}\r\n")) + body;
        for (request, status) in
            [(get("/v1/drivers/me/stream", &driver), "200"), (get("/v1/trips", &rider), "200"), (quote, "201")]
        {
            let mut stream = connect(&app).await;
            stream.write_all(request.as_bytes()).await.unwrap();
            let response = read_all(&mut stream).await;
            assert_eq!(statuses(&response), [status], "{request}");
            // Otherwise a client would send its next request into a connection that is being closed.
            assert!(response.to_lowercase().contains("connection: close"), "{response}");
        }
    }
    // A WebSocket is offered for some paths only; elsewhere the offer is ignored as well.
    let offer = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let mut stream = connect(&app).await;
    stream.write_all(GET.replace("\r\n\r\n", &format!("\r\n{offer}\r\n")).as_bytes()).await.unwrap();
    assert_eq!(statuses(&read_all(&mut stream).await), ["200"]);
}
