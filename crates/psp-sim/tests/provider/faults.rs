//! Every fault of a request: its effect, and what the caller sees.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::harness::{Http, MANUAL, Reply, SECRET_KEY, Sim, read};

const KEY: &str = "key";

/// An unconfirmed intent, and the path of its confirmation.
async fn unconfirmed(http: &Http) -> (String, String) {
    let id = http.create(MANUAL).await;
    let confirm = format!("/v1/payment_intents/{id}/confirm");
    (id, confirm)
}

/// Confirms in the background, because the response may be delayed.
fn confirm_in_background(http: &Http, path: &str) -> JoinHandle<reqwest::Result<Reply>> {
    let (http, path) = (http.clone(), path.to_owned());
    tokio::spawn(async move { http.try_post_once(KEY, &path, &[]).await })
}

async fn status(http: &Http, id: &str) -> String {
    http.intent(id).await["status"].as_str().unwrap().to_owned()
}

/// Waits until the intent has this status.
async fn wait_for_status(http: &Http, id: &str, expected: &str) {
    for _ in 0..1_000 {
        if status(http, id).await == expected {
            return;
        }
    }
    panic!("{id} didn't become {expected}");
}

/// Asserts that the effect happened once, and that a retry replays the response.
async fn assert_done_and_replayed(http: &Http, id: &str, path: &str) {
    assert_eq!(status(http, id).await, "requires_capture");
    let again = http.post_once(KEY, path, &[]).await;
    assert_eq!((again.state(), again.header("idempotent-replayed")), ("requires_capture", Some("true")));
    assert_eq!(http.sums().await["authorized_open"], json!({ "USD": 1000 }));
}

/// Asserts that nothing happened, and that a retry with the key succeeds.
async fn assert_not_done_and_retryable(http: &Http, id: &str, path: &str) {
    assert_eq!(status(http, id).await, "requires_confirmation");
    assert_eq!(http.sums().await["authorized_open"], json!({}));
    let again = http.post_once(KEY, path, &[]).await;
    assert_eq!((again.state(), again.header("idempotent-replayed")), ("requires_capture", None));
}

