//! Declines, refunds, and repeated, late and reordered provider events.
#![allow(clippy::unwrap_used, reason = "tests")]

use crate::fixtures::{cents, intent_event, post_event, until_payment};
use crate::harness::{Actor, App, HERE, at_once, id, in_progress, new_key, until};
use serde_json::{Value, json};

/// Returns the rider and the captured payment of a trip.
async fn paid(app: &App) -> (Actor, Value) {
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = in_progress(app, &rider, &driver).await;
    driver.command(id(&trip), "complete").await.expect(200);
    let payment = until_payment(&rider, trip["payment_id"].as_str().unwrap(), "captured").await;
    (rider, payment)
}

fn refunds_of(payment: &Value) -> String {
    format!("/v1/payments/{}/refunds", id(payment))
}

#[tokio::test(flavor = "multi_thread")]
async fn declined_payment_has_a_code_and_is_hidden_from_other_riders() {
    let app = App::start().await;
    let rider = app.rider().await;
    let trip = rider.request_trip_with("pm_card_chargeDeclinedInsufficientFunds").await;
    rider.until_state(id(&trip), "payment_failed").await;
    let path = format!("/v1/payments/{}", trip["payment_id"].as_str().unwrap());
    let payment = rider.get(&path).await.expect(200);
    assert_eq!((&payment["state"], &payment["decline_code"]), (&json!("declined"), &json!("insufficient_funds")));
    app.rider().await.get(&path).await.expect_problem(404, "not_found");
    app.assert_clean().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn partial_refunds_never_exceed_the_capture() {
    let app = App::start().await;
    let (rider, payment) = paid(&app).await;
    let (ops, path) = (app.ops().await, refunds_of(&payment));
    let captured = payment["captured"]["amount"].as_i64().unwrap();
    let refund = ops.post(&path, &cents(200)).await.expect(201);
    assert_eq!(refund["state"], "pending");
    ops.post(&path, &cents(captured - 199)).await.expect_problem(409, "not_refundable");
    ops.post(&path, &json!({})).await.expect(201);
    ops.post(&path, &cents(1)).await.expect_problem(409, "not_refundable");
    until("all of it is refunded", async || {
        let payment = rider.get(&format!("/v1/payments/{}", id(&payment))).await.expect(200);
        (payment["refunded"]["amount"] == captured).then_some(())
    })
    .await;
    rider.post(&path, &cents(1)).await.expect_problem(403, "forbidden");
    app.assert_clean().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_refunds_never_exceed_the_capture() {
    let app = App::start().await;
    let (_, payment) = paid(&app).await;
    let path = refunds_of(&payment);
    let captured = payment["captured"]["amount"].as_i64().unwrap();
    let part = captured * 6 / 10;
    for run in 0..3 {
        // Each by another operator, because commands per caller are limited.
        let mut operators = Vec::new();
        for _ in 0..20 {
            operators.push(app.ops().await);
        }
        let amount = if run == 0 { part } else { captured - part };
        let body = cents(amount);
        let answers = at_once(operators.iter().map(|ops| ops.post(&path, &body))).await;
        let granted = answers.iter().filter(|answer| answer.status == 201).count();
        assert_eq!(granted, usize::from(run < 2), "run {run}");
        assert!(answers.iter().all(|answer| answer.status == 201 || answer.code() == "not_refundable"));
    }
    app.assert_clean().await;
    assert_eq!(app.count("select sum(amount)::bigint from refunds where state <> 'failed'").await, captured);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_late_and_reordered_events_change_nothing() {
    let app = App::start().await;
    let (rider, payment) = paid(&app).await;
    let intent: String =
        sqlx::query_scalar("select provider_intent_id from payments").fetch_one(app.sql()).await.unwrap();
    let before = rider.get(&format!("/v1/payments/{}", id(&payment))).await.expect(200);
    let kinds = [
        "payment_intent.succeeded",
        "payment_intent.payment_failed",
        "payment_intent.canceled",
        "payment_intent.amount_capturable_updated",
    ];
    for first in kinds {
        for second in kinds {
            for kind in [first, second, first] {
                let body = intent_event(&format!("evt_{}", new_key()), kind, &intent);
                post_event(&app, &body, 10).await.expect(200);
            }
        }
    }
    post_event(&app, &intent_event("evt_unknown", kinds[0], "pi_of_another_system"), 0).await.expect(200);
    let old = intent_event("evt_old", kinds[0], &intent);
    post_event(&app, &old, 301).await.expect_problem(400, "signature_invalid");
    app.assert_clean().await;
    let after = rider.get(&format!("/v1/payments/{}", id(&payment))).await.expect(200);
    assert_eq!((&before["state"], &before["captured"]), (&after["state"], &after["captured"]));
    assert_eq!(app.count("select count(*) from ledger_postings").await, 2);
    app.stop().await;
}
