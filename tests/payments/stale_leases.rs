//! Stale calls: their worker was stopped between lease and call, or the network delayed them. Another worker has taken over, possibly
//! with another result. A stale call must change nothing.
#![allow(clippy::unwrap_used, reason = "tests")]

mod call_recorder;

use std::collections::BTreeMap;

use crate::fixtures::{cents, until_payment};
use crate::harness::{
    API_VERSION, Actor, App, HERE, Options, PSP_SECRET, assigned, free_address, id, in_progress, new_key, until,
};
use call_recorder::{CallRecorder, RecordedCall};
use ridematch::startup::Running;
use serde_json::{Value, json};

/// Starts a service whose calls go through the recorder.
async fn recorded() -> (App, CallRecorder) {
    let recorder = CallRecorder::start();
    let app = App::with(Options { psp_base_url: Some(recorder.base_url.clone()), ..Options::default() }).await;
    recorder.set_target(app.provider.address());
    (app, recorder)
}

/// Starts a second worker, whose calls are not recorded.
async fn second(app: &App) -> Running {
    let direct = format!("http://{}", app.provider.address()).parse().unwrap();
    app.second_process(|config| config.psp.base_url = direct).await
}

/// Returns the provider's intents with their amounts.
async fn provider_records(app: &App) -> BTreeMap<String, Value> {
    let list = provider_list(app, "payment_intents?limit=100").await;
    let mut records = BTreeMap::new();
    for intent in list["data"].as_array().unwrap() {
        let money = json!([
            intent["status"],
            intent["amount_capturable"],
            intent["amount_received"],
            refunded(app, intent).await
        ]);
        records.insert(intent["id"].as_str().unwrap().to_owned(), money);
    }
    records
}

async fn provider_list(app: &App, query: &str) -> Value {
    let url = format!("http://{}/v1/{query}", app.provider.address());
    let request = app.http.get(url).bearer_auth(PSP_SECRET).header("Stripe-Version", API_VERSION);
    request.send().await.unwrap().json().await.unwrap()
}

async fn refunded(app: &App, intent: &Value) -> i64 {
    let intent = intent["id"].as_str().unwrap();
    let list = provider_list(app, &format!("refunds?payment_intent={intent}&limit=100")).await;
    list["data"].as_array().unwrap().iter().map(|refund| refund["amount"].as_i64().unwrap()).sum()
}

