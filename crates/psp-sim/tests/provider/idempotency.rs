//! One effect per idempotency key.

use std::collections::HashSet;

use serde_json::json;

use crate::harness::{MANUAL, ManualClock, Sim};

const INTENTS: &str = "/v1/payment_intents";
const DAY_S: i64 = 24 * 60 * 60;

#[tokio::test]
async fn replay_is_byte_for_byte_without_another_effect() {
    let Sim { http, .. } = &Sim::start().await;
    let first = http.post_once("key", INTENTS, MANUAL).await;
    assert_eq!(first.header("idempotency-key"), Some("key"));
    assert_eq!(first.header("idempotent-replayed"), None);
    // The replay has the first response, not the current status.
    http.command(&first.id(), "confirm", &[]).await;

    let mut reordered = MANUAL.to_vec();
    reordered.reverse();
    for form in [MANUAL, &reordered] {
        let again = http.post_once("key", INTENTS, form).await;
        assert_eq!((again.status, &again.text), (first.status, &first.text));
        assert_eq!(again.header("idempotent-replayed"), Some("true"));
        assert_eq!(again.header("original-request"), first.header("request-id"));
        assert_ne!(again.header("request-id"), first.header("request-id"));
    }
    assert_eq!(http.sums().await["payment_intents"], 1);
}

#[tokio::test]
async fn key_of_another_endpoint_or_other_parameters_is_400() {
    let Sim { http, .. } = &Sim::start().await;
    let id = http.post_once("key", INTENTS, MANUAL).await.id();
    let mut other = MANUAL.to_vec();
    other[0] = ("amount", "1001");
    let elsewhere = format!("{INTENTS}/{id}/confirm");
    for (path, form) in [(INTENTS, other.as_slice()), (INTENTS, &MANUAL[1..]), (&elsewhere, &[])] {
        let refused = http.post_once("key", path, form).await;
        assert_eq!(refused.error(), (400, "idempotency_error", ""), "{path} {form:?}");
    }
    assert_eq!(http.intent(&id).await["status"], "requires_confirmation");
}

#[tokio::test]
async fn declines_and_wrong_status_errors_are_stored() {
    let Sim { http, .. } = &Sim::start().await;
    let id = http.create(MANUAL).await;
    let confirm = format!("{INTENTS}/{id}/confirm");
    let declining = [("payment_method", "pm_card_chargeDeclined")];
    let declined = http.post_once("decline", &confirm, &declining).await;
    assert_eq!(declined.status, 402);
    let capture = format!("{INTENTS}/{id}/capture");
    let refused = http.post_once("early", &capture, &[]).await;
    assert_eq!(refused.status, 400);

    http.command(&id, "confirm", &[("payment_method", "pm_card_visa")]).await;
    assert_eq!(http.post_once("decline", &confirm, &declining).await.text, declined.text);
    assert_eq!(http.post_once("early", &capture, &[]).await.text, refused.text);
    assert_eq!(http.intent(&id).await["status"], "requires_capture");
}

#[tokio::test]
async fn invalid_request_does_not_use_its_key() {
    let Sim { http, .. } = &Sim::start().await;
    assert_eq!(http.post_once("key", INTENTS, &[("amount", "x")]).await.status, 400);
    assert_eq!(http.post_once("key", &format!("{INTENTS}/pi_none/capture"), &[]).await.status, 404);
    assert_eq!(http.post_once("key", INTENTS, MANUAL).await.status, 200);
}

#[tokio::test]
async fn error_500_is_stored_with_and_without_the_effect() {
    let sim = Sim::start().await;
    let mut answers = Vec::new();
    for (fault, status) in [("error_500", "requires_confirmation"), ("error_500_after", "requires_capture")] {
        let planned = format!("confirm:{fault}");
        let form = [MANUAL, &[("metadata[sim_fault]", &planned)]].concat();
        let by_metadata = sim.http.create(&form).await;
        let method = format!("pm_sim_{fault}");
        let by_method = sim.http.create(&[&MANUAL[..3], &[("payment_method", &method)]].concat()).await;
        for id in [by_metadata, by_method] {
            let path = format!("{INTENTS}/{id}/confirm");
            let failed = sim.http.post_once(&id, &path, &[]).await;
            assert_eq!(failed.error(), (500, "api_error", ""));
            assert_eq!(sim.http.intent(&id).await["status"], status, "{fault}");
            answers.push((id, path, failed.text, status));
        }
    }
    let sim = sim.restart().await;
    for (id, path, text, status) in answers {
        let again = sim.http.post_once(&id, &path, &[]).await;
        assert_eq!((again.status, &again.text), (500, &text));
        assert_eq!(again.header("idempotent-replayed"), Some("true"));
        assert_eq!(sim.http.intent(&id).await["status"], status);
    }
}

#[tokio::test]
async fn every_step_can_fail() {
    let Sim { http, .. } = &Sim::start().await;
    let failing = |step: &str| format!("{step}:error_500");
    let created = http.post(INTENTS, &[MANUAL, &[("metadata[sim_fault]", &failing("create"))]].concat()).await;
    assert_eq!(created.status, 500);
    assert_eq!(http.sums().await["payment_intents"], 0);
    for step in ["capture", "cancel"] {
        let id = http.create(&[MANUAL, &[("metadata[sim_fault]", &failing(step))]].concat()).await;
        assert_eq!(http.command(&id, "confirm", &[]).await.status, 200);
        assert_eq!(http.command(&id, step, &[]).await.status, 500);
        assert_eq!(http.intent(&id).await["status"], "requires_capture");
    }
    let id = http.captured().await;
    let refund = [("payment_intent", id.as_str()), ("metadata[sim_fault]", "refund:error_500_after")];
    assert_eq!(http.post("/v1/refunds", &refund).await.status, 500);
    assert_eq!(http.sums().await["refunded"], json!({ "USD": 1000 }));
}

#[tokio::test]
async fn key_expires_after_24_hours() {
    let time = ManualClock::at(1_000_000);
    let sim = Sim::start_with(|settings| settings.clock = time.clock()).await;
    let first = sim.http.post_once("key", INTENTS, MANUAL).await;
    time.advance(DAY_S - 1);
    assert_eq!(sim.http.post_once("key", INTENTS, MANUAL).await.text, first.text);
    time.advance(1);
    let second = sim.http.post_once("key", INTENTS, MANUAL).await;
    assert_ne!(second.id(), first.id());
    assert_eq!(sim.http.sums().await["idempotency_keys"], 1);

    // The journal has the key twice; the newer response is used.
    let sim = sim.restart_with(|settings| settings.clock = time.clock()).await;
    assert_eq!(sim.http.post_once("key", INTENTS, MANUAL).await.text, second.text);
    assert_eq!(sim.http.sums().await["payment_intents"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn hundred_concurrent_requests_with_one_key_have_one_effect() {
    let sim = Sim::start().await;
    for round in 0..10 {
        let key = format!("key {round}");
        let retries: Vec<_> = (0..100)
            .map(|_| {
                let (http, key) = (sim.http.clone(), key.clone());
                tokio::spawn(async move { http.post_once(&key, INTENTS, MANUAL).await })
            })
            .collect();
        let mut ids = HashSet::new();
        for retry in retries {
            let reply = retry.await.unwrap();
            match reply.status {
                200 => drop(ids.insert(reply.id())),
                _ => assert_eq!(reply.error(), (409, "idempotency_error", "idempotency_key_in_use")),
            }
        }
        assert_eq!(ids.len(), 1);
    }
    assert_eq!(sim.http.sums().await["payment_intents"], 10);
}
