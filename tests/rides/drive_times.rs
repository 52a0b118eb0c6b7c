//! Drive times along the streets: in quotes, in the choice of the driver, in offers, and on the trip while a car is on its way.

use ridematch::platform::config::StreetFile;
use serde_json::{Value, json};

use crate::harness::{App, HERE, Options, THERE, assigned, id, in_progress, until};

/// A street from HERE over a crossing to THERE, published as a line: 100 s and 900 m there, 200 s back.
fn published() -> Value {
    let place = |(lat, lon): (f64, f64)| [lon, lat];
    let crossing = (f64::midpoint(HERE.0, THERE.0), f64::midpoint(HERE.1, THERE.1));
    json!({
        "type": "MultiLineString",
        "coordinates": [[place(HERE), place(crossing), place(THERE)]],
        "drives": [{"forward_ms": [40_000, 60_000], "backward_ms": [120_000, 80_000], "lengths_m": [400, 500]}],
    })
}

/// The same street as a file, each way in one link.
fn street_file() -> StreetFile {
    let node = |id, (lat, lon): (f64, f64)| json!({"id": id, "x": lon, "y": lat});
    let link =
        |source, target, seconds| json!({"source": source, "target": target, "length": 900, "travel_time": seconds});
    let json = json!({"nodes": [node(1, HERE), node(2, THERE)], "links": [link(1, 2, 100), link(2, 1, 200)]});
    StreetFile { path: "streets.json".into(), json: json.to_string().into_bytes().into() }
}

/// Returns distance, duration and source of a quote.
fn drive(quote: &Value) -> (i64, i64, &str) {
    let number = |member: &str| quote[member].as_i64().unwrap();
    (number("distance_m"), number("duration_s"), quote["eta_source"].as_str().unwrap())
}

async fn publish(app: &App, streets: &Value) {
    app.ops().await.put("/v1/sandbox/streets", streets).await.expect(204);
}

