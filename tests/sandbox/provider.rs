//! The provider's bad days, and its side of a payment.

use serde_json::json;

use super::post;
use crate::harness::{Answer, App, HERE, Options, id, in_progress};

const FAULTS: &str = "/v1/sandbox/provider/faults";

#[tokio::test]
async fn a_bad_day_of_one_payment_leaves_it_captured_once() {
    let app = App::start().await;
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = in_progress(&app, &rider, &driver).await;
    let payment = trip["payment_id"].as_str().unwrap();
    let fault = json!({"on": "capture", "kind": "reset_after", "times": 1, "payment_id": payment});
    post(&app, FAULTS, &json!({"faults": [fault]})).await.expect(200);
    driver.act(id(&trip), "complete").await.expect(200);
    app.until("the capture is known", async || {
        let payment = rider.get(&format!("/v1/payments/{payment}")).await.expect(200);
        (payment["state"] == "captured").then_some(())
    })
    .await;
    let plan = Answer::of(app.http.get(app.url(FAULTS))).await.expect(200);
    assert_eq!(plan["faults"][0]["struck"], 1);
    let view = format!("/v1/sandbox/provider/payment_intents/{payment}");
    let view = Answer::of(app.http.get(app.url(&view))).await.expect(200);
    assert_eq!(view["intent"]["status"], "succeeded");
    assert!(view["intent"]["client_secret"].is_null());
    let kinds: Vec<_> = view["movements"].as_array().unwrap().iter().map(|it| it["type"].clone()).collect();
    assert_eq!(kinds, ["authorized", "captured"]);
    Answer::of(app.http.delete(app.url(FAULTS))).await.expect(200);
    app.assert_clean().await;
}

#[tokio::test]
async fn a_bad_day_that_means_nothing_is_refused() {
    let app = App::start().await;
    let unknown = post(&app, FAULTS, &json!({"faults": [{"on": "capture", "kind": "tea_break"}]})).await;
    assert!(unknown.status.is_client_error());
    let field = post(&app, FAULTS, &json!({"faults": [{"on": "capture", "kind": "reset_after", "share": 1}]})).await;
    field.expect_problem(422, "invalid_request");
    // The simulator's own words.
    let odd = post(&app, FAULTS, &json!({"faults": [{"on": "webhook", "kind": "reset_after"}]})).await;
    let problem = odd.expect_problem(422, "invalid_request");
    assert!(problem["detail"].as_str().unwrap().starts_with("The provider refuses it: "), "{problem}");
}

#[tokio::test]
async fn a_provider_on_another_machine_is_never_told_anything() {
    let psp_base_url = Some("https://provider.invalid".to_owned());
    let app = App::with(Options { psp_base_url, ..Options::default() }).await;
    let plan = json!({"faults": [{"on": "capture", "kind": "reset_after"}]});
    post(&app, FAULTS, &plan).await.expect_problem(409, "not_a_simulator");
    post(&app, "/v1/sandbox/reset", &json!({})).await.expect_problem(409, "not_a_simulator");
}
