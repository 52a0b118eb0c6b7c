//! What the console's map is made of: streets that are kept, and a stream of the city that never lags behind.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "console_live/map.rs"]
mod map;

mod harness;

use std::time::Duration;

use harness::socket::{Message, Socket};
use harness::{Actor, Answer, App, HERE, id};
use map::Map;
use reqwest::Method;
use serde_json::{Value, json};

const FREE: u8 = 0;
const OFFERED: u8 = 1;
const TO_PICKUP: u8 = 2;

fn nobody(app: &App) -> Actor {
    Actor { http: app.http.clone(), base_url: app.base_url.clone(), token: String::new(), id: String::new() }
}

fn streets(coordinates: &Value) -> Value {
    json!({"type": "MultiLineString", "coordinates": coordinates})
}

#[tokio::test]
async fn streets_are_kept_and_outlive_the_process() {
    let app = App::start().await;
    let who = nobody(&app);
    assert_eq!(who.get("/v1/sandbox/streets").await.expect(200), streets(&json!([])));

    let lines =
        streets(&json!([[[-73.98, 40.75], [-73.97, 40.76]], [[179.9, -16.0], [-179.9, -16.0], [180.0, -16.1]]]));
    who.put("/v1/sandbox/streets", &lines).await.expect(204);
    let answer = who.get("/v1/sandbox/streets").await;
    let tag = answer.header("etag").unwrap().to_owned();
    assert_eq!(answer.expect(200), lines);

    // The same again changes nothing, not even the tag; and whoever has them is not sent them again.
    who.put("/v1/sandbox/streets", &lines).await.expect(204);
    let known = who.request(Method::GET, "/v1/sandbox/streets").header("If-None-Match", &tag);
    assert_eq!(Answer::of(known).await.status, 304);

    let other = app.another(|_| {}).await;
    assert_eq!(who.at(&other).get("/v1/sandbox/streets").await.expect(200), lines);
    other.stop().await;
}

#[tokio::test]
async fn streets_that_cannot_be_are_refused_and_the_place_is_named() {
    let app = App::start().await;
    let who = nobody(&app);
    for (coordinates, pointer) in [
        (json!([[[0.0, 0.0]]]), "/coordinates/0"),
        (json!([[[0.0, 0.0], [0.0, 1.0]], [[0.0, 0.0], [181.0, 0.0]]]), "/coordinates/1/1/0"),
        (json!([[[0.0, 0.0], [0.0, -90.5]]]), "/coordinates/0/1/1"),
        (json!([[[0.0, 0.0], [0.0, "north"]]]), "/coordinates/0/1/1"),
        (json!(vec![json!([[0, 0], [1, 1]]); 20_001]), "/coordinates"),
    ] {
        let problem =
            who.put("/v1/sandbox/streets", &streets(&coordinates)).await.expect_problem(422, "invalid_request");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem:#}");
    }
    let line = json!({"type": "LineString", "coordinates": []});
    who.put("/v1/sandbox/streets", &line).await.expect_problem(422, "invalid_request");
    assert_eq!(who.get("/v1/sandbox/streets").await.expect(200), streets(&json!([])));
}

#[tokio::test]
async fn a_driver_is_seen_coming_moving_and_going() {
    let app = App::start().await;
    let driver = app.driver_at(HERE).await;
    let mut map = Map::at(&app, HERE).await;
    let (handle, dot) = map.only().await;
    assert!((dot.lat - HERE.0).abs() < 1e-4 && (dot.lon - HERE.1).abs() < 1e-4 && dot.doing == FREE, "{dot:?}");

    driver.send_position(&app, (HERE.0 + 0.01, HERE.1)).await;
    map.until("the driver has moved", |map| (map.dots[&handle].lat > HERE.0 + 0.009).then_some(())).await;

    let who = map.ask(json!({"who": handle})).await;
    assert_eq!(who, json!({"type": "driver", "handle": handle, "driver_id": driver.id}));
    let there = map.ask(json!({"where": driver.id})).await;
    assert_eq!((&there["handle"], &there["position"]["lon"]), (&json!(handle), &json!(HERE.1)));
    assert_eq!(map.ask(json!({"who": 4_000_000_000_u32})).await["driver_id"], Value::Null);

    // Elsewhere nobody is seen; and back again, the same driver has the same handle.
    map.look((0.0, 0.0)).await;
    map.until("nobody is in view", |map| map.dots.is_empty().then_some(())).await;
    map.look(HERE).await;
    assert_eq!(map.only().await.0, handle);

    driver.put("/v1/drivers/me/availability", &json!({"available": false})).await.expect(200);
    map.until("the driver is gone", |map| map.dots.is_empty().then_some(())).await;
}

