//! The order of checks: authentication, role, syntax of the key, lookup of the key, replay; then body, `If-Match`, object, state.

use reqwest::{Method, RequestBuilder};
use serde_json::json;

use super::{assert_replayed, keys, trip_request};
use crate::harness::{Actor, ApiResponse, App, HERE, id, in_progress};

/// A request that fails every check after the token: no key, invalid JSON, invalid tag, unknown object.
fn invalid_request(actor: &Actor) -> RequestBuilder {
    actor.request(Method::POST, "/v1/trips/nonsense/cancel").header("If-Match", "nonsense").body("nonsense")
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_run_in_the_order_of_the_contract() {
    let app = App::start().await;
    let (rider, ops) = (app.rider().await, app.ops().await);
    let body = trip_request(&rider).await;
    let first = rider.post_with("taken", "/v1/trips", &body).await;
    assert_eq!(first.status, 201);

    let anonymous = Actor { token: "nonsense".to_owned(), ..rider.clone() };
    ApiResponse::of(invalid_request(&anonymous)).await.expect_problem(401, "unauthenticated");
    ApiResponse::of(invalid_request(&ops)).await.expect_problem(403, "forbidden");
    ApiResponse::of(invalid_request(&rider)).await.expect_problem(400, "idempotency_key_missing");
    let with_key = |key: &str| invalid_request(&rider).header("Idempotency-Key", key.to_owned());
    ApiResponse::of(with_key("a key")).await.expect_problem(400, "idempotency_key_invalid");
    ApiResponse::of(with_key("taken")).await.expect_problem(422, "idempotency_key_reused");
    // With an unused key, the remaining checks run.
    ApiResponse::of(with_key("free").header("content-type", "application/json"))
        .await
        .expect_problem(400, "invalid_id");
    assert_eq!(keys(&app).await, 1);

    // A replay ignores the tag, which is not part of the fingerprint, and the state.
    let repeat = rider.request(Method::POST, "/v1/trips").header("Idempotency-Key", "taken");
    let repeat = ApiResponse::of(repeat.header("If-Match", "nonsense").json(&body)).await;
    assert_replayed(&first, &repeat);
}

#[tokio::test(flavor = "multi_thread")]
async fn body_is_checked_before_version_and_version_before_state() {
    let app = App::start().await;
    let (rider, ops) = (app.rider().await, app.ops().await);
    let trip = rider.request_trip().await;
    rider.command(id(&trip), "cancel").await.expect(200);
    let path = format!("/v1/trips/{}/abort", id(&trip));
    let abort = |tag: &'static str, body: &'static str| {
        let request = ops.request(Method::POST, &path).header("Idempotency-Key", "k").header("If-Match", tag);
        ApiResponse::of(request.header("content-type", "application/json").body(body))
    };
    abort("\"77\"", "{\"surprise\": 1}").await.expect_problem(422, "invalid_request");
    abort("nonsense", "{}").await.expect_problem(400, "malformed");
    abort("\"77\"", "{}").await.expect_problem(412, "version_mismatch");
    abort("*", "{}").await.expect_problem(409, "invalid_transition");
    // The trip of another rider is a 404, whatever its version.
    let other = app.rider().await;
    let cancel = other.request(Method::POST, &format!("/v1/trips/{}/cancel", id(&trip)));
    let cancel = cancel.header("Idempotency-Key", "k").header("If-Match", "\"77\"").json(&json!({}));
    ApiResponse::of(cancel).await.expect_problem(404, "not_found");
}

/// A phone that lost the response may have lost the key as well. Its tag is from before the command.
#[tokio::test(flavor = "multi_thread")]
async fn repeat_with_the_tag_from_before_is_200() {
    let app = App::start().await;
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = in_progress(&app, &rider, &driver).await;
    let path = format!("/v1/trips/{}", id(&trip));
    let tag = driver.get(&path).await.header("etag").unwrap().to_owned();
    let complete = async |actor: &Actor, key: &str| {
        let request = actor.request(Method::POST, &format!("{path}/complete")).header("Idempotency-Key", key);
        ApiResponse::of(request.header("If-Match", &tag).json(&json!({}))).await
    };
    let first = complete(&driver, "one").await;
    let repeat = complete(&driver, "two").await;
    assert_eq!((first.status.as_u16(), repeat.status.as_u16()), (200, 200));
    assert_eq!((first.header("etag"), &first.bytes), (repeat.header("etag"), &repeat.bytes), "no second effect");
    // The same command of another caller is no repeat.
    complete(&app.ops().await, "three").await.expect_problem(412, "version_mismatch");
    app.assert_clean().await;
}
