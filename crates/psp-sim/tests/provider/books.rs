//! The provider's books: every movement of money, and the end of reservations.

use std::time::Duration;

use psp_sim::Settings;
use serde_json::{Value, json};

use crate::receiver::Receiver;
use crate::sim::{HandClock, MANUAL, SECRET_KEY, Sim, read};

const INTENTS: &str = "/v1/payment_intents";

fn movements(books: &Value, id: &str) -> Vec<(String, i64, Value)> {
    let payments = books["payment_intents"].as_array().unwrap();
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
async fn the_books_name_every_movement_with_its_key() {
    let sim = Sim::start().await;
    let http = &sim.http;
    let id = http.post_once("create", INTENTS, MANUAL).await.id();
    http.post_once("confirm", &format!("{INTENTS}/{id}/confirm"), &[]).await;
    http.post_once("capture", &format!("{INTENTS}/{id}/capture"), &[("amount_to_capture", "600")]).await;
    for (key, amount) in [("first", "100"), ("second", "200"), ("too much", "301")] {
        http.post_once(key, "/v1/refunds", &[("payment_intent", &id), ("amount", amount)]).await;
    }
    let given_up = http.post_once("other", INTENTS, MANUAL).await.id();
    http.post_once("hold", &format!("{INTENTS}/{given_up}/confirm"), &[]).await;
    http.post_once("cancel", &format!("{INTENTS}/{given_up}/cancel"), &[]).await;

    let books = http.books().await;
    let expected = [
        movement("authorized", 1000, "confirm"),
        movement("captured", 600, "capture"),
        movement("released", 400, "capture"),
        movement("refunded", 100, "first"),
        movement("refunded", 200, "second"),
    ];
    assert_eq!(movements(&books, &id), expected);
    let released = [movement("authorized", 1000, "hold"), movement("released", 1000, "cancel")];
    assert_eq!(movements(&books, &given_up), released);
    let totals = json!({ "captured": { "USD": 600 }, "refunded": { "USD": 300 }, "authorized_open": {} });
    assert_eq!(books["totals"], totals);
    assert_eq!(books["refunds"][1]["idempotency_key"], "second");

    let sim = sim.restart().await;
    assert_eq!(sim.http.books().await, books);
}

#[tokio::test]
async fn everything_begins_anew_and_stays_so() {
    let mut receiver = Receiver::start();
    let sim = Sim::start_with(|settings| settings.webhook = Some(receiver.webhook())).await;
    let first = sim.http.post_once("create", INTENTS, MANUAL).await.id();
    sim.http.act(&first, "confirm", &[]).await;
    assert_eq!(receiver.hear().await.kind(), "payment_intent.amount_capturable_updated");
    let other = sim.http.captured().await;
    assert_eq!(sim.http.get(&format!("/sim/books?payment_intent={first}")).await.json["totals"]["captured"], json!({}));

    let forgotten = read(sim.http.client.delete(sim.http.url("/sim/books")).bearer_auth(SECRET_KEY)).await;
    assert_eq!(forgotten.status, 200);
    let empty = sim.http.books().await;
    assert_eq!((&empty["payment_intents"], &empty["idempotency_keys"]), (&json!([]), &json!(0)));
    assert_eq!(sim.http.get(&format!("{INTENTS}/{other}")).await.status, 404);

    // The key is free again, and the events that come after are told.
    let again = sim.http.post_once("create", INTENTS, MANUAL).await.id();
    assert_ne!(again, first);
    sim.http.act(&again, "cancel", &[]).await;
    while receiver.hear().await.event()["data"]["object"]["id"] != again.as_str() {}

    let anew = sim.http.books().await;
    let sim = sim.restart().await;
    assert_eq!(sim.http.books().await["payment_intents"], anew["payment_intents"]);
}

#[tokio::test]
async fn an_automatic_payment_is_authorised_and_captured_at_once() {
    let Sim { http, .. } = &Sim::start().await;
    let form = [("amount", "500"), ("currency", "jpy"), ("payment_method", "pm_card_visa"), ("confirm", "true")];
    let id = http.post_once("pay", INTENTS, &form).await.id();
    let expected = [movement("authorized", 500, "pay"), movement("captured", 500, "pay")];
    assert_eq!(movements(&http.books().await, &id), expected);
}

#[tokio::test]
async fn a_reservation_ends_after_its_time() {
    let time = HandClock::at(1_700_000_000);
    let ttl = |settings: &mut Settings| {
        settings.clock = time.clock();
        settings.authorisation_ttl = Duration::from_secs(600);
    };
    let sim = Sim::start_with(ttl).await;
    let old = sim.http.reserved().await;
    time.advance(300);
    let young = sim.http.reserved().await;
    time.advance(299);
    assert_eq!(sim.http.intent(&old).await["status"], "requires_capture");
    // What expires while nobody runs is found expired at the start.
    let sim = sim.restart_with(ttl).await;
    time.advance(1);
    let expired = sim.http.intent(&old).await;
    assert_eq!((&expired["status"], &expired["cancellation_reason"]), (&json!("canceled"), &json!("automatic")));
    let late = sim.http.act(&old, "capture", &[]).await;
    assert_eq!(late.error(), (400, "invalid_request_error", "payment_intent_unexpected_state"));
    assert_eq!(sim.http.act(&young, "capture", &[]).await.state(), "succeeded");
    let books = sim.http.books().await;
    let kinds: Vec<_> = movements(&books, &old).into_iter().map(|(kind, amount, _)| (kind, amount)).collect();
    assert_eq!(kinds, [("authorized".to_owned(), 1000), ("expired".to_owned(), 1000)]);
    assert_eq!(books["totals"]["authorized_open"], json!({}));
}

#[tokio::test]
async fn the_control_door_lets_a_reservation_expire_and_the_webhook_hears_of_it() {
    let mut receiver = Receiver::start();
    let sim = Sim::start_with(|settings| settings.webhook = Some(receiver.webhook())).await;
    let id = sim.http.reserved().await;
    receiver.hear().await;
    let expire = format!("/sim/payment_intents/{id}/expire");
    let expired = sim.http.post(&expire, &[]).await;
    assert_eq!((expired.state(), &expired.json["cancellation_reason"]), ("canceled", &json!("automatic")));
    let told = receiver.hear().await;
    assert_eq!(told.kind(), "payment_intent.canceled");
    assert_eq!(told.event()["request"], json!({ "id": null, "idempotency_key": null }));
    assert_eq!(sim.http.post(&expire, &[]).await.error().2, "payment_intent_unexpected_state");
    assert_eq!(sim.http.post("/sim/payment_intents/pi_none/expire", &[]).await.status, 404);
}
