//! Every fault of a delivery, and what can be done about it.

use std::sync::atomic::Ordering;

use psp_sim::Settings;
use serde_json::{Value, json};

use crate::receiver::{Delivery, Receiver};
use crate::sim::{HandClock, Sim};

const NOW: i64 = 1_700_000_000;

async fn start() -> (Sim, Receiver) {
    let receiver = Receiver::start();
    let sim = Sim::start_with(|settings| set_up(settings, &receiver)).await;
    (sim, receiver)
}

fn set_up(settings: &mut Settings, receiver: &Receiver) {
    settings.webhook = Some(receiver.webhook());
    settings.clock = HandClock::at(NOW).clock();
    // The journal is written anew again and again, and what was told must get through that too.
    settings.journal_rewrite_min_bytes = 0;
}

/// Strikes the next delivery.
async fn once(sim: &Sim, fault: Value) {
    let mut planned = json!({ "on": "webhook", "times": 1 });
    planned.as_object_mut().unwrap().extend(fault.as_object().unwrap().clone());
    let answer = sim.http.plan(json!([planned])).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

fn subject(delivery: &Delivery) -> String {
    delivery.event()["data"]["object"]["id"].as_str().unwrap().to_owned()
}

/// Returns when no event waits any more.
async fn settled(sim: &Sim) {
    for _ in 0..1_000 {
        if sim.http.sums().await["events_pending"] == 0 {
            return;
        }
    }
    panic!("events still wait");
}

#[tokio::test]
async fn lost_is_never_delivered_until_it_is_sent_again() {
    let (sim, mut receiver) = start().await;
    once(&sim, json!({ "kind": "lost" })).await;
    let lost = sim.http.reserved().await;
    sim.http.struck("lost", 1).await;
    settled(&sim).await;
    let other = sim.http.reserved().await;
    assert_eq!(subject(&receiver.hear().await), other, "the other one came first, and alone");

    let events = sim.http.get(&format!("/sim/events?payment_intent={lost}")).await.json;
    assert_eq!(events["events"].as_array().unwrap().len(), 1);
    assert_eq!(events["events"][0]["type"], "payment_intent.amount_capturable_updated");
    let id = events["events"][0]["id"].as_str().unwrap();
    // The plan is used up; and it is remembered over a restart.
    let sim = sim.restart_with(|settings| set_up(settings, &receiver)).await;
    assert_eq!(sim.http.post(&format!("/sim/events/{id}/resend"), &[]).await.status, 200);
    let told = receiver.hear().await;
    assert_eq!((told.event()["id"].as_str(), subject(&told)), (Some(id), lost));
    assert_eq!(sim.http.post("/sim/events/evt_none/resend", &[]).await.status, 404);
}

#[tokio::test]
async fn late_waits_and_can_be_flushed() {
    let (sim, mut receiver) = start().await;
    once(&sim, json!({ "kind": "late", "ms": 60_000 })).await;
    let late = sim.http.reserved().await;
    sim.http.struck("late", 1).await;
    let other = sim.http.reserved().await;
    assert_eq!(subject(&receiver.hear().await), other);
    assert_eq!(sim.http.post("/sim/webhooks/flush", &[]).await.status, 200);
    assert_eq!(subject(&receiver.hear().await), late);

    once(&sim, json!({ "kind": "late", "ms": 10 })).await;
    let late = sim.http.reserved().await;
    assert_eq!(subject(&receiver.hear().await), late, "it comes by itself, too");
}

#[tokio::test]
async fn doubled_comes_twice() {
    let (sim, mut receiver) = start().await;
    once(&sim, json!({ "kind": "doubled" })).await;
    sim.http.reserved().await;
    let (first, second) = (receiver.hear().await, receiver.hear().await);
    assert_eq!(first.payload, second.payload);
    assert_eq!((first.verified(), second.verified()), (NOW, NOW));
}

#[tokio::test]
async fn reordered_comes_after_a_younger_one() {
    let (sim, mut receiver) = start().await;
    once(&sim, json!({ "kind": "reordered", "ms": 60_000 })).await;
    let id = sim.http.reserved().await;
    sim.http.struck("reordered", 1).await;
    sim.http.act(&id, "capture", &[]).await;
    assert_eq!(receiver.hear().await.kind(), "payment_intent.succeeded");
    assert_eq!(receiver.hear().await.kind(), "payment_intent.amount_capturable_updated");
}

#[tokio::test]
async fn wrong_signature_is_not_ours_and_the_next_attempt_is() {
    let (sim, mut receiver) = start().await;
    receiver.status.store(400, Ordering::SeqCst);
    once(&sim, json!({ "kind": "wrong_signature" })).await;
    sim.http.reserved().await;
    let wrong = receiver.hear().await;
    assert_eq!(wrong.stamp(), None);
    receiver.status.store(200, Ordering::SeqCst);
    sim.http.post("/sim/webhooks/flush", &[]).await;
    let right = receiver.hear().await;
    assert_eq!((right.payload.as_str(), right.verified()), (wrong.payload.as_str(), NOW));
}

#[tokio::test]
async fn old_time_stamp_is_well_signed_and_too_old() {
    let (sim, mut receiver) = start().await;
    once(&sim, json!({ "kind": "old_time_stamp", "ms": 301_000 })).await;
    sim.http.reserved().await;
    assert_eq!(receiver.hear().await.verified(), NOW - 301);
    settled(&sim).await;
    sim.http.reserved().await;
    assert_eq!(receiver.hear().await.verified(), NOW);
}

#[tokio::test]
async fn only_the_events_of_one_payment_are_struck() {
    let (sim, mut receiver) = start().await;
    let (struck, spared) = (sim.http.reserved().await, sim.http.reserved().await);
    for _ in 0..2 {
        receiver.hear().await;
    }
    sim.http.plan(json!([{ "on": "webhook", "kind": "lost", "payment_intent": struck }])).await;
    for id in [&struck, &spared] {
        sim.http.act(id, "capture", &[]).await;
    }
    assert_eq!(subject(&receiver.hear().await), spared);
    settled(&sim).await;
    assert_eq!(sim.http.heal().await.json["totals"], json!({ "lost": 1 }));
}

#[tokio::test]
async fn healing_delivers_what_is_held_back() {
    let (sim, mut receiver) = start().await;
    sim.http.plan(json!([{ "on": "webhook", "kind": "late", "ms": 60_000 }])).await;
    let mut held = vec![sim.http.reserved().await, sim.http.reserved().await];
    sim.http.struck("late", 2).await;
    sim.http.heal().await;
    let mut heard = vec![subject(&receiver.hear().await), subject(&receiver.hear().await)];
    held.sort();
    heard.sort();
    assert_eq!(heard, held);
}

#[tokio::test]
async fn a_payment_plans_a_fault_for_its_own_events() {
    let (sim, mut receiver) = start().await;
    let pay = async |form: &[(&str, &str)]| {
        let form = [&[("amount", "500"), ("currency", "usd"), ("confirm", "true")], form].concat();
        sim.http.create(&form).await
    };
    let lost = pay(&[("payment_method", "pm_sim_lost")]).await;
    sim.http.struck("lost", 1).await;
    let doubled = pay(&[("payment_method", "pm_card_visa"), ("metadata[sim_fault]", "webhook:doubled")]).await;
    assert_eq!([subject(&receiver.hear().await), subject(&receiver.hear().await)], [doubled.as_str(); 2]);

    let events = sim.http.get(&format!("/sim/events?payment_intent={lost}")).await.json;
    let id = events["events"][0]["id"].as_str().unwrap();
    sim.http.post(&format!("/sim/events/{id}/resend"), &[]).await;
    assert_eq!(subject(&receiver.hear().await), lost, "what is sent again is not lost again");

    receiver.status.store(400, Ordering::SeqCst);
    pay(&[("payment_method", "pm_sim_wrong_signature")]).await;
    assert_eq!(receiver.hear().await.stamp(), None);
    sim.http.post("/sim/webhooks/flush", &[]).await;
    assert_eq!(receiver.hear().await.stamp(), Some(NOW), "the second attempt is a good one");
}
