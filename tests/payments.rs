//! The money of a trip: declines, refunds, and webhooks that come twice, late and in the wrong order.
#![allow(clippy::unwrap_used, reason = "tests")]

mod harness;

use harness::{Actor, Answer, App, HERE, WEBHOOK_SECRET, at_once, id, in_progress, new_key, until};
use serde_json::{Value, json};

/// A trip that was paid for, and its payment.
async fn paid(app: &App) -> (Actor, Value) {
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = in_progress(app, &rider, &driver).await;
    driver.act(id(&trip), "complete").await.expect(200);
    let path = format!("/v1/payments/{}", trip["payment_id"].as_str().unwrap());
    let payment = until("the fare is captured", async || {
        let payment = rider.get(&path).await.expect(200);
        (payment["state"] == "captured").then_some(payment)
    })
    .await;
    (rider, payment)
}

fn refunds_of(payment: &Value) -> String {
    format!("/v1/payments/{}/refunds", id(payment))
}

fn dollars(cents: i64) -> Value {
    json!({"amount": {"amount": cents, "currency": "USD"}})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decline_says_why_and_is_nobody_elses_business() {
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
async fn refunds_in_parts_and_never_more_than_was_captured() {
    let app = App::start().await;
    let (rider, payment) = paid(&app).await;
    let (ops, path) = (app.ops().await, refunds_of(&payment));
    let captured = payment["captured"]["amount"].as_i64().unwrap();
    let refund = ops.post(&path, &dollars(200)).await.expect(201);
    assert_eq!(refund["state"], "pending");
    ops.post(&path, &dollars(captured - 199)).await.expect_problem(409, "not_refundable");
    ops.post(&path, &json!({})).await.expect(201);
    ops.post(&path, &dollars(1)).await.expect_problem(409, "not_refundable");
    until("all of it has gone back", async || {
        let payment = rider.get(&format!("/v1/payments/{}", id(&payment))).await.expect(200);
        (payment["refunded"]["amount"] == captured).then_some(())
    })
    .await;
    rider.post(&path, &dollars(1)).await.expect_problem(403, "forbidden");
    app.assert_clean().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_refunds_at_once_as_many_win_as_the_capture_pays_for() {
    let app = App::start().await;
    let (_, payment) = paid(&app).await;
    let path = refunds_of(&payment);
    let captured = payment["captured"]["amount"].as_i64().unwrap();
    let part = captured * 6 / 10;
    for round in 0..3 {
        // Each of another operator, so that none waits for the limit of commands per caller.
        let mut operators = Vec::new();
        for _ in 0..20 {
            operators.push(app.ops().await);
        }
        let amount = if round == 0 { part } else { captured - part };
        let body = dollars(amount);
        let answers = at_once(operators.iter().map(|ops| ops.post(&path, &body))).await;
        let won = answers.iter().filter(|answer| answer.status == 201).count();
        assert_eq!(won, usize::from(round < 2), "round {round}");
        assert!(answers.iter().all(|answer| answer.status == 201 || answer.code() == "not_refundable"));
    }
    app.assert_clean().await;
    assert_eq!(app.count("select sum(amount)::bigint from refunds where state <> 'failed'").await, captured);
    app.stop().await;
}

/// Sends an event as the provider would, signed at `age_s` seconds ago.
async fn webhook(app: &App, kind: &str, intent: &str, age_s: i64) -> Answer {
    let body = json!({"id": format!("evt_{}", new_key()), "object": "event", "type": kind,
                      "data": {"object": {"id": intent, "object": "payment_intent"}}})
    .to_string();
    let now = Answer::of(app.http.get(app.url("/v1/sandbox/clock"))).await.expect(200);
    let now: chrono::DateTime<chrono::Utc> = now["real"].as_str().unwrap().parse().unwrap();
    let signature = psp_sim::signature(WEBHOOK_SECRET, now.timestamp() - age_s, &body);
    let request = app.http.post(app.url("/v1/webhooks/psp")).header("Stripe-Signature", signature).body(body);
    Answer::of(request.header("Content-Type", "application/json")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_twice_late_and_in_every_order_change_nothing() {
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
                assert_eq!(webhook(&app, kind, &intent, 10).await.status, 200);
            }
        }
    }
    assert_eq!(webhook(&app, kinds[0], "pi_of_somebody_else", 0).await.status, 200);
    webhook(&app, kinds[0], &intent, 301).await.expect_problem(400, "signature_invalid");
    app.assert_clean().await;
    let after = rider.get(&format!("/v1/payments/{}", id(&payment))).await.expect(200);
    assert_eq!((&before["state"], &before["captured"]), (&after["state"], &after["captured"]));
    assert_eq!(app.count("select count(*) from ledger_postings").await, 2);
    app.stop().await;
}
