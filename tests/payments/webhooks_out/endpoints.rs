//! Endpoints: registration, secrets, disabling and deletion.

use reqwest::Method;
use serde_json::{Value, json};

use super::{WebhookReceiver, cancelled_trip, until_delivery};
use crate::harness::{Actor, ApiResponse, App, at_once, id, new_key};

const ENDPOINTS: &str = "/v1/ops/webhook_endpoints";

fn path(endpoint: &Value) -> String {
    format!("{ENDPOINTS}/{}", id(endpoint))
}

async fn delete(ops: &Actor, endpoint: &Value) -> ApiResponse {
    ApiResponse::of(ops.request(Method::DELETE, &path(endpoint))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn secret_is_shown_on_creation_and_to_its_repeat_only() {
    let app = App::start().await;
    let ops = app.ops().await;
    let body =
        json!({"url": "https://example.com/hooks", "event_types": ["trip.*", "*", "trip.*"], "description": "ours"});
    let key = new_key();
    let made = ops.post_with(&key, ENDPOINTS, &body).await;
    assert_eq!(made.header("location"), Some(path(&made.json()).as_str()));
    let again = ops.post_with(&key, ENDPOINTS, &body).await;
    assert_eq!((again.header("idempotent-replayed"), &again.bytes), (Some("true"), &made.bytes));
    let endpoint = made.expect(201);
    assert!(endpoint["secret"].as_str().unwrap().starts_with("whsec_"));
    assert_eq!((&endpoint["event_types"], &endpoint["enabled"]), (&json!(["*", "trip.*"]), &json!(true)));
    let shown = ops.get(&path(&endpoint)).await.expect(200);
    assert_eq!((&shown["url"], &shown["secret"]), (&endpoint["url"], &Value::Null));
    let list = ops.get(ENDPOINTS).await.expect(200);
    assert_eq!((&list["items"][0], &list["next_cursor"]), (&shown, &Value::Null));
    assert_eq!(app.count("select count(*) from webhook_endpoints").await, 1);
    app.assert_clean().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_endpoint_is_422_and_names_the_field() {
    let app = App::start().await;
    let ops = app.ops().await;
    let url = "https://example.com/";
    let cases = [
        (json!({"url": "http://example.com/", "event_types": ["*"]}), "/url"),
        (json!({"url": "https://169.254.169.254/latest", "event_types": ["*"]}), "/url"),
        (json!({"url": "https://[::ffff:10.0.0.1]/", "event_types": ["*"]}), "/url"),
        (json!({"url": "https://example.com:22/", "event_types": ["*"]}), "/url"),
        (json!({"url": "https://user:word@example.com/", "event_types": ["*"]}), "/url"),
        (json!({"url": "example.com", "event_types": ["*"]}), "/url"),
        (json!({"url": url, "event_types": []}), "/event_types"),
        (json!({"url": url, "event_types": vec!["*"; 33]}), "/event_types"),
        (json!({"url": url, "event_types": ["*", "trip.lost"]}), "/event_types/1"),
        (json!({"url": url, "event_types": ["*"], "description": "x".repeat(201)}), "/description"),
        (json!({"url": url, "event_types": ["*"], "description": "\u{0}"}), "/description"),
        (json!({"url": url, "event_types": ["*"], "secret": "mine"}), "/secret"),
        (json!({"event_types": ["*"]}), "/url"),
    ];
    for (body, pointer) in cases {
        let problem = ops.post(ENDPOINTS, &body).await.expect_problem(422, "invalid_request");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{body}");
    }
    ops.get(&format!("{ENDPOINTS}/trip_01h455vb4pex5vsknk084sn02q")).await.expect_problem(400, "invalid_id");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn thirty_concurrent_registrations_create_twenty_endpoints() {
    let app = App::start().await;
    let mut operators = Vec::new();
    for _ in 0..30 {
        operators.push(app.ops().await);
    }
    let body = json!({"url": "https://example.com/", "event_types": ["*"]});
    let answers = at_once(operators.iter().map(|ops| ops.post(ENDPOINTS, &body))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 20);
    assert!(answers.iter().all(|answer| answer.status == 201 || answer.code() == "endpoint_limit"));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_secrets_sign_during_a_rotation() {
    let app = App::start().await;
    let (ops, receiver) = (app.ops().await, WebhookReceiver::start());
    let endpoint = receiver.register(&ops, &["trip.requested"]).await;
    let rotated = ops.post(&format!("{}/rotate_secret", path(&endpoint)), &json!({})).await.expect(200);
    let secrets = [&endpoint, &rotated].map(|shown| shown["secret"].as_str().unwrap());
    assert_ne!(secrets[0], secrets[1]);
    assert!(rotated["old_secret_until"].is_string());
    cancelled_trip(&app).await;
    let got = receiver.until_received(1).await;
    assert_eq!(secrets.map(|secret| got[0].valid_signatures(secret)), [1, 1]);

    app.break_with("update webhook_endpoints set old_secret_until = '2020-01-01'").await;
    cancelled_trip(&app).await;
    let got = receiver.until_received(2).await;
    assert_eq!(secrets.map(|secret| got[1].valid_signatures(secret)), [0, 1], "the old secret has expired");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn disabled_or_deleted_endpoint_receives_nothing() {
    let app = App::start().await;
    let (ops, receiver, witness) = (app.ops().await, WebhookReceiver::start(), WebhookReceiver::start());
    let endpoint = receiver.register(&ops, &["trip.requested"]).await;
    witness.register(&ops, &["trip.requested"]).await;
    let tag = ops.get(&path(&endpoint)).await.header("etag").unwrap().to_owned();
    let disabled = ops.post(&format!("{}/disable", path(&endpoint)), &json!({})).await.expect(200);
    assert_eq!((&disabled["enabled"], &disabled["disabled_reason"]), (&json!(false), &json!("operator")));
    let stale = ops.request(Method::DELETE, &path(&endpoint)).header("If-Match", &tag);
    ApiResponse::of(stale).await.expect_problem(412, "version_mismatch");
    cancelled_trip(&app).await;
    witness.until_received(1).await;

    ops.post(&format!("{}/enable", path(&endpoint)), &json!({})).await.expect(200);
    ops.post(&format!("{}/enable", path(&endpoint)), &json!({})).await.expect(200);
    cancelled_trip(&app).await;
    receiver.until_received(1).await;
    let delivery = until_delivery(&ops, &endpoint, "delivered").await;

    delete(&ops, &endpoint).await.expect(204);
    delete(&ops, &endpoint).await.expect_problem(404, "not_found");
    ops.get(&path(&endpoint)).await.expect_problem(404, "not_found");
    ops.get(&format!("{}/deliveries", path(&endpoint))).await.expect_problem(404, "not_found");
    let again = format!("/v1/ops/webhook_deliveries/{}/redeliver", id(&delivery));
    ops.post(&again, &json!({})).await.expect_problem(404, "not_found");
    cancelled_trip(&app).await;
    witness.until_received(3).await;
    assert_eq!(receiver.received().len(), 1);
    app.assert_clean().await;
    app.stop().await;
}
