//! Authorization: every route with every kind of unauthorized caller.
#![allow(clippy::unwrap_used, reason = "tests")]

mod matrix;
mod tokens;

use crate::harness::{Actor, App, HERE, THERE, assigned, id};
use serde_json::{Value, json};

/// Returns an unknown id of the same kind.
fn unknown_id(id: &str) -> String {
    let (prefix, _) = id.rsplit_once('_').unwrap();
    format!("{prefix}_01h455vb4pex5vsknk084sn02q")
}

/// Asserts that `actor` gets the same 404 for this object as for an unknown id.
async fn assert_is_not_found(actor: &Actor, operation: &str, foreign: &str) {
    let (method, template) = operation.split_once(' ').unwrap();
    let mut details = Vec::new();
    for id in [foreign.to_owned(), unknown_id(foreign)] {
        let path = template.replace("{}", &id);
        let answer = match method {
            "GET" => actor.get(&path).await,
            _ if path.ends_with("/start") => actor.post(&path, &json!({"pin": "0000"})).await,
            _ => actor.post(&path, &json!({})).await,
        };
        let problem = answer.expect_problem(404, "not_found");
        details.push((problem["detail"].clone(), problem["errors"].clone(), problem.as_object().unwrap().len()));
    }
    assert_eq!(details[0], details[1], "{operation} reveals to {} that the object exists", actor.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn object_of_another_caller_is_404() {
    let app = App::start().await;
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = assigned(&app, &rider, &driver).await;
    let offers = driver.get("/v1/offers").await.expect(200);
    let (trip_id, offer_id) = (id(&trip), id(&offers["items"][0]));
    let payment_id = trip["payment_id"].as_str().unwrap();
    let (other_rider, other_driver) = (app.rider().await, app.driver_at(THERE).await);

    for what in ["", "/events", "/driver", "/explain"] {
        for actor in [&other_rider, &other_driver] {
            assert_is_not_found(actor, &format!("GET /v1/trips/{{}}{what}"), trip_id).await;
        }
    }
    assert_is_not_found(&other_rider, "GET /v1/trips/{}/receipt", trip_id).await;
    assert_is_not_found(&other_rider, "POST /v1/trips/{}/cancel", trip_id).await;
    for what in ["cancel", "arrive", "start", "complete", "no_show"] {
        assert_is_not_found(&other_driver, &format!("POST /v1/trips/{{}}/{what}"), trip_id).await;
    }
    for what in ["accept", "decline"] {
        assert_is_not_found(&other_driver, &format!("POST /v1/offers/{{}}/{what}"), offer_id).await;
    }
    for what in ["", "/events"] {
        assert_is_not_found(&other_rider, &format!("GET /v1/payments/{{}}{what}"), payment_id).await;
    }
    for actor in [&other_rider, &other_driver] {
        assert_eq!(actor.get("/v1/trips").await.expect(200)["items"], json!([]));
    }
    assert_eq!(other_driver.get("/v1/offers").await.expect(200)["items"], json!([]));

    // None of the requests had an effect.
    let after = rider.get(&format!("/v1/trips/{trip_id}")).await.expect(200);
    assert_eq!(after, trip);
}

#[tokio::test(flavor = "multi_thread")]
async fn trip_with_quote_of_another_rider_is_404() {
    let app = App::start().await;
    let (rider, other) = (app.rider().await, app.rider().await);
    let quote = rider.quote(HERE, THERE).await;
    let body = |quote_id: &str| json!({"quote_id": quote_id, "payment_method": "pm_card_visa"});
    let foreign = other.post("/v1/trips", &body(id(&quote))).await.expect_problem(404, "not_found");
    let unknown = other.post("/v1/trips", &body(&unknown_id(id(&quote)))).await.expect_problem(404, "not_found");
    assert_eq!((&foreign["detail"], &foreign["errors"]), (&unknown["detail"], &unknown["errors"]));
    rider.post("/v1/trips", &body(id(&quote))).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn trip_is_404_for_a_former_driver_after_reassignment() {
    let app = App::start().await;
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = assigned(&app, &rider, &driver).await;
    driver.command(id(&trip), "cancel").await.expect(200);
    driver.command(id(&trip), "cancel").await.expect(200);
    // The repeat is idempotent until the trip is offered to another driver.
    let other = app.driver_at(HERE).await;
    app.advance(5).await;
    let offer = other.until_offered().await;
    assert_eq!(offer["trip_id"], trip["id"]);
    driver.command(id(&trip), "cancel").await.expect_problem(404, "not_found");
    assert_is_not_found(&driver, "GET /v1/trips/{}", id(&trip)).await;
}

/// Whether a document contains a PIN.
fn contains_pin(value: &Value) -> bool {
    match value {
        Value::Object(members) => members.contains_key("pin") || members.values().any(contains_pin),
        Value::Array(items) => items.iter().any(contains_pin),
        _ => false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pin_is_visible_only_to_the_rider() {
    let app = App::start().await;
    let (rider, driver, ops) = (app.rider().await, app.driver_at(HERE).await, app.ops().await);
    let trip = rider.request_trip().await;
    let offer = driver.until_offered().await;
    let accepted = driver.post(&format!("/v1/offers/{}/accept", id(&offer)), &json!({})).await.expect(200);
    assert!(!contains_pin(&accepted));
    let path = format!("/v1/trips/{}", id(&trip));
    for actor in [&driver, &ops] {
        for path in ["/v1/trips", &path, &format!("{path}/events"), &format!("{path}/explain")] {
            let shown = actor.get(path).await.expect(200);
            assert!(!contains_pin(&shown), "{} sees the PIN at {path}: {shown:#}", actor.id);
        }
    }
    for path in ["/v1/drivers/me", "/v1/offers"] {
        assert!(!contains_pin(&driver.get(path).await.expect(200)));
    }
    assert!(!contains_pin(&driver.command(id(&trip), "cancel").await.expect(200)));
    assert!(contains_pin(&rider.get(&path).await.expect(200)));
}
