//! Tips: one per completed trip, all of it for the driver, never a debt.
#![allow(clippy::unwrap_used, reason = "tests")]

use crate::harness::{Actor, App, HERE, at_once, id, in_progress, new_key, until};
use serde_json::{Value, json};

struct Ride {
    rider: Actor,
    driver: Actor,
    trip: Value,
}

async fn completed_ride(app: &App) -> Ride {
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = in_progress(app, &rider, &driver).await;
    let trip = driver.command(id(&trip), "complete").await.expect(200);
    Ride { rider, driver, trip }
}

fn tip(trip: &Value) -> String {
    format!("/v1/trips/{}/tip", id(trip))
}

fn dollars(cents: i64) -> Value {
    json!({"amount": {"amount": cents, "currency": "USD"}})
}

async fn until_payment(actor: &Actor, payment: &Value, state: &str) -> Value {
    until(&format!("the payment is {state}"), async || {
        let payment = actor.get(&format!("/v1/payments/{}", id(payment))).await.expect(200);
        (payment["state"] == state).then_some(payment)
    })
    .await
}

/// Returns the balance of an account for the trip.
async fn balance(app: &App, trip: &Value, account: &str) -> i64 {
    let ops = app.ops().await;
    let ledger = ops.get(&format!("/v1/ops/ledger?trip_id={}", id(trip))).await.expect(200);
    let accounts = ledger["accounts"].as_array().unwrap();
    accounts.iter().find(|one| one["account"] == account).map_or(0, |one| one["balance"].as_i64().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn tip_goes_to_the_driver_in_full_and_leaves_the_fare_unchanged() {
    let app = App::start().await;
    let Ride { rider, trip, .. } = completed_ride(&app).await;
    let share = balance(&app, &trip, "driver_payable").await;
    let payment = rider.post(&tip(&trip), &dollars(300)).await.expect(201);
    assert_eq!((&payment["purpose"], &payment["state"]), (&json!("tip"), &json!("authorizing")));
    until_payment(&rider, &payment, "captured").await;
    app.assert_clean().await;
    assert_eq!(balance(&app, &trip, "driver_payable").await, share - 300, "a credit is negative");
    assert_eq!(balance(&app, &trip, "rider_receivable").await, 0);
    let after = rider.get(&format!("/v1/trips/{}", id(&trip))).await.expect(200);
    assert_eq!(after["fare"], trip["fare"]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_concurrent_tips_one_succeeds() {
    let app = App::start().await;
    let Ride { rider, trip, .. } = completed_ride(&app).await;
    let (path, body) = (tip(&trip), dollars(200));
    let answers = at_once((0..4).map(|_| rider.post(&path, &body))).await;
    let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 201);
    assert_eq!((won.len(), lost.len()), (1, 3));
    for answer in lost {
        answer.expect_problem(409, "already_tipped");
    }
    until_payment(&rider, &won[0].json(), "captured").await;
    rider.post(&path, &body).await.expect_problem(409, "already_tipped");
    app.assert_clean().await;

    assert_eq!(app.count("select count(*) from payments where purpose = 'tip'").await, 1);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn same_key_replays_a_tip() {
    let app = App::start().await;
    let Ride { rider, trip, .. } = completed_ride(&app).await;
    let (path, body, key) = (tip(&trip), dollars(200), new_key());
    let first = rider.post_with(&key, &path, &body).await;
    let again = rider.post_with(&key, &path, &body).await;
    assert_eq!((first.status.as_u16(), &first.bytes), (201, &again.bytes));
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    app.assert_clean().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn declined_tip_is_no_debt_and_allows_another() {
    let app = App::start().await;
    let Ride { rider, trip, .. } = completed_ride(&app).await;
    let mut body = dollars(500);
    body["payment_method"] = "pm_card_chargeDeclinedInsufficientFunds".into();
    let payment = rider.post(&tip(&trip), &body).await.expect(201);
    let payment = until_payment(&rider, &payment, "declined").await;
    assert_eq!(payment["decline_code"], "insufficient_funds");
    app.assert_clean().await;
    assert_eq!(balance(&app, &trip, "rider_receivable").await, 0);
    assert_eq!(app.count("select count(*) from payments where needs_review is not null").await, 0);

    let payment = rider.post(&tip(&trip), &dollars(500)).await.expect(201);
    let payment = until_payment(&rider, &payment, "captured").await;
    let refunds = format!("/v1/payments/{}/refunds", id(&payment));
    app.ops().await.post(&refunds, &dollars(200)).await.expect(201);
    app.assert_clean().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_tips_are_refused() {
    let app = App::start().await;
    let Ride { rider, driver, trip } = completed_ride(&app).await;
    let path = tip(&trip);
    for cents in [0, -1, 10_001, i64::MAX] {
        let problem = rider.post(&path, &dollars(cents)).await.expect_problem(422, "invalid_request");
        assert_eq!(problem["errors"][0]["pointer"], "/amount/amount");
    }
    let yen = json!({"amount": {"amount": 300, "currency": "JPY"}});
    let problem = rider.post(&path, &yen).await.expect_problem(422, "invalid_request");
    assert_eq!(problem["errors"][0]["pointer"], "/amount/currency");
    let unnamed_method = json!({"amount": {"amount": 300, "currency": "USD"}, "payment_method": ""});
    rider.post(&path, &unnamed_method).await.expect_problem(422, "invalid_request");
    rider.post_unkeyed(&path, &dollars(300)).await.expect_problem(400, "idempotency_key_missing");
    app.rider().await.post(&path, &dollars(300)).await.expect_problem(404, "not_found");
    driver.post(&path, &dollars(300)).await.expect_problem(403, "forbidden");

    let early = rider.request_trip().await;
    let problem = rider.post(&tip(&early), &dollars(300)).await.expect_problem(409, "invalid_transition");
    assert!(problem["state"].is_string());
    rider.command(id(&early), "cancel").await.expect(200);
    rider.post(&tip(&early), &dollars(300)).await.expect_problem(409, "invalid_transition");
    app.assert_clean().await;
    app.stop().await;
}
