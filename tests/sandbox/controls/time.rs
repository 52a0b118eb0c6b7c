//! Jumps of the domain clock, just past a deadline.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::post;
use crate::harness::{ApiResponse, App, HERE, THERE, assigned, at_once, id};

const CLOCK: &str = "/v1/sandbox/clock";

#[tokio::test]
async fn clock_jumps_past_the_next_deadline() {
    let app = App::start().await;
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let quote = rider.quote(HERE, THERE).await;
    let jumped = post(&app, CLOCK, &json!({"past": quote["id"]})).await.expect(200);
    assert_eq!(jumped["passed"], json!({"what": "the quote expires", "at": quote["expires_at"]}));
    assert!(jumped["domain"].as_str() > quote["expires_at"].as_str());
    post(&app, CLOCK, &json!({"past": quote["id"]})).await.expect_problem(409, "nothing_pending");

    driver.send_position(&app, HERE).await;
    let trip = rider.request_trip().await;
    let offer = driver.until_offered().await;
    let jumped = post(&app, CLOCK, &json!({"past": offer["id"]})).await.expect(200);
    assert_eq!(jumped["passed"]["what"], "the offer expires");
    rider.until_state(id(&trip), "searching").await;
    let jumped = post(&app, CLOCK, &json!({"past": trip["id"]})).await.expect(200);
    assert_eq!(jumped["passed"]["what"], "the search ends");
    rider.until_state(id(&trip), "no_driver").await;
    post(&app, CLOCK, &json!({"past": trip["id"]})).await.expect_problem(409, "nothing_pending");
}

#[tokio::test]
async fn clock_names_the_next_deadline_of_an_object() {
    let app = App::start().await;
    let (rider, ops) = (app.rider().await, app.ops().await);
    let quote = rider.quote(HERE, THERE).await;
    let next = |of: String| {
        let ops = ops.clone();
        async move { ops.get(&format!("{CLOCK}?of={of}")).await }
    };
    let shown = next(id(&quote).to_owned()).await.expect(200);
    assert_eq!(shown["next"], json!({"what": "the quote expires", "at": quote["expires_at"]}));

    let trip = rider.request_trip_with("pm_card_chargeDeclined").await;
    rider.until_state(id(&trip), "payment_failed").await;
    let shown = next(id(&trip).to_owned()).await.expect(200);
    assert_eq!(shown.get("next"), None, "an ended trip has no deadline: {shown:#}");
    next("trip_01jd7zq8w3e9mvd1ab2c3d4e5f".to_owned()).await.expect_problem(404, "not_found");
    let problem = next("later".to_owned()).await.expect_problem(400, "invalid_id");
    assert_eq!(problem["errors"][0]["pointer"], "of");
}

#[tokio::test]
async fn clock_says_which_speed_is_kept_up_with_and_sets_any() {
    let app = App::start().await;
    let clock = ApiResponse::of(app.http.get(app.url(CLOCK))).await.expect(200);
    assert_eq!((&clock["sustainable_scale"], &clock["position_delay_ms"]), (&json!(20), &Value::Null));
    assert_eq!(post(&app, CLOCK, &json!({"scale": 1_000})).await.expect(200)["scale"], 1_000);
    post(&app, CLOCK, &json!({"scale": 1_001})).await.expect_problem(422, "invalid_request");
}

#[tokio::test]
async fn jump_makes_no_driver_unresponsive() {
    let app = App::start().await;
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = assigned(&app, &rider, &driver).await;
    driver.send_position(&app, HERE).await;
    driver.command(id(&trip), "arrive").await.expect(200);
    // Five minutes; after three without a position a driver is unresponsive.
    let jumped = post(&app, CLOCK, &json!({"past": trip["id"]})).await.expect(200);
    assert_eq!(jumped["passed"]["what"], "the driver may report a no-show");
    tokio::time::sleep(std::time::Duration::from_millis(1_500)).await; // the worker for unresponsive drivers has run
    driver.command(id(&trip), "no_show").await.expect(200);
}

#[tokio::test]
async fn invalid_jump_is_refused() {
    let app = App::start().await;
    let unknown = "trip_01jd7zq8w3e9mvd1ab2c3d4e5f";
    post(&app, CLOCK, &json!({"past": unknown})).await.expect_problem(404, "not_found");
    post(&app, CLOCK, &json!({"past": "later"})).await.expect_problem(400, "invalid_id");
    let both =
        post(&app, CLOCK, &json!({"past": unknown, "advance_s": 1})).await.expect_problem(422, "invalid_request");
    assert_eq!(both["errors"][0]["pointer"], "/past");
}

#[tokio::test]
async fn concurrent_jumps_add_up() {
    let app = App::start().await;
    let seconds = |body: &Value, clock: &str| -> i64 {
        let time: DateTime<Utc> = body[clock].as_str().unwrap().parse().unwrap();
        time.timestamp()
    };
    let hour = json!({"advance_s": 3_600});
    let jumps = at_once((0..8).map(|_| post(&app, CLOCK, &hour))).await;
    jumps.into_iter().for_each(|jump| _ = jump.expect(200));
    let clocks = ApiResponse::of(app.http.get(app.url(CLOCK))).await.expect(200);
    let ahead = seconds(&clocks, "domain") - seconds(&clocks, "real");
    assert!((8 * 3_600 - 1..=8 * 3_600 + 1).contains(&ahead), "{ahead}: {clocks}");
}
