//! Idempotency keys: every row of the contract's table, over HTTP. The key commits with the effect, in the same transaction.
#![allow(clippy::unwrap_used, reason = "tests")]

mod concurrent;
mod lost_commit;
mod order;
mod processes;
mod storm;

use std::time::Duration;

use crate::harness::{Actor, ApiResponse, App, HERE, THERE, assigned, id, new_key};
use reqwest::Method;
use reqwest::header::HeaderValue;
use ridematch::platform::clock::Stopwatch;
use serde_json::{Value, json};

/// Returns the body of a trip request, with a new quote.
async fn trip_request(rider: &Actor) -> Value {
    let quote = rider.quote(HERE, THERE).await;
    json!({"quote_id": quote["id"], "payment_method": "pm_card_visa"})
}

async fn trips(app: &App) -> i64 {
    app.count("select count(*) from trips").await
}

async fn keys(app: &App) -> i64 {
    app.count("select count(*) from idempotency_keys").await
}

/// Asserts that `repeat` equals `first`, byte for byte, and is marked as replayed.
#[track_caller]
fn assert_replayed(first: &ApiResponse, repeat: &ApiResponse) {
    assert_eq!(repeat.header("idempotent-replayed"), Some("true"), "{:#}", repeat.json());
    assert_same(first, repeat);
}

