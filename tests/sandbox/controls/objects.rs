//! Offers, quotes and refunds lead to their trip.

use serde_json::{Value, json};

use super::get;
use crate::harness::{App, HERE, THERE, id, in_progress, until};

async fn object(app: &App, id: &str) -> Value {
    get(app, &format!("/v1/sandbox/objects/{id}")).await.expect(200)
}

#[tokio::test(flavor = "multi_thread")]
async fn offer_quote_and_refund_lead_to_their_trip() {
    let app = App::start().await;
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = in_progress(&app, &rider, &driver).await;
    driver.command(id(&trip), "complete").await.expect(200);
    let payment = format!("/v1/payments/{}", trip["payment_id"].as_str().unwrap());
    until("the fare is captured", async || {
        (rider.get(&payment).await.expect(200)["state"] == "captured").then_some(())
    })
    .await;
    let body = json!({"amount": {"amount": 100, "currency": "USD"}});
    let refund = app.ops().await.post(&format!("{payment}/refunds"), &body).await.expect(201);
    let offer = driver.get("/v1/offers").await.expect(200)["items"][0].clone();

    let expected = |id: &Value, kind: &str, payment_id: &Value, driver_id: &Value| json!({"id": id, "kind": kind, "trip_id": trip["id"], "payment_id": payment_id, "driver_id": driver_id});
    let none = &Value::Null;
    assert_eq!(object(&app, id(&offer)).await, expected(&offer["id"], "offer", none, &json!(driver.id)));
    assert_eq!(object(&app, id(&refund)).await, expected(&refund["id"], "refund", &trip["payment_id"], none));
    let redeemed = object(&app, trip["quote_id"].as_str().unwrap()).await;
    assert_eq!(redeemed, expected(&trip["quote_id"], "quote", none, none));
    let unused = rider.quote(HERE, THERE).await;
    assert_eq!(object(&app, id(&unused)).await["trip_id"], *none);

    let missing = format!("/v1/sandbox/objects/{}", id(&offer).replace("ofr_", "rfd_"));
    get(&app, &missing).await.expect_problem(404, "not_found");
    for wrong in [id(&trip), "ofr_1"] {
        get(&app, &format!("/v1/sandbox/objects/{wrong}")).await.expect_problem(400, "invalid_id");
    }
    app.stop().await;
}
