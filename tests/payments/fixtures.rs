//! Fixtures that several modules share.

use ridematch::platform::clock::Clock;
use serde_json::{Value, json};

use crate::harness::{Actor, ApiResponse, App, WEBHOOK_SECRET, until};

/// Returns the body of a request for `amount` cents.
pub fn cents(amount: i64) -> Value {
    json!({"amount": {"amount": amount, "currency": "USD"}})
}

/// Waits until a payment has this state, and returns it.
pub async fn until_payment(caller: &Actor, payment_id: &str, state: &str) -> Value {
    until(&format!("the payment is {state}"), async || {
        let payment = caller.get(&format!("/v1/payments/{payment_id}")).await.expect(200);
        (payment["state"] == state).then_some(payment)
    })
    .await
}

/// Returns a provider event about an intent.
pub fn intent_event(event_id: &str, kind: &str, intent_id: &str) -> String {
    json!({"id": event_id, "object": "event", "type": kind,
           "data": {"object": {"id": intent_id, "object": "payment_intent"}}})
    .to_string()
}

/// Posts a provider event, signed `age_s` seconds ago.
pub async fn post_event(app: &App, body: &str, age_s: i64) -> ApiResponse {
    let signed_at = Clock::system().machine().utc().timestamp() - age_s;
    post_signed_event(app, body, Some(&psp_sim::signature(WEBHOOK_SECRET, signed_at, body))).await
}

/// Posts a provider event with this signature.
pub async fn post_signed_event(app: &App, body: &str, signature: Option<&str>) -> ApiResponse {
    let mut request = app.http.post(app.url("/v1/webhooks/psp")).header("Content-Type", "application/json");
    if let Some(signature) = signature {
        request = request.header("Stripe-Signature", signature);
    }
    ApiResponse::of(request.body(body.to_owned())).await
}

/// Waits until the inbox of provider events is empty.
pub async fn until_events_are_handled(app: &App) {
    let open = "select count(*) from provider_events where due_at is not null";
    crate::harness::within(std::time::Duration::from_secs(120), "every event is handled", async || {
        (app.count(open).await == 0).then_some(())
    })
    .await;
}
