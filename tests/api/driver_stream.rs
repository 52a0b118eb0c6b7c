//! The driver's WebSocket: it delivers the events of the event stream, accepts positions, and reports invalid ones as problem
//! documents.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use chrono::TimeDelta;

use crate::harness::socket::{Message, Socket};
use crate::harness::{Actor, App, HERE, Options, assigned, id};
use ridematch::platform::auth::Role;
use serde_json::{Value, json};

const STREAM: &str = "/v1/drivers/me/stream";

async fn open(actor: &Actor, more: &str) -> Result<Socket, u16> {
    let headers = format!("Authorization: Bearer {}\r\n{more}", actor.token);
    Socket::open(&actor.base_url, STREAM, &headers).await
}

async fn position(app: &App, (lat, lon): (f64, f64)) -> Value {
    json!({"position": {"lat": lat, "lon": lon}, "recorded_at": app.now().await})
}

#[tokio::test]
async fn socket_delivers_events_and_accepts_positions() {
    let app = App::start().await;
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let mut stream = open(&driver, "").await.ok().unwrap();
    assert_eq!(stream.text().await, json!({"type": "snapshot", "offer": null, "trip": null}));

    let trip = rider.request_trip().await;
    let created = stream.text().await;
    assert_eq!((&created["type"], &created["offer"]["trip_id"]), (&json!("offer.created"), &trip["id"]));
    driver.post(&format!("/v1/offers/{}/accept", id(&created["offer"])), &json!({})).await.expect(200);
    let mut seq = created["seq"].as_i64().unwrap();
    for expected in ["offer.accepted", "trip.assigned"] {
        let events = stream.text().await;
        assert_eq!(events["type"], expected, "{events:#}");
        assert!(events["seq"].as_i64().unwrap() > seq && events["at"].is_string(), "{events:#}");
        seq = events["seq"].as_i64().unwrap();
    }

    let there = position(&app, (HERE.0 + 0.001, HERE.1)).await;
    for verdict in ["accepted", "duplicate"] {
        stream.send_json(&there).await;
        assert_eq!(stream.text().await, json!({"type": "position", "verdict": verdict}));
    }
    assert_eq!(driver.get("/v1/drivers/me").await.expect(200)["position"], there["position"]);
}

