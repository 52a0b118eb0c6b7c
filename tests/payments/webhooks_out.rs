//! Webhooks to subscribers: contents, signatures, retries, and forbidden addresses.
#![allow(clippy::unwrap_used, reason = "tests")]

mod endpoints;
mod failing;
mod interop;

use std::collections::HashSet;

use crate::harness::receiver::WebhookReceiver;
use crate::harness::{Actor, App, HERE, at_once, id, in_progress, until};
use serde_json::{Value, json};

/// Requests a trip and cancels it once it is searching.
async fn cancelled_trip(app: &App) -> String {
    let rider = app.rider().await;
    let trip = rider.request_trip().await;
    rider.until_state(id(&trip), "searching").await;
    rider.command(id(&trip), "cancel").await.expect(200);
    id(&trip).to_owned()
}

/// The deliveries to an endpoint, newest first.
async fn log(ops: &Actor, endpoint: &Value) -> Vec<Value> {
    let page = ops.get(&format!("/v1/ops/webhook_endpoints/{}/deliveries", id(endpoint))).await.expect(200);
    page["items"].as_array().unwrap().clone()
}

/// Waits for a delivery in this state and returns it.
async fn until_delivery(ops: &Actor, endpoint: &Value, state: &str) -> Value {
    until(&format!("a delivery is {state}"), async || {
        log(ops, endpoint).await.into_iter().find(|delivery| delivery["state"] == state)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn ride_events_are_delivered_to_subscribers_in_full_and_signed() {
    let app = App::start().await;
    let (ops, receiver, other) = (app.ops().await, WebhookReceiver::start(), WebhookReceiver::start());
    let endpoint = receiver.register(&ops, &["trip.*", "payment.captured"]).await;
    other.register(&ops, &["refund.*"]).await;
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = in_progress(&app, &rider, &driver).await;
    driver.command(id(&trip), "complete").await.expect(200);

    let mut received = receiver.until_received(8).await;
    let states = ["requested", "searching", "offered", "assigned", "arrived", "in_progress", "completed"];
    received.sort_by_key(|got| got.event()["data"]["seq"].as_i64());
    let payments: Vec<Value> =
        received.iter().map(|got| got.event()).filter(|event| event["type"] == "payment.captured").collect();
    assert_eq!(payments.len(), 1);
    assert_eq!(payments[0]["data"]["payment_id"], trip["payment_id"]);
    let trips: Vec<Value> =
        received.iter().map(|got| got.event()).filter(|event| event["data"]["payment_id"].is_null()).collect();
    assert_eq!(trips.len(), states.len());
    for ((event, state), seq) in trips.iter().zip(states).zip(1..) {
        // The body states what was true at the time of the event.
        assert_eq!(event["type"], format!("trip.{state}"));
        assert_eq!((&event["data"]["state"], &event["data"]["seq"]), (&json!(state), &json!(seq)));
        assert_eq!((&event["data"]["trip_id"], &event["data"]["rider_id"]), (&trip["id"], &trip["rider_id"]));
        let members: Vec<_> = event["data"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(members, ["driver_id", "rider_id", "seq", "state", "trip_id"], "ids, a sequence number and a state");
        assert!(event["created_at"].as_str().unwrap().ends_with('Z'));
    }
    for got in &received {
        assert_eq!(got.header("webhook-id"), got.event()["id"]);
        assert!(got.header("webhook-id").starts_with("evt_"));
        assert_eq!(got.header("content-type"), "application/json");
        assert_eq!(got.valid_signatures(endpoint["secret"].as_str().unwrap()), 1);
    }
    let ids: HashSet<_> = received.iter().map(|got| got.header("webhook-id").to_owned()).collect();
    assert_eq!(ids.len(), received.len(), "each once");
    assert!(other.received().is_empty(), "no subscription to these types");
    app.assert_clean().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refund_event_is_delivered() {
    let app = App::start().await;
    let (ops, receiver) = (app.ops().await, WebhookReceiver::start());
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = in_progress(&app, &rider, &driver).await;
    driver.command(id(&trip), "complete").await.expect(200);
    let payment = format!("/v1/payments/{}", trip["payment_id"].as_str().unwrap());
    until("the fare is captured", async || {
        (rider.get(&payment).await.expect(200)["state"] == "captured").then_some(())
    })
    .await;
    receiver.register(&ops, &["refund.*"]).await;
    let refund = ops.post(&format!("{payment}/refunds"), &json!({})).await.expect(201);
    let event = receiver.until_received(1).await[0].event();
    assert_eq!((&event["type"], &event["data"]["refund_id"]), (&json!("refund.succeeded"), &refund["id"]));
    let tag = ops.get(&payment).await.header("etag").unwrap().to_owned();
    let version = format!("\"{}-", event["data"]["seq"]);
    assert!(tag.starts_with(&version), "the sequence number is the payment's version: {version}, {tag}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_resolution_is_delivered_as_an_event() {
    let app = App::start().await;
    let (ops, receiver) = (app.ops().await, WebhookReceiver::start());
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = in_progress(&app, &rider, &driver).await;
    let payment = format!("payments/{}", trip["payment_id"].as_str().unwrap());
    receiver.register(&ops, &["payment.*"]).await;
    // The payment needs review, and an operator closes it.
    app.break_with("update payments set needs_review = 'closed by a test', due_at = null").await;
    let decision = json!({"action": "close", "note": "The provider has no record of it."});
    ops.post(&format!("/v1/ops/{payment}/resolve"), &decision).await.expect(200);

    let event = receiver.until_received(1).await[0].event();
    assert_eq!((&event["type"], &event["data"]["state"]), (&json!("payment.auth_expired"), &json!("auth_expired")));
    assert_eq!(event["data"]["payment_id"], trip["payment_id"]);
    let tag = ops.get(&format!("/v1/{payment}")).await.header("etag").unwrap().to_owned();
    let version = format!("\"{}-", event["data"]["seq"]);
    assert!(tag.starts_with(&version), "the sequence number is the payment's version: {version}, {tag}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_event_is_written_without_a_subscriber() {
    let app = App::start().await;
    let changed = "select count(*) from outbox_events where topic like '%.changed'";
    cancelled_trip(&app).await;
    assert_eq!(app.count(changed).await, 0);
    let (ops, receiver) = (app.ops().await, WebhookReceiver::start());
    let endpoint = receiver.register(&ops, &["refund.*"]).await;
    cancelled_trip(&app).await;
    assert!(app.count(changed).await > 0);
    until("the events are handled", async || {
        (app.count("select count(*) from outbox_deliveries where delivered_at is null").await == 0).then_some(())
    })
    .await;
    assert_eq!(app.count("select count(*) from webhook_events").await, 0);
    let path = format!("/v1/ops/webhook_endpoints/{}", id(&endpoint));
    crate::harness::ApiResponse::of(ops.request(reqwest::Method::DELETE, &path)).await.expect(204);
    let before = app.count(changed).await;
    cancelled_trip(&app).await;
    assert_eq!(app.count(changed).await, before);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_receiver_gets_four_at_a_time_and_delays_no_other() {
    let app = App::start().await;
    let (ops, slow, quick) = (app.ops().await, WebhookReceiver::start(), WebhookReceiver::start());
    slow.hold();
    slow.register(&ops, &["trip.*"]).await;
    quick.register(&ops, &["trip.*"]).await;
    at_once((0..5).map(|_| cancelled_trip(&app))).await;
    assert_eq!(quick.until_received(15).await.len(), 15, "requested, searching, cancelled");
    assert_eq!(slow.concurrent_max(), 4);
    app.stop().await;
}
