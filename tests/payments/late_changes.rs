//! What the provider changes without a call of ours: a rejected request, a refund that fails after it succeeded, and a dispute.
#![allow(clippy::unwrap_used, reason = "tests")]

use crate::fixtures::{cents, until_payment};
use crate::harness::{Actor, App, HERE, id, in_progress, until};
use reqwest::Method;
use serde_json::{Value, json};

/// A service with a captured fare.
struct World {
    app: App,
    rider: Actor,
    ops: Actor,
    trip: Value,
    captured: i64,
}

impl World {
    async fn new() -> Self {
        let app = App::start().await;
        let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
        let trip = in_progress(&app, &rider, &driver).await;
        driver.command(id(&trip), "complete").await.expect(200);
        let payment = until_payment(&rider, trip["payment_id"].as_str().unwrap(), "captured").await;
        let (ops, captured) = (app.ops().await, payment["captured"]["amount"].as_i64().unwrap());
        Self { app, rider, ops, trip, captured }
    }

    fn payment_id(&self) -> &str {
        self.trip["payment_id"].as_str().unwrap()
    }

    async fn payment(&self) -> Value {
        self.rider.get(&format!("/v1/payments/{}", self.payment_id())).await.expect(200)
    }

    fn refunds(&self) -> String {
        format!("/v1/payments/{}/refunds", self.payment_id())
    }

    async fn until_refund(&self, number: usize, state: &str) -> Value {
        until(&format!("refund {number} is {state}"), async || {
            let refund = self.payment().await["refunds"][number].clone();
            (refund["state"] == state).then_some(refund)
        })
        .await
    }

    async fn intent(&self) -> String {
        sqlx::query_scalar("select provider_intent_id from payments").fetch_one(self.app.sql()).await.unwrap()
    }

    /// Opens a dispute at the provider, or decides it.
    async fn dispute(&self, decision: &str) {
        let path = format!("/payment_intents/{}/dispute{decision}", self.intent().await);
        self.app.simulator(Method::POST, &path, &json!({})).await;
    }

    async fn refunded_by_the_ledger(&self) -> i64 {
        self.app.count("select coalesce(sum(amount), 0)::bigint from ledger_entries where account = 'refunds'").await
    }
}

/// Waits until a payment or a refund needs a review, and returns the reason.
async fn until_review(ops: &Actor, subject: &str) -> String {
    until(&format!("{subject} needs a review"), async || {
        let review = ops.get("/v1/ops/reconciliation").await.expect(200)["needs_review"].clone();
        let item = review["items"].as_array().unwrap().iter().find(|item| item["subject"] == subject)?.clone();
        Some(item["detail"].as_str().unwrap().to_owned())
    })
    .await
}

async fn plan(app: &App, faults: Value) {
    app.simulator(Method::PUT, "/faults", &json!({"faults": faults, "seed": 1})).await;
}

