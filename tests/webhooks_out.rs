//! Webhooks that we send: who is told what, signed how, tried how often, and where they must not go.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "webhooks_out/failing.rs"]
mod failing;
mod harness;
#[path = "webhooks_out/interop.rs"]
mod interop;
#[path = "webhooks_out/receiver.rs"]
mod receiver;
#[path = "webhooks_out/registered.rs"]
mod registered;

use std::collections::HashSet;

use harness::{Actor, App, HERE, at_once, id, in_progress, until};
use receiver::Receiver;
use serde_json::{Value, json};

/// A trip that a rider asks for and calls off.
async fn short_trip(app: &App) -> String {
    let rider = app.rider().await;
    let trip = rider.request_trip().await;
    rider.until_state(id(&trip), "searching").await;
    rider.act(id(&trip), "cancel").await.expect(200);
    id(&trip).to_owned()
}

/// The log of an endpoint, newest first.
async fn log(ops: &Actor, endpoint: &Value) -> Vec<Value> {
    let page = ops.get(&format!("/v1/ops/webhook_endpoints/{}/deliveries", id(endpoint))).await.expect(200);
    page["items"].as_array().unwrap().clone()
}

/// The log, once it has a delivery in this state.
async fn logged(ops: &Actor, endpoint: &Value, state: &str) -> Value {
    until(&format!("a delivery is {state}"), async || {
        log(ops, endpoint).await.into_iter().find(|delivery| delivery["state"] == state)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ride_is_told_to_who_has_asked_in_full_and_signed() {
    let app = App::start().await;
    let (ops, receiver, other) = (app.ops().await, Receiver::start(), Receiver::start());
    let endpoint = receiver.register(&ops, &["trip.*", "payment.captured"]).await;
    other.register(&ops, &["refund.*"]).await;
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = in_progress(&app, &rider, &driver).await;
    driver.act(id(&trip), "complete").await.expect(200);

    let mut told = receiver.until_got(8).await;
    let states = ["requested", "searching", "offered", "assigned", "arrived", "in_progress", "completed"];
    told.sort_by_key(|got| got.event()["data"]["seq"].as_i64());
    let payments: Vec<Value> =
        told.iter().map(|got| got.event()).filter(|event| event["type"] == "payment.captured").collect();
    assert_eq!(payments.len(), 1);
    assert_eq!(payments[0]["data"]["payment_id"], trip["payment_id"]);
    let trips: Vec<Value> =
        told.iter().map(|got| got.event()).filter(|event| event["data"]["payment_id"].is_null()).collect();
    assert_eq!(trips.len(), states.len());
    for ((event, state), seq) in trips.iter().zip(states).zip(1..) {
        // What it says was true when it happened, whatever the trip is by now.
        assert_eq!(event["type"], format!("trip.{state}"));
        assert_eq!((&event["data"]["state"], &event["data"]["seq"]), (&json!(state), &json!(seq)));
        assert_eq!((&event["data"]["trip_id"], &event["data"]["rider_id"]), (&trip["id"], &trip["rider_id"]));
        let members: Vec<_> = event["data"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(members, ["driver_id", "rider_id", "seq", "state", "trip_id"], "ids, a number and a state");
        assert!(event["created_at"].as_str().unwrap().ends_with('Z'));
    }
    for got in &told {
        assert_eq!(got.header("webhook-id"), got.event()["id"]);
        assert!(got.header("webhook-id").starts_with("evt_"));
        assert_eq!(got.header("content-type"), "application/json");
        assert_eq!(got.signatures_of(endpoint["secret"].as_str().unwrap()), 1);
    }
    let ids: HashSet<_> = told.iter().map(|got| got.header("webhook-id").to_owned()).collect();
    assert_eq!(ids.len(), told.len(), "each once");
    assert!(other.got().is_empty(), "nobody is told what he has not asked for");
    app.assert_clean().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_is_told() {
    let app = App::start().await;
    let (ops, receiver) = (app.ops().await, Receiver::start());
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = in_progress(&app, &rider, &driver).await;
    driver.act(id(&trip), "complete").await.expect(200);
    let payment = format!("/v1/payments/{}", trip["payment_id"].as_str().unwrap());
    until("the fare is captured", async || {
        (rider.get(&payment).await.expect(200)["state"] == "captured").then_some(())
    })
    .await;
    receiver.register(&ops, &["refund.*"]).await;
    let refund = ops.post(&format!("{payment}/refunds"), &json!({})).await.expect(201);
    let event = receiver.until_got(1).await[0].event();
    assert_eq!((&event["type"], &event["data"]["refund_id"]), (&json!("refund.succeeded"), &refund["id"]));
    let version = ops.get(&payment).await.header("etag").unwrap().to_owned();
    assert_eq!(format!("\"{}\"", event["data"]["seq"]), version, "the number is the payment's version");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_that_an_operator_decides_is_told_like_any_other() {
    let app = App::start().await;
    let (ops, receiver) = (app.ops().await, Receiver::start());
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = in_progress(&app, &rider, &driver).await;
    let payment = format!("payments/{}", trip["payment_id"].as_str().unwrap());
    receiver.register(&ops, &["payment.*"]).await;
    // The worker has given it up, and a person decides.
    app.break_with("update payments set attention = 'given up', due_at = null").await;
    let decision = json!({"action": "close", "note": "The provider knows nothing of it."});
    ops.post(&format!("/v1/ops/{payment}/resolve"), &decision).await.expect(200);

    let event = receiver.until_got(1).await[0].event();
    assert_eq!((&event["type"], &event["data"]["state"]), (&json!("payment.auth_expired"), &json!("auth_expired")));
    assert_eq!(event["data"]["payment_id"], trip["payment_id"]);
    let version = ops.get(&format!("/v1/{payment}")).await.header("etag").unwrap().to_owned();
    assert_eq!(format!("\"{}\"", event["data"]["seq"]), version, "the number is the payment's version");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_has_asked_for_is_not_written() {
    let app = App::start().await;
    let changed = "select count(*) from outbox_events where topic like '%.changed'";
    short_trip(&app).await;
    assert_eq!(app.count(changed).await, 0);
    let (ops, receiver) = (app.ops().await, Receiver::start());
    let endpoint = receiver.register(&ops, &["refund.*"]).await;
    short_trip(&app).await;
    assert!(app.count(changed).await > 0);
    until("the news were looked at", async || {
        (app.count("select count(*) from outbox_deliveries where delivered_at is null").await == 0).then_some(())
    })
    .await;
    assert_eq!(app.count("select count(*) from webhook_events").await, 0);
    let path = format!("/v1/ops/webhook_endpoints/{}", id(&endpoint));
    harness::Answer::of(ops.request(reqwest::Method::DELETE, &path)).await.expect(204);
    let before = app.count(changed).await;
    short_trip(&app).await;
    assert_eq!(app.count(changed).await, before);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_receiver_holds_up_nobody_but_itself_and_gets_four_at_a_time() {
    let app = App::start().await;
    let (ops, slow, quick) = (app.ops().await, Receiver::start(), Receiver::start());
    slow.hold();
    slow.register(&ops, &["trip.*"]).await;
    quick.register(&ops, &["trip.*"]).await;
    at_once((0..5).map(|_| short_trip(&app))).await;
    assert_eq!(quick.until_got(15).await.len(), 15, "requested, searching, cancelled");
    assert_eq!(slow.at_once_max(), 4);
    app.stop().await;
}
