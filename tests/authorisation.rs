//! Who may do what: every route × every way not to be allowed.
#![allow(clippy::unwrap_used, reason = "tests")]

mod harness;
#[path = "authorisation/matrix.rs"]
mod matrix;
#[path = "authorisation/tokens.rs"]
mod tokens;

use harness::{Actor, App, HERE, THERE, assigned, id};
use serde_json::{Value, json};

/// An id of the right kind that nobody has.
fn nowhere(id: &str) -> String {
    let (prefix, _) = id.rsplit_once('_').unwrap();
    format!("{prefix}_01h455vb4pex5vsknk084sn02q")
}

/// Fails unless `who` is told the same of this address as of one with an id that does not exist.
async fn assert_is_not_there(who: &Actor, operation: &str, theirs: &str) {
    let (method, template) = operation.split_once(' ').unwrap();
    let mut details = Vec::new();
    for id in [theirs.to_owned(), nowhere(theirs)] {
        let path = template.replace("{}", &id);
        let answer = match method {
            "GET" => who.get(&path).await,
            _ if path.ends_with("/start") => who.post(&path, &json!({"pin": "0000"})).await,
            _ => who.post(&path, &json!({})).await,
        };
        let problem = answer.expect_problem(404, "not_found");
        details.push((problem["detail"].clone(), problem["errors"].clone(), problem.as_object().unwrap().len()));
    }
    assert_eq!(details[0], details[1], "{operation} tells {} that somebody else has it", who.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_yours_does_not_exist() {
    let app = App::start().await;
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = assigned(&app, &rider, &driver).await;
    let offers = driver.get("/v1/offers").await.expect(200);
    let (trip_id, offer_id) = (id(&trip), id(&offers["items"][0]));
    let payment_id = trip["payment_id"].as_str().unwrap();
    let (other_rider, other_driver) = (app.rider().await, app.driver_at(THERE).await);

    for what in ["", "/events", "/driver", "/explain"] {
        for who in [&other_rider, &other_driver] {
            assert_is_not_there(who, &format!("GET /v1/trips/{{}}{what}"), trip_id).await;
        }
    }
    assert_is_not_there(&other_rider, "GET /v1/trips/{}/receipt", trip_id).await;
    assert_is_not_there(&other_rider, "POST /v1/trips/{}/cancel", trip_id).await;
    for what in ["cancel", "arrive", "start", "complete", "no_show"] {
        assert_is_not_there(&other_driver, &format!("POST /v1/trips/{{}}/{what}"), trip_id).await;
    }
    for what in ["accept", "decline"] {
        assert_is_not_there(&other_driver, &format!("POST /v1/offers/{{}}/{what}"), offer_id).await;
    }
    assert_is_not_there(&other_rider, "GET /v1/payments/{}", payment_id).await;
    for who in [&other_rider, &other_driver] {
        assert_eq!(who.get("/v1/trips").await.expect(200)["items"], json!([]));
    }
    assert_eq!(other_driver.get("/v1/offers").await.expect(200)["items"], json!([]));

    // Nothing of it had an effect.
    let after = rider.get(&format!("/v1/trips/{trip_id}")).await.expect(200);
    assert_eq!(after, trip);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quote_is_its_riders_alone() {
    let app = App::start().await;
    let (rider, other) = (app.rider().await, app.rider().await);
    let quote = rider.quote(HERE, THERE).await;
    let wish = |quote_id: &str| json!({"quote_id": quote_id, "payment_method": "pm_card_visa"});
    let theirs = other.post("/v1/trips", &wish(id(&quote))).await.expect_problem(404, "not_found");
    let nobodys = other.post("/v1/trips", &wish(&nowhere(id(&quote)))).await.expect_problem(404, "not_found");
    assert_eq!((&theirs["detail"], &theirs["errors"]), (&nobodys["detail"], &nobodys["errors"]));
    rider.post("/v1/trips", &wish(id(&quote))).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trip_is_gone_for_the_driver_who_cancelled_it() {
    let app = App::start().await;
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = assigned(&app, &rider, &driver).await;
    driver.act(id(&trip), "cancel").await.expect(200);
    driver.act(id(&trip), "cancel").await.expect(200);
    // Until somebody else is asked, the cancellation is the trip's last step, and to repeat it is harmless.
    let other = app.driver_at(HERE).await;
    app.advance(5).await;
    let offer = other.until_offered().await;
    assert_eq!(offer["trip_id"], trip["id"]);
    driver.act(id(&trip), "cancel").await.expect_problem(404, "not_found");
    assert_is_not_there(&driver, "GET /v1/trips/{}", id(&trip)).await;
}

/// Whether a document says a PIN anywhere.
fn tells_a_pin(value: &Value) -> bool {
    match value {
        Value::Object(members) => members.contains_key("pin") || members.values().any(tells_a_pin),
        Value::Array(items) => items.iter().any(tells_a_pin),
        _ => false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_rider_ever_sees_the_pin() {
    let app = App::start().await;
    let (rider, driver, ops) = (app.rider().await, app.driver_at(HERE).await, app.ops().await);
    let trip = rider.request_trip().await;
    let offer = driver.until_offered().await;
    let accepted = driver.post(&format!("/v1/offers/{}/accept", id(&offer)), &json!({})).await.expect(200);
    assert!(!tells_a_pin(&accepted));
    let path = format!("/v1/trips/{}", id(&trip));
    for who in [&driver, &ops] {
        for path in ["/v1/trips", &path, &format!("{path}/events"), &format!("{path}/explain")] {
            let shown = who.get(path).await.expect(200);
            assert!(!tells_a_pin(&shown), "{} sees the PIN at {path}: {shown:#}", who.id);
        }
    }
    for path in ["/v1/drivers/me", "/v1/offers"] {
        assert!(!tells_a_pin(&driver.get(path).await.expect(200)));
    }
    assert!(!tells_a_pin(&driver.act(id(&trip), "cancel").await.expect(200)));
    assert!(tells_a_pin(&rider.get(&path).await.expect(200)));
}
