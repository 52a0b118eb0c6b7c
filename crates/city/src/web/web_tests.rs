#![allow(clippy::unwrap_used, reason = "tests")]
//! Tests of the client with a scripted server, over real connections.

use std::sync::{Arc, Mutex};

use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::statistics::Statistics;
use crate::sync::lock;

use super::*;

/// The reaction of the server to a request. Token requests are not part of the script.
enum Reply {
    Json(u16, &'static str),
    Busy,
    CloseConnection,
    Events(&'static str),
}

/// The received requests, except for tokens.
type Requests = Arc<Mutex<Vec<String>>>;

/// Serves the script, one reply per connection.
async fn server(script: Vec<Reply>) -> (Arc<Client>, Arc<Statistics>, Requests) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let statistics = Arc::new(Statistics::default());
    let base_url = format!("http://{}/", listener.local_addr().unwrap());
    let client = Arc::new(Client::new(&base_url, statistics.clone()).unwrap());
    let requests = Requests::default();
    let seen = requests.clone();
    tokio::spawn(async move {
        let mut tokens = 0;
        let mut script = script.into_iter();
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let request = request(&mut socket).await;
            if request.starts_with("POST /v1/sandbox/tokens") {
                tokens += 1;
                reply(&mut socket, 201, "", &format!(r#"{{"token":"token-{tokens}"}}"#)).await;
                continue;
            }
            lock(&seen).push(request);
            match script.next() {
                Some(Reply::Json(status, body)) => reply(&mut socket, status, "", body).await,
                Some(Reply::Busy) => {
                    reply(&mut socket, 429, "retry-after: 0\r\n", r#"{"code":"rate_limited"}"#).await;
                }
                Some(Reply::Events(text)) => {
                    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
                    socket.write_all(format!("{head}{text}").as_bytes()).await.unwrap();
                }
                Some(Reply::CloseConnection) | None => {}
            }
        }
    });
    (client, statistics, requests)
}

async fn request(socket: &mut TcpStream) -> String {
    let mut text = Vec::new();
    loop {
        let head = text.windows(4).position(|four| four == b"\r\n\r\n");
        if let Some(head) = head {
            let content = String::from_utf8_lossy(&text).to_lowercase();
            let length = content.split("content-length: ").nth(1).and_then(|rest| rest.split('\r').next());
            if text.len() >= head + 4 + length.map_or(0, |length| length.parse().unwrap()) {
                return String::from_utf8(text).unwrap();
            }
        }
        let mut bytes = [0; 1024];
        let count = socket.read(&mut bytes).await.unwrap();
        text.extend_from_slice(&bytes[..count]);
    }
}

async fn reply(socket: &mut TcpStream, status: u16, headers: &str, body: &str) {
    let length = body.len();
    let head = format!("HTTP/1.1 {status} X\r\n{headers}connection: close\r\ncontent-length: {length}\r\n\r\n");
    socket.write_all((head + body).as_bytes()).await.unwrap();
}

fn rider() -> Session {
    Session::new(Role::Rider, Some("rdr_1".into()))
}

fn header(request: &str, name: &str) -> Option<String> {
    let line = request.lines().find(|line| line.to_lowercase().starts_with(&format!("{name}:")))?;
    Some(line.split_once(": ")?.1.to_owned())
}

#[tokio::test]
async fn command_is_retried_with_its_key_until_a_response() {
    let script = vec![
        Reply::Json(503, r#"{"code":"outcome_unknown"}"#),
        Reply::CloseConnection,
        Reply::Busy,
        Reply::Json(409, r#"{"code":"request_in_progress"}"#),
        Reply::Json(500, "no problem document"),
        Reply::Json(201, r#"{"id":"trip_1"}"#),
    ];
    let (client, statistics, requests) = server(script).await;
    let call = Call::command("/v1/trips", "key-1", &json!({"quote_id": "quo_1"}));
    let response: Value = client.call(&rider(), &call).await.unwrap();
    assert_eq!(response["id"], "trip_1");

    let requests = lock(&requests).clone();
    assert_eq!(requests.len(), 6);
    for request in &requests {
        assert_eq!(header(request, "idempotency-key").as_deref(), Some("key-1"));
        assert!(request.ends_with(r#"{"quote_id":"quo_1"}"#));
    }
    let errors = statistics.counts().http_errors;
    let codes: Vec<&str> = errors.keys().map(String::as_str).collect();
    assert_eq!(codes, ["500", "connection", "outcome_unknown", "rate_limited", "request_in_progress"]);
}

#[tokio::test]
async fn rejection_is_not_retried() {
    let (client, _, requests) = server(vec![Reply::Json(410, r#"{"code":"offer_expired"}"#)]).await;
    let failure = client.call::<Value>(&rider(), &Call::get("/v1/offers")).await.unwrap_err();
    assert_eq!(failure.code(), "offer_expired");
    assert_eq!(lock(&requests).len(), 1);
}

#[tokio::test]
async fn rejected_token_is_replaced() {
    let script =
        vec![Reply::Json(200, "{}"), Reply::Json(401, r#"{"code":"unauthenticated"}"#), Reply::Json(200, "{}")];
    let (client, _, requests) = server(script).await;
    let rider = rider();
    for _ in 0..2 {
        client.call::<Value>(&rider, &Call::get("/v1/trips")).await.unwrap();
    }
    let tokens: Vec<_> = lock(&requests).iter().filter_map(|request| header(request, "authorization")).collect();
    assert_eq!(tokens, ["Bearer token-1", "Bearer token-1", "Bearer token-2"]);
}

#[tokio::test]
async fn stream_resumes_after_the_last_complete_event() {
    let script = vec![
        Reply::Events("id: 1\nevent: a\ndata: {}\n\nid: 2\nevent: b\ndata: {"),
        Reply::Json(503, "{}"),
        Reply::Events("id: 2\nevent: b\ndata: {}\n\n"),
        Reply::Json(400, r#"{"code":"invalid_request"}"#),
        Reply::Events("id: 9\nevent: snapshot\ndata: {}\n\n"),
    ];
    let (client, _, requests) = server(script).await;
    let events = event_stream(client, Arc::new(rider()), "/v1/drivers/me/events".into());
    let names: Vec<String> = events.take(3).map(|frame| frame.event).collect().await;
    assert_eq!(names, ["a", "b", "snapshot"]);
    let ids: Vec<_> = lock(&requests).iter().map(|request| header(request, "last-event-id")).collect();
    let one = Some("1".to_owned());
    assert_eq!(ids, [None, one.clone(), one, Some("2".to_owned()), None]);
}

#[tokio::test]
async fn events_of_an_object_that_does_not_exist_end() {
    let not_found = || Reply::Json(404, r#"{"code":"not_found"}"#);
    let (client, _, requests) = server(vec![Reply::Events("id: 1\nevent: a\ndata: {}\n\n"), not_found()]).await;
    let events = object_events(client, Arc::new(rider()), "/v1/trips/trip_1/events".into());
    let names: Vec<String> = events.map(|frame| frame.event).collect().await;
    assert_eq!(names, ["a"]);
    assert_eq!(lock(&requests).len(), 2);
}
