//! Provider events with invalid, outdated and missing signatures.

use ridematch::platform::clock::Clock;

use crate::bad_money::World;
use crate::fixtures::{intent_event, post_signed_event};
use crate::harness::WEBHOOK_SECRET;

/// The signature of an event.
enum Signature {
    /// A valid one of `now + seconds`.
    At(i64),
    /// The text, with `T` for now, `S` for the valid hash, and `X` for an invalid one.
    Text(&'static str),
    Missing,
}

const SIGNATURES: &[(Signature, u16)] = &[
    (Signature::At(0), 200),
    (Signature::At(-280), 200),
    (Signature::At(280), 200),
    (Signature::At(-301), 400),
    (Signature::At(330), 400),
    (Signature::At(-31_536_000), 400),
    (Signature::At(31_536_000), 400),
    (Signature::At(-99_999_999_999), 400),
    (Signature::Missing, 400),
    (Signature::Text("t=T,v1=S"), 200),
    (Signature::Text("t=T, v1=S"), 200),
    (Signature::Text("v1=S,t=T"), 200),
    (Signature::Text("t=T,v1=X,v1=S"), 200),
    (Signature::Text("t=T,v0=X,v1=S"), 200),
    (Signature::Text(""), 400),
    (Signature::Text("nonsense"), 400),
    (Signature::Text("t=T"), 400),
    (Signature::Text("v1=S"), 400),
    (Signature::Text("t=T,v1="), 400),
    (Signature::Text("t=T,v1=X"), 400),
    (Signature::Text("t=T,v0=S"), 400),
    (Signature::Text("t=T,v2=S"), 400),
    (Signature::Text("t=T;v1=S"), 400),
    (Signature::Text("T,S"), 400),
    (Signature::Text("t=,v1=S"), 400),
    (Signature::Text("t=now,v1=S"), 400),
    (Signature::Text("t=T.0,v1=S"), 400),
    (Signature::Text("t=0T,v1=S"), 400),
    (Signature::Text("t=+T,v1=S"), 400),
    (Signature::Text("t=-T,v1=S"), 400),
    (Signature::Text("t=9223372036854775808,v1=S"), 400),
    (Signature::Text("t=0,t=T,v1=S"), 400),
    (Signature::Text("t=T,v1=S0"), 400),
    (Signature::Text("t=T,v1=0S"), 400),
    (Signature::Text("T=T,V1=S"), 400),
];

#[tokio::test(flavor = "multi_thread")]
async fn invalid_signatures_and_timestamps_are_refused() {
    let world = World::new().await;
    let body = intent_event("evt_1", "payment_intent.succeeded", "pi_1");
    let send = async |signature: Option<&str>, body: &str| post_signed_event(&world.app, body, signature).await;
    for (signed, status) in SIGNATURES {
        let now = Clock::system().machine().utc().timestamp();
        let valid = psp_sim::signature(WEBHOOK_SECRET, now, &body);
        let (_, mac) = valid.split_once("v1=").unwrap();
        let header = match signed {
            Signature::At(seconds) => Some(psp_sim::signature(WEBHOOK_SECRET, now + seconds, &body)),
            Signature::Text(text) => Some(filled(text, now, mac)),
            Signature::Missing => None,
        };
        let answer = send(header.as_deref(), &body).await;
        assert_eq!(answer.status, *status, "{header:?}");
        if *status != 200 {
            let problem = answer.expect_problem(400, "signature_invalid");
            assert!(!problem["detail"].as_str().unwrap().contains(mac), "the response does not reveal the signature");
        }
    }
    let now = Clock::system().machine().utc().timestamp();
    for (secret, signed, sent) in [
        ("whsec_other", body.as_str(), body.as_str()),
        ("", body.as_str(), body.as_str()),
        (WEBHOOK_SECRET, "{}", body.as_str()),
        (WEBHOOK_SECRET, body.as_str(), &format!("{body} ")),
    ] {
        let header = psp_sim::signature(secret, now, signed);
        send(Some(&header), sent).await.expect_problem(400, "signature_invalid");
    }
    for wrong in ["", "{", "[]", "null", "1", "{}", r#"{"data": 1}"#, r#"{"id": "evt_2", "data": {}}"#] {
        let header = psp_sim::signature(WEBHOOK_SECRET, now, wrong);
        send(Some(&header), wrong).await.expect_problem(400, "malformed");
    }
    world.app.assert_clean().await;
    world.app.stop().await;
}

/// Replaces the placeholders of [`Signature::Text`].
fn filled(text: &str, now: i64, mac: &str) -> String {
    let of_value = |value: &str| {
        let value = value.replace('S', mac).replace('X', &"0".repeat(64));
        value.replace('T', &now.to_string())
    };
    let pair = |pair: &str| match pair.split_once('=') {
        Some((name, value)) => format!("{name}={}", of_value(value)),
        None => of_value(pair),
    };
    text.split(',').map(pair).collect::<Vec<_>>().join(",")
}
