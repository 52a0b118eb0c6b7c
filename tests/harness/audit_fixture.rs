//! A service with trips in various states, and the reading of audit reports.
#![allow(dead_code, reason = "not every suite uses everything")]

use serde_json::{Value, json};

use crate::harness::{Actor, App, HERE, THERE, assigned, id, in_progress, until};

/// Starts a service with four trips: completed and partly refunded, assigned, searching, and cancelled for free.
pub async fn app_with_trips() -> App {
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
    let cancelling = app.rider().await;
    let trip = cancelling.request_trip().await;
    cancelling.until_state(id(&trip), "searching").await;
    cancelling.command(id(&trip), "cancel").await.expect(200);
    app.assert_clean().await;
    app
}

async fn ride(app: &App, rider: &Actor, driver: &Actor) -> Value {
    let trip = in_progress(app, rider, driver).await;
    driver.command(id(&trip), "complete").await.expect(200)
}

/// Returns the completed trip.
pub async fn completed(ops: &Actor) -> Value {
    ops.get("/v1/trips?state=completed").await.expect(200)["items"][0].clone()
}

/// Returns the payment of a trip, once it is captured.
pub async fn paid(ops: &Actor, trip: &Value) -> Value {
    let path = format!("/v1/payments/{}", trip["payment_id"].as_str().unwrap());
    until("the payment is captured", async || {
        let payment = ops.get(&path).await.expect(200);
        (payment["state"] == "captured").then_some(payment)
    })
    .await
}

pub async fn refund(ops: &Actor, payment: &Value, amount: i64) -> Value {
    let body = json!({"amount": {"amount": amount, "currency": "USD"}});
    ops.post(&format!("/v1/payments/{}/refunds", id(payment)), &body).await.expect(201)
}

/// Returns the violated invariants of a report.
pub fn broken(report: &Value) -> Vec<&str> {
    let violations = report["violations"].as_object().unwrap();
    violations.iter().filter(|(_, count)| **count != 0).map(|(name, _)| name.as_str()).collect()
}
