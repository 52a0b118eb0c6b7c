//! Trending zones, surge and hints: requests are counted by all processes together, quotes say their surge, drivers get hints.
#![allow(clippy::unwrap_used, reason = "tests")]

mod hints;
mod overrides;
mod surge;

use serde_json::{Value, json};

use crate::harness::{Actor, ApiResponse, App, HERE, Options, THERE, new_key};
use ridematch::platform::switch::Switch;

async fn surging() -> App {
    App::with(Options { surge: Switch::On, ..Options::default() }).await
}

/// Requests a trip of a new rider, whose card is declined: a request without a search.
async fn request(app: &App) {
    let rider = app.rider().await;
    rider.request_trip_with("pm_card_chargeDeclined").await;
}

async fn run_zones(app: &App) {
    app.service().run_zones().await.expect("the zone cycle");
}

async fn trending(actor: &Actor) -> Vec<Value> {
    actor.get("/v1/zones/trending").await.expect(200)["items"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_counted_once_by_all_processes_together() {
    let app = App::start().await;
    let other = app.second_process(|_| ()).await;
    let rider = app.rider().await;
    let quote = rider.quote(HERE, THERE).await;
    let (key, body) = (new_key(), json!({"quote_id": quote["id"], "payment_method": "pm_card_visa"}));
    for _repeat in 0..3 {
        rider.post_with(&key, "/v1/trips", &body).await.expect(201);
    }
    app.rider().await.at(&other).request_trip().await;
    let third = app.rider().await;
    let trip = third.request_trip().await;
    third.command(trip["id"].as_str().unwrap(), "cancel").await.expect(200);
    third.request_trip().await;
    run_zones(&app).await;
    other.run_zones().await.unwrap();
    run_zones(&app).await;
    for actor in [rider.clone(), rider.at(&other)] {
        let zones = trending(&actor).await;
        let [zone] = &zones[..] else { panic!("one zone, not {zones:#?}") };
        let requests = zone["requests"].as_f64().unwrap();
        assert!((2.2..=3.0).contains(&requests), "three riders, not long ago: {requests}");
        assert_eq!((&zone["error"], &zone["surge"]["multiplier_bp"]), (&json!(0.0), &json!(10_000)));
        let ring = zone["boundary"]["coordinates"][0].as_array().unwrap();
        assert_eq!((ring.len(), &ring[0]), (7, &ring[6]), "a closed hexagon");
    }
    other.stop().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_survive_a_restart_and_halve_in_five_minutes() {
    let app = App::start().await;
    for _ in 0..4 {
        request(&app).await;
    }
    run_zones(&app).await;
    let other = app.second_process(|_| ()).await;
    app.advance(300).await;
    let rider = app.rider().await;
    other.run_zones().await.unwrap();
    let requests = app.until("the counts are halved", async || {
        let requests = trending(&rider.at(&other)).await[0]["requests"].as_f64().unwrap();
        (requests < 3.0).then_some(requests)
    });
    let requests = requests.await;
    assert!((1.8..=2.03).contains(&requests), "four halves, in steps of five seconds: {requests}");
    app.advance(7_200).await;
    // The other process adopts the clock within a second.
    app.until("no request is left to count", async || trending(&rider.at(&other)).await.is_empty().then_some(())).await;
    other.stop().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trending_zones_have_the_free_drivers_and_a_tag() {
    let app = App::start().await;
    let driver = app.driver_at(HERE).await;
    let gateway = app.actor("gateway").await;
    request(&app).await;
    run_zones(&app).await;
    assert_eq!(trending(&driver).await[0]["idle_drivers"], 1);
    // The counts decay in steps: until both requests are within one.
    app.until("an unchanged representation", async || {
        let first = driver.get("/v1/zones/trending").await;
        let tag = first.header("etag").unwrap().to_owned();
        let again = driver.request(reqwest::Method::GET, "/v1/zones/trending").header("If-None-Match", &tag);
        (ApiResponse::of(again).await.status == 304).then_some(())
    })
    .await;
    for (query, status) in [("limit=0", 422), ("limit=101", 422), ("limit=x", 400), ("resolution=7", 400)] {
        let code = if status == 422 { "invalid_request" } else { "malformed" };
        let problem = driver.get(&format!("/v1/zones/trending?{query}")).await.expect_problem(status, code);
        let field = query.split('=').next().unwrap();
        assert!(
            problem["errors"][0]["pointer"] == field || problem["detail"].as_str().unwrap().contains(field),
            "{problem:#}"
        );
    }
    gateway.get("/v1/zones/trending").await.expect_problem(403, "forbidden");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reset_forgets_demand_and_surge() {
    let app = surging().await;
    request(&app).await;
    run_zones(&app).await;
    let ops = app.ops().await;
    let cell = trending(&ops).await[0]["cell"].as_str().unwrap().to_owned();
    overrides::set(&app, &ops, &cell, 15_000).await;
    request(&app).await;
    ApiResponse::of(app.http.post(app.url("/v1/sandbox/reset")).json(&json!({}))).await.expect(200);
    run_zones(&app).await;
    assert!(trending(&ops).await.is_empty());
    assert_eq!(ops.get("/v1/ops/surge").await.expect(200)["items"], json!([]));
    app.stop().await;
}
