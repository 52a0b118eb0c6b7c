//! A driver's one connection: news come down as on the stream of events, positions go up, and whatever is wrong with one is said as a
//! request would have been told.
#![allow(clippy::unwrap_used, reason = "tests")]

mod harness;

use std::time::Duration;

use chrono::TimeDelta;
use harness::socket::{Message, Socket};
use harness::{Actor, App, HERE, Options, assigned, id};
use ridematch::platform::auth::{Caller, Role};
use ridematch::platform::ids::{DriverId, Id};
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
async fn offers_and_trips_come_down_and_positions_go_up() {
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
        let news = stream.text().await;
        assert_eq!(news["type"], expected, "{news:#}");
        assert!(news["seq"].as_i64().unwrap() > seq && news["at"].is_string(), "{news:#}");
        seq = news["seq"].as_i64().unwrap();
    }

    let there = position(&app, (HERE.0 + 0.001, HERE.1)).await;
    for verdict in ["accepted", "duplicate"] {
        stream.say(&there).await;
        assert_eq!(stream.text().await, json!({"type": "position", "verdict": verdict}));
    }
    assert_eq!(driver.get("/v1/drivers/me").await.expect(200)["position"], there["position"]);
}

#[tokio::test]
async fn it_resumes_after_the_event_that_it_is_told() {
    let app = App::start().await;
    let driver = app.driver_at(HERE).await;
    let trip = assigned(&app, &app.rider().await, &driver).await;

    let mut whole = open(&driver, "Last-Event-ID: 0\r\n").await.ok().unwrap();
    let news = [whole.text().await, whole.text().await, whole.text().await];
    let types: Vec<_> = news.iter().map(|one| one["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["offer.created", "offer.accepted", "trip.assigned"]);

    let mut rest = open(&driver, &format!("Last-Event-ID: {}\r\n", news[1]["seq"])).await.ok().unwrap();
    assert_eq!(rest.text().await, news[2]);

    // Whoever begins anew is told what is live.
    let mut anew = open(&driver, "").await.ok().unwrap();
    assert_eq!(anew.text().await["trip"]["id"], trip["id"]);
    assert_eq!(driver.get(STREAM).await.expect(200)["trip"]["id"], trip["id"]);
    assert_eq!(open(&driver, "Last-Event-ID: yesterday\r\n").await.err(), Some(400));
}

#[tokio::test]
async fn what_is_wrong_with_a_position_is_said_and_the_next_one_is_taken() {
    let app = App::start().await;
    let driver = app.driver_at(HERE).await;
    let mut stream = open(&driver, "").await.ok().unwrap();
    stream.text().await;
    let good = position(&app, HERE).await;
    let mut unknown = good.clone();
    unknown["speed"] = json!(50);
    let mut nowhere = good.clone();
    nowhere["position"]["lat"] = json!(91);
    for (text, status, code, pointer) in [
        ("no JSON".to_owned(), 400, "malformed", ""),
        ("[]".to_owned(), 422, "invalid_request", ""),
        (json!({"position": good["position"]}).to_string(), 422, "invalid_request", "/recorded_at"),
        (unknown.to_string(), 422, "invalid_request", "/speed"),
        (nowhere.to_string(), 422, "invalid_request", "/position/lat"),
    ] {
        stream.send(1, text.as_bytes()).await;
        let answer = stream.text().await;
        let problem = &answer["problem"];
        assert_eq!((&answer["type"], &problem["status"]), (&json!("problem"), &json!(status)), "{text}: {answer:#}");
        assert_eq!((&problem["code"], &problem["errors"][0]["pointer"]), (&json!(code), &json!(pointer)), "{answer:#}");
        assert!(problem["trace_id"].is_string() && problem["instance"] == STREAM, "{answer:#}");
    }
    stream.say(&position(&app, HERE).await).await;
    assert_eq!(stream.text().await["verdict"], "accepted");

    // But what is no message of this stream ends it.
    stream.send(1, "x".repeat(2_000).as_bytes()).await;
    assert!(matches!(stream.next().await, Message::Close(1008)));
    let mut other = open(&driver, "").await.ok().unwrap();
    other.text().await;
    other.send(2, b"bytes").await;
    assert!(matches!(other.next().await, Message::Close(1008)));
}

#[tokio::test]
async fn messages_count_as_requests_do() {
    let app = App::with(Options { rate_limit: 5, ..Options::default() }).await;
    let driver = app.actor("driver").await;
    let mut stream = open(&driver, "").await.ok().unwrap();
    stream.text().await;
    let report = position(&app, HERE).await;
    let mut codes = Vec::new();
    for _ in 0..20 {
        stream.say(&report).await;
        let answer = stream.text().await;
        codes.push(answer["verdict"].as_str().or(answer["problem"]["code"].as_str()).unwrap().to_owned());
    }
    assert_eq!(codes[0], "offline", "this driver has not gone online");
    assert!(codes.contains(&"rate_limited".to_owned()), "{codes:?}");
}

#[tokio::test]
async fn who_does_not_read_loses_the_connection_and_makes_room_for_another() {
    let app = App::start().await;
    let driver = app.actor("driver").await;
    let mut deaf = open(&driver, "").await.ok().unwrap();
    let mut others = Vec::new();
    for _ in 0..3 {
        others.push(open(&driver, "").await.ok().unwrap());
    }
    assert_eq!(open(&driver, "").await.err(), Some(429));
    // Long messages, so that no buffer of the two machines has room for all of them.
    deaf.say_until_stuck(&"no JSON ".repeat(100)).await;
    let mut fifth = open(&driver, "").await;
    for _ in 0..40 {
        if fifth.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        fifth = open(&driver, "").await;
    }
    assert_eq!(fifth.ok().unwrap().text().await["type"], "snapshot");
    // Nobody else has lost anything.
    for mut other in others {
        assert_eq!(other.text().await["type"], "snapshot");
        other.say(&position(&app, HERE).await).await;
        assert_eq!(other.text().await["verdict"], "offline");
    }
}

#[tokio::test]
async fn it_ends_with_the_token() {
    let app = App::start().await;
    let mut driver = app.actor("driver").await;
    let platform = app.service().platform();
    let caller = Caller { role: Role::Driver, subject: driver.id.parse::<DriverId>().unwrap().uuid() };
    driver.token = platform.tokens.issue(caller, platform.clock.machine() + TimeDelta::seconds(3)).unwrap();
    let mut stream = open(&driver, "").await.ok().unwrap();
    stream.text().await;
    assert!(matches!(stream.next().await, Message::Close(1008)));
    assert_eq!(open(&driver, "").await.err(), Some(401));
}

#[tokio::test]
async fn only_drivers_are_let_in_and_no_page_of_somebody_else() {
    let app = App::start().await;
    let (rider, driver) = (app.rider().await, app.actor("driver").await);
    assert_eq!(Socket::open(&app.base_url, STREAM, "").await.err(), Some(401));
    assert_eq!(open(&rider, "").await.err(), Some(403));
    assert_eq!(open(&driver, "Origin: https://evil.example\r\n").await.err(), Some(403));
    let half = app.http.get(app.url(STREAM)).bearer_auth(&driver.token).header("Upgrade", "websocket");
    harness::Answer::of(half).await.expect_problem(400, "malformed");
}

#[tokio::test]
async fn a_process_that_is_not_the_matcher_says_so_and_the_end_of_one_is_told() {
    let app = App::start().await;
    let driver = app.driver_at(HERE).await;
    let other = app.another(|_| {}).await;
    let mut stream = open(&driver.at(&other), "").await.ok().unwrap();
    stream.text().await;
    stream.say(&position(&app, HERE).await).await;
    let answer = stream.text().await;
    assert_eq!((&answer["problem"]["code"], &answer["problem"]["status"]), (&json!("not_the_matcher"), &json!(503)));
    other.stop().await;
    assert!(matches!(stream.next().await, Message::Close(1001)));
}
