//! What changes without a request: a refund that fails after it succeeded, and a dispute. And requests that are rejected.

use psp_sim::API_VERSION;
use serde_json::{Value, json};

use crate::harness::{Http, MANUAL, SECRET_KEY, Sim, read};
use crate::receiver::Receiver;

async fn disputes(http: &Http, intent: &str) -> Vec<Value> {
    let list = http.get(&format!("/v1/disputes?payment_intent={intent}")).await;
    assert_eq!(list.status, 200, "{}", list.text);
    list.json["data"].as_array().unwrap().clone()
}

#[tokio::test]
async fn request_of_another_version_or_without_one_is_400() {
    let Sim { http, .. } = &Sim::start_with(|settings| settings.any_version = false).await;
    let list = || http.client.get(http.url("/v1/payment_intents")).bearer_auth(SECRET_KEY);
    for request in [list(), list().header("Stripe-Version", "2020-08-27"), list().header("Stripe-Version", "")] {
        let refused = read(request).await;
        assert_eq!(refused.error(), (400, "invalid_request_error", ""));
        assert!(refused.text.contains(API_VERSION), "{}", refused.text);
    }
    assert_eq!(read(list().header("Stripe-Version", API_VERSION)).await.status, 200);
    // The control interface is not Stripe's.
    assert_eq!(http.get("/sim/state").await.status, 200);
}

#[tokio::test]
async fn rejected_request_has_no_effect_and_its_error_is_replayed() {
    let Sim { http, .. } = &Sim::start().await;
    let id = http.authorized().await;
    http.plan(json!([{ "on": "capture", "kind": "rejected", "code": "charge_expired_for_capture", "times": 1 }])).await;
    let capture = format!("/v1/payment_intents/{id}/capture");
    let rejected = http.post_once("capture", &capture, &[]).await;
    assert_eq!(rejected.error(), (400, "invalid_request_error", "charge_expired_for_capture"));
    assert_eq!(http.intent(&id).await["status"], "requires_capture");
    let again = http.post_once("capture", &capture, &[]).await;
    assert_eq!((again.text, again.headers.get("idempotent-replayed").is_some()), (rejected.text, true));
    assert_eq!(http.post_once("another", &capture, &[]).await.state(), "succeeded");
    // A caller's own fault, and the code unless the fault names one.
    let rejected =
        http.post("/v1/payment_intents", &[MANUAL, &[("metadata[sim_fault]", "create:rejected")]].concat()).await;
    assert_eq!(rejected.error(), (400, "invalid_request_error", "payment_intent_invalid_parameter"));
}

#[tokio::test]
async fn refund_fails_after_it_succeeded_and_its_amount_can_be_refunded_again() {
    let mut receiver = Receiver::start();
    let sim = Sim::start_with(|settings| settings.webhook = Some(receiver.webhook())).await;
    let http = &sim.http;
    let id = http.captured().await;
    http.plan(json!([{ "on": "any", "kind": "refund_fails", "times": 1 }])).await;
    let refund = http.refund(&id, "600").await;
    assert_eq!(refund.state(), "succeeded", "the response is from before the failure");
    let seen = http.get(&format!("/v1/refunds/{}", refund.id())).await.json;
    assert_eq!((&seen["status"], &seen["failure_reason"]), (&json!("failed"), &json!("expired_or_canceled_card")));
    assert_eq!(http.sums().await["refunded"], json!({}));
    let mut kinds = Vec::new();
    for _ in 0..6 {
        kinds.push(receiver.next().await.kind().to_owned());
    }
    for kind in ["refund.updated", "charge.refund.updated", "refund.failed"] {
        assert!(kinds.iter().any(|seen| seen == kind), "{kind} is not among {kinds:?}");
    }

    let all = http.refund(&id, "1000").await;
    assert_eq!(all.state(), "succeeded");
    let failed = http.post(&format!("/sim/refunds/{}/fail", all.id()), &[]).await;
    assert_eq!(failed.state(), "failed");
    assert_eq!(http.post(&format!("/sim/refunds/{}/fail", all.id()), &[]).await.status, 400, "it has failed");
    assert_eq!(http.post("/sim/refunds/re_none/fail", &[]).await.status, 404);
    let state = http.state().await;
    let sim = sim.restart().await;
    assert_eq!(sim.http.state().await["refunds"], state["refunds"]);
}

#[tokio::test]
async fn disputed_charge_is_listed_and_not_refunded_until_the_dispute_is_won() {
    let sim = Sim::start().await;
    let http = &sim.http;
    http.plan(json!([{ "on": "capture", "kind": "disputed", "times": 1 }])).await;
    let id = http.captured().await;
    let listed = disputes(http, &id).await;
    assert_eq!((&listed[0]["status"], &listed[0]["amount"]), (&json!("needs_response"), &json!(1000)));
    assert_eq!(http.refund(&id, "100").await.error(), (400, "invalid_request_error", "charge_disputed"));
    assert_eq!(http.post(&format!("/sim/payment_intents/{id}/dispute"), &[]).await.status, 400, "it is disputed");

    let decide = async |http: &Http, status: &str| {
        http.post(&format!("/sim/payment_intents/{id}/dispute?status={status}"), &[]).await.state().to_owned()
    };
    assert_eq!(decide(http, "lost").await, "lost");
    assert_eq!(http.refund(&id, "100").await.error().2, "charge_disputed");
    let sim = sim.restart().await;
    assert_eq!(decide(&sim.http, "won").await, "won");
    assert_eq!(disputes(&sim.http, &id).await.len(), 1);
    assert_eq!(sim.http.refund(&id, "100").await.state(), "succeeded");

    let other = sim.http.captured().await;
    assert_eq!(disputes(&sim.http, &other).await, [] as [Value; 0]);
    assert_eq!(sim.http.post(&format!("/sim/payment_intents/{other}/dispute?status=won"), &[]).await.status, 400);
    assert_eq!(sim.http.get("/v1/disputes").await.json["data"].as_array().unwrap().len(), 1);
}
