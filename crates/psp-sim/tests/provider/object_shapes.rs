//! Snapshots of all objects and errors: the same seed and time give the same bytes.

use serde_json::json;

use crate::harness::{MANUAL, ManualClock, Sim};

#[tokio::test]
async fn objects_and_errors() {
    let time = ManualClock::at(1_700_000_000);
    let Sim { http, .. } = &Sim::start_with(|settings| {
        settings.clock = time.clock();
        settings.seed = Some(1);
    })
    .await;
    let metadata = [("metadata[payment_id]", "pay_1"), ("description", "A ride")];
    let created = http.post("/v1/payment_intents", &[MANUAL, &metadata].concat()).await.json;
    let id = created["id"].as_str().unwrap();
    let declined = http.command(id, "confirm", &[("payment_method", "pm_card_chargeDeclined")]).await.json;
    let confirmed = http.command(id, "confirm", &[("payment_method", "pm_card_visa")]).await.json;
    let denied = http.command(id, "confirm", &[]).await.json;
    http.command(id, "capture", &[("amount_to_capture", "600")]).await;
    let refund = [("payment_intent", id), ("reason", "duplicate"), ("metadata[refund_id]", "rfd_1")];
    let refunded = http.post("/v1/refunds", &refund).await.json;
    let list = http.get("/v1/refunds").await.json;
    let missing = http.get("/v1/payment_intents/pi_none").await.json;
    let state = http.state().await;
    insta::assert_json_snapshot!(json!({
        "created": created,
        "declined": declined,
        "confirmed": confirmed,
        "denied": denied,
        "refunded": refunded,
        "list": list,
        "missing": missing,
        "state": state,
    }));
}
