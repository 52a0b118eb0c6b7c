//! Matching that a single ride does not show.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Actor, App, HERE, Options, THERE, id, until, within};

/// Requests a trip, and returns its rider too when it is searched for.
async fn searching(app: &App) -> (Actor, Value) {
    let rider = app.rider().await;
    let trip = rider.request_trip().await;
    rider.until_state(id(&trip), "searching").await;
    (rider, trip)
}

/// More trips wait at one place than a trip has candidates, so that most find all of them taken.
#[tokio::test(flavor = "multi_thread")]
async fn each_of_many_trips_at_one_place_gets_a_driver_at_once() {
    const TRIPS: usize = 40;
    let app = App::start().await;
    for _ in 0..TRIPS {
        searching(&app).await;
    }
    // One report with the positions of all, so that no offer expires before the last driver is there.
    let vehicle = json!({"available": true, "name": "Dora", "class": "standard", "plate": "RM 1"});
    let mut drivers = Vec::new();
    for _ in 0..TRIPS {
        let driver = app.actor("driver").await;
        driver.put("/v1/drivers/me/availability", &vehicle).await.expect(200);
        drivers.push(driver.id);
    }
    let gateway = app.actor("gateway").await;
    until("all drivers are in the index", async || {
        let now = app.now().await;
        let position = |id| json!({"driver_id": id, "position": {"lat": HERE.0, "lon": HERE.1}, "recorded_at": now});
        let positions: Vec<_> = drivers.iter().map(position).collect();
        let sent = gateway.post_unkeyed("/v1/locations", &json!(positions)).await.expect(200);
        let accepted = sent["items"].as_array().unwrap().iter().filter(|item| item["verdict"] == "accepted").count();
        (accepted == TRIPS).then_some(())
    })
    .await;
    until("every trip has an offer", async || {
        (app.count("select count(*) from offers where status = 'pending'").await == TRIPS as i64).then_some(())
    })
    .await;
    app.stop().await;
}

/// A trip that was searched for first has waited longer than another one, also if it is searched for again after the other one.
#[tokio::test(flavor = "multi_thread")]
async fn wait_counts_from_the_first_search_across_offers() {
    let app = App::start().await;
    let (first, one) = (searching(&app).await, app.driver_at(HERE).await);
    assert_eq!(one.until_offered().await["trip_id"], first.1["id"]);
    app.advance(2).await;
    let (second, two) = (searching(&app).await, app.driver_at(HERE).await);
    assert_eq!(two.until_offered().await["trip_id"], second.1["id"]);
    // Both search again, the second one first.
    for driver in [&two, &one] {
        driver.put("/v1/drivers/me/availability", &json!({"available": false})).await.expect(200);
    }
    for (rider, trip) in [&first, &second] {
        rider.until_state(id(trip), "searching").await;
    }
    let other = app.driver_at(HERE).await;
    assert_eq!(other.until_offered().await["trip_id"], first.1["id"]);
    app.stop().await;
}

/// Its rider has left before any car comes.
#[tokio::test(flavor = "multi_thread")]
async fn search_ends_at_the_pickup_limit_and_a_newer_trip_gets_the_driver() {
    let app = App::with(Options { pickup_within_s: Some(60), ..Options::default() }).await;
    let (late_rider, late) = searching(&app).await;
    let limit_s = "select extract(epoch from due_at - requested_at)::bigint from trips where state = 'searching'";
    assert_eq!(app.count(limit_s).await, 60, "the search ends when no driver can come in time any more");
    app.advance(61).await;
    late_rider.until_state(id(&late), "no_driver").await;
    let driver = app.driver_at(HERE).await;
    let trip = app.rider().await.request_trip().await;
    assert_eq!(driver.until_offered().await["trip_id"], trip["id"]);
    app.assert_clean().await;
    app.stop().await;
}

/// The only driver needs more minutes than the rider waits.
#[tokio::test(flavor = "multi_thread")]
async fn explain_names_a_driver_who_would_come_too_late() {
    let app = App::with(Options { pickup_within_s: Some(120), ..Options::default() }).await;
    let driver = app.driver_at(THERE).await;
    let (rider, trip) = searching(&app).await;
    let (ops, path) = (app.ops().await, format!("/v1/trips/{}/explain", id(&trip)));
    let explained = until("a decision with the driver is saved", async || {
        driver.send_position(&app, THERE).await;
        let explained = ops.get(&path).await.expect(200);
        (explained["match_cycles"][0]["considered"] == 1).then_some(explained)
    })
    .await;
    let (cycle, candidate) = (&explained["match_cycles"][0], &explained["match_cycles"][0]["candidates"][0]);
    assert_eq!((&candidate["driver_id"], &candidate["verdict"]), (&json!(driver.id), &json!("too_late")));
    assert_eq!((&cycle["offer_id"], &candidate["taken_by"]), (&Value::Null, &Value::Null));
    assert!(candidate["eta_s"].as_i64().unwrap() > 120, "{candidate}");
    // It was requested on the domain's clock, and may have been decided at once.
    let at = |time: &Value| time.as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap();
    let requested_at = at(&rider.get(&format!("/v1/trips/{}", id(&trip))).await.expect(200)["requested_at"]);
    assert_eq!((at(&explained["pickup_by"]) - requested_at).num_seconds(), 120);
    app.stop().await;
}

