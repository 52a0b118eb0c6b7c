//! Receivers that fail: the ladder, its end, and what an operator can do about it.

use std::time::Duration;

use ridematch::webhooks;
use serde_json::{Value, json};

use super::{Receiver, log, logged, short_trip};
use crate::harness::{Answer, App, id, until, within};

/// Lets the time pass that stands between a delivery and its next attempt.
const NOW: &str = "update webhook_deliveries set due_at = created_at where due_at is not null";

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_is_tried_again_with_the_same_event_until_it_is_taken() {
    let app = App::start().await;
    let (ops, receiver) = (app.ops().await, Receiver::start());
    receiver.will_answer([500, 302, 204]);
    let endpoint = receiver.register(&ops, &["trip.requested"]).await;
    let trip = short_trip(&app).await;
    for tries in 1..3 {
        until("it has failed", async || {
            let delivery = log(&ops, &endpoint).await.pop()?;
            (delivery["attempts"].as_array()?.len() == tries).then_some(())
        })
        .await;
        assert!(log(&ops, &endpoint).await[0]["next_attempt_at"].is_string());
        app.break_with(NOW).await;
    }
    let delivery = logged(&ops, &endpoint, "delivered").await;
    let got = receiver.got();
    assert_eq!(got.len(), 3, "a redirect is not followed");
    assert!(got.iter().all(|one| one.body == got[0].body && one.header("webhook-id") == got[0].header("webhook-id")));
    let attempts = delivery["attempts"].as_array().unwrap();
    let told: Vec<_> = attempts.iter().map(|one| json!([one["attempt"], one["status"], one["failure"]])).collect();
    assert_eq!(json!(told), json!([[1, 500, "refused"], [2, 302, "redirects_are_not_followed"], [3, 204, null]]));
    assert!(attempts.iter().all(|one| one["duration_ms"].as_i64().unwrap() < 5_000));
    assert_eq!((&delivery["trip_id"], &delivery["next_attempt_at"]), (&json!(trip), &Value::Null));

    // And once more, because somebody has lost it.
    let again = format!("/v1/ops/webhook_deliveries/{}/redeliver", id(&delivery));
    assert_eq!(ops.post(&again, &json!({})).await.expect(200)["state"], "pending");
    let got = receiver.until_got(4).await;
    assert_eq!((&got[3].body, got[3].header("webhook-id")), (&got[0].body, got[0].header("webhook-id")));
    app.assert_clean().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_end_of_its_ladder_a_delivery_dies_and_takes_a_dead_endpoint_with_it() {
    let app = App::start().await;
    let (ops, receiver) = (app.ops().await, Receiver::start());
    receiver.will_answer([500, 500]);
    let endpoint = receiver.register(&ops, &["trip.requested"]).await;
    short_trip(&app).await;
    until("it has failed", async || log(&ops, &endpoint).await.pop()?["attempts"].get(0).map(|_| ())).await;
    app.break_with("update webhook_deliveries set step = 10, due_at = created_at").await;
    let dead = logged(&ops, &endpoint, "dead").await;
    let path = format!("/v1/ops/webhook_endpoints/{}", id(&endpoint));
    let shown = ops.get(&path).await.expect(200);
    assert_eq!((&shown["enabled"], &shown["disabled_reason"]), (&json!(false), &json!("failing")));

    let again = format!("/v1/ops/webhook_deliveries/{}/redeliver", id(&dead));
    let refused = ops.post(&again, &json!({})).await.expect_problem(409, "invalid_transition");
    assert_eq!((&refused["state"], &refused["allowed"]), (&json!("disabled"), &json!(["enable"])));
    ops.post(&format!("{path}/enable"), &json!({})).await.expect(200);
    ops.post(&again, &json!({})).await.expect(200);
    assert_eq!(logged(&ops, &endpoint, "delivered").await["attempts"].as_array().unwrap().len(), 3);
    app.assert_clean().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_takes_other_events_outlives_the_one_that_dies() {
    let app = App::start().await;
    let (ops, receiver) = (app.ops().await, Receiver::start());
    receiver.will_answer([500, 204, 500]);
    let endpoint = receiver.register(&ops, &["trip.requested"]).await;
    short_trip(&app).await;
    receiver.until_got(1).await;
    short_trip(&app).await;
    logged(&ops, &endpoint, "delivered").await;
    app.break_with("update webhook_deliveries set step = 10, due_at = created_at where state = 'pending'").await;
    logged(&ops, &endpoint, "dead").await;
    let shown = ops.get(&format!("/v1/ops/webhook_endpoints/{}", id(&endpoint))).await.expect(200);
    assert_eq!(shown["enabled"], true);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_that_he_is_gone_is_disabled_and_what_waits_for_him_is_given_up() {
    let app = App::start().await;
    let (ops, receiver) = (app.ops().await, Receiver::start());
    receiver.will_answer([500, 410]);
    let endpoint = receiver.register(&ops, &["trip.requested"]).await;
    short_trip(&app).await;
    receiver.until_got(1).await;
    short_trip(&app).await;
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

/// An address that has moved into our own network since it was registered.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_checked_at_every_attempt() {
    let app = App::start().await;
    let (ops, receiver) = (app.ops().await, Receiver::start());
    let endpoint = receiver.register(&ops, &["trip.requested"]).await;
    for url in ["https://10.0.0.1/", "https://169.254.169.254/latest/meta-data", "https://[::ffff:127.0.0.1]/"] {
        app.break_with(&format!("update webhook_endpoints set url = '{url}'")).await;
        short_trip(&app).await;
        until("it has failed", async || {
            let delivery = log(&ops, &endpoint).await.into_iter().next()?;
            (delivery["attempts"][0]["failure"] == "not_a_public_address").then_some(())
        })
        .await;
        app.break_with("delete from webhook_events").await;
    }
    assert!(receiver.got().is_empty());
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_does_not_answer_is_let_go_of() {
    let app = App::start().await;
    let (ops, receiver) = (app.ops().await, Receiver::start());
    receiver.hold();
    let endpoint = receiver.register(&ops, &["trip.requested"]).await;
    short_trip(&app).await;
    let failed = within(Duration::from_secs(60), "it has failed", async || {
        let attempt = log(&ops, &endpoint).await.pop()?["attempts"][0].clone();
        attempt["failure"].is_string().then_some(attempt)
    })
    .await;
    assert_eq!((&failed["failure"], &failed["status"]), (&json!("timed_out"), &Value::Null));
    assert!(failed["duration_ms"].as_i64().unwrap() >= 4_900, "{failed:#}");
    app.stop().await;
}

/// Waits until a worker is back that has lost its lease meanwhile.
async fn until_overtaken(app: &App) {
    until("the overtaken one is back", async || {
        let metrics = Answer::of(app.http.get(app.url("/metrics"))).await.text();
        metrics.contains(r#"ridematch_webhook_attempts_total{end="overtaken"} 1"#).then_some(())
    })
    .await;
}

/// A worker that was overtaken while it waited for the receiver: what it brings back counts for nothing.
#[tokio::test(flavor = "multi_thread")]
async fn who_has_lost_the_lease_writes_nothing() {
    let app = App::start().await;
    let (ops, receiver) = (app.ops().await, Receiver::start());
    receiver.hold();
    let endpoint = receiver.register(&ops, &["trip.requested"]).await;
    short_trip(&app).await;
    receiver.until_got(1).await;
    // Somebody else has it now, and dies with it: as when this process had been stopped past its lease.
    app.break_with("update webhook_deliveries set lease_token = lease_token + 1, leased_until = '2100-01-01'").await;
    receiver.let_go();
    until_overtaken(&app).await;
    let delivery = log(&ops, &endpoint).await.pop().unwrap();
    assert_eq!((&delivery["state"], &delivery["attempts"]), (&json!("pending"), &json!([])));
    app.break_with("update webhook_deliveries set leased_until = created_at").await;
    logged(&ops, &endpoint, "delivered").await;
    assert_eq!(receiver.got().len(), 2, "at least once");
    app.stop().await;
}

/// Its lease has run out, and an operator has the delivery made again before any worker has taken it.
#[tokio::test(flavor = "multi_thread")]
async fn who_wakes_up_after_a_redelivery_writes_nothing() {
    let app = App::start().await;
    let (ops, receiver) = (app.ops().await, Receiver::start());
    receiver.hold();
    let endpoint = receiver.register(&ops, &["trip.requested"]).await;
    short_trip(&app).await;
    receiver.until_got(1).await;
    // As long as its row is locked, nobody takes deliveries to this endpoint.
    let mut lock = app.sql().begin().await.unwrap();
    sqlx::query("select from webhook_endpoints for no key update").execute(&mut *lock).await.unwrap();
    app.break_with("update webhook_deliveries set leased_until = created_at").await;
    let delivery = log(&ops, &endpoint).await.pop().unwrap();
    ops.post(&format!("/v1/ops/webhook_deliveries/{}/redeliver", id(&delivery)), &json!({})).await.expect(200);
    receiver.let_go();
    until_overtaken(&app).await;
    let delivery = log(&ops, &endpoint).await.pop().unwrap();
    assert_eq!((&delivery["state"], &delivery["attempts"]), (&json!("pending"), &json!([])));
    lock.rollback().await.unwrap();
    logged(&ops, &endpoint, "delivered").await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_wakes_up_after_the_sweep_writes_nothing() {
    let app = App::start().await;
    let (ops, receiver) = (app.ops().await, Receiver::start());
    receiver.hold();
    let endpoint = receiver.register(&ops, &["trip.requested"]).await;
    short_trip(&app).await;
    receiver.until_got(1).await;
    let late = "ladder_at = '2020-01-01', due_at = '2100-01-01', leased_until = created_at";
    app.break_with(&format!("update webhook_deliveries set {late}")).await;
    webhooks::worker::sweep_once(app.service().platform()).await.unwrap();
    logged(&ops, &endpoint, "dead").await;
    receiver.let_go();
    until_overtaken(&app).await;
    let delivery = log(&ops, &endpoint).await.pop().unwrap();
    assert_eq!((&delivery["state"], &delivery["attempts"]), (&json!("dead"), &json!([])));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_older_than_its_ladder_is_given_up_and_one_that_nobody_gives_up_breaks_the_audit() {
    let app = App::start().await;
    let (ops, receiver) = (app.ops().await, Receiver::start());
    receiver.will_answer([500, 500]);
    let endpoint = receiver.register(&ops, &["trip.requested"]).await;
    short_trip(&app).await;
    receiver.until_got(1).await;
    until("it has failed", async || log(&ops, &endpoint).await.pop()?["attempts"].get(0).map(|_| ())).await;
    // Held by a lease that does not end, no sweep can have it.
    let old = "update webhook_deliveries set ladder_at = '2020-01-01', leased_until = ";
    app.break_with(&format!("{old} '2100-01-01'")).await;
    let report = app.audit().await;
    assert!(report["clean"] == false && report.to_string().contains("webhook delivery"), "{report:#}");
    app.break_with(&format!("{old} null")).await;
    logged(&ops, &endpoint, "dead").await;
    app.assert_clean().await;
    app.stop().await;
}
