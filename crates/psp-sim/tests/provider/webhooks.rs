//! What the webhook hears.

use std::sync::atomic::Ordering;

use psp_sim::{Settings, Webhook};
use tempfile::TempDir;

use crate::receiver::{Receiver, SECRET};
use crate::sim::{HandClock, MANUAL, Process, Sim};

#[tokio::test]
async fn every_change_is_told_signed() {
    let time = HandClock::at(1_700_000_000);
    let mut receiver = Receiver::start();
    let sim = Sim::start_with(|settings| {
        settings.webhook = Some(receiver.webhook());
        settings.clock = time.clock();
    })
    .await;
    let http = &sim.http;
    let id = http.create(MANUAL).await;

    http.act(&id, "confirm", &[("payment_method", "pm_card_chargeDeclined")]).await;
    assert_eq!(receiver.hear().await.kind(), "payment_intent.payment_failed");
    http.act(&id, "confirm", &[("payment_method", "pm_card_authenticationRequired")]).await;
    assert_eq!(receiver.hear().await.kind(), "payment_intent.requires_action");
    http.act(&id, "confirm", &[("payment_method", "pm_card_visa")]).await;
    assert_eq!(receiver.hear().await.kind(), "payment_intent.amount_capturable_updated");
    time.advance(5);
    http.act(&id, "capture", &[]).await;

    let captured = receiver.hear().await;
    assert_eq!(captured.kind(), "payment_intent.succeeded");
    assert_eq!(captured.verified(), 1_700_000_005);
    assert_eq!(captured.event()["data"]["object"], http.intent(&id).await);
    http.refund(&id, "400").await;
    let mut told = [receiver.hear().await.kind(), receiver.hear().await.kind()];
    told.sort();
    assert_eq!(told, ["charge.refunded", "refund.updated"]);
    let other = http.create(MANUAL).await;
    http.act(&other, "cancel", &[]).await;
    assert_eq!(receiver.hear().await.kind(), "payment_intent.canceled");
}

#[tokio::test]
async fn a_refused_delivery_is_tried_again_with_a_new_stamp() {
    let time = HandClock::at(1_700_000_000);
    let mut receiver = Receiver::start();
    let sim = Sim::start_with(|settings| {
        settings.webhook = Some(receiver.webhook());
        settings.clock = time.clock();
    })
    .await;
    receiver.status.store(500, Ordering::SeqCst);
    sim.http.reserved().await;
    let first = receiver.hear().await;
    receiver.status.store(204, Ordering::SeqCst);
    time.advance(400);
    let second = receiver.hear().await;
    assert_eq!(second.payload, first.payload);
    assert_eq!((first.verified(), second.verified()), (1_700_000_000, 1_700_000_400));
}

#[tokio::test]
async fn what_could_not_be_delivered_waits_for_the_next_start() {
    let mut receiver = Receiver::start();
    // Nobody listens on the discard port of the loopback address.
    let nobody = Webhook { url: "http://127.0.0.1:9/".to_owned(), secret: SECRET.to_owned() };
    let sim = Sim::start_with(|settings| {
        settings.webhook = Some(nobody);
        // The journal is written anew again and again, and the events must get through that too.
        settings.journal_rewrite_min_bytes = 0;
    })
    .await;
    let ids = [sim.http.reserved().await, sim.http.reserved().await];
    assert_eq!(sim.http.sums().await["events_pending"], 2);

    let listening = receiver.webhook();
    let sim = sim.restart_with(|settings: &mut Settings| settings.webhook = Some(listening)).await;
    let mut heard = Vec::new();
    for _ in &ids {
        let delivery = receiver.hear().await;
        delivery.verified();
        heard.push(delivery.event()["data"]["object"]["id"].as_str().unwrap().to_owned());
    }
    heard.sort();
    let mut expected = ids.to_vec();
    expected.sort();
    assert_eq!(heard, expected);
    sim.stop().await;
}

#[tokio::test]
async fn what_could_not_be_delivered_survives_a_kill() {
    let mut receiver = Receiver::start();
    let data_dir = TempDir::new().unwrap();
    let process =
        Process::start_with(data_dir.path(), &["--webhook-url", "http://127.0.0.1:9/", "--webhook-secret", "x"]);
    let id = process.http.reserved().await;
    process.kill();
    let arguments = ["--webhook-url", &receiver.webhook().url, "--webhook-secret", SECRET];
    let process = Process::start_with(data_dir.path(), &arguments);
    let delivery = receiver.hear().await;
    delivery.verified();
    assert_eq!(delivery.event()["data"]["object"]["id"], id);
    process.kill();
}
