//! Faults of the provider, and its view of a payment.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::post;
use crate::harness::{ApiResponse, App, HERE, Options, id, in_progress};

const FAULTS: &str = "/v1/sandbox/provider/faults";

#[tokio::test]
async fn lost_capture_response_leaves_the_payment_captured_once() {
    let app = App::start().await;
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = in_progress(&app, &rider, &driver).await;
    let payment = trip["payment_id"].as_str().unwrap();
    let fault = json!({"on": "capture", "kind": "reset_after", "times": 1, "payment_id": payment});
    post(&app, FAULTS, &json!({"faults": [fault]})).await.expect(200);
    driver.command(id(&trip), "complete").await.expect(200);
    app.until("the capture is known", async || {
        let payment = rider.get(&format!("/v1/payments/{payment}")).await.expect(200);
        (payment["state"] == "captured").then_some(())
    })
    .await;
    let plan = ApiResponse::of(app.http.get(app.url(FAULTS))).await.expect(200);
    assert_eq!(plan["faults"][0]["injected"], 1);
    let view = format!("/v1/sandbox/provider/payment_intents/{payment}");
    let view = ApiResponse::of(app.http.get(app.url(&view))).await.expect(200);
    assert_eq!(view["intent"]["status"], "succeeded");
    assert!(view["intent"]["client_secret"].is_null());
    let kinds: Vec<_> = view["movements"].as_array().unwrap().iter().map(|it| it["type"].clone()).collect();
    assert_eq!(kinds, ["authorized", "captured"]);
    // The one capture has no answer, and its result became known later.
    let attempts = view["attempts"].as_array().unwrap();
    let captures: Vec<_> = attempts.iter().filter(|it| it["operation"] == "capture").collect();
    let [capture] = captures[..] else { panic!("{attempts:?}") };
    assert_eq!((&capture["outcome"], &capture["answered"]), (&json!("unknown"), &json!(false)));
    assert!(capture["resolved_at"].as_str() > capture["finished_at"].as_str(), "{capture}");
    ApiResponse::of(app.http.delete(app.url(FAULTS))).await.expect(200);
    app.assert_clean().await;
}

#[tokio::test]
async fn invalid_fault_is_refused() {
    let app = App::start().await;
    let unknown = post(&app, FAULTS, &json!({"faults": [{"on": "capture", "kind": "tea_break"}]})).await;
    assert!(unknown.status.is_client_error());
    let field = post(&app, FAULTS, &json!({"faults": [{"on": "capture", "kind": "reset_after", "share": 1}]})).await;
    field.expect_problem(422, "invalid_request");
    // With the simulator's own message.
    let odd = post(&app, FAULTS, &json!({"faults": [{"on": "webhook", "kind": "reset_after"}]})).await;
    let problem = odd.expect_problem(422, "invalid_request");
    assert!(problem["detail"].as_str().unwrap().starts_with("The provider rejects it: "), "{problem}");
}

#[tokio::test]
async fn provider_on_another_machine_is_409() {
    let psp_base_url = Some("https://provider.invalid".to_owned());
    let app = App::with(Options { psp_base_url, ..Options::default() }).await;
    let plan = json!({"faults": [{"on": "capture", "kind": "reset_after"}]});
    post(&app, FAULTS, &plan).await.expect_problem(409, "not_a_simulator");
    post(&app, "/v1/sandbox/reset", &json!({})).await.expect_problem(409, "not_a_simulator");
}

#[tokio::test]
async fn payment_unknown_to_the_provider_is_404() {
    let app = App::start().await;
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = in_progress(&app, &rider, &driver).await;
    let view = format!("/v1/sandbox/provider/payment_intents/{}", trip["payment_id"].as_str().unwrap());
    let cleared = app.http.delete(format!("http://{}/sim/state", app.provider.address()));
    cleared.bearer_auth(crate::harness::PSP_SECRET).send().await.unwrap().error_for_status().unwrap();
    ApiResponse::of(app.http.get(app.url(&view))).await.expect_problem(404, "not_found");
    post(&app, &format!("{view}/expire"), &json!({})).await.expect_problem(404, "not_found");
}

#[tokio::test]
async fn provider_that_rejects_our_key_is_503() {
    let provider = fixed_response("401 Unauthorized").await;
    let app = App::with(Options { psp_base_url: Some(provider), ..Options::default() }).await;
    ApiResponse::of(app.http.get(app.url(FAULTS))).await.expect_problem(503, "unavailable");
    let plan = json!({"faults": [{"on": "capture", "kind": "reset_after"}]});
    post(&app, FAULTS, &plan).await.expect_problem(503, "unavailable");
}

/// Starts a provider with the same response to every request, and returns its URL.
async fn fixed_response(status: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _some = stream.read(&mut [0; 4_096]).await;
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    format!("http://{address}")
}
