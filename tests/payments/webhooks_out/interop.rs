//! The package `standardwebhooks` for Python verifies our signatures. `.ci/interop-webhooks` installs it and sets `WEBHOOK_VERIFIER`
//! to its Python; without the variable the test is skipped with a message.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::{WebhookReceiver, cancelled_trip};
use crate::harness::receiver::ReceivedWebhook;
use crate::harness::{App, id};

/// Returns whether the other implementation accepts the signature of a delivery.
fn verifies(python: &str, secret: &str, got: &ReceivedWebhook, body: &str) -> bool {
    const VERIFY: &str = "import json, sys\n\
        from standardwebhooks.webhooks import Webhook, WebhookVerificationError\n\
        given = json.load(sys.stdin)\n\
        try:\n    Webhook(given['secret']).verify(given['body'], given['headers'])\n\
        except WebhookVerificationError:\n    sys.exit(9)\n";
    let mut child = Command::new(python).args(["-c", VERIFY]).stdin(Stdio::piped()).spawn().unwrap();
    let given = json!({"secret": secret, "body": body, "headers": got.headers});
    child.stdin.take().unwrap().write_all(given.to_string().as_bytes()).unwrap();
    match child.wait().unwrap().code() {
        Some(0) => true,
        Some(9) => false,
        other => panic!("the verifier failed: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_implementation_verifies_our_signatures() {
    let Ok(python) = std::env::var("WEBHOOK_VERIFIER") else {
        eprintln!("skipped: WEBHOOK_VERIFIER is not set; .ci/interop-webhooks sets it");
        return;
    };
    let app = App::start().await;
    let (ops, receiver) = (app.ops().await, WebhookReceiver::start());
    let endpoint = receiver.register(&ops, &["*"]).await;
    cancelled_trip(&app).await;
    let secret = |shown: &Value| shown["secret"].as_str().unwrap().to_owned();
    for got in receiver.until_received(4).await {
        assert!(verifies(&python, &secret(&endpoint), &got, &got.body), "{got:?}");
        assert!(!verifies(&python, &secret(&endpoint), &got, &format!("{} ", got.body)), "a changed body");
        assert!(!verifies(&python, "whsec_AAAA", &got, &got.body), "another secret");
    }
    let count = receiver.received().len();
    let path = format!("/v1/ops/webhook_endpoints/{}/rotate_secret", id(&endpoint));
    let rotated = ops.post(&path, &json!({})).await.expect(200);
    cancelled_trip(&app).await;
    let got = receiver.until_received(count + 4).await.pop().unwrap();
    for shown in [&endpoint, &rotated] {
        assert!(verifies(&python, &secret(shown), &got, &got.body), "either secret during a rotation");
    }
    app.stop().await;
}
