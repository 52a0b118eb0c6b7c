//! Calls that arrive when nobody expects them any more: their worker was stopped between lease and call, or the network kept them.
//! Somebody else has taken over, and may have come to another end. Whatever arrives late must change nothing.
#![allow(clippy::unwrap_used, reason = "tests")]

mod harness;
#[path = "overtaken/wire.rs"]
mod wire;

use std::collections::BTreeMap;

use harness::{Actor, App, HERE, Options, PSP_SECRET, assigned, free_address, id, in_progress, new_key, until};
use ridematch::startup::Running;
use serde_json::{Value, json};
use wire::{Sent, Wire};

/// A service whose calls go over a wire.
async fn wired() -> (App, Wire) {
    let wire = Wire::start();
    let app = App::with(Options { psp_base_url: Some(wire.base_url.clone()), ..Options::default() }).await;
    wire.lead_to(app.provider.address());
    (app, wire)
}

/// A second worker, which the wire does not delay.
async fn second(app: &App) -> Running {
    let direct = format!("http://{}", app.provider.address()).parse().unwrap();
    app.another(|config| config.psp.base_url = direct).await
}

/// The provider's own account: every intent with all that has to do with money.
async fn books(app: &App) -> BTreeMap<String, Value> {
    let url = format!("http://{}/v1/payment_intents?limit=100", app.provider.address());
    let list: Value = app.http.get(url).bearer_auth(PSP_SECRET).send().await.unwrap().json().await.unwrap();
    let mut books = BTreeMap::new();
    for intent in list["data"].as_array().unwrap() {
        let money = json!([
            intent["status"],
            intent["amount_capturable"],
            intent["amount_received"],
            refunded(app, intent).await
        ]);
        books.insert(intent["id"].as_str().unwrap().to_owned(), money);
    }
    books
}

async fn refunded(app: &App, intent: &Value) -> i64 {
    let intent = intent["id"].as_str().unwrap();
    let url = format!("http://{}/v1/refunds?payment_intent={intent}&limit=100", app.provider.address());
    let list: Value = app.http.get(url).bearer_auth(PSP_SECRET).send().await.unwrap().json().await.unwrap();
    list["data"].as_array().unwrap().iter().map(|refund| refund["amount"].as_i64().unwrap()).sum()
}

/// A call arrives at the provider once more; the status of its answer.
async fn arrives(app: &App, call: &Sent, key: &str, body: String) -> u16 {
    let url = format!("http://{}{}", app.provider.address(), call.path);
    let request = app.http.post(url).bearer_auth(PSP_SECRET).header("Idempotency-Key", key);
    request
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(body)
        .send()
        .await
        .unwrap()
        .status()
        .as_u16()
}

async fn until_trip(actor: &Actor, trip: &Value, state: &str) -> Value {
    actor.until_state(id(trip), state).await
}

async fn until_payment(app: &App, trip: &Value, state: &str) -> Value {
    let ops = app.ops().await;
    until(&format!("the payment is {state}"), async || {
        let payment = ops.get(&format!("/v1/payments/{}", trip["payment_id"].as_str().unwrap())).await.expect(200);
        (payment["state"] == state).then_some(payment)
    })
    .await
}

