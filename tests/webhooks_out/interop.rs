//! Another implementation of the signature than ours verifies what we send: `standardwebhooks` for Python. `.ci/interop-webhooks`
//! installs it and runs this with `WEBHOOK_VERIFIER` naming a Python that has it; elsewhere the test says that it was skipped.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::{Receiver, short_trip};
use crate::harness::{App, id};
use crate::receiver::Got;

/// Whether the other implementation takes a delivery for one of ours.
fn verifies(python: &str, secret: &str, got: &Got, body: &str) -> bool {
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
        other => panic!("the verifier itself has failed: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_implementation_verifies_what_we_send() {
    let Ok(python) = std::env::var("WEBHOOK_VERIFIER") else {
        eprintln!("skipped: WEBHOOK_VERIFIER is not set; .ci/interop-webhooks sets it");
        return;
    };
    let app = App::start().await;
    let (ops, receiver) = (app.ops().await, Receiver::start());
    let endpoint = receiver.register(&ops, &["*"]).await;
    short_trip(&app).await;
    let secret = |shown: &Value| shown["secret"].as_str().unwrap().to_owned();
    for got in receiver.until_got(4).await {
        assert!(verifies(&python, &secret(&endpoint), &got, &got.body), "{got:?}");
        assert!(!verifies(&python, &secret(&endpoint), &got, &format!("{} ", got.body)), "a changed body");
        assert!(!verifies(&python, "whsec_AAAA", &got, &got.body), "another secret");
    }
    let count = receiver.got().len();
    let path = format!("/v1/ops/webhook_endpoints/{}/rotate_secret", id(&endpoint));
    let rotated = ops.post(&path, &json!({})).await.expect(200);
    short_trip(&app).await;
    let got = receiver.until_got(count + 4).await.pop().unwrap();
    for shown in [&endpoint, &rotated] {
        assert!(verifies(&python, &secret(shown), &got, &got.body), "either secret, while it is being changed");
    }
    app.stop().await;
}