#[tokio::test]
async fn socket_resumes_after_last_event_id() {
    let app = App::start().await;
    let driver = app.driver_at(HERE).await;
    let trip = assigned(&app, &app.rider().await, &driver).await;

    let mut whole = open(&driver, "Last-Event-ID: 0\r\n").await.ok().unwrap();
    let events = [whole.text().await, whole.text().await, whole.text().await];
    let types: Vec<_> = events.iter().map(|one| one["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["offer.created", "offer.accepted", "trip.assigned"]);

    let mut rest = open(&driver, &format!("Last-Event-ID: {}\r\n", events[1]["seq"])).await.ok().unwrap();
    assert_eq!(rest.text().await, events[2]);

    // Without `Last-Event-ID` the stream starts with a snapshot.
    let mut fresh = open(&driver, "").await.ok().unwrap();
    assert_eq!(fresh.text().await["trip"]["id"], trip["id"]);
    assert_eq!(driver.get(STREAM).await.expect(200)["trip"]["id"], trip["id"]);
    assert_eq!(open(&driver, "Last-Event-ID: yesterday\r\n").await.err(), Some(400));
}

#[tokio::test]
async fn invalid_position_is_answered_with_a_problem() {
    let app = App::start().await;
    let driver = app.driver_at(HERE).await;
    let mut stream = open(&driver, "").await.ok().unwrap();
    stream.text().await;
    let good = position(&app, HERE).await;
    let mut unknown = good.clone();
    unknown["speed"] = json!(50);
    let mut out_of_range = good.clone();
    out_of_range["position"]["lat"] = json!(91);
    for (text, status, code, pointer) in [
        ("not JSON".to_owned(), 400, "malformed", ""),
        ("[]".to_owned(), 422, "invalid_request", ""),
        (json!({"position": good["position"]}).to_string(), 422, "invalid_request", "/recorded_at"),
        (unknown.to_string(), 422, "invalid_request", "/speed"),
        (out_of_range.to_string(), 422, "invalid_request", "/position/lat"),
    ] {
        stream.send_frame(1, text.as_bytes()).await;
        let response = stream.text().await;
        let problem = &response["problem"];
        assert_eq!(
            (&response["type"], &problem["status"]),
            (&json!("problem"), &json!(status)),
            "{text}: {response:#}"
        );
        assert_eq!(
            (&problem["code"], &problem["errors"][0]["pointer"]),
            (&json!(code), &json!(pointer)),
            "{response:#}"
        );
        assert!(problem["trace_id"].is_string() && problem["instance"] == STREAM, "{response:#}");
    }
    stream.send_json(&position(&app, HERE).await).await;
    assert_eq!(stream.text().await["verdict"], "accepted");

    // A message that is too long, or binary, closes the socket.
    stream.send_frame(1, "x".repeat(2_000).as_bytes()).await;
    assert!(matches!(stream.next().await, Message::Close(1008)));
    let mut other = open(&driver, "").await.ok().unwrap();
    other.text().await;
    other.send_frame(2, b"bytes").await;
    assert!(matches!(other.next().await, Message::Close(1008)));
}

#[tokio::test]
async fn fragmented_message_is_joined_within_the_limit() {
    let app = App::start().await;
    let driver = app.driver_at(HERE).await;
    let mut stream = open(&driver, "").await.ok().unwrap();
    stream.text().await;
    let text = position(&app, (HERE.0 + 0.001, HERE.1)).await.to_string();
    let (one, other) = text.as_bytes().split_at(20);
    let (other, third) = other.split_at(1);
    stream.send_fragments(&[one, other, b"", third]).await;
    assert_eq!(stream.text().await["verdict"], "accepted");
    // Fragments count together.
    stream.send_fragments(&[&[b' '; 600], &[b' '; 600]]).await;
    assert!(matches!(stream.next().await, Message::Close(1008)));
}

#[tokio::test]
async fn control_frame_between_fragments_is_answered() {
    let app = App::start().await;
    let driver = app.driver_at(HERE).await;
    let mut stream = open(&driver, "").await.ok().unwrap();
    stream.text().await;
    let text = position(&app, (HERE.0 + 0.001, HERE.1)).await.to_string();
    let (one, other) = text.as_bytes().split_at(text.len() / 2);
    stream.send_first_fragment(one).await;
    stream.send_frame(0x9, b"still there?").await;
    assert!(matches!(stream.next().await, Message::Pong(payload) if payload == b"still there?"));
    stream.send_last_fragment(other).await;
    assert_eq!(stream.text().await["verdict"], "accepted");
}

#[tokio::test]
async fn position_with_a_wrong_time_is_answered_with_the_difference() {
    let app = App::start().await;
    let driver = app.driver_at(HERE).await;
    let mut stream = open(&driver, "").await.ok().unwrap();
    stream.text().await;
    let now: chrono::DateTime<chrono::Utc> = app.now().await.parse().unwrap();
    for (seconds, verdict) in [(60, "future"), (-60, "stale")] {
        let time = (now + TimeDelta::seconds(seconds)).to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
        let report = json!({"position": {"lat": HERE.0, "lon": HERE.1}, "recorded_at": time});
        let mut item = report.clone();
        item["driver_id"] = driver.id.clone().into();
        stream.send_json(&report).await;
        let gateway = app.actor("gateway").await;
        let results = [
            stream.text().await,
            driver.put("/v1/drivers/me/location", &report).await.expect(200),
            gateway.post_unkeyed("/v1/locations", &json!([item])).await.expect(200)["items"][0].clone(),
        ];
        for result in results {
            assert_eq!(result["verdict"], verdict);
            let ahead_ms = result["ahead_ms"].as_i64().unwrap();
            // The service received the report up to 25 s after the test took the time.
            assert!((seconds * 1_000 - 25_000..=seconds * 1_000).contains(&ahead_ms), "{result:#}");
        }
    }
    let accepted = driver.put("/v1/drivers/me/location", &position(&app, HERE).await).await.expect(200);
    assert_eq!(accepted, json!({"verdict": "accepted"}));
}

#[tokio::test]
async fn messages_count_against_the_rate_limit() {
    let app = App::with(Options { rate_limit: 5, ..Options::default() }).await;
    let driver = app.actor("driver").await;
    let mut stream = open(&driver, "").await.ok().unwrap();
    stream.text().await;
    let report = position(&app, HERE).await;
    let mut codes = Vec::new();
    for _ in 0..20 {
        stream.send_json(&report).await;
    }
    for _ in 0..20 {
        let response = stream.text().await;
        codes.push(response["verdict"].as_str().or(response["problem"]["code"].as_str()).unwrap().to_owned());
    }
    assert_eq!(codes[0], "offline", "the driver is offline");
    assert!(codes.contains(&"rate_limited".to_owned()), "{codes:?}");
}

#[tokio::test]
async fn client_that_does_not_read_is_disconnected() {
    let app = App::start().await;
    let driver = app.actor("driver").await;
    let mut slow = open(&driver, "").await.ok().unwrap();
    let mut others = Vec::new();
    for _ in 0..5 {
        others.push(open(&driver, "").await.ok().unwrap());
    }
    assert_eq!(open(&driver, "").await.err(), Some(429));
    // Enough data to fill the socket buffers of both sides.
    slow.send_until_blocked(&"not JSON ".repeat(100)).await;
    let mut seventh = open(&driver, "").await;
    for _ in 0..40 {
        if seventh.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        seventh = open(&driver, "").await;
    }
    assert_eq!(seventh.ok().unwrap().text().await["type"], "snapshot");
    // The other connections are not affected.
    for mut other in others {
        assert_eq!(other.text().await["type"], "snapshot");
        other.send_json(&position(&app, HERE).await).await;
        assert_eq!(other.text().await["verdict"], "offline");
    }
}

#[tokio::test]
async fn socket_closes_when_the_token_expires() {
    let app = App::start().await;
    let driver = app.actor("driver").await.expiring_in(&app, Role::Driver, 10);
    let mut stream = open(&driver, "").await.ok().unwrap();
    stream.text().await;
    assert!(matches!(stream.next().await, Message::Close(1008)));
    assert_eq!(open(&driver, "").await.err(), Some(401));
}

#[tokio::test]
async fn socket_of_another_role_or_origin_is_refused() {
    let app = App::start().await;
    let (rider, driver) = (app.rider().await, app.actor("driver").await);
    assert_eq!(Socket::open(&app.base_url, STREAM, "").await.err(), Some(401));
    assert_eq!(open(&rider, "").await.err(), Some(403));
    assert_eq!(open(&driver, "Origin: https://evil.example\r\n").await.err(), Some(403));
    // Another protocol is ignored, and another version of this one is refused.
    let offered =
        app.http.get(app.url(STREAM)).bearer_auth(&driver.token).header("Connection", "Upgrade, HTTP2-Settings");
    let offered = crate::harness::ApiResponse::of(offered.header("Upgrade", "h2c")).await.expect(200);
    assert_eq!(offered["type"], "snapshot");
    let old = app.http.get(app.url(STREAM)).bearer_auth(&driver.token).header("Connection", "Upgrade");
    let old = old.header("Upgrade", "WebSocket").header("Sec-WebSocket-Version", "8");
    let old = crate::harness::ApiResponse::of(old).await;
    assert_eq!((old.header("upgrade"), old.header("sec-websocket-version")), (Some("websocket"), Some("13")));
    old.expect_problem(426, "upgrade_required");
    let half = app.http.get(app.url(STREAM)).bearer_auth(&driver.token).header("Upgrade", "websocket");
    crate::harness::ApiResponse::of(half).await.expect_problem(400, "malformed");
}

#[tokio::test]
async fn position_to_a_non_matcher_is_503_and_shutdown_closes_the_socket() {
    let app = App::start().await;
    let driver = app.driver_at(HERE).await;
    let other = app.second_process(|_| {}).await;
    let mut stream = open(&driver.at(&other), "").await.ok().unwrap();
    stream.text().await;
    stream.send_json(&position(&app, HERE).await).await;
    let response = stream.text().await;
    assert_eq!(
        (&response["problem"]["code"], &response["problem"]["status"]),
        (&json!("not_the_matcher"), &json!(503))
    );
    other.stop().await;
    assert!(matches!(stream.next().await, Message::Close(1001)));
}