/// One payment of each kind of end: captured and refunded in part, captured in part for a fee, declined, released.
async fn every_end(app: &App) {
    let driver = app.driver_at(HERE).await;
    let rider = app.rider().await;
    let trip = in_progress(app, &rider, &driver).await;
    driver.act(id(&trip), "complete").await.expect(200);
    let payment = until_payment(app, &trip, "captured").await;
    let body = json!({"amount": {"amount": 100, "currency": "USD"}});
    app.ops().await.post(&format!("/v1/payments/{}/refunds", id(&payment)), &body).await.expect(201);

    let late = app.rider().await;
    let trip = assigned(app, &late, &driver).await;
    app.advance(150).await;
    driver.send_position(app, HERE).await;
    late.act(id(&trip), "cancel").await.expect(200);
    until_payment(app, &trip, "captured").await;

    let poor = app.rider().await;
    let trip = poor.request_trip_with("pm_card_chargeDeclinedInsufficientFunds").await;
    until_trip(&poor, &trip, "payment_failed").await;
    let challenged = app.rider().await;
    let trip = challenged.request_trip_with("pm_card_authenticationRequired").await;
    until_trip(&challenged, &trip, "payment_failed").await;

    let fickle = app.rider().await;
    let trip = fickle.request_trip().await;
    until_payment(app, &trip, "authorized").await; // the driver is near, and is asked at once
    fickle.act(id(&trip), "cancel").await.expect(200);
    until_payment(app, &trip, "voided").await;
    app.assert_clean().await;
}

/// The provider has forgotten the keys, the bank has changed its mind about every card, and every call that was ever made arrives
/// once more. Refunds apart: one whose key is forgotten would be another refund, which is why no worker repeats it after 23 hours.
#[tokio::test(flavor = "multi_thread")]
async fn every_call_ever_made_arrives_again_after_the_end_and_changes_nothing() {
    let (app, wire) = wired().await;
    every_end(&app).await;
    let (before, sent) = (books(&app).await, wire.sent());
    let mut arrived = BTreeMap::<String, usize>::new();
    for call in &sent {
        let operation = call.operation();
        arrives(&app, call, &call.key, call.body.clone()).await;
        let good_card = "payment_method=pm_card_visa".to_owned();
        let status = match operation {
            "refunds" => continue,
            "confirm" => arrives(&app, call, &new_key(), good_card).await,
            _ => arrives(&app, call, &new_key(), call.body.clone()).await,
        };
        // An intent that nobody knows of and nobody confirms is the one thing that a late call may leave behind.
        assert_eq!(status < 300, operation == "payment_intents", "{call:?}: {status}");
        *arrived.entry(operation.to_owned()).or_default() += 1;
    }
    for operation in ["payment_intents", "confirm", "capture", "cancel"] {
        assert!(arrived.get(operation).is_some_and(|count| *count >= 2), "{arrived:?}");
    }
    let after = books(&app).await;
    for (intent, money) in &after {
        let was = before.get(intent).cloned().unwrap_or_else(|| json!(["requires_confirmation", 0, 0, 0]));
        assert_eq!(*money, was, "{intent}");
    }
    app.assert_clean().await;
    app.stop().await;
    wire.stop().await;
}

/// The lease of whoever works on a payment or a refund runs out.
async fn run_out(app: &App) {
    for table in ["payments", "refunds"] {
        app.break_with(&format!(
            "update {table} set leased_until = now() - interval '1 second', due_at = now() - interval '1 second'
             where leased_until > now()"
        ))
        .await;
    }
}

/// A worker that is about to be held up with a call on the wire.
struct Held {
    app: App,
    wire: Wire,
}

impl Held {
    async fn before(operation: &'static str) -> Self {
        let (app, wire) = wired().await;
        wire.hold(operation);
        Self { app, wire }
    }

    /// Its call is on the wire; its lease runs out, and there is a second worker.
    async fn overtaken(self) -> Overtaken {
        self.wire.until_held().await;
        let second = second(&self.app).await;
        run_out(&self.app).await;
        Overtaken { app: self.app, wire: self.wire, second }
    }
}

/// A worker is held up with a call on the wire, and a second one takes over.
struct Overtaken {
    app: App,
    wire: Wire,
    second: Running,
}

