//! Invalid webhooks of the provider: unsigned ones are rejected, and meaningless signed ones do no harm.

use hmac::{Hmac, KeyInit, Mac};
use ridematch::platform::clock::Clock;
use sha2::Sha256;

use crate::harness::{ApiResponse, App, WEBHOOK_SECRET};

fn signature(secret: &str, body: &[u8]) -> String {
    let stamp = Clock::system().machine().utc().timestamp();
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(format!("{stamp}.").as_bytes());
    mac.update(body);
    format!("t={stamp},v1={}", hex::encode(mac.finalize().into_bytes()))
}

async fn send(app: &App, signature: &str, body: &[u8]) -> ApiResponse {
    let request = app.http.post(app.url("/v1/webhooks/psp")).header("Stripe-Signature", signature);
    ApiResponse::of(request.body(body.to_vec())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn event_without_valid_signature_is_400() {
    let app = App::start().await;
    let body = br#"{"id": "evt_1", "data": {"object": {"object": "payment_intent", "id": "pi_1"}}}"#;
    let good = signature(WEBHOOK_SECRET, body);
    send(&app, &good, body).await.expect(200);
    let old = good.replacen("t=1", "t=0", 1);
    for wrong in ["", "t=,v1=", "nonsense", "t=99999999999999999999,v1=00", &old, &signature("whsec_other", body)] {
        send(&app, wrong, body).await.expect_problem(400, "signature_invalid");
    }
    send(&app, &good, b"{}").await.expect_problem(400, "signature_invalid");
    ApiResponse::of(app.http.post(app.url("/v1/webhooks/psp"))).await.expect_problem(400, "signature_invalid");
}

#[tokio::test(flavor = "multi_thread")]
async fn meaningless_signed_event_does_no_harm() {
    let app = App::start().await;
    let long = format!(r#"{{"id": "evt_5", "data": {{"object": {{"payment_intent": "{}"}}}}}}"#, "x".repeat(500_000));
    let parsed: [&[u8]; 5] = [
        br#"{"id": "evt_1", "data": {"object": {}}}"#,
        br#"{"id": "evt_2", "type": "\u0000", "data": {"object": {"payment_intent": "pi_\u0000"}}}"#,
        br#"{"id": "evt_3", "data": {"object": {"object": "payment_intent", "id": "\ud83d\ude95"}}}"#,
        br#"{"id": "evt_4", "data": {"object": {"payment_intent": null}}, "more": [1e308, -0.0, 18446744073709551615]}"#,
        long.as_bytes(),
    ];
    for body in parsed {
        send(&app, &signature(WEBHOOK_SECRET, body), body).await.expect(200);
    }
    let nested = "[".repeat(100_000).into_bytes();
    for body in [
        &b""[..],
        b"{}",
        b"null",
        b"{\"data\": 1}",
        b"{\"id\": \"\\u0000\", \"data\": {\"object\": {}}}",
        b"\xff",
        &nested,
    ] {
        send(&app, &signature(WEBHOOK_SECRET, body), body).await.expect_problem(400, "malformed");
    }
    let large = vec![b' '; 2 << 20];
    send(&app, &signature(WEBHOOK_SECRET, &large), &large).await.expect_problem(413, "body_too_large");
    app.assert_clean().await;
}