/// Injects a fault into the next confirmation.
async fn once(http: &Http, fault: Value) {
    let mut planned = json!({ "on": "confirm", "times": 1 });
    planned.as_object_mut().unwrap().extend(fault.as_object().unwrap().clone());
    let answer = http.plan(json!([planned])).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

#[tokio::test]
async fn decline_is_stored_and_another_confirmation_succeeds() {
    let Sim { http, .. } = &Sim::start().await;
    let (id, confirm) = unconfirmed(http).await;
    once(http, json!({ "kind": "decline", "code": "insufficient_funds" })).await;
    let declined = http.post_once(KEY, &confirm, &[]).await;
    assert_eq!(declined.error(), (402, "card_error", "card_declined"));
    assert_eq!(declined.json["error"]["decline_code"], "insufficient_funds");
    assert_eq!(status(http, &id).await, "requires_payment_method");
    assert_eq!(http.state().await["payment_intents"][0]["movements"], json!([]));
    // A decline is stored under its key like any other response.
    assert_eq!(http.post_once(KEY, &confirm, &[]).await.text, declined.text);
    assert_eq!(http.command(&id, "confirm", &[("payment_method", "pm_card_visa")]).await.state(), "requires_capture");
}

#[tokio::test]
async fn latency_delays_the_response() {
    let Sim { http, .. } = &Sim::start().await;
    let (id, confirm) = unconfirmed(http).await;
    once(http, json!({ "kind": "latency", "ms": 200 })).await;
    let start = Instant::now();
    assert_eq!(http.post_once(KEY, &confirm, &[]).await.status, 200);
    assert!(start.elapsed() >= Duration::from_millis(200));
    assert_done_and_replayed(http, &id, &confirm).await;
}

#[tokio::test]
async fn hang_before_holds_the_connection_without_effect() {
    let Sim { http, .. } = &Sim::start().await;
    let (id, confirm) = unconfirmed(http).await;
    once(http, json!({ "kind": "hang_before", "ms": 60_000 })).await;
    let hung = confirm_in_background(http, &confirm);
    http.wait_for_injections("hang_before", 1).await;
    let meanwhile = http.post_once(KEY, &confirm, &[]).await;
    assert_eq!(meanwhile.error(), (409, "idempotency_error", "idempotency_key_in_use"));
    assert_eq!(meanwhile.header("stripe-should-retry"), Some("true"));
    http.clear_faults().await;
    assert!(hung.await.unwrap().is_err(), "closed without a response");
    assert_not_done_and_retryable(http, &id, &confirm).await;
}

#[tokio::test]
async fn hang_after_holds_the_connection_after_the_effect() {
    let Sim { http, .. } = &Sim::start().await;
    let (id, confirm) = unconfirmed(http).await;
    once(http, json!({ "kind": "hang_after", "ms": 60_000 })).await;
    let hung = confirm_in_background(http, &confirm);
    wait_for_status(http, &id, "requires_capture").await;
    let meanwhile = http.post_once(KEY, &confirm, &[]).await;
    assert_eq!(meanwhile.error(), (409, "idempotency_error", "idempotency_key_in_use"));
    http.clear_faults().await;
    assert!(hung.await.unwrap().is_err(), "closed without a response");
    assert_done_and_replayed(http, &id, &confirm).await;
}

#[tokio::test]
async fn hang_ends_after_its_duration() {
    let Sim { http, .. } = &Sim::start().await;
    for kind in ["hang_before", "hang_after"] {
        let (_, confirm) = unconfirmed(http).await;
        once(http, json!({ "kind": kind, "ms": 100 })).await;
        let start = Instant::now();
        assert!(http.try_post_once(kind, &confirm, &[]).await.is_err());
        assert!(start.elapsed() >= Duration::from_millis(100));
    }
}

#[tokio::test]
async fn error_500_has_no_effect_and_is_stored() {
    let Sim { http, .. } = &Sim::start().await;
    let (id, confirm) = unconfirmed(http).await;
    once(http, json!({ "kind": "error_500" })).await;
    for replayed in [None, Some("true")] {
        let failed = http.post_once(KEY, &confirm, &[]).await;
        assert_eq!(failed.error(), (500, "api_error", ""));
        assert_eq!(failed.header("idempotent-replayed"), replayed);
        assert_eq!(failed.header("stripe-should-retry"), Some("false"), "a retry gets the same response");
    }
    assert_eq!(status(http, &id).await, "requires_confirmation");
    assert_eq!(http.post_once("another key", &confirm, &[]).await.state(), "requires_capture");
}

#[tokio::test]
async fn error_500_after_has_the_effect_and_is_stored() {
    let Sim { http, .. } = &Sim::start().await;
    let (id, confirm) = unconfirmed(http).await;
    once(http, json!({ "kind": "error_500_after" })).await;
    for replayed in [None, Some("true")] {
        let failed = http.post_once(KEY, &confirm, &[]).await;
        assert_eq!(failed.error(), (500, "api_error", ""));
        assert_eq!(failed.header("idempotent-replayed"), replayed);
    }
    assert_eq!(status(http, &id).await, "requires_capture");
    assert_eq!(http.post_once("another key", &confirm, &[]).await.status, 400, "confirmed already");
}

#[tokio::test]
async fn error_503_has_no_effect_and_is_not_stored() {
    let Sim { http, .. } = &Sim::start().await;
    let (id, confirm) = unconfirmed(http).await;
    once(http, json!({ "kind": "error_503" })).await;
    assert_eq!(http.post_once(KEY, &confirm, &[]).await.error(), (503, "api_error", ""));
    assert_not_done_and_retryable(http, &id, &confirm).await;
}

#[tokio::test]
async fn rate_limited_is_429_with_retry_after() {
    let Sim { http, .. } = &Sim::start().await;
    let (id, confirm) = unconfirmed(http).await;
    once(http, json!({ "kind": "rate_limited", "ms": 3_000 })).await;
    let limited = http.post_once(KEY, &confirm, &[]).await;
    assert_eq!(limited.error(), (429, "invalid_request_error", "rate_limit"));
    assert_eq!(limited.header("retry-after"), Some("3"));
    assert_not_done_and_retryable(http, &id, &confirm).await;
}

#[tokio::test]
async fn reset_before_closes_the_connection_without_effect() {
    let Sim { http, .. } = &Sim::start().await;
    let (id, confirm) = unconfirmed(http).await;
    once(http, json!({ "kind": "reset_before" })).await;
    assert!(http.try_post_once(KEY, &confirm, &[]).await.is_err());
    assert_not_done_and_retryable(http, &id, &confirm).await;
}

#[tokio::test]
async fn reset_after_closes_the_connection_after_the_effect() {
    let Sim { http, .. } = &Sim::start().await;
    let (id, confirm) = unconfirmed(http).await;
    once(http, json!({ "kind": "reset_after" })).await;
    assert!(http.try_post_once(KEY, &confirm, &[]).await.is_err());
    assert_done_and_replayed(http, &id, &confirm).await;
}

#[tokio::test]
async fn malformed_truncates_the_body_after_the_effect() {
    let Sim { http, .. } = &Sim::start().await;
    let (id, confirm) = unconfirmed(http).await;
    once(http, json!({ "kind": "malformed" })).await;
    let request = http.client.post(http.url(&confirm)).bearer_auth(SECRET_KEY).header("Idempotency-Key", KEY);
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200);
    let body = response.text().await.unwrap();
    assert!(!body.is_empty() && serde_json::from_str::<Value>(&body).is_err(), "{body}");
    assert_done_and_replayed(http, &id, &confirm).await;
}

#[tokio::test]
async fn unknown_status_is_only_in_the_response() {
    let Sim { http, .. } = &Sim::start().await;
    let (id, confirm) = unconfirmed(http).await;
    once(http, json!({ "kind": "unknown_status" })).await;
    assert_eq!(http.post_once(KEY, &confirm, &[]).await.state(), "sim_unknown");
    assert_done_and_replayed(http, &id, &confirm).await;
}