impl Overtaken {
    /// The call arrives, after all; and everything is as it was.
    async fn end(self) {
        let Self { app, wire, second } = self;
        app.audit().await;
        let (before, versions) = (books(&app).await, "select coalesce(sum(version), 0)::bigint from payments");
        let version = app.count(versions).await;
        wire.let_go().await;
        app.assert_clean().await;
        assert_eq!(books(&app).await, before);
        assert_eq!(app.count(versions).await, version);
        assert!(app.count("select count(*) from payment_attempts where outcome = 'unknown'").await > 0);
        second.stop().await;
        app.stop().await;
        wire.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_that_was_overtaken_makes_no_second_intent() {
    let held = Held::before("payment_intents").await;
    let app = &held.app;
    let rider = app.rider().await;
    let trip = rider.request_trip().await;
    let overtaken = held.overtaken().await;
    let app = &overtaken.app;
    until_trip(&rider, &trip, "searching").await;
    rider.act(id(&trip), "cancel").await.expect(200);
    until_payment(app, &trip, "voided").await;
    overtaken.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_confirmation_that_was_overtaken_authorises_nothing() {
    let held = Held::before("confirm").await;
    let app = &held.app;
    let rider = app.rider().await;
    let trip = rider.request_trip().await;
    held.wire.until_held().await;
    rider.act(id(&trip), "cancel").await.expect(200);
    let overtaken = held.overtaken().await;
    until_payment(&overtaken.app, &trip, "voided").await;
    overtaken.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_capture_that_was_overtaken_takes_nothing_more() {
    let held = Held::before("capture").await;
    let app = &held.app;
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = in_progress(app, &rider, &driver).await;
    driver.act(id(&trip), "complete").await.expect(200);
    let overtaken = held.overtaken().await;
    let app = &overtaken.app;
    until_payment(app, &trip, "captured").await;
    overtaken.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancellation_that_was_overtaken_is_done_already() {
    let held = Held::before("cancel").await;
    let app = &held.app;
    let rider = app.rider().await;
    let trip = rider.request_trip().await;
    until_trip(&rider, &trip, "searching").await;
    rider.act(id(&trip), "cancel").await.expect(200);
    let overtaken = held.overtaken().await;
    let app = &overtaken.app;
    until_payment(app, &trip, "voided").await;
    overtaken.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_that_was_overtaken_gives_nothing_back_twice() {
    let held = Held::before("refunds").await;
    let app = &held.app;
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = in_progress(app, &rider, &driver).await;
    driver.act(id(&trip), "complete").await.expect(200);
    let payment = until_payment(app, &trip, "captured").await;
    let path = format!("/v1/payments/{}/refunds", id(&payment));
    let ops = app.ops().await;
    ops.post(&path, &json!({"amount": {"amount": 100, "currency": "USD"}})).await.expect(201);
    let overtaken = held.overtaken().await;
    until("it has gone back", async || {
        let payment = ops.get(&format!("/v1/payments/{}", id(&payment))).await.expect(200);
        (payment["refunded"]["amount"] == 100).then_some(())
    })
    .await;
    overtaken.end().await;
}

/// The event that tells of an expired authorisation is lost: it is found by looking, before the seven days are over.
#[tokio::test(flavor = "multi_thread")]
async fn a_hold_is_looked_at_before_it_is_a_week_old() {
    // Nobody listens there: every event is lost.
    let app = App::with(Options { events_to: Some(free_address()), ..Options::default() }).await;
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = in_progress(&app, &rider, &driver).await;
    let intent: String =
        sqlx::query_scalar("select provider_intent_id from payments").fetch_one(app.sql()).await.unwrap();
    let cancel = format!("http://{}/v1/payment_intents/{intent}/cancel", app.provider.address());
    assert_eq!(app.http.post(cancel).bearer_auth(PSP_SECRET).send().await.unwrap().status(), 200);

    app.advance(5 * 86_400).await;
    let held = until_payment(&app, &trip, "authorized").await;
    assert_eq!(held["state"], "authorized");
    app.advance(86_400 + 60).await;
    until_payment(&app, &trip, "auth_expired").await;
    driver.act(id(&trip), "complete").await.expect(200);
    until("another payment was captured", async || {
        (app.count("select count(*) from payments where state = 'captured' and replaces is not null").await == 1)
            .then_some(())
    })
    .await;
    app.assert_clean().await;
    app.stop().await;
}
