//! Surge from demand and supply: quotes get it, keep it, and say why.

use serde_json::json;

use super::{overrides, request, run_zones, surging};
use crate::harness::{Actor, App, HERE, Options, THERE, until};

/// Runs the zone cycle over two minutes of domain time, in which the smoothed multiplier covers three quarters of its way.
async fn run_two_minutes(app: &App) {
    run_zones(app).await;
    for _ in 0..12 {
        app.advance(10).await;
        run_zones(app).await;
    }
}

async fn multiplier(rider: &Actor) -> i64 {
    rider.quote(HERE, THERE).await["surge"]["multiplier_bp"].as_i64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn quote_has_the_surge_says_why_and_keeps_its_price() {
    let app = surging().await;
    let rider = app.rider().await;
    let before = rider.quote(HERE, THERE).await;
    assert_eq!(before["surge"], json!({"multiplier_bp": 10_000, "cell": null, "reason": "No surge."}));
    for _ in 0..12 {
        request(&app).await;
    }
    run_two_minutes(&app).await;
    let quote = rider.quote(HERE, THERE).await;
    let surge = quote["surge"]["multiplier_bp"].as_i64().unwrap();
    assert!((12_000..=20_000).contains(&surge) && surge % 1_000 == 0, "{quote:#}");
    let reason = quote["surge"]["reason"].as_str().unwrap();
    assert!(reason.contains("rides are expected here within 5 minutes, and no driver is free nearby"), "{reason}");
    assert!(quote["price"]["amount"].as_i64() > before["price"]["amount"].as_i64());
    let ops = app.ops().await;
    let listed = ops.get("/v1/ops/surge").await.expect(200);
    let cell = listed["items"].as_array().unwrap().iter().find(|one| one["cell"] == quote["surge"]["cell"]).unwrap();
    assert_eq!((&cell["multiplier_bp"], &cell["computed_bp"]), (&json!(surge), &json!(surge)));
    // An operator ends the surge: the quote that was made before keeps its price.
    overrides::set(&app, &ops, quote["surge"]["cell"].as_str().unwrap(), 10_000).await;
    assert_eq!(multiplier(&rider).await, 10_000);
    let body = json!({"quote_id": quote["id"], "payment_method": "pm_card_visa"});
    let trip = rider.post("/v1/trips", &body).await.expect(201);
    assert_eq!(trip["price"], quote["price"]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn surge_subsides_when_demand_does() {
    let app = surging().await;
    let rider = app.rider().await;
    for _ in 0..12 {
        request(&app).await;
    }
    run_two_minutes(&app).await;
    assert!(multiplier(&rider).await > 10_000);
    for _ in 0..12 {
        app.advance(120).await;
        run_zones(&app).await;
    }
    assert_eq!(multiplier(&rider).await, 10_000);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn surge_is_off_by_default() {
    let app = App::start().await;
    for _ in 0..12 {
        request(&app).await;
    }
    run_two_minutes(&app).await;
    assert_eq!(multiplier(&app.rider().await).await, 10_000);
    let ops = app.ops().await;
    assert_eq!(ops.get("/v1/ops/surge").await.expect(200)["computed"], "off");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn surge_of_a_matcher_that_is_gone_is_none() {
    let app = App::with(Options { surge: super::Switch::On, ..Options::default() }).await;
    let rider = app.rider().await;
    for _ in 0..12 {
        request(&app).await;
    }
    run_two_minutes(&app).await;
    let other = app.second_process(|_| ()).await;
    other.run_zones().await.unwrap();
    let rider = rider.at(&other);
    assert!(multiplier(&rider).await > 10_000, "another process reads what the matcher wrote");
    // The matcher writes again every few seconds: until both happen in between.
    until("the stale surge is none", async || {
        app.break_with("update demand_zones set computed_at = computed_at - interval '31 seconds'").await;
        other.run_zones().await.unwrap();
        (multiplier(&rider).await == 10_000).then_some(())
    })
    .await;
    other.stop().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn first_run_after_a_gap_publishes_no_surge() {
    let app = surging().await;
    let rider = app.rider().await;
    request(&app).await;
    run_zones(&app).await;
    // Until the matcher's own cycle, every few seconds, does not come between the two.
    until("a cycle after a gap", async || {
        app.advance(600).await;
        for _ in 0..12 {
            request(&app).await;
        }
        app.break_with("update demand_zones set computed_at = computed_at - interval '31 seconds'").await;
        run_zones(&app).await;
        (multiplier(&rider).await == 10_000).then_some(())
    })
    .await;
    app.stop().await;
}
