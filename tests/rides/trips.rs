//! Rides from quote to receipt, and every other way a trip ends.
#![allow(clippy::unwrap_used, reason = "tests")]

use crate::harness::{Actor, App, HERE, THERE, assigned, id, in_progress, until};
use ridematch::platform::class::VehicleClass;
use ridematch::pricing::Tariff;
use serde_json::{Value, json};

/// The tariff of all rides here.
const TARIFF: Tariff = Tariff::of(VehicleClass::Standard);

async fn receipt(rider: &Actor, trip: &Value) -> Value {
    rider.get(&format!("/v1/trips/{}/receipt", id(trip))).await.expect(200)
}

#[tokio::test(flavor = "multi_thread")]
async fn ride_from_quote_to_receipt_is_captured_in_full() {
    let app = App::start().await;
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = in_progress(&app, &rider, &driver).await;
    driver.command(id(&trip), "complete").await.expect(200);
    app.assert_clean().await;
    let receipt = receipt(&rider, &trip).await;
    assert_eq!(receipt["total"], trip["price"]);
    assert_eq!(receipt["captured"], trip["price"]);
    assert_eq!(receipt["due"]["amount"], 0);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn charge_above_the_authorization_is_a_second_payment() {
    let app = App::start().await;
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = assigned(&app, &rider, &driver).await;
    driver.send_position(&app, HERE).await;
    driver.command(id(&trip), "arrive").await.expect(200);
    app.advance(150).await;
    driver.post(&format!("/v1/trips/{}/start", id(&trip)), &json!({"pin": trip["pin"]})).await.expect(200);
    driver.command(id(&trip), "complete").await.expect(200);
    app.assert_clean().await;
    let receipt = receipt(&rider, &trip).await;
    let price = trip["price"]["amount"].as_i64().unwrap();
    assert_eq!(receipt["total"]["amount"], price + TARIFF.waiting_per_minute);
    assert_eq!(receipt["captured"]["amount"], price + TARIFF.waiting_per_minute);
    let purposes: Vec<_> = receipt["payments"].as_array().unwrap().iter().map(|one| one["purpose"].clone()).collect();
    assert_eq!(purposes, ["fare", "remainder"]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn declined_card_ends_the_trip_and_allows_another() {
    let app = App::start().await;
    let rider = app.rider().await;
    let trip = rider.request_trip_with("pm_card_chargeDeclined").await;
    rider.until_state(id(&trip), "payment_failed").await;
    rider.request_trip().await;
    app.assert_clean().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn second_trip_of_a_rider_or_a_quote_is_409() {
    let app = App::start().await;
    let rider = app.rider().await;
    let quote = rider.quote(HERE, THERE).await;
    let body = json!({"quote_id": quote["id"], "payment_method": "pm_card_visa"});
    let trip = rider.post("/v1/trips", &body).await.expect(201);
    rider.post("/v1/trips", &body).await.expect_problem(409, "quote_used");
    let other = rider.quote(HERE, THERE).await;
    let again = json!({"quote_id": other["id"], "payment_method": "pm_card_visa"});
    rider.post("/v1/trips", &again).await.expect_problem(409, "active_trip_exists");
    rider.command(id(&trip), "cancel").await.expect(200);
    rider.post("/v1/trips", &again).await.expect(201);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn quote_after_two_minutes_is_410() {
    let app = App::start().await;
    let rider = app.rider().await;
    let quote = rider.quote(HERE, THERE).await;
    app.advance(121).await;
    let body = json!({"quote_id": quote["id"], "payment_method": "pm_card_visa"});
    rider.post("/v1/trips", &body).await.expect_problem(410, "quote_expired");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancellation_is_free_until_120_s_and_then_charged() {
    let app = App::start().await;
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = assigned(&app, &rider, &driver).await;
    rider.command(id(&trip), "cancel").await.expect(200);
    app.assert_clean().await;
    assert_eq!(receipt(&rider, &trip).await["total"]["amount"], 0);

    driver.send_position(&app, HERE).await;
    let trip = assigned(&app, &rider, &driver).await;
    app.advance(125).await;
    driver.send_position(&app, HERE).await;
    let cancelled = rider.command(id(&trip), "cancel").await.expect(200);
    assert_eq!((&cancelled["state"], &cancelled["cancelled_by"]), (&json!("cancelled"), &json!("rider")));
    app.assert_clean().await;
    assert_eq!(receipt(&rider, &trip).await["captured"]["amount"], TARIFF.cancellation_fee);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_show_is_charged_after_300_s() {
    let app = App::start().await;
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = assigned(&app, &rider, &driver).await;
    driver.send_position(&app, HERE).await;
    driver.command(id(&trip), "no_show").await.expect_problem(409, "invalid_transition");
    driver.command(id(&trip), "arrive").await.expect(200);
    driver.command(id(&trip), "no_show").await.expect_problem(409, "too_early");
    app.advance(150).await;
    driver.send_position(&app, HERE).await;
    app.advance(155).await;
    assert_eq!(driver.command(id(&trip), "no_show").await.expect(200)["state"], "no_show");
    app.assert_clean().await;
    assert_eq!(receipt(&rider, &trip).await["captured"]["amount"], TARIFF.no_show_fee);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unanswered_offer_expires_and_excludes_the_driver() {
    let app = App::start().await;
    let (rider, first) = (app.rider().await, app.driver_at(HERE).await);
    let trip = rider.request_trip().await;
    let offer = first.until_offered().await;
    app.advance(16).await;
    rider.until_state(id(&trip), "searching").await;
    first.post(&format!("/v1/offers/{}/accept", id(&offer)), &json!({})).await.expect_problem(410, "offer_expired");
    let second = app.driver_at(HERE).await;
    first.send_position(&app, HERE).await;
    app.advance(6).await;
    let offer = second.until_offered().await;
    second.post(&format!("/v1/offers/{}/decline", id(&offer)), &json!({})).await.expect(200);
    rider.until_state(id(&trip), "searching").await;
    let path = format!("/v1/offers/{}", id(&offer));
    assert_eq!(second.get(&path).await.expect(200)["status"], "declined");
    assert_eq!(app.ops().await.get(&path).await.expect(200)["trip_id"], trip["id"]);
    first.get(&path).await.expect_problem(404, "not_found");
    app.advance(600).await;
    rider.until_state(id(&trip), "no_driver").await;
    app.assert_clean().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn going_offline_withdraws_the_offer_and_is_409_during_a_trip() {
    let app = App::start().await;
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = rider.request_trip().await;
    let offer = driver.until_offered().await;
    driver.put("/v1/drivers/me/availability", &json!({"available": false})).await.expect(200);
    rider.until_state(id(&trip), "searching").await;
    let accept = format!("/v1/offers/{}/accept", id(&offer));
    driver.post(&accept, &json!({})).await.expect_problem(410, "offer_withdrawn");
    // A withdrawn offer does not exclude the driver.
    driver.put("/v1/drivers/me/availability", &json!({"available": true})).await.expect(200);
    app.until("the driver is in the index", async || {
        (driver.send_position(&app, HERE).await == "accepted").then_some(())
    })
    .await;
    app.advance(6).await;
    let offer = driver.until_offered().await;
    driver.post(&format!("/v1/offers/{}/accept", id(&offer)), &json!({})).await.expect(200);
    driver.put("/v1/drivers/me/availability", &json!({"available": false})).await.expect_problem(409, "driver_on_trip");
    app.assert_clean().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_driver_cancel_is_200_and_the_trip_is_then_404() {
    let app = App::start().await;
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = assigned(&app, &rider, &driver).await;
    assert_eq!(driver.command(id(&trip), "cancel").await.expect(200)["state"], "searching");
    driver.command(id(&trip), "cancel").await.expect(200);
    driver.get(&format!("/v1/trips/{}", id(&trip))).await.expect_problem(404, "not_found");
    let other = app.driver_at(HERE).await;
    app.advance(6).await;
    other.until_offered().await;
    driver.command(id(&trip), "cancel").await.expect_problem(404, "not_found");
    app.assert_clean().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unresponsive_driver_is_unassigned() {
    let app = App::start().await;
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = assigned(&app, &rider, &driver).await;
    app.advance(185).await;
    let searching = rider.until_state(id(&trip), "searching").await;
    assert_eq!(searching["driver_id"], Value::Null);
    driver.command(id(&trip), "arrive").await.expect_problem(404, "not_found");
    app.assert_clean().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fourth_unassigned_driver_ends_the_trip() {
    let app = App::start().await;
    let rider = app.rider().await;
    let trip = rider.request_trip().await;
    for unassigned in 1..=4 {
        let driver = app.driver_at(HERE).await;
        app.advance(6).await;
        driver.send_position(&app, HERE).await;
        let offer = driver.until_offered().await;
        driver.post(&format!("/v1/offers/{}/accept", id(&offer)), &json!({})).await.expect(200);
        let state = driver.command(id(&trip), "cancel").await.expect(200)["state"].clone();
        assert_eq!(state, if unassigned < 4 { "searching" } else { "no_driver" });
    }
    app.assert_clean().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_pins_are_counted_and_the_fifth_locks() {
    let app = App::start().await;
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = assigned(&app, &rider, &driver).await;
    let start = format!("/v1/trips/{}/start", id(&trip));
    driver.send_position(&app, (HERE.0 + 0.01, HERE.1)).await;
    driver.command(id(&trip), "arrive").await.expect_problem(409, "too_far_from_pickup");
    driver.send_position(&app, HERE).await;
    driver.command(id(&trip), "arrive").await.expect(200);
    let right = trip["pin"].as_str().unwrap();
    let wrong = if right == "0000" { "0001" } else { "0000" };
    for left in (0..5).rev() {
        let problem = driver.post(&start, &json!({"pin": wrong})).await.expect_problem(409, "wrong_pin");
        assert_eq!(problem["tries_left"], left);
    }
    driver.post(&start, &json!({"pin": right})).await.expect_problem(409, "pin_locked");
    let shown_to_driver = driver.get(&format!("/v1/trips/{}", id(&trip))).await.expect(200);
    assert_eq!(shown_to_driver["pin"], Value::Null);
    app.ops().await.command(id(&trip), "pin/reset").await.expect(200);
    driver.post(&start, &json!({"pin": right})).await.expect(200);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_aborts_with_and_without_a_charge() {
    let app = App::start().await;
    let (rider, driver, ops) = (app.rider().await, app.driver_at(HERE).await, app.ops().await);
    let trip = in_progress(&app, &rider, &driver).await;
    let abort = format!("/v1/trips/{}/abort", id(&trip));
    let too_much = json!({"charge": {"amount": 1_000_000, "currency": "USD"}});
    ops.post(&abort, &too_much).await.expect_problem(422, "invalid_request");
    let aborted = ops.post(&abort, &json!({"charge": {"amount": 300, "currency": "USD"}})).await.expect(200);
    assert_eq!(aborted["state"], "aborted");
    app.assert_clean().await;
    assert_eq!(receipt(&rider, &trip).await["captured"]["amount"], 300);
    driver.send_position(&app, HERE).await;
    let trip = assigned(&app, &rider, &driver).await;
    ops.command(id(&trip), "abort").await.expect(200);
    app.assert_clean().await;
    assert_eq!(receipt(&rider, &trip).await["captured"]["amount"], 0);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn repeat_of_the_last_command_is_200_and_of_an_older_one_409() {
    let app = App::start().await;
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = assigned(&app, &rider, &driver).await;
    driver.send_position(&app, HERE).await;
    let first = driver.command(id(&trip), "arrive").await.expect(200);
    let second = driver.command(id(&trip), "arrive").await.expect(200);
    assert_eq!(first["version"], second["version"]);
    driver.post(&format!("/v1/trips/{}/start", id(&trip)), &json!({"pin": trip["pin"]})).await.expect(200);
    let problem = driver.command(id(&trip), "arrive").await.expect_problem(409, "invalid_transition");
    assert_eq!(problem["state"], "in_progress");
    assert_eq!(problem["allowed"], json!(["complete", "abort"]));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_shows_the_chosen_and_the_farther_driver() {
    let app = App::start().await;
    let (rider, near) = (app.rider().await, app.driver_at(HERE).await);
    let far = app.driver_at((HERE.0 + 0.01, HERE.1)).await;
    let trip = rider.request_trip().await;
    near.until_offered().await;
    let path = format!("/v1/trips/{}/explain", id(&trip));
    let all = app.ops().await.get(&path).await.expect(200);
    let verdicts: Vec<_> =
        all["match_cycles"][0]["candidates"].as_array().unwrap().iter().map(|one| one["verdict"].clone()).collect();
    assert_eq!(verdicts, ["chosen", "farther"]);
    let cycle = &all["match_cycles"][0];
    assert_eq!(cycle["cycle"]["policy"], "batched");
    assert_eq!(["trips", "drivers", "edges"].map(|of| cycle["cycle"][of].clone()), [json!(1), json!(2), json!(2)]);
    assert_eq!(cycle["waited_ms"].as_i64().unwrap() * 5 + 900_001, cycle["skip_cost_ms"], "w = 900 s / 180 s");
    let nearest = &cycle["candidates"][0];
    let drive_ms = nearest["cost_ms"].as_i64().unwrap();
    assert_eq!((drive_ms + 999) / 1_000, nearest["eta_s"]);
    assert_eq!(cycle["search_time"]["for_driver_ms"], 0, "a driver was free before the request");
    assert!(cycle["search_time"]["for_service_ms"].as_i64().unwrap() < 10_000, "{cycle:#}");
    let own = rider.get(&path).await.expect(200);
    assert_eq!(own["match_cycles"][0]["considered"], 2);
    assert_eq!(own["match_cycles"][0]["candidates"].as_array().unwrap().len(), 1);
    far.get(&path).await.expect_problem(404, "not_found");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn payment_without_a_result_after_60_s_ends_the_trip_and_is_released() {
    let app = App::start().await;
    let rider = app.rider().await;
    // The provider answers every confirmation with a 500, and repeats it for the same key.
    let trip = rider.request_trip_with("pm_sim_error_500").await;
    let query =
        "select outcome from payment_attempts where operation = 'confirm' and outcome <> 'started' order by id limit 1";
    let outcome: String = until("the confirmation was tried", async || {
        sqlx::query_scalar(query).fetch_optional(app.sql()).await.unwrap()
    })
    .await;
    assert_eq!(outcome, "unknown");
    app.advance(61).await;
    rider.until_state(id(&trip), "payment_failed").await;
    app.assert_clean().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn driver_who_cancelled_gets_an_offer_for_the_next_trip() {
    let app = App::start().await;
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = assigned(&app, &rider, &driver).await;
    driver.command(id(&trip), "cancel").await.expect(200);
    rider.command(id(&trip), "cancel").await.expect(200);
    driver.send_position(&app, HERE).await;
    let next = app.rider().await.request_trip().await;
    assert_eq!(driver.until_offered().await["trip_id"], next["id"]);
    app.stop().await;
}
