//! `GET /sim/state`: every movement of money, the reset, and the expiry of authorizations.

use std::time::Duration;

use psp_sim::Settings;
use serde_json::{Value, json};

use crate::harness::{MANUAL, ManualClock, SECRET_KEY, Sim, read};
use crate::receiver::Receiver;

const INTENTS: &str = "/v1/payment_intents";

fn movements(state: &Value, id: &str) -> Vec<(String, i64, Value)> {
    let payments = state["payment_intents"].as_array().unwrap();
    let payment = payments.iter().find(|payment| payment["id"] == id).unwrap();
    let movement = |movement: &Value| {
        let kind = movement["type"].as_str().unwrap().to_owned();
        (kind, movement["amount"].as_i64().unwrap(), movement["idempotency_key"].clone())
    };
    payment["movements"].as_array().unwrap().iter().map(movement).collect()
}

fn movement(kind: &str, amount: i64, key: &str) -> (String, i64, Value) {
    (kind.to_owned(), amount, json!(key))
}

#[tokio::test]
async fn state_lists_every_movement_with_its_idempotency_key() {
    let sim = Sim::start().await;
    let http = &sim.http;
    let id = http.post_once("create", INTENTS, MANUAL).await.id();
    http.post_once("confirm", &format!("{INTENTS}/{id}/confirm"), &[]).await;
    http.post_once("capture", &format!("{INTENTS}/{id}/capture"), &[("amount_to_capture", "600")]).await;
    for (key, amount) in [("first", "100"), ("second", "200"), ("too much", "301")] {
        http.post_once(key, "/v1/refunds", &[("payment_intent", &id), ("amount", amount)]).await;
    }
    let canceled = http.post_once("other", INTENTS, MANUAL).await.id();
    http.post_once("hold", &format!("{INTENTS}/{canceled}/confirm"), &[]).await;
    http.post_once("cancel", &format!("{INTENTS}/{canceled}/cancel"), &[]).await;

    let state = http.state().await;
    let expected = [
        movement("authorized", 1000, "confirm"),
        movement("captured", 600, "capture"),
        movement("released", 400, "capture"),
        movement("refunded", 100, "first"),
        movement("refunded", 200, "second"),
    ];
    assert_eq!(movements(&state, &id), expected);
    let released = [movement("authorized", 1000, "hold"), movement("released", 1000, "cancel")];
    assert_eq!(movements(&state, &canceled), released);
    let totals = json!({ "captured": { "USD": 600 }, "refunded": { "USD": 300 }, "authorized_open": {} });
    assert_eq!(state["totals"], totals);
    assert_eq!(state["refunds"][1]["idempotency_key"], "second");

    let sim = sim.restart().await;
    assert_eq!(sim.http.state().await, state);
}

#[tokio::test]
async fn reset_removes_everything_also_after_a_restart() {
    let mut receiver = Receiver::start();
    let sim = Sim::start_with(|settings| settings.webhook = Some(receiver.webhook())).await;
    let first = sim.http.post_once("create", INTENTS, MANUAL).await.id();
    sim.http.command(&first, "confirm", &[]).await;
    assert_eq!(receiver.next().await.kind(), "payment_intent.amount_capturable_updated");
    let other = sim.http.captured().await;
    assert_eq!(sim.http.get(&format!("/sim/state?payment_intent={first}")).await.json["totals"]["captured"], json!({}));

    let reset = read(sim.http.client.delete(sim.http.url("/sim/state")).bearer_auth(SECRET_KEY)).await;
    assert_eq!(reset.status, 200);
    let empty = sim.http.state().await;
    assert_eq!((&empty["payment_intents"], &empty["idempotency_keys"]), (&json!([]), &json!(0)));
    assert_eq!(sim.http.get(&format!("{INTENTS}/{other}")).await.status, 404);

    // The key is free again, and later events are delivered.
    let again = sim.http.post_once("create", INTENTS, MANUAL).await.id();
    assert_ne!(again, first);
    sim.http.command(&again, "cancel", &[]).await;
    while receiver.next().await.event()["data"]["object"]["id"] != again.as_str() {}

    let after_reset = sim.http.state().await;
    let sim = sim.restart().await;
    assert_eq!(sim.http.state().await["payment_intents"], after_reset["payment_intents"]);
}

#[tokio::test]
async fn automatic_capture_authorizes_and_captures_at_once() {
    let Sim { http, .. } = &Sim::start().await;
    let form = [("amount", "500"), ("currency", "jpy"), ("payment_method", "pm_card_visa"), ("confirm", "true")];
    let id = http.post_once("pay", INTENTS, &form).await.id();
    let expected = [movement("authorized", 500, "pay"), movement("captured", 500, "pay")];
    assert_eq!(movements(&http.state().await, &id), expected);
}

#[tokio::test]
async fn authorization_expires_after_its_ttl() {
    let time = ManualClock::at(1_700_000_000);
    let ttl = |settings: &mut Settings| {
        settings.clock = time.clock();
        settings.authorization_ttl = Duration::from_secs(600);
    };
    let sim = Sim::start_with(ttl).await;
    let old = sim.http.authorized().await;
    time.advance(300);
    let young = sim.http.authorized().await;
    time.advance(299);
    assert_eq!(sim.http.intent(&old).await["status"], "requires_capture");
    // An authorization also expires while the simulator does not run.
    let sim = sim.restart_with(ttl).await;
    time.advance(1);
    let expired = sim.http.intent(&old).await;
    assert_eq!((&expired["status"], &expired["cancellation_reason"]), (&json!("canceled"), &json!("automatic")));
    let late = sim.http.command(&old, "capture", &[]).await;
    assert_eq!(late.error(), (400, "invalid_request_error", "payment_intent_unexpected_state"));
    assert_eq!(sim.http.command(&young, "capture", &[]).await.state(), "succeeded");
    let state = sim.http.state().await;
    let kinds: Vec<_> = movements(&state, &old).into_iter().map(|(kind, amount, _)| (kind, amount)).collect();
    assert_eq!(kinds, [("authorized".to_owned(), 1000), ("expired".to_owned(), 1000)]);
    assert_eq!(state["totals"]["authorized_open"], json!({}));
}

#[tokio::test]
async fn forced_expiry_releases_the_money_and_sends_an_event() {
    let mut receiver = Receiver::start();
    let sim = Sim::start_with(|settings| settings.webhook = Some(receiver.webhook())).await;
    let id = sim.http.authorized().await;
    receiver.next().await;
    let expire = format!("/sim/payment_intents/{id}/expire");
    let expired = sim.http.post(&expire, &[]).await;
    assert_eq!((expired.state(), &expired.json["cancellation_reason"]), ("canceled", &json!("automatic")));
    let event = receiver.next().await;
    assert_eq!(event.kind(), "payment_intent.canceled");
    assert_eq!(event.event()["request"], json!({ "id": null, "idempotency_key": null }));
    assert_eq!(sim.http.post(&expire, &[]).await.error().2, "payment_intent_unexpected_state");
    assert_eq!(sim.http.post("/sim/payment_intents/pi_none/expire", &[]).await.status, 404);
}