/// The backlog is compared every ten seconds, and a difference is looked at twice.
const RECONCILED: Duration = Duration::from_secs(30);

/// A change that was written without a wake, as if the wake had been lost.
#[tokio::test(flavor = "multi_thread")]
async fn trip_whose_wake_was_lost_is_found_and_counted() {
    let app = App::start().await;
    let (_, trip) = searching(&app).await;
    let hidden = "update trips set state = 'requested' where state = 'searching'";
    app.break_with(hidden).await;
    // The repair is counted before the trip is read: only an empty backlog says that it has left.
    let has_left = async || repairs(&app, "ended").await == 1 && metric(&app, "ridematch_backlog_trips ").await == 0;
    within(RECONCILED, "the trip leaves the backlog", async || has_left().await.then_some(())).await;

    app.break_with("update trips set state = 'searching' where state = 'requested'").await;
    within(RECONCILED, "the trip is back", async || (repairs(&app, "missing").await == 1).then_some(())).await;
    let driver = app.driver_at(HERE).await;
    assert_eq!(driver.until_offered().await["trip_id"], trip["id"]);
    app.stop().await;
}

async fn repairs(app: &App, kind: &str) -> u64 {
    metric(app, &format!("ridematch_backlog_repairs_total{{kind=\"{kind}\"}} ")).await
}

async fn metric(app: &App, name: &str) -> u64 {
    let text = app.http.get(app.url("/metrics")).send().await.unwrap().text().await.unwrap();
    text.lines().find_map(|line| line.strip_prefix(name)).map_or(0, |count| count.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_names_the_trip_that_took_a_driver() {
    let app = App::start().await;
    let (trips, ops) = ([searching(&app).await.1, searching(&app).await.1], app.ops().await);
    let driver = app.driver_at(HERE).await;
    let offer = driver.until_offered().await;
    let served = offer["trip_id"].clone();
    let ids: HashSet<_> = trips.iter().map(|trip| id(trip).to_owned()).collect();
    let left_out = ids.iter().find(|trip| **trip != served).unwrap();

    let candidate = until("the decision is saved", async || {
        let explained = ops.get(&format!("/v1/trips/{left_out}/explain")).await.expect(200);
        explained["match_cycles"][0]["candidates"].get(0).cloned()
    })
    .await;
    assert_eq!(candidate["verdict"], "taken_by_another");
    assert_eq!(candidate["taken_by"], served);
    driver.post(&format!("/v1/offers/{}/accept", id(&offer)), &json!({})).await.expect(200);
    let own = driver.get(&format!("/v1/trips/{}/explain", served.as_str().unwrap())).await.expect(200);
    let shown = own["match_cycles"].to_string();
    assert!(!shown.contains("taken_by") && !shown.contains("exchange"), "a driver sees no other trip: {shown}");
    let exchange = &candidate["exchange"];
    let (cost_ms, exchanged_ms) =
        (exchange["cost_ms"].as_i64().unwrap(), exchange["exchanged_cost_ms"].as_i64().unwrap());
    assert!(
        0 < cost_ms && cost_ms <= exchanged_ms,
        "both are at one place, and the one that waited longer is served: {exchange:#}"
    );
    let served_cycles = ops.get(&format!("/v1/trips/{}/explain", served.as_str().unwrap())).await.expect(200);
    let decided = served_cycles["match_cycles"].as_array().unwrap().iter().find(|cycle| cycle["offer_id"].is_string());
    let search_time = &decided.unwrap()["search_time"];
    assert!(search_time["for_driver_ms"].as_i64().unwrap() > 0, "the driver came after the request: {search_time:#}");
    app.stop().await;
}

/// The only driver near it has accepted another trip before this one was requested.
#[tokio::test(flavor = "multi_thread")]
async fn explain_names_the_trip_of_a_busy_driver() {
    let app = App::start().await;
    let (first, driver) = (searching(&app).await.1, app.driver_at(HERE).await);
    let offer = driver.until_offered().await;
    driver.post(&format!("/v1/offers/{}/accept", id(&offer)), &json!({})).await.expect(200);
    let ((rider, second), ops) = (searching(&app).await, app.ops().await);
    let path = format!("/v1/trips/{}/explain", id(&second));
    let cycle = until("a decision with the driver is saved", async || {
        // Positions older than half a minute count for no trip.
        driver.send_position(&app, HERE).await;
        let explained = ops.get(&path).await.expect(200);
        let cycle = explained["match_cycles"].get(0)?.clone();
        (cycle["considered"] == 1).then_some(cycle)
    })
    .await;
    assert_eq!(cycle["offer_id"], Value::Null);
    let candidate = &cycle["candidates"][0];
    assert_eq!((&candidate["driver_id"], &candidate["verdict"]), (&json!(driver.id), &json!("busy")));
    assert_eq!(candidate["taken_by"], first["id"]);
    let shown = rider.get(&path).await.expect(200)["match_cycles"].to_string();
    assert!(!shown.contains("taken_by") && !shown.contains(id(&first)), "a rider sees no other trip: {shown}");
    app.stop().await;
}