#[tokio::test(flavor = "multi_thread")]
async fn service_with_a_street_file_quotes_its_drives() {
    let app = App::with(Options { streets: Some(street_file()), ..Options::default() }).await;
    let rider = app.rider().await;
    assert_eq!(drive(&rider.quote(HERE, THERE).await), (900, 100, "streets"));
    assert_eq!(drive(&rider.quote(THERE, HERE).await), (900, 200, "streets"));
    // Paris is not on this map.
    assert_eq!(drive(&rider.quote((48.85, 2.35), (48.85, 2.35)).await), (0, 0, "estimate"));

    // The file is used, whatever is published.
    let mut other = published();
    other["drives"][0]["forward_ms"] = json!([1, 1]);
    publish(&app, &other).await;
    assert_eq!(drive(&rider.quote(HERE, THERE).await), (900, 100, "streets"));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn quotes_follow_the_published_streets() {
    let app = App::start().await;
    let rider = app.rider().await;
    let estimate = rider.quote(HERE, THERE).await;
    assert_eq!(estimate["eta_source"], "estimate");

    let mut slow = published();
    slow["drives"][0]["forward_ms"] = json!([400_000, 600_000]);
    publish(&app, &slow).await;
    let quote = rider.quote(HERE, THERE).await;
    assert_eq!(drive(&quote), (900, 1_000, "streets"));
    assert_ne!(quote["price"], estimate["price"]);
    let other = app.second_process(|_| {}).await;
    until("the other process has the streets", async || {
        (drive(&rider.at(&other).quote(THERE, HERE).await) == (900, 200, "streets")).then_some(())
    })
    .await;

    publish(&app, &json!({"type": "MultiLineString", "coordinates": []})).await;
    assert_eq!(drive(&rider.quote(HERE, THERE).await), drive(&estimate));
    until("the other process has no streets", async || {
        (rider.at(&other).quote(THERE, HERE).await["eta_source"] == "estimate").then_some(())
    })
    .await;
    other.stop().await;
    app.stop().await;
}

/// The driver at THERE is 100 m nearer than one beyond HERE, and drives 200 s instead of 20 s.
#[tokio::test(flavor = "multi_thread")]
async fn driver_with_the_shorter_drive_gets_the_offer() {
    let app = App::start().await;
    let mut streets = published();
    let beyond = (HERE.0 - 0.0135, HERE.1);
    streets["coordinates"].as_array_mut().unwrap().push(json!([[HERE.1, HERE.0], [beyond.1, beyond.0]]));
    let quick = json!({"forward_ms": [20_000], "backward_ms": [20_000]});
    streets["drives"].as_array_mut().unwrap().push(quick);
    publish(&app, &streets).await;

    let (near, quick) = (app.driver_at(THERE).await, app.driver_at(beyond).await);
    let (rider, ops) = (app.rider().await, app.ops().await);
    let trip = rider.request_trip().await;
    let offer = quick.until_offered().await;
    assert_eq!(
        (&offer["trip_id"], &offer["pickup_eta_s"], &offer["eta_source"]),
        (&trip["id"], &json!(20), &json!("streets"))
    );
    let explained = ops.get(&format!("/v1/trips/{}/explain", id(&trip))).await.expect(200);
    let candidates = &explained["match_cycles"][0]["candidates"];
    let of = |driver: &str| candidates.as_array().unwrap().iter().find(|one| one["driver_id"] == driver).unwrap();
    let (near, quick) = (of(&near.id), of(&quick.id));
    assert!(near["distance_m"].as_i64() < quick["distance_m"].as_i64(), "{candidates:#}");
    assert_eq!([&near["eta_s"], &near["eta_source"], &quick["eta_s"]], [&json!(200), &json!("streets"), &json!(20)]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trip_shows_how_long_the_car_still_drives() {
    let app = App::start().await;
    publish(&app, &published()).await;
    let (rider, driver) = (app.rider().await, app.driver_at(THERE).await);
    let trip = assigned(&app, &rider, &driver).await;
    let path = format!("/v1/trips/{}", id(&trip));
    let eta = async || {
        let (trip, car) = (rider.get(&path).await.expect(200), rider.get(&format!("{path}/driver")).await.expect(200));
        assert_eq!([&car["eta_s"], &car["eta_source"]], [&trip["eta_s"], &trip["eta_source"]]);
        (trip["eta_s"].as_i64(), trip["eta_source"].as_str().map(str::to_owned))
    };
    let streets = Some("streets".to_owned());
    assert_eq!(eta().await, (Some(200), streets.clone()), "to the pickup");
    driver.send_position(&app, HERE).await;
    assert_eq!(eta().await, (Some(0), streets.clone()), "at the pickup, not yet arrived");
    driver.command(id(&trip), "arrive").await.expect(200);
    assert_eq!(eta().await, (None, None), "waiting");
    let start = driver.post(&format!("{path}/start"), &json!({"pin": trip["pin"]})).await.expect(200);
    assert!(start["eta_s"].is_null());
    assert_eq!(eta().await, (Some(100), streets), "to the end of the ride");
    app.stop().await;
}

/// The first process is the matcher, and only it has the positions.
#[tokio::test(flavor = "multi_thread")]
async fn process_that_is_not_the_matcher_has_etas_from_saved_positions() {
    let app = App::start().await;
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = in_progress(&app, &rider, &driver).await;
    let other = app.second_process(|_| {}).await;
    let trip = until("the position is saved", async || {
        let trip = rider.at(&other).get(&format!("/v1/trips/{}", id(&trip))).await.expect(200);
        trip["eta_s"].is_i64().then_some(trip)
    })
    .await;
    let quote = rider.quote(HERE, THERE).await;
    assert_eq!([&trip["eta_s"], &trip["eta_source"]], [&quote["duration_s"], &json!("estimate")]);
    other.stop().await;
    app.stop().await;
}