#[track_caller]
fn assert_same(first: &ApiResponse, repeat: &ApiResponse) {
    assert_eq!(repeat.status, first.status);
    for name in ["location", "etag", "content-type"] {
        assert_eq!(repeat.header(name), first.header(name), "{name}");
    }
    assert_eq!(repeat.bytes, first.bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn key_that_is_not_1_to_255_visible_ascii_characters_is_400() {
    let app = App::start().await;
    let rider = app.rider().await;
    let body = trip_request(&rider).await;
    rider.post_unkeyed("/v1/trips", &body).await.expect_problem(400, "idempotency_key_missing");

    let too_long = "k".repeat(256);
    for wrong in ["", " ", "two words", "tab\there", "na\u{ef}ve", "\u{1f695}", &too_long] {
        let key = HeaderValue::from_bytes(wrong.as_bytes()).unwrap();
        let request = rider.request(Method::POST, "/v1/trips").header("Idempotency-Key", key).json(&body);
        ApiResponse::of(request).await.expect_problem(400, "idempotency_key_invalid");
    }
    assert_eq!((trips(&app).await, keys(&app).await), (0, 0));

    let longest = "~".repeat(255);
    rider.post_with(&longest, "/v1/trips", &body).await.expect(201);
    assert_eq!((trips(&app).await, keys(&app).await), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_request_gets_the_stored_response() {
    let app = App::start().await;
    let rider = app.rider().await;
    let body = trip_request(&rider).await;
    let first = rider.post_with("my-trip", "/v1/trips", &body).await;
    assert_eq!((first.status.as_u16(), first.header("idempotent-replayed")), (201, None));
    let trip = first.json();
    assert_eq!(first.header("location"), Some(format!("/v1/trips/{}", id(&trip)).as_str()));
    assert!(first.header("etag").is_some());

    assert_replayed(&first, &rider.post_with("my-trip", "/v1/trips", &body).await);
    rider.until_state(id(&trip), "searching").await;
    let path = format!("/v1/trips/{}/cancel", id(&trip));
    let cancelled = rider.post_with("my-cancellation", &path, &json!({})).await;
    cancelled.expect(200);

    let repeat = rider.post_with("my-trip", "/v1/trips", &body).await;
    assert_replayed(&first, &repeat);
    assert_eq!(repeat.json()["state"], "requested", "the stored response, not the current state");
    assert_eq!(trips(&app).await, 1);
    app.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn key_reused_for_another_request_is_422() {
    let app = App::start().await;
    let rider = app.rider().await;
    let body = trip_request(&rider).await;
    let trip = rider.post_with("k", "/v1/trips", &body).await.expect(201);

    let reused = async |path: &str, body: String| {
        let request = rider.request(Method::POST, path).header("Idempotency-Key", "k");
        let request = request.header("content-type", "application/json").body(body);
        ApiResponse::of(request).await.expect_problem(422, "idempotency_key_reused");
    };
    reused(&format!("/v1/trips/{}/cancel", id(&trip)), body.to_string()).await;
    reused("/v1/trips?again", body.to_string()).await;
    reused("/v1/trips", trip_request(&rider).await.to_string()).await;
    reused("/v1/trips", format!("{body} ")).await;
    reused("/v1/trips", String::new()).await;
    assert_eq!(rider.get(&format!("/v1/trips/{}", id(&trip))).await.expect(200)["cancelled_by"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_scoped_by_caller() {
    let app = App::start().await;
    let (one, other) = (app.rider().await, app.rider().await);
    let first = one.post_with("k", "/v1/trips", &trip_request(&one).await).await.expect(201);
    let second = other.post_with("k", "/v1/trips", &trip_request(&other).await).await;
    assert_eq!(second.header("idempotent-replayed"), None);
    assert_ne!(second.expect(201)["id"], first["id"]);

    // The same UUID in another role is another caller: the key is unused, and the offer is unknown.
    let namesake = app.actor_named("driver", Some(&one.id.replace("rdr_", "drv_"))).await;
    let path = first["quote_id"].as_str().unwrap().replace("quo_", "/v1/offers/ofr_") + "/accept";
    namesake.post_with("k", &path, &json!({})).await.expect_problem(404, "not_found");
    assert_eq!((trips(&app).await, keys(&app).await), (2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_request_stores_no_key() {
    let app = App::start().await;
    let rider = app.rider().await;
    let body = trip_request(&rider).await;

    // By validation.
    let mut wrong = body.clone();
    wrong["payment_method"] = "".into();
    rider.post_with("k", "/v1/trips", &wrong).await.expect_problem(422, "invalid_request");
    // By authorization: the role, and the owner.
    app.actor("driver").await.post_with("k", "/v1/trips", &body).await.expect_problem(403, "forbidden");
    app.rider().await.post_with("k", "/v1/trips", &body).await.expect_problem(404, "not_found");
    // By the state.
    let active = rider.request_trip().await;
    let watch = Stopwatch::start();
    rider.post_with("k", "/v1/trips", &body).await.expect_problem(409, "active_trip_exists");
    // A refusal is not retried for two seconds, as a key in use by another process is.
    assert!(watch.elapsed() < Duration::from_secs(2), "{:?}", watch.elapsed());
    assert_eq!((trips(&app).await, keys(&app).await), (1, 1), "only the active trip and its key");

    rider.command(id(&active), "cancel").await.expect(200);
    let response = rider.post_with("k", "/v1/trips", &body).await;
    assert_eq!(response.header("idempotent-replayed"), None);
    response.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_pin_commits_its_counter_but_no_key() {
    let app = App::start().await;
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = assigned(&app, &rider, &driver).await;
    driver.send_position(&app, HERE).await;
    driver.command(id(&trip), "arrive").await.expect(200);
    let stored = keys(&app).await;
    let start = format!("/v1/trips/{}/start", id(&trip));
    let wrong = if trip["pin"] == "0000" { "1111" } else { "0000" };

    for failures in 1..=2 {
        driver.post_with("k", &start, &json!({"pin": wrong})).await.expect_problem(409, "wrong_pin");
        assert_eq!(app.count("select max(pin_failures)::bigint from trips").await, failures);
        assert_eq!(keys(&app).await, stored);
    }
    driver.post_with("k", &start, &json!({"pin": trip["pin"]})).await.expect(200);
    assert_eq!(keys(&app).await, stored + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn key_expires_after_24_hours_but_quote_stays_used() {
    let app = App::start().await;
    let (rider, other) = (app.rider().await, app.rider().await);
    let (body, other_body) = (trip_request(&rider).await, trip_request(&other).await);
    let first = rider.post_with("old", "/v1/trips", &body).await;
    let trip = first.json();
    let young = other.post_with("young", "/v1/trips", &other_body).await;
    rider.command(id(&trip), "cancel").await.expect(200);

    let age = |key: &str, minutes: u32| {
        format!(
            "update idempotency_keys set created_at = created_at - interval '{minutes} minutes' where key = '{key}'"
        )
    };
    app.break_with(&age("old", 24 * 60 + 1)).await;
    app.break_with(&age("young", 24 * 60 - 1)).await;
    app.service().delete_expired().await.unwrap();
    assert_eq!(app.count("select count(*) from idempotency_keys where key = 'old'").await, 0);

    rider.post_with("old", "/v1/trips", &body).await.expect_problem(409, "quote_used");
    rider.post_with(&new_key(), "/v1/trips", &body).await.expect_problem(409, "quote_used");
    assert_replayed(&young, &other.post_with("young", "/v1/trips", &other_body).await);
}
