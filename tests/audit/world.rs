//! What the suites of the audit share: a small world of trips, and how to read a report.
#![allow(dead_code, reason = "not every suite uses everything")]

use serde_json::{Value, json};

use crate::harness::{Actor, App, HERE, THERE, assigned, id, in_progress, until};

/// A service with a trip of each kind: completed, with a part of its fare refunded; assigned; searching; cancelled for free.
pub async fn world() -> App {
    let app = App::start().await;
    let off_duty = app.driver_at(THERE).await;
    off_duty.put("/v1/drivers/me/availability", &json!({"available": false})).await.expect(200);
    let driver = app.driver_at(HERE).await;
    let (rider, ops) = (app.rider().await, app.ops().await);
    let trip = ride(&app, &rider, &driver).await;
    refund(&ops, &paid(&ops, &trip).await, 100).await;
    assigned(&app, &app.rider().await, &driver).await;
    let waiting = app.rider().await;
    waiting.until_state(id(&waiting.request_trip().await), "searching").await;
    let fickle = app.rider().await;
    let trip = fickle.request_trip().await;
    fickle.until_state(id(&trip), "searching").await;
    fickle.act(id(&trip), "cancel").await.expect(200);
    app.assert_clean().await;
    app
}

async fn ride(app: &App, rider: &Actor, driver: &Actor) -> Value {
    let trip = in_progress(app, rider, driver).await;
    driver.act(id(&trip), "complete").await.expect(200)
}

/// The trip that was completed.
pub async fn completed(ops: &Actor) -> Value {
    ops.get("/v1/trips?state=completed").await.expect(200)["items"][0].clone()
}

/// The payment of a trip, once it is captured.
pub async fn paid(ops: &Actor, trip: &Value) -> Value {
    let path = format!("/v1/payments/{}", trip["payment_id"].as_str().unwrap());
    until("it is captured", async || {
        let payment = ops.get(&path).await.expect(200);
        (payment["state"] == "captured").then_some(payment)
    })
    .await
}

pub async fn refund(ops: &Actor, payment: &Value, amount: i64) -> Value {
    let body = json!({"amount": {"amount": amount, "currency": "USD"}});
    ops.post(&format!("/v1/payments/{}/refunds", id(payment)), &body).await.expect(201)
}

/// The invariants that a report finds broken.
pub fn broken(report: &Value) -> Vec<&str> {
    let violations = report["violations"].as_object().unwrap();
    violations.iter().filter(|(_, count)| **count != 0).map(|(name, _)| name.as_str()).collect()
}
