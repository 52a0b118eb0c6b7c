//! The data of the console's map: stored streets, and a live stream that never lags.
#![allow(clippy::unwrap_used, reason = "tests")]

mod map;
mod map_features;

use std::time::Duration;

use crate::harness::socket::{Message, Socket};
use crate::harness::{Actor, ApiResponse, App, HERE, id};
use map::Map;
use reqwest::Method;
use serde_json::{Value, json};

const FREE: u8 = 0;
const OFFERED: u8 = 1;
const TO_PICKUP: u8 = 2;

fn anonymous(app: &App) -> Actor {
    Actor { http: app.http.clone(), base_url: app.base_url.clone(), token: String::new(), id: String::new() }
}

fn streets(coordinates: &Value) -> Value {
    json!({"type": "MultiLineString", "coordinates": coordinates})
}

#[tokio::test]
async fn streets_outlive_the_process() {
    let app = App::start().await;
    let client = anonymous(&app);
    assert_eq!(client.get("/v1/sandbox/streets").await.expect(200), streets(&json!([])));

    let lines =
        streets(&json!([[[-73.98, 40.75], [-73.97, 40.76]], [[179.9, -16.0], [-179.9, -16.0], [180.0, -16.1]]]));
    client.put("/v1/sandbox/streets", &lines).await.expect(204);
    let answer = client.get("/v1/sandbox/streets").await;
    let tag = answer.header("etag").unwrap().to_owned();
    assert_eq!(answer.expect(200), lines);

    // Publishing the same streets keeps the tag.
    client.put("/v1/sandbox/streets", &lines).await.expect(204);
    let known = client.request(Method::GET, "/v1/sandbox/streets").header("If-None-Match", &tag);
    assert_eq!(ApiResponse::of(known).await.status, 304);

    let other = app.second_process(|_| {}).await;
    assert_eq!(client.at(&other).get("/v1/sandbox/streets").await.expect(200), lines);
    other.stop().await;
}

#[tokio::test]
async fn invalid_streets_are_422_with_a_pointer() {
    let app = App::start().await;
    let client = anonymous(&app);
    for (coordinates, pointer) in [
        (json!([[[0.0, 0.0]]]), "/coordinates/0"),
        (json!([[[0.0, 0.0], [0.0, 1.0]], [[0.0, 0.0], [181.0, 0.0]]]), "/coordinates/1/1/0"),
        (json!([[[0.0, 0.0], [0.0, -90.5]]]), "/coordinates/0/1/1"),
        (json!([[[0.0, 0.0], [0.0, "north"]]]), "/coordinates/0/1/1"),
        (json!(vec![json!([[0, 0], [1, 1]]); 20_001]), "/coordinates"),
    ] {
        let problem =
            client.put("/v1/sandbox/streets", &streets(&coordinates)).await.expect_problem(422, "invalid_request");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem:#}");
    }
    let line = json!({"type": "LineString", "coordinates": []});
    client.put("/v1/sandbox/streets", &line).await.expect_problem(422, "invalid_request");
    assert_eq!(client.get("/v1/sandbox/streets").await.expect(200), streets(&json!([])));
}

#[tokio::test]
async fn invalid_drives_are_422_with_a_pointer() {
    let app = App::start().await;
    let client = anonymous(&app);
    let good = || json!({"forward_ms": [1_000, 2_000], "backward_ms": [1_000, 2_000]});
    let with = |member: &str, value: Value| {
        let mut drives = good();
        drives[member] = value;
        json!([good(), drives])
    };
    let line = json!([[0.0, 0.0], [0.0, 0.001], [0.0, 0.002]]);
    let body = |drives: Value| {
        let mut body = streets(&json!([line, line]));
        body["drives"] = drives;
        body
    };
    for (drives, pointer) in [
        (json!([good()]), "/drives"),
        (json!("fast"), "/drives"),
        (with("forward_ms", json!([1_000])), "/drives/1/forward_ms"),
        (with("backward_ms", json!([1_000, 2_000, 3_000])), "/drives/1/backward_ms"),
        (with("forward_ms", json!([1_000, 0])), "/drives/1/forward_ms/1"),
        (with("forward_ms", json!([1_000, -5])), "/drives/1/forward_ms/1"),
        (with("forward_ms", json!([1_000, 86_400_001])), "/drives/1/forward_ms/1"),
        (with("backward_ms", json!([1.5, 2_000])), "/drives/1/backward_ms/0"),
        (with("lengths_m", json!([100])), "/drives/1/lengths_m"),
        (with("lengths_m", json!([100, -1])), "/drives/1/lengths_m/1"),
        (with("speed_kmh", json!([50, 50])), "/drives/1/speed_kmh"),
    ] {
        let problem = client.put("/v1/sandbox/streets", &body(drives)).await.expect_problem(422, "invalid_request");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem:#}");
    }

    // A dead end that can only be entered.
    let drives = json!([{"forward_ms": [1_000, 2_000], "backward_ms": [null, null]}, {"forward_ms": [1_000, 2_000]}]);
    let problem = client.put("/v1/sandbox/streets", &body(drives)).await.expect_problem(422, "invalid_request");
    assert_eq!(problem["errors"][0]["pointer"], "/drives");
    assert!(problem["detail"].as_str().unwrap().contains("at most 1 of 3 junctions"), "{problem:#}");
    client.put("/v1/sandbox/streets", &body(json!([good(), good()]))).await.expect(204);
    app.stop().await;
}