/// Returns a service with a ride in progress: rider, driver and trip.
async fn riding() -> (App, Actor, Actor, Value) {
    let app = App::start().await;
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = in_progress(&app, &rider, &driver).await;
    (app, rider, driver, trip)
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_capture_keeps_the_hold_and_waits_for_review() {
    let (app, rider, driver, trip) = riding().await;
    plan(&app, json!([{"on": "capture", "kind": "rejected", "code": "parameter_unknown"}])).await;
    driver.command(id(&trip), "complete").await.expect(200);
    let payment_id = trip["payment_id"].as_str().unwrap();
    let attempts = "select count(*) from payment_attempts where operation = 'capture' and outcome = 'declined'";
    until("it is rejected", async || (app.count(attempts).await >= 1).then_some(())).await;
    let payment = until("it is repeated, or the payment is in another state", async || {
        let is_repeated = app.count(attempts).await >= 3;
        let payment = rider.get(&format!("/v1/payments/{payment_id}")).await.expect(200);
        (is_repeated || payment["state"] != "capturing").then_some(payment)
    })
    .await;
    assert_eq!(payment["state"], "capturing", "{payment:#}");
    let reason = until_review(&app.ops().await, payment_id).await;
    assert!(reason.contains("parameter_unknown"), "{reason}");
    assert_eq!(app.count("select count(*) from payment_attempts where operation = 'cancel'").await, 0);
    assert_eq!(app.count("select failures::bigint from payments").await.min(3), 3, "the back-off grows");

    app.simulator(Method::DELETE, "/faults", &json!({})).await;
    until_payment(&rider, payment_id, "captured").await;
    assert_eq!(app.count("select count(*) from payments where needs_review is not null").await, 0);
    app.assert_clean().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_cancel_keeps_the_release_and_waits_for_review() {
    let app = App::start().await;
    let rider = app.rider().await;
    let trip = rider.request_trip().await;
    rider.until_state(id(&trip), "searching").await;
    plan(&app, json!([{"on": "cancel", "kind": "rejected"}])).await;
    rider.command(id(&trip), "cancel").await.expect(200);
    let payment_id = trip["payment_id"].as_str().unwrap();
    until_review(&app.ops().await, payment_id).await;
    app.simulator(Method::DELETE, "/faults", &json!({})).await;
    until_payment(&rider, payment_id, "voided").await;
    app.assert_clean().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn capture_refused_for_an_expired_authorization_ends_the_hold_and_is_replaced() {
    let (app, rider, driver, trip) = riding().await;
    let fault = json!({"on": "capture", "kind": "rejected", "code": "charge_expired_for_capture", "times": 1});
    plan(&app, json!([fault])).await;
    driver.command(id(&trip), "complete").await.expect(200);
    until_payment(&rider, trip["payment_id"].as_str().unwrap(), "capture_failed").await;
    let replaced = "select count(*) from payments where state = 'captured' and replaces is not null";
    until("the replacement is captured", async || (app.count(replaced).await == 1).then_some(())).await;
    app.assert_clean().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refund_that_fails_after_it_succeeded_is_reversed_and_can_be_repeated() {
    let world = World::new().await;
    world.ops.post(&world.refunds(), &json!({})).await.expect(201);
    let refund = world.until_refund(0, "succeeded").await;
    assert_eq!(world.refunded_by_the_ledger().await, world.captured);
    world.app.assert_clean().await;

    let provider_id: String =
        sqlx::query_scalar("select provider_refund_id from refunds").fetch_one(world.app.sql()).await.unwrap();
    world.app.simulator(Method::POST, &format!("/refunds/{provider_id}/fail"), &json!({})).await;
    let failed = world.until_refund(0, "failed").await;
    assert_eq!(failed["failure_code"], "expired_or_canceled_card");
    assert_eq!(world.payment().await["refunded"]["amount"], 0);
    assert_eq!(world.refunded_by_the_ledger().await, 0);
    assert_eq!(world.app.count("select count(*) from ledger_postings where kind = 'refund'").await, 1, "append-only");
    let reason = until_review(&world.ops, id(&refund)).await;
    assert!(reason.contains("after it had succeeded"), "{reason}");
    world.app.assert_clean().await;
    let receipt = world.rider.get(&format!("/v1/trips/{}/receipt", id(&world.trip))).await.expect(200);
    let movements: Vec<_> =
        receipt["payments"][0]["movements"].as_array().unwrap().iter().map(|it| &it["what"]).collect();
    assert_eq!(movements, ["authorized", "captured", "refunded", "refund_failed"]);

    let retry = json!({"action": "retry", "note": "The rider has another card now."});
    world.ops.post(&format!("/v1/ops/refunds/{}/resolve", id(&refund)), &retry).await.expect(200);
    world.until_refund(1, "succeeded").await;
    assert_eq!(world.payment().await["refunded"]["amount"], world.captured);
    assert_eq!(world.refunded_by_the_ledger().await, world.captured);
    world.app.assert_clean().await;
    world.app.stop().await;
}

/// The event arrives while the answer to the call is recorded.
#[tokio::test(flavor = "multi_thread")]
async fn refund_that_fails_as_soon_as_it_succeeded_becomes_failed() {
    let world = World::new().await;
    plan(&world.app, json!([{"on": "refund", "kind": "refund_fails", "times": 2}])).await;
    let part = world.captured / 2;
    world.ops.post(&world.refunds(), &cents(part)).await.expect(201);
    world.ops.post(&world.refunds(), &cents(world.captured - part)).await.expect(201);
    world.until_refund(0, "failed").await;
    world.until_refund(1, "failed").await;
    assert_eq!(world.refunded_by_the_ledger().await, 0);
    world.app.assert_clean().await;
    // All of it can be refunded again.
    world.ops.post(&world.refunds(), &json!({})).await.expect(201);
    world.until_refund(2, "succeeded").await;
    world.app.assert_clean().await;
    world.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn disputed_payment_needs_review_and_is_not_refunded_until_the_dispute_is_won() {
    let world = World::new().await;
    world.dispute("").await;
    let reason = until_review(&world.ops, world.payment_id()).await;
    assert!(reason.contains("disputed"), "{reason}");
    let refused = world.ops.post(&world.refunds(), &cents(100)).await.expect_problem(409, "payment_disputed");
    assert_eq!(refused["dispute"], "open", "{refused:#}");
    world.app.assert_clean().await;

    // An operator has seen it; the same dispute asks for no second review.
    let close = json!({"action": "close", "note": "Evidence is sent."});
    let resolve = format!("/v1/ops/payments/{}/resolve", world.payment_id());
    world.ops.post(&resolve, &close).await.expect(200);
    world.dispute("?status=lost").await;
    let reason = until_review(&world.ops, world.payment_id()).await;
    assert!(reason.contains("lost"), "{reason}");
    let refused = world.ops.post(&world.refunds(), &cents(100)).await.expect_problem(409, "payment_disputed");
    assert_eq!(refused["dispute"], "lost", "{refused:#}");

    world.dispute("?status=won").await;
    until("the dispute is won", async || {
        let won = "select count(*) from payments where dispute = 'won'";
        (world.app.count(won).await == 1).then_some(())
    })
    .await;
    world.ops.post(&world.refunds(), &cents(100)).await.expect(201);
    world.until_refund(0, "succeeded").await;
    world.app.assert_clean().await;
    world.app.stop().await;
}

/// The event arrives while the capture is answered.
#[tokio::test(flavor = "multi_thread")]
async fn charge_that_is_disputed_as_soon_as_it_is_captured_needs_review() {
    let (app, rider, driver, trip) = riding().await;
    plan(&app, json!([{"on": "capture", "kind": "disputed", "times": 1}])).await;
    driver.command(id(&trip), "complete").await.expect(200);
    let payment_id = trip["payment_id"].as_str().unwrap();
    until_payment(&rider, payment_id, "captured").await;
    until_review(&app.ops().await, payment_id).await;
    app.assert_clean().await;
    app.stop().await;
}
