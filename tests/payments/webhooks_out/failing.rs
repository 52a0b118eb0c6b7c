//! Failing receivers: the retry schedule, its end, and redelivery.

use std::time::Duration;

use ridematch::webhooks;
use serde_json::{Value, json};

use super::{WebhookReceiver, cancelled_trip, log, until_delivery};
use crate::harness::{Actor, ApiResponse, App, id, until, within};

/// Makes the next attempt of every delivery due.
const MAKE_DUE: &str = "update webhook_deliveries set due_at = created_at where due_at is not null";

#[tokio::test(flavor = "multi_thread")]
async fn failed_delivery_is_retried_with_the_same_event() {
    let app = App::start().await;
    let (ops, receiver) = (app.ops().await, WebhookReceiver::start());
    receiver.respond_with([500, 302, 204]);
    let endpoint = receiver.register(&ops, &["trip.requested"]).await;
    let trip = cancelled_trip(&app).await;
    for tries in 1..3 {
        until("it has failed", async || {
            let delivery = log(&ops, &endpoint).await.pop()?;
            (delivery["attempts"].as_array()?.len() == tries).then_some(())
        })
        .await;
        assert!(log(&ops, &endpoint).await[0]["next_attempt_at"].is_string());
        app.break_with(MAKE_DUE).await;
    }
    let delivery = until_delivery(&ops, &endpoint, "delivered").await;
    let got = receiver.received();
    assert_eq!(got.len(), 3, "a redirect is not followed");
    assert!(got.iter().all(|one| one.body == got[0].body && one.header("webhook-id") == got[0].header("webhook-id")));
    let attempts = delivery["attempts"].as_array().unwrap();
    let logged: Vec<_> = attempts.iter().map(|one| json!([one["attempt"], one["status"], one["failure"]])).collect();
    assert_eq!(json!(logged), json!([[1, 500, "refused"], [2, 302, "redirects_are_not_followed"], [3, 204, null]]));
    assert!(attempts.iter().all(|one| one["duration_ms"].as_i64().unwrap() < 5_000));
    assert_eq!((&delivery["trip_id"], &delivery["next_attempt_at"]), (&json!(trip), &Value::Null));

    // An operator delivers it again.
    let again = format!("/v1/ops/webhook_deliveries/{}/redeliver", id(&delivery));
    assert_eq!(ops.post(&again, &json!({})).await.expect(200)["state"], "pending");
    let got = receiver.until_received(4).await;
    assert_eq!((&got[3].body, got[3].header("webhook-id")), (&got[0].body, got[0].header("webhook-id")));
    app.assert_clean().await;
    app.stop().await;
}