#[tokio::test]
async fn driver_appears_moves_and_disappears() {
    let app = App::start().await;
    let driver = app.driver_at(HERE).await;
    let mut map = Map::at(&app, HERE).await;
    let (handle, dot) = map.only().await;
    assert!((dot.lat - HERE.0).abs() < 1e-4 && (dot.lon - HERE.1).abs() < 1e-4 && dot.activity == FREE, "{dot:?}");

    driver.send_position(&app, (HERE.0 + 0.01, HERE.1)).await;
    map.until("the driver has moved", |map| (map.dots[&handle].lat > HERE.0 + 0.009).then_some(())).await;

    let identified = map.ask(json!({"identify": handle})).await;
    assert_eq!(identified, json!({"type": "driver", "handle": handle, "driver_id": driver.id}));
    let located = map.ask(json!({"locate": driver.id})).await;
    assert_eq!((&located["handle"], &located["position"]["lon"]), (&json!(handle), &json!(HERE.1)));
    assert_eq!(map.ask(json!({"identify": 4_000_000_000_u32})).await["driver_id"], Value::Null);

    // Back in view, the driver has the same handle.
    map.look((0.0, 0.0)).await;
    map.until("no driver is in view", |map| map.dots.is_empty().then_some(())).await;
    map.look(HERE).await;
    assert_eq!(map.only().await.0, handle);

    driver.put("/v1/drivers/me/availability", &json!({"available": false})).await.expect(200);
    map.until("the driver is gone", |map| map.dots.is_empty().then_some(())).await;
}

#[tokio::test]
async fn trip_is_shown_from_the_offer_to_its_end() {
    let app = App::start().await;
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let mut map = Map::at(&app, HERE).await;
    let (handle, _) = map.only().await;

    let trip = rider.request_trip().await;
    let offer = map
        .until("the offer is pending", |map| Some(map.world["rides"][0]["offer"].clone()).filter(Value::is_object))
        .await;
    assert_eq!((&offer["handle"], &offer["driver_id"]), (&json!(handle), &json!(driver.id)));
    map.until("the driver has the offer", |map| (map.dots[&handle].activity == OFFERED).then_some(())).await;

    driver.post(&format!("/v1/offers/{}/accept", id(&offer)), &json!({})).await.expect(200);
    map.until("the driver drives to the pickup", |map| (map.dots[&handle].activity == TO_PICKUP).then_some(())).await;
    let ride = map.until("the trip is assigned", |map| {
        Some(map.world["rides"][0].clone()).filter(|ride| ride["state"] == "assigned")
    });
    let ride = ride.await;
    assert_eq!((&ride["id"], &ride["rider_id"], &ride["handle"]), (&trip["id"], &json!(rider.id), &json!(handle)));
    assert_eq!((&ride["pickup"], &ride["offer"]), (&trip["pickup"], &Value::Null));
    assert_eq!((&map.world["trips"]["assigned"], &map.world["waiting"]["count"]), (&json!(1), &json!(1)));

    rider.command(id(&trip), "cancel").await.expect(200);
    map.until("the trip is gone", |map| map.world["rides"].as_array().unwrap().is_empty().then_some(())).await;
    map.until("the driver is free again", |map| (map.dots[&handle].activity == FREE).then_some(())).await;
}

#[tokio::test]
async fn slow_map_gets_three_messages_then_the_present() {
    let app = App::start().await;
    let driver = app.driver_at(HERE).await;
    let mut map = Map::at(&app, HERE).await;
    let (handle, _) = map.only().await;

    // Without acknowledgements it gets at most three messages.
    let mut step = 0;
    let mut unacknowledged = 0;
    while unacknowledged < 10 && step < 12 {
        step += 1;
        driver.send_position(&app, (HERE.0 + 0.001 * f64::from(step), HERE.1)).await;
        while let Some(message) = map.socket.next_within(Duration::from_millis(400)).await {
            map.take(message);
            unacknowledged += 1;
        }
    }
    assert!(unacknowledged <= 3, "{unacknowledged} unacknowledged messages");

    // After the acknowledgement it gets the present, not the past.
    map.socket.send_json(&json!({"ack": map.received})).await;
    let lat = |map: &Map| map.dots[&handle].lat;
    let before = lat(&map);
    while lat(&map) <= before {
        map.read().await;
    }
    assert!((lat(&map) - (HERE.0 + 0.001 * f64::from(step))).abs() < 1e-4, "an older position was sent");
}

