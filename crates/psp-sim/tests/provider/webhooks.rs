//! The webhook events, their retries and their durability.

use std::sync::atomic::Ordering;

use psp_sim::{Settings, Webhook};
use tempfile::TempDir;

use crate::harness::{MANUAL, ManualClock, Process, Sim};
use crate::receiver::{Receiver, SECRET};

#[tokio::test]
async fn every_transition_sends_a_signed_event() {
    let time = ManualClock::at(1_700_000_000);
    let mut receiver = Receiver::start();
    let sim = Sim::start_with(|settings| {
        settings.webhook = Some(receiver.webhook());
        settings.clock = time.clock();
    })
    .await;
    let http = &sim.http;
    let id = http.create(MANUAL).await;

    http.command(&id, "confirm", &[("payment_method", "pm_card_chargeDeclined")]).await;
    assert_eq!(receiver.next().await.kind(), "payment_intent.payment_failed");
    http.command(&id, "confirm", &[("payment_method", "pm_card_authenticationRequired")]).await;
    assert_eq!(receiver.next().await.kind(), "payment_intent.requires_action");
    http.command(&id, "confirm", &[("payment_method", "pm_card_visa")]).await;
    assert_eq!(receiver.next().await.kind(), "payment_intent.amount_capturable_updated");
    time.advance(5);
    http.command(&id, "capture", &[]).await;

    let captured = receiver.next().await;
    assert_eq!(captured.kind(), "payment_intent.succeeded");
    assert_eq!(captured.verified(), 1_700_000_005);
    assert_eq!(captured.event()["data"]["object"], http.intent(&id).await);
    http.refund(&id, "400").await;
    let mut kinds = [receiver.next().await.kind(), receiver.next().await.kind()];
    kinds.sort();
    assert_eq!(kinds, ["charge.refunded", "refund.updated"]);
    let other = http.create(MANUAL).await;
    http.command(&other, "cancel", &[]).await;
    assert_eq!(receiver.next().await.kind(), "payment_intent.canceled");
}

#[tokio::test]
async fn rejected_delivery_is_retried_with_a_new_time_stamp() {
    let time = ManualClock::at(1_700_000_000);
    let mut receiver = Receiver::start();
    let sim = Sim::start_with(|settings| {
        settings.webhook = Some(receiver.webhook());
        settings.clock = time.clock();
    })
    .await;
    receiver.status.store(500, Ordering::SeqCst);
    sim.http.authorized().await;
    let first = receiver.next().await;
    receiver.status.store(204, Ordering::SeqCst);
    time.advance(400);
    let second = receiver.next().await;
    assert_eq!(second.payload, first.payload);
    assert_eq!((first.verified(), second.verified()), (1_700_000_000, 1_700_000_400));
}

#[tokio::test]
async fn undelivered_event_is_delivered_after_a_restart() {
    let mut receiver = Receiver::start();
    // The discard port of the loopback address is closed.
    let unreachable = Webhook { url: "http://127.0.0.1:9/".to_owned(), secret: SECRET.to_owned() };
    let sim = Sim::start_with(|settings| {
        settings.webhook = Some(unreachable);
        // The journal is rewritten all the time, which must lose no event.
        settings.journal_rewrite_min_bytes = 0;
    })
    .await;
    let ids = [sim.http.authorized().await, sim.http.authorized().await];
    assert_eq!(sim.http.sums().await["events_pending"], 2);

    let listening = receiver.webhook();
    let sim = sim.restart_with(|settings: &mut Settings| settings.webhook = Some(listening)).await;
    let mut received = Vec::new();
    for _ in &ids {
        let delivery = receiver.next().await;
        delivery.verified();
        received.push(delivery.event()["data"]["object"]["id"].as_str().unwrap().to_owned());
    }
    received.sort();
    let mut expected = ids.to_vec();
    expected.sort();
    assert_eq!(received, expected);
    sim.stop().await;
}

#[tokio::test]
async fn undelivered_event_survives_a_kill() {
    let mut receiver = Receiver::start();
    let data_dir = TempDir::new().unwrap();
    let process =
        Process::start_with(data_dir.path(), &["--webhook-url", "http://127.0.0.1:9/", "--webhook-secret", "x"]);
    let id = process.http.authorized().await;
    process.kill();
    let arguments = ["--webhook-url", &receiver.webhook().url, "--webhook-secret", SECRET];
    let process = Process::start_with(data_dir.path(), &arguments);
    let delivery = receiver.next().await;
    delivery.verified();
    assert_eq!(delivery.event()["data"]["object"]["id"], id);
    process.kill();
}