/// Waits until the only delivery has failed once, and puts its next attempt off, so that another delivery comes first.
async fn put_off_retry(app: &App, ops: &Actor, endpoint: &Value) {
    until("it has failed", async || log(ops, endpoint).await.pop()?["attempts"].get(0).map(|_| ())).await;
    app.break_with("update webhook_deliveries set due_at = due_at + interval '1 day' where due_at is not null").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn last_failure_ends_the_delivery_and_disables_an_endpoint_without_successes() {
    let app = App::start().await;
    let (ops, receiver) = (app.ops().await, WebhookReceiver::start());
    receiver.respond_with([500, 500]);
    let endpoint = receiver.register(&ops, &["trip.requested"]).await;
    cancelled_trip(&app).await;
    until("it has failed", async || log(&ops, &endpoint).await.pop()?["attempts"].get(0).map(|_| ())).await;
    app.break_with("update webhook_deliveries set step = 10, due_at = created_at").await;
    let dead = until_delivery(&ops, &endpoint, "dead").await;
    let path = format!("/v1/ops/webhook_endpoints/{}", id(&endpoint));
    let shown = ops.get(&path).await.expect(200);
    assert_eq!((&shown["enabled"], &shown["disabled_reason"]), (&json!(false), &json!("failing")));

    let again = format!("/v1/ops/webhook_deliveries/{}/redeliver", id(&dead));
    let refused = ops.post(&again, &json!({})).await.expect_problem(409, "invalid_transition");
    assert_eq!((&refused["state"], &refused["allowed"]), (&json!("disabled"), &json!(["enable"])));
    ops.post(&format!("{path}/enable"), &json!({})).await.expect(200);
    ops.post(&again, &json!({})).await.expect(200);
    assert_eq!(until_delivery(&ops, &endpoint, "delivered").await["attempts"].as_array().unwrap().len(), 3);
    app.assert_clean().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_delivery_does_not_disable_an_endpoint_that_accepts_others() {
    let app = App::start().await;
    let (ops, receiver) = (app.ops().await, WebhookReceiver::start());
    receiver.respond_with([500, 204, 500]);
    let endpoint = receiver.register(&ops, &["trip.requested"]).await;
    cancelled_trip(&app).await;
    put_off_retry(&app, &ops, &endpoint).await;
    cancelled_trip(&app).await;
    until_delivery(&ops, &endpoint, "delivered").await;
    app.break_with("update webhook_deliveries set step = 10, due_at = created_at where state = 'pending'").await;
    until_delivery(&ops, &endpoint, "dead").await;
    let shown = ops.get(&format!("/v1/ops/webhook_endpoints/{}", id(&endpoint))).await.expect(200);
    assert_eq!(shown["enabled"], true);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoint_answering_410_is_disabled_and_its_deliveries_are_discarded() {
    let app = App::start().await;
    let (ops, receiver) = (app.ops().await, WebhookReceiver::start());
    receiver.respond_with([500, 410]);
    let endpoint = receiver.register(&ops, &["trip.requested"]).await;
    cancelled_trip(&app).await;
    put_off_retry(&app, &ops, &endpoint).await;
    cancelled_trip(&app).await;
    until("both are dead", async || {
        let log = log(&ops, &endpoint).await;
        (log.len() == 2 && log.iter().all(|delivery| delivery["state"] == "dead")).then_some(())
    })
    .await;
    let shown = ops.get(&format!("/v1/ops/webhook_endpoints/{}", id(&endpoint))).await.expect(200);
    assert_eq!(shown["disabled_reason"], "gone");
    app.assert_clean().await;
    app.stop().await;
}

/// An address that became private after it was registered.
#[tokio::test(flavor = "multi_thread")]
async fn address_is_checked_at_every_attempt() {
    let app = App::start().await;
    let (ops, receiver) = (app.ops().await, WebhookReceiver::start());
    let endpoint = receiver.register(&ops, &["trip.requested"]).await;
    for url in ["https://10.0.0.1/", "https://169.254.169.254/latest/meta-data", "https://[::ffff:127.0.0.1]/"] {
        app.break_with(&format!("update webhook_endpoints set url = '{url}'")).await;
        cancelled_trip(&app).await;
        until("it has failed", async || {
            let delivery = log(&ops, &endpoint).await.into_iter().next()?;
            (delivery["attempts"][0]["failure"] == "not_a_public_address").then_some(())
        })
        .await;
        app.break_with("delete from webhook_events").await;
    }
    assert!(receiver.received().is_empty());
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unresponsive_receiver_times_out() {
    let app = App::start().await;
    let (ops, receiver) = (app.ops().await, WebhookReceiver::start());
    receiver.hold();
    let endpoint = receiver.register(&ops, &["trip.requested"]).await;
    cancelled_trip(&app).await;
    let failed = within(Duration::from_secs(60), "it has failed", async || {
        let attempt = log(&ops, &endpoint).await.pop()?["attempts"][0].clone();
        attempt["failure"].is_string().then_some(attempt)
    })
    .await;
    assert_eq!((&failed["failure"], &failed["status"]), (&json!("timed_out"), &Value::Null));
    assert!(failed["duration_ms"].as_i64().unwrap() >= 4_900, "{failed:#}");
    app.stop().await;
}

/// A delivery that a worker has leased, and whose receiver does not respond yet.
struct HeldDelivery {
    app: App,
    ops: Actor,
    receiver: WebhookReceiver,
    endpoint: Value,
}

async fn held_delivery() -> HeldDelivery {
    let app = App::start().await;
    let (ops, receiver) = (app.ops().await, WebhookReceiver::start());
    receiver.hold();
    let endpoint = receiver.register(&ops, &["trip.requested"]).await;
    cancelled_trip(&app).await;
    receiver.until_received(1).await;
    HeldDelivery { app, ops, receiver, endpoint }
}

/// Releases the receiver. The worker must report a lost lease and record no attempt.
async fn assert_lease_lost(app: &App, ops: &Actor, receiver: &WebhookReceiver, endpoint: &Value, state: &str) {
    receiver.release();
    until("the lease is reported as lost", async || {
        let metrics = ApiResponse::of(app.http.get(app.url("/metrics"))).await.text();
        metrics.contains(r#"ridematch_webhook_attempts_total{end="lease_lost"} 1"#).then_some(())
    })
    .await;
    let delivery = log(ops, endpoint).await.pop().unwrap();
    assert_eq!((&delivery["state"], &delivery["attempts"]), (&json!(state), &json!([])));
}

/// A worker loses its lease while it waits for the receiver: its result is not recorded.
#[tokio::test(flavor = "multi_thread")]
async fn lost_lease_writes_nothing() {
    let HeldDelivery { app, ops, receiver, endpoint } = held_delivery().await;
    // Another process leases it and dies, as if this process had been paused past its lease.
    app.break_with("update webhook_deliveries set lease_token = lease_token + 1, leased_until = '2100-01-01'").await;
    assert_lease_lost(&app, &ops, &receiver, &endpoint, "pending").await;
    app.break_with("update webhook_deliveries set leased_until = created_at").await;
    until_delivery(&ops, &endpoint, "delivered").await;
    assert_eq!(receiver.received().len(), 2, "at least once");
    app.stop().await;
}

/// The lease has expired, and an operator delivers again before another worker leases it.
#[tokio::test(flavor = "multi_thread")]
async fn lease_from_before_a_redelivery_writes_nothing() {
    let HeldDelivery { app, ops, receiver, endpoint } = held_delivery().await;
    // While its row is locked, no worker leases deliveries to this endpoint.
    let mut lock = app.sql().begin().await.unwrap();
    sqlx::query("select from webhook_endpoints for no key update").execute(&mut *lock).await.unwrap();
    app.break_with("update webhook_deliveries set leased_until = created_at").await;
    let delivery = log(&ops, &endpoint).await.pop().unwrap();
    ops.post(&format!("/v1/ops/webhook_deliveries/{}/redeliver", id(&delivery)), &json!({})).await.expect(200);
    assert_lease_lost(&app, &ops, &receiver, &endpoint, "pending").await;
    lock.rollback().await.unwrap();
    until_delivery(&ops, &endpoint, "delivered").await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lease_from_before_the_sweep_writes_nothing() {
    let HeldDelivery { app, ops, receiver, endpoint } = held_delivery().await;
    let late = "schedule_started_at = '2020-01-01', due_at = '2100-01-01', leased_until = created_at";
    app.break_with(&format!("update webhook_deliveries set {late}")).await;
    webhooks::worker::sweep_once(app.service().platform()).await.unwrap();
    until_delivery(&ops, &endpoint, "dead").await;
    assert_lease_lost(&app, &ops, &receiver, &endpoint, "dead").await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn delivery_past_its_schedule_is_discarded_and_a_stuck_one_fails_the_audit() {
    let app = App::start().await;
    let (ops, receiver) = (app.ops().await, WebhookReceiver::start());
    receiver.respond_with([500, 500]);
    let endpoint = receiver.register(&ops, &["trip.requested"]).await;
    cancelled_trip(&app).await;
    receiver.until_received(1).await;
    until("it has failed", async || log(&ops, &endpoint).await.pop()?["attempts"].get(0).map(|_| ())).await;
    // The sweep skips a delivery under a lease that does not expire.
    let old = "update webhook_deliveries set schedule_started_at = '2020-01-01', leased_until = ";
    app.break_with(&format!("{old} '2100-01-01'")).await;
    let report = app.audit().await;
    assert!(report["clean"] == false && report.to_string().contains("webhook delivery"), "{report:#}");
    app.break_with(&format!("{old} null")).await;
    until_delivery(&ops, &endpoint, "dead").await;
    app.assert_clean().await;
    app.stop().await;
}