#[tokio::test]
async fn request_without_upgrade_returns_the_world() {
    let app = App::start().await;
    let _driver = app.driver_at(HERE).await;
    let trip = app.rider().await.request_trip().await;
    let world = anonymous(&app).get("/v1/sandbox/live").await.expect(200);
    assert_eq!((&world["matcher"], &world["rides"][0]["id"]), (&json!(true), &trip["id"]));
}

#[tokio::test]
async fn socket_from_another_site_is_403() {
    let app = App::start().await;
    let own = format!("Origin: {}\r\n", app.base_url);
    for (origin, expected) in
        [("Origin: http://evil.example\r\n", Some(403)), ("Origin: null\r\n", Some(403)), (&own, None)]
    {
        let opened = Socket::open(&app.base_url, "/v1/sandbox/live", origin).await;
        assert_eq!(opened.err(), expected, "{origin}");
    }
}

#[tokio::test]
async fn invalid_message_is_answered_and_the_stream_goes_on() {
    let app = App::start().await;
    let driver = app.driver_at(HERE).await;
    let mut map = Map::at(&app, HERE).await;
    let (handle, _) = map.only().await;
    for (message, pointer) in [
        ("{}", ""),
        ("no JSON", ""),
        ("[1]", ""),
        (r#"{"ack": 1, "identify": 2}"#, ""),
        (r#"{"view": {"south": 1, "west": 0, "north": 0, "east": 1}}"#, "/view"),
        (r#"{"view": {"south": 0, "west": 0, "north": 1, "east": 1, "up": 1}}"#, "/view/up"),
        (r#"{"identify": -1}"#, "/identify"),
        (r#"{"locate": "me"}"#, "/locate"),
        (r#"{"locate": "rdr_01jd0000000000000000000000"}"#, "/locate"),
    ] {
        map.answer = Value::Null;
        map.socket.send_frame(1, message.as_bytes()).await;
        let answer = map.until("there is an answer", |map| Some(map.answer.clone()).filter(Value::is_object)).await;
        assert_eq!(answer["type"], "problem", "{message}: {answer:#}");
        assert_eq!(answer["problem"]["errors"][0]["pointer"], pointer, "{message}: {answer:#}");
    }
    assert_eq!(map.ask(json!({"identify": handle})).await["driver_id"], json!(driver.id));
    driver.send_position(&app, (HERE.0 + 0.01, HERE.1)).await;
    map.until("the driver has moved", |map| (map.dots[&handle].lat > HERE.0 + 0.009).then_some(())).await;
}

#[tokio::test]
async fn connection_closes_after_twenty_invalid_messages() {
    let app = App::start().await;
    let mut socket = Socket::open(&app.base_url, "/v1/sandbox/live", "").await.ok().unwrap();
    for _ in 0..20 {
        socket.send_json(&json!({"locate": "me"})).await;
        assert_eq!(socket.text().await["type"], "problem");
    }
    socket.send_json(&json!({"locate": "me"})).await;
    let end = socket.next().await;
    assert!(matches!(end, Message::Close(1008)), "{end:?}");
}

#[tokio::test]
async fn message_that_violates_the_protocol_closes_the_connection() {
    let app = App::start().await;
    let long = "x".repeat(2_000);
    for (kind, message) in [(2, "bytes"), (1, &long)] {
        let mut socket = Socket::open(&app.base_url, "/v1/sandbox/live", "").await.ok().unwrap();
        socket.send_frame(kind, message.as_bytes()).await;
        let end = socket.next().await;
        assert!(matches!(end, Message::Close(1008)), "{message}: {end:?}");
    }
}

#[tokio::test]
async fn live_map_subscriber_beyond_32_is_503() {
    let app = App::start().await;
    let mut sockets = Vec::new();
    for _ in 0..32 {
        sockets.push(Socket::open(&app.base_url, "/v1/sandbox/live", "").await.ok().unwrap());
    }
    assert_eq!(Socket::open(&app.base_url, "/v1/sandbox/live", "").await.err(), Some(503));
    anonymous(&app).get("/v1/sandbox/live").await.expect_problem(503, "overloaded");
    drop(sockets);
    app.until("a permit is free again", async || {
        Socket::open(&app.base_url, "/v1/sandbox/live", "").await.is_ok().then_some(())
    })
    .await;
}