#[tokio::test]
async fn a_ride_is_seen_from_the_offer_to_its_end() {
    let app = App::start().await;
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let mut map = Map::at(&app, HERE).await;
    let (handle, _) = map.only().await;

    let trip = rider.request_trip().await;
    let offer =
        map.until("the offer flies", |map| Some(map.world["rides"][0]["offer"].clone()).filter(Value::is_object)).await;
    assert_eq!((&offer["handle"], &offer["driver_id"]), (&json!(handle), &json!(driver.id)));
    map.until("the driver is asked", |map| (map.dots[&handle].doing == OFFERED).then_some(())).await;

    driver.post(&format!("/v1/offers/{}/accept", id(&offer)), &json!({})).await.expect(200);
    map.until("the driver comes", |map| (map.dots[&handle].doing == TO_PICKUP).then_some(())).await;
    let ride = map.until("the world has heard", |map| {
        Some(map.world["rides"][0].clone()).filter(|ride| ride["state"] == "assigned")
    });
    let ride = ride.await;
    assert_eq!((&ride["id"], &ride["rider_id"], &ride["handle"]), (&trip["id"], &json!(rider.id), &json!(handle)));
    assert_eq!((&ride["pickup"], &ride["offer"]), (&trip["pickup"], &Value::Null));
    assert_eq!((&map.world["trips"]["assigned"], &map.world["waiting"]["count"]), (&json!(1), &json!(1)));

    rider.act(id(&trip), "cancel").await.expect(200);
    map.until("the trip is gone", |map| map.world["rides"].as_array().unwrap().is_empty().then_some(())).await;
    map.until("the driver is free again", |map| (map.dots[&handle].doing == FREE).then_some(())).await;
}

#[tokio::test]
async fn whoever_is_slow_misses_moments_and_does_not_lag_behind() {
    let app = App::start().await;
    let driver = app.driver_at(HERE).await;
    let mut map = Map::at(&app, HERE).await;
    let (handle, _) = map.only().await;

    // From now on it says nothing: it gets no more than three messages beyond what it has seen.
    let mut step = 0;
    let mut unseen = 0;
    while unseen < 10 && step < 12 {
        step += 1;
        driver.send_position(&app, (HERE.0 + 0.001 * f64::from(step), HERE.1)).await;
        while let Some(message) = map.socket.next_within(Duration::from_millis(400)).await {
            map.take(message);
            unseen += 1;
        }
    }
    assert!(unseen <= 3, "{unseen} messages came that nobody asked for");

    // The first thing that it hears then is the present, not the past.
    map.socket.say(&json!({"seen": map.heard})).await;
    let lat = |map: &Map| map.dots[&handle].lat;
    let before = lat(&map);
    while lat(&map) <= before {
        map.read().await;
    }
    assert!((lat(&map) - (HERE.0 + 0.001 * f64::from(step))).abs() < 1e-4, "it was shown an older moment");
}

#[tokio::test]
async fn without_an_upgrade_it_is_the_world_once() {
    let app = App::start().await;
    let _driver = app.driver_at(HERE).await;
    let trip = app.rider().await.request_trip().await;
    let world = nobody(&app).get("/v1/sandbox/live").await.expect(200);
    assert_eq!((&world["matcher"], &world["rides"][0]["id"]), (&json!(true), &trip["id"]));
}

#[tokio::test]
async fn other_peoples_pages_are_turned_away() {
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
async fn what_no_map_says_ends_the_connection() {
    let app = App::start().await;
    let long = "x".repeat(2_000);
    for (kind, wrong) in [
        (1, "{}"),
        (1, "no JSON"),
        (1, r#"{"view": {"south": 1, "west": 0, "north": 0, "east": 1}}"#),
        (1, r#"{"view": {"south": 0, "west": 0, "north": 1, "east": 1, "up": 1}}"#),
        (1, r#"{"who": -1}"#),
        (1, r#"{"where": "rdr_01jd0000000000000000000000"}"#),
        (2, "bytes"),
        (1, &long),
    ] {
        let mut socket = Socket::open(&app.base_url, "/v1/sandbox/live", "").await.ok().unwrap();
        socket.send(kind, wrong.as_bytes()).await;
        let end = socket.next().await;
        assert!(matches!(end, Message::Close(1008)), "{wrong}: {end:?}");
    }
}

#[tokio::test]
async fn there_are_so_many_places_and_no_more() {
    let app = App::start().await;
    let mut sockets = Vec::new();
    for _ in 0..32 {
        sockets.push(Socket::open(&app.base_url, "/v1/sandbox/live", "").await.ok().unwrap());
    }
    assert_eq!(Socket::open(&app.base_url, "/v1/sandbox/live", "").await.err(), Some(503));
    drop(sockets);
    app.until("there is a place again", async || {
        Socket::open(&app.base_url, "/v1/sandbox/live", "").await.is_ok().then_some(())
    })
    .await;
}
