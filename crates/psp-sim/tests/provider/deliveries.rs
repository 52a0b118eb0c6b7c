//! Every fault of a webhook delivery.

use std::sync::atomic::Ordering;
use std::time::Duration;

use psp_sim::Settings;
use serde_json::{Value, json};

use crate::harness::{ManualClock, Sim};
use crate::receiver::{Delivery, Receiver};

const NOW: i64 = 1_700_000_000;

async fn start() -> (Sim, Receiver) {
    let receiver = Receiver::start();
    let sim = Sim::start_with(|settings| set_up(settings, &receiver)).await;
    (sim, receiver)
}

fn set_up(settings: &mut Settings, receiver: &Receiver) {
    settings.webhook = Some(receiver.webhook());
    settings.clock = ManualClock::at(NOW).clock();
    // The journal is rewritten all the time, which must lose no event.
    settings.journal_rewrite_min_bytes = 0;
}

/// Injects a fault into the next delivery.
async fn once(sim: &Sim, fault: Value) {
    let mut planned = json!({ "on": "webhook", "times": 1 });
    planned.as_object_mut().unwrap().extend(fault.as_object().unwrap().clone());
    let answer = sim.http.plan(json!([planned])).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

fn subject(delivery: &Delivery) -> String {
    delivery.event()["data"]["object"]["id"].as_str().unwrap().to_owned()
}

/// Waits until no event waits for delivery.
async fn all_finished(sim: &Sim) {
    for _ in 0..1_000 {
        if sim.http.sums().await["events_pending"] == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("events still wait");
}

#[tokio::test]
async fn lost_is_delivered_only_when_it_is_resent() {
    let (sim, mut receiver) = start().await;
    once(&sim, json!({ "kind": "lost" })).await;
    let lost = sim.http.authorized().await;
    sim.http.wait_for_injections("lost", 1).await;
    all_finished(&sim).await;
    let other = sim.http.authorized().await;
    assert_eq!(subject(&receiver.next().await), other, "the other one came first, and alone");

    let events = sim.http.get(&format!("/sim/events?payment_intent={lost}")).await.json;
    assert_eq!(events["events"].as_array().unwrap().len(), 1);
    assert_eq!(events["events"][0]["type"], "payment_intent.amount_capturable_updated");
    let id = events["events"][0]["id"].as_str().unwrap();
    // Delivered, but not yet noted as delivered, the other event would come again after the restart.
    all_finished(&sim).await;
    // The plan is used up, and the event is kept over a restart.
    let sim = sim.restart_with(|settings| set_up(settings, &receiver)).await;
    assert_eq!(sim.http.post(&format!("/sim/events/{id}/resend"), &[]).await.status, 200);
    let resent = receiver.next().await;
    assert_eq!((resent.event()["id"].as_str(), subject(&resent)), (Some(id), lost));
    assert_eq!(sim.http.post("/sim/events/evt_none/resend", &[]).await.status, 404);
}

#[tokio::test]
async fn late_is_held_until_a_flush() {
    let (sim, mut receiver) = start().await;
    once(&sim, json!({ "kind": "late", "ms": 60_000 })).await;
    let late = sim.http.authorized().await;
    sim.http.wait_for_injections("late", 1).await;
    let other = sim.http.authorized().await;
    assert_eq!(subject(&receiver.next().await), other);
    assert_eq!(sim.http.post("/sim/webhooks/flush", &[]).await.status, 200);
    assert_eq!(subject(&receiver.next().await), late);

    once(&sim, json!({ "kind": "late", "ms": 10 })).await;
    let late = sim.http.authorized().await;
    assert_eq!(subject(&receiver.next().await), late, "it comes by itself, too");
}

#[tokio::test]
async fn doubled_is_delivered_twice() {
    let (sim, mut receiver) = start().await;
    once(&sim, json!({ "kind": "doubled" })).await;
    sim.http.authorized().await;
    let (first, second) = (receiver.next().await, receiver.next().await);
    assert_eq!(first.payload, second.payload);
    assert_eq!((first.verified(), second.verified()), (NOW, NOW));
}

#[tokio::test]
async fn reordered_is_delivered_after_a_newer_event() {
    let (sim, mut receiver) = start().await;
    once(&sim, json!({ "kind": "reordered", "ms": 60_000 })).await;
    let id = sim.http.authorized().await;
    sim.http.wait_for_injections("reordered", 1).await;
    sim.http.command(&id, "capture", &[]).await;
    assert_eq!(receiver.next().await.kind(), "payment_intent.succeeded");
    assert_eq!(receiver.next().await.kind(), "payment_intent.amount_capturable_updated");
}

#[tokio::test]
async fn wrong_signature_affects_one_attempt() {
    let (sim, mut receiver) = start().await;
    receiver.status.store(400, Ordering::SeqCst);
    once(&sim, json!({ "kind": "wrong_signature" })).await;
    sim.http.authorized().await;
    let wrong = receiver.next().await;
    assert_eq!(wrong.stamp(), None);
    receiver.status.store(200, Ordering::SeqCst);
    sim.http.post("/sim/webhooks/flush", &[]).await;
    let right = receiver.next().await;
    assert_eq!((right.payload.as_str(), right.verified()), (wrong.payload.as_str(), NOW));
}

#[tokio::test]
async fn old_time_stamp_is_signed_correctly() {
    let (sim, mut receiver) = start().await;
    once(&sim, json!({ "kind": "old_time_stamp", "ms": 301_000 })).await;
    sim.http.authorized().await;
    assert_eq!(receiver.next().await.verified(), NOW - 301);
    all_finished(&sim).await;
    sim.http.authorized().await;
    assert_eq!(receiver.next().await.verified(), NOW);
}

#[tokio::test]
async fn fault_for_one_payment_affects_only_its_events() {
    let (sim, mut receiver) = start().await;
    let (affected, unaffected) = (sim.http.authorized().await, sim.http.authorized().await);
    for _ in 0..2 {
        receiver.next().await;
    }
    sim.http.plan(json!([{ "on": "webhook", "kind": "lost", "payment_intent": affected }])).await;
    for id in [&affected, &unaffected] {
        sim.http.command(id, "capture", &[]).await;
    }
    assert_eq!(subject(&receiver.next().await), unaffected);
    all_finished(&sim).await;
    assert_eq!(sim.http.clear_faults().await.json["totals"], json!({ "lost": 1 }));
}

#[tokio::test]
async fn clearing_the_faults_delivers_held_events() {
    let (sim, mut receiver) = start().await;
    sim.http.plan(json!([{ "on": "webhook", "kind": "late", "ms": 60_000 }])).await;
    let mut held = vec![sim.http.authorized().await, sim.http.authorized().await];
    sim.http.wait_for_injections("late", 2).await;
    sim.http.clear_faults().await;
    let mut received = vec![subject(&receiver.next().await), subject(&receiver.next().await)];
    held.sort();
    received.sort();
    assert_eq!(received, held);
}

#[tokio::test]
async fn payment_asks_for_a_fault_of_its_own_events() {
    let (sim, mut receiver) = start().await;
    let pay = async |form: &[(&str, &str)]| {
        let form = [&[("amount", "500"), ("currency", "usd"), ("confirm", "true")], form].concat();
        sim.http.create(&form).await
    };
    let lost = pay(&[("payment_method", "pm_sim_lost")]).await;
    sim.http.wait_for_injections("lost", 1).await;
    let doubled = pay(&[("payment_method", "pm_card_visa"), ("metadata[sim_fault]", "webhook:doubled")]).await;
    assert_eq!([subject(&receiver.next().await), subject(&receiver.next().await)], [doubled.as_str(); 2]);

    let events = sim.http.get(&format!("/sim/events?payment_intent={lost}")).await.json;
    let id = events["events"][0]["id"].as_str().unwrap();
    sim.http.post(&format!("/sim/events/{id}/resend"), &[]).await;
    assert_eq!(subject(&receiver.next().await), lost, "a resent event is not lost again");

    receiver.status.store(400, Ordering::SeqCst);
    pay(&[("payment_method", "pm_sim_wrong_signature")]).await;
    assert_eq!(receiver.next().await.stamp(), None);
    sim.http.post("/sim/webhooks/flush", &[]).await;
    assert_eq!(receiver.next().await.stamp(), Some(NOW), "the second attempt is signed correctly");
}
