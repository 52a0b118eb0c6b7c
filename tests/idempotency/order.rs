//! The order of checks: authentication, role, the key's syntax, the key's look-up, replay; only then body, `If-Match`, object, state.

use reqwest::{Method, RequestBuilder};
use serde_json::json;

use super::{assert_replayed, keys, wish};
use crate::harness::{Actor, Answer, App, id};

/// A request with everything wrong that comes after the token: no key, no JSON, no tag, no such object.
fn hopeless(who: &Actor) -> RequestBuilder {
    who.request(Method::POST, "/v1/trips/nonsense/cancel").header("If-Match", "nonsense").body("nonsense")
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_come_in_the_order_of_the_contract() {
    let app = App::start().await;
    let (rider, ops) = (app.rider().await, app.ops().await);
    let body = wish(&rider).await;
    let first = rider.post_with("taken", "/v1/trips", &body).await;
    assert_eq!(first.status, 201);

    let nobody = Actor { token: "nonsense".to_owned(), ..rider.clone() };
    Answer::of(hopeless(&nobody)).await.expect_problem(401, "unauthenticated");
    Answer::of(hopeless(&ops)).await.expect_problem(403, "forbidden");
    Answer::of(hopeless(&rider)).await.expect_problem(400, "idempotency_key_missing");
    let with_key = |key: &str| hopeless(&rider).header("Idempotency-Key", key.to_owned());
    Answer::of(with_key("a key")).await.expect_problem(400, "idempotency_key_invalid");
    Answer::of(with_key("taken")).await.expect_problem(422, "idempotency_key_reused");
    // Past the key's look-up it is the request that is at fault, one way or another.
    Answer::of(with_key("free").header("content-type", "application/json")).await.expect_problem(400, "invalid_id");
    assert_eq!(keys(&app).await, 1);

    // A replay looks at neither the tag nor the state: the tag is not part of the request's fingerprint.
    let repeat = rider.request(Method::POST, "/v1/trips").header("Idempotency-Key", "taken");
    let repeat = Answer::of(repeat.header("If-Match", "nonsense").json(&body)).await;
    assert_replayed(&first, &repeat);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_body_comes_before_the_version_and_the_version_before_the_state() {
    let app = App::start().await;
    let (rider, ops) = (app.rider().await, app.ops().await);
    let trip = rider.request_trip().await;
    rider.act(id(&trip), "cancel").await.expect(200);
    let path = format!("/v1/trips/{}/abort", id(&trip));
    let abort = |tag: &'static str, body: &'static str| {
        let request = ops.request(Method::POST, &path).header("Idempotency-Key", "k").header("If-Match", tag);
        Answer::of(request.header("content-type", "application/json").body(body))
    };
    abort("\"77\"", "{\"surprise\": 1}").await.expect_problem(422, "invalid_request");
    abort("nonsense", "{}").await.expect_problem(400, "malformed");
    abort("\"77\"", "{}").await.expect_problem(412, "version_mismatch");
    abort("*", "{}").await.expect_problem(409, "invalid_transition");
    // Somebody else's trip is not there, whatever its version.
    let stranger = app.rider().await;
    let cancel = stranger.request(Method::POST, &format!("/v1/trips/{}/cancel", id(&trip)));
    let cancel = cancel.header("Idempotency-Key", "k").header("If-Match", "\"77\"").json(&json!({}));
    Answer::of(cancel).await.expect_problem(404, "not_found");
}