#[tokio::test]
async fn faults_are_injected_into_get_and_list() {
    let Sim { http, .. } = &Sim::start().await;
    let id = http.captured().await;
    let refund = http.refund(&id, "100").await.id();
    let other = http.create(MANUAL).await;
    http.plan(json!([
        { "on": "get", "kind": "error_503", "payment_intent": id },
        { "on": "list", "kind": "unknown_status", "times": 1 },
        { "on": "list", "kind": "reset_before", "times": 1 },
    ]))
    .await;
    for path in [format!("/v1/payment_intents/{id}"), format!("/v1/refunds/{refund}")] {
        assert_eq!(http.get(&path).await.status, 503, "{path}");
    }
    assert_eq!(http.get(&format!("/v1/payment_intents/{other}")).await.status, 200);
    let list = || http.client.get(http.url("/v1/payment_intents")).bearer_auth(SECRET_KEY);
    assert_eq!(read(list()).await.json["data"][0]["status"], "sim_unknown");
    assert!(list().send().await.is_err());
    assert_eq!(read(list()).await.json["data"][0]["status"], "requires_confirmation");
}

/// A fault, the HTTP status of a confirmation (none if the connection is closed), and the status of the intent after it.
const BY_CALLER: &[(&str, Option<u16>, &str)] = &[
    ("decline", Some(402), "requires_payment_method"),
    ("decline_lost_card", Some(402), "requires_payment_method"),
    ("latency", Some(200), "requires_capture"),
    ("error_500", Some(500), "requires_confirmation"),
    ("error_500_after", Some(500), "requires_capture"),
    ("error_503", Some(503), "requires_confirmation"),
    ("rate_limited", Some(429), "requires_confirmation"),
    ("reset_before", None, "requires_confirmation"),
    ("reset_after", None, "requires_capture"),
    ("unknown_status", Some(200), "requires_capture"),
    ("requires_action", Some(200), "requires_action"),
];

#[tokio::test]
async fn payment_method_asks_for_a_fault_of_its_confirmation() {
    let Sim { http, .. } = &Sim::start().await;
    for (fault, answer, after) in BY_CALLER {
        let id = http.create(&[&MANUAL[..3], &[("payment_method", &format!("pm_sim_{fault}"))]].concat()).await;
        let confirmed = http.try_post_once(fault, &format!("/v1/payment_intents/{id}/confirm"), &[]).await;
        assert_eq!(confirmed.ok().map(|reply| reply.status), *answer, "{fault}");
        assert_eq!(status(http, &id).await, *after, "{fault}");
    }
    let unknown = [&MANUAL[..3], &[("payment_method", "pm_sim_explode")]].concat();
    assert_eq!(http.post("/v1/payment_intents", &unknown).await.error().2, "resource_missing");
}

#[tokio::test]
async fn metadata_asks_for_a_fault_of_one_step() {
    let Sim { http, .. } = &Sim::start().await;
    let id = http.create(&[MANUAL, &[("metadata[sim_fault]", "capture:hang_after:100")]].concat()).await;
    assert_eq!(http.command(&id, "confirm", &[]).await.status, 200);
    let capture = format!("/v1/payment_intents/{id}/capture");
    let start = Instant::now();
    assert!(http.try_post_once(KEY, &capture, &[]).await.is_err());
    assert!(start.elapsed() < Duration::from_secs(10), "the detail is the duration");
    // A replay gets no fault.
    assert_eq!(http.post_once(KEY, &capture, &[]).await.state(), "succeeded");

    let id = http.create(&[MANUAL, &[("metadata[sim_fault]", "confirm:decline:stolen_card")]].concat()).await;
    let declined = http.command(&id, "confirm", &[]).await;
    assert_eq!(declined.json["error"]["decline_code"], "stolen_card");

    let id = http.captured().await;
    let refund = [("payment_intent", id.as_str()), ("metadata[sim_fault]", "refund:reset_after")];
    assert!(http.try_post_once("refund", "/v1/refunds", &refund).await.is_err());
    assert_eq!(http.post_once("refund", "/v1/refunds", &refund).await.json["amount"], 1000);
    assert_eq!(http.sums().await["refunded"], json!({ "USD": 1000 }));
}

#[tokio::test]
async fn faults_of_several_groups_are_injected_together() {
    let Sim { http, .. } = &Sim::start().await;
    let (id, confirm) = unconfirmed(http).await;
    http.plan(json!([
        { "on": "any", "kind": "latency", "ms": 50, "times": 1 },
        { "on": "any", "kind": "error_500_after", "times": 1 },
        { "on": "any", "kind": "reset_after", "times": 1 },
    ]))
    .await;
    assert!(http.try_post_once(KEY, &confirm, &[]).await.is_err());
    assert_eq!(http.post_once(KEY, &confirm, &[]).await.status, 500, "the stored response");
    assert_eq!(status(http, &id).await, "requires_capture");
    let totals = http.clear_faults().await.json["totals"].clone();
    assert_eq!(totals, json!({ "latency": 1, "error_500_after": 1, "reset_after": 1 }));
}