/// Repeats a call at the provider; returns the status of its response.
async fn repeat(app: &App, call: &RecordedCall, key: &str, body: String) -> u16 {
    let url = format!("http://{}{}", app.provider.address(), call.path);
    let request =
        app.http.post(url).bearer_auth(PSP_SECRET).header("Stripe-Version", API_VERSION).header("Idempotency-Key", key);
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

async fn until_trip_payment(app: &App, trip: &Value, state: &str) -> Value {
    until_payment(&app.ops().await, trip["payment_id"].as_str().unwrap(), state).await
}

/// Makes payments with every end: captured and partly refunded, partly captured for a fee, declined, released.
async fn every_end(app: &App) {
    let driver = app.driver_at(HERE).await;
    let rider = app.rider().await;
    let trip = in_progress(app, &rider, &driver).await;
    driver.command(id(&trip), "complete").await.expect(200);
    let payment = until_trip_payment(app, &trip, "captured").await;
    app.ops().await.post(&format!("/v1/payments/{}/refunds", id(&payment)), &cents(100)).await.expect(201);

    let late = app.rider().await;
    let trip = assigned(app, &late, &driver).await;
    app.advance(150).await;
    driver.send_position(app, HERE).await;
    late.command(id(&trip), "cancel").await.expect(200);
    until_trip_payment(app, &trip, "captured").await;

    let declined = app.rider().await;
    let trip = declined.request_trip_with("pm_card_chargeDeclinedInsufficientFunds").await;
    until_trip(&declined, &trip, "payment_failed").await;
    let challenged = app.rider().await;
    let trip = challenged.request_trip_with("pm_card_authenticationRequired").await;
    until_trip(&challenged, &trip, "payment_failed").await;

    let cancelling = app.rider().await;
    let trip = cancelling.request_trip().await;
    until_trip_payment(app, &trip, "authorized").await; // the driver is near, and gets an offer at once
    cancelling.command(id(&trip), "cancel").await.expect(200);
    until_trip_payment(app, &trip, "voided").await;
    app.assert_clean().await;
}

/// Repeats every call except refunds under its key, under a new key, and with a valid card. A refund under a new key would be a second
/// refund, which is why no worker repeats one after 23 hours.
#[tokio::test(flavor = "multi_thread")]
async fn repeat_of_every_call_after_the_end_changes_nothing() {
    let (app, recorder) = recorded().await;
    every_end(&app).await;
    let (before, sent) = (provider_records(&app).await, recorder.sent());
    let mut repeated = BTreeMap::<String, usize>::new();
    for call in &sent {
        let operation = call.operation();
        repeat(&app, call, &call.key, call.body.clone()).await;
        let good_card = "payment_method=pm_card_visa".to_owned();
        let status = match operation {
            "refunds" => continue,
            "confirm" => repeat(&app, call, &new_key(), good_card).await,
            _ => repeat(&app, call, &new_key(), call.body.clone()).await,
        };
        // A stale call may leave an unconfirmed intent, and nothing else.
        assert_eq!(status < 300, operation == "payment_intents", "{call:?}: {status}");
        *repeated.entry(operation.to_owned()).or_default() += 1;
    }
    for operation in ["payment_intents", "confirm", "capture", "cancel"] {
        assert!(repeated.get(operation).is_some_and(|count| *count >= 2), "{repeated:?}");
    }
    let after = provider_records(&app).await;
    for (intent, money) in &after {
        let was = before.get(intent).cloned().unwrap_or_else(|| json!(["requires_confirmation", 0, 0, 0]));
        assert_eq!(*money, was, "{intent}");
    }
    app.assert_clean().await;
    app.stop().await;
    recorder.stop().await;
}

/// Ends the leases of all workers.
async fn expire_leases(app: &App) {
    for table in ["payments", "refunds"] {
        app.break_with(&format!(
            "update {table} set leased_until = now() - interval '1 second', due_at = now() - interval '1 second'
             where leased_until > now()"
        ))
        .await;
    }
}

/// A worker whose next call of one kind is delayed.
struct DelayedWorker {
    app: App,
    recorder: CallRecorder,
}

impl DelayedWorker {
    async fn before(operation: &'static str) -> Self {
        let (app, recorder) = recorded().await;
        recorder.delay(operation);
        Self { app, recorder }
    }

    /// Ends its lease during the call, and starts a second worker.
    async fn taken_over(self) -> TakenOver {
        self.recorder.until_delayed().await;
        let second = second(&self.app).await;
        expire_leases(&self.app).await;
        TakenOver { app: self.app, recorder: self.recorder, second }
    }
}

/// A worker with a delayed call, and a second one that took over.
struct TakenOver {
    app: App,
    recorder: CallRecorder,
    second: Running,
}

impl TakenOver {
    /// Releases the call, and checks that nothing changes.
    async fn end(self) {
        let Self { app, recorder, second } = self;
        app.audit().await;
        let (before, versions) =
            (provider_records(&app).await, "select coalesce(sum(version), 0)::bigint from payments");
        let version = app.count(versions).await;
        recorder.release().await;
        app.assert_clean().await;
        assert_eq!(provider_records(&app).await, before);
        assert_eq!(app.count(versions).await, version);
        assert!(app.count("select count(*) from payment_attempts where outcome = 'unknown'").await > 0);
        second.stop().await;
        app.stop().await;
        recorder.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stale_create_leaves_one_intent() {
    let delayed = DelayedWorker::before("payment_intents").await;
    let app = &delayed.app;
    let rider = app.rider().await;
    let trip = rider.request_trip().await;
    let taken_over = delayed.taken_over().await;
    let app = &taken_over.app;
    until_trip(&rider, &trip, "searching").await;
    rider.command(id(&trip), "cancel").await.expect(200);
    until_trip_payment(app, &trip, "voided").await;
    taken_over.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stale_confirm_authorizes_nothing() {
    let delayed = DelayedWorker::before("confirm").await;
    let app = &delayed.app;
    let rider = app.rider().await;
    let trip = rider.request_trip().await;
    delayed.recorder.until_delayed().await;
    rider.command(id(&trip), "cancel").await.expect(200);
    let taken_over = delayed.taken_over().await;
    until_trip_payment(&taken_over.app, &trip, "voided").await;
    taken_over.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stale_capture_captures_nothing_more() {
    let delayed = DelayedWorker::before("capture").await;
    let app = &delayed.app;
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = in_progress(app, &rider, &driver).await;
    driver.command(id(&trip), "complete").await.expect(200);
    let taken_over = delayed.taken_over().await;
    let app = &taken_over.app;
    until_trip_payment(app, &trip, "captured").await;
    taken_over.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stale_cancel_changes_nothing() {
    let delayed = DelayedWorker::before("cancel").await;
    let app = &delayed.app;
    let rider = app.rider().await;
    let trip = rider.request_trip().await;
    until_trip(&rider, &trip, "searching").await;
    rider.command(id(&trip), "cancel").await.expect(200);
    let taken_over = delayed.taken_over().await;
    let app = &taken_over.app;
    until_trip_payment(app, &trip, "voided").await;
    taken_over.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stale_refund_refunds_nothing_twice() {
    let delayed = DelayedWorker::before("refunds").await;
    let app = &delayed.app;
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = in_progress(app, &rider, &driver).await;
    driver.command(id(&trip), "complete").await.expect(200);
    let payment = until_trip_payment(app, &trip, "captured").await;
    let path = format!("/v1/payments/{}/refunds", id(&payment));
    let ops = app.ops().await;
    ops.post(&path, &cents(100)).await.expect(201);
    let taken_over = delayed.taken_over().await;
    until("it is refunded", async || {
        let payment = ops.get(&format!("/v1/payments/{}", id(&payment))).await.expect(200);
        (payment["refunded"]["amount"] == 100).then_some(())
    })
    .await;
    taken_over.end().await;
}

/// The event about the expired authorization is lost.
#[tokio::test(flavor = "multi_thread")]
async fn hold_is_rechecked_before_it_is_a_week_old() {
    // Every event is lost.
    let app = App::with(Options { events_to: Some(free_address()), ..Options::default() }).await;
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = in_progress(&app, &rider, &driver).await;
    let intent: String =
        sqlx::query_scalar("select provider_intent_id from payments").fetch_one(app.sql()).await.unwrap();
    let cancel = format!("http://{}/v1/payment_intents/{intent}/cancel", app.provider.address());
    assert_eq!(
        app.http
            .post(cancel)
            .bearer_auth(PSP_SECRET)
            .header("Stripe-Version", API_VERSION)
            .send()
            .await
            .unwrap()
            .status(),
        200
    );

    app.advance(5 * 86_400).await;
    until_trip_payment(&app, &trip, "authorized").await;
    app.advance(86_400 + 60).await;
    until_trip_payment(&app, &trip, "auth_expired").await;
    driver.command(id(&trip), "complete").await.expect(200);
    until("the replacement is captured", async || {
        (app.count("select count(*) from payments where state = 'captured' and replaces is not null").await == 1)
            .then_some(())
    })
    .await;
    app.assert_clean().await;
    app.stop().await;
}
