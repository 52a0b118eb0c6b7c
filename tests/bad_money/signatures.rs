//! Events that are signed wrongly, or too long ago, or not at all.

use ridematch::platform::clock::Clock;
use serde_json::json;

use crate::World;
use crate::harness::{Answer, WEBHOOK_SECRET};

/// What an event is signed with.
enum Signed {
    /// `t=<now + seconds>,v1=<fits>`.
    At(i64),
    /// As in the text, with `T` for now, `S` for the signature that fits now, and `X` for one that never fits.
    As(&'static str),
    Not,
}

const SIGNATURES: &[(Signed, u16)] = &[
    (Signed::At(0), 200),
    (Signed::At(-280), 200),
    (Signed::At(280), 200),
    (Signed::At(-301), 400),
    (Signed::At(330), 400),
    (Signed::At(-31_536_000), 400),
    (Signed::At(31_536_000), 400),
    (Signed::At(-99_999_999_999), 400),
    (Signed::Not, 400),
    (Signed::As("t=T,v1=S"), 200),
    (Signed::As("t=T, v1=S"), 200),
    (Signed::As("v1=S,t=T"), 200),
    (Signed::As("t=T,v1=X,v1=S"), 200),
    (Signed::As("t=T,v0=X,v1=S"), 200),
    (Signed::As(""), 400),
    (Signed::As("nonsense"), 400),
    (Signed::As("t=T"), 400),
    (Signed::As("v1=S"), 400),
    (Signed::As("t=T,v1="), 400),
    (Signed::As("t=T,v1=X"), 400),
    (Signed::As("t=T,v0=S"), 400),
    (Signed::As("t=T,v2=S"), 400),
    (Signed::As("t=T;v1=S"), 400),
    (Signed::As("T,S"), 400),
    (Signed::As("t=,v1=S"), 400),
    (Signed::As("t=now,v1=S"), 400),
    (Signed::As("t=T.0,v1=S"), 400),
    (Signed::As("t=0T,v1=S"), 400),
    (Signed::As("t=+T,v1=S"), 400),
    (Signed::As("t=-T,v1=S"), 400),
    (Signed::As("t=9223372036854775808,v1=S"), 400),
    (Signed::As("t=0,t=T,v1=S"), 400),
    (Signed::As("t=T,v1=S0"), 400),
    (Signed::As("t=T,v1=0S"), 400),
    (Signed::As("T=T,V1=S"), 400),
];

#[tokio::test(flavor = "multi_thread")]
async fn bad_signatures_and_time_stamps() {
    let world = World::new().await;
    let body = json!({"id": "evt_1", "object": "event", "type": "payment_intent.succeeded",
                      "data": {"object": {"id": "pi_1", "object": "payment_intent"}}})
    .to_string();
    let send = async |signature: Option<&str>, body: &str| {
        let mut request = world.app.http.post(world.app.url("/v1/webhooks/psp"));
        if let Some(signature) = signature {
            request = request.header("Stripe-Signature", signature);
        }
        Answer::of(request.header("Content-Type", "application/json").body(body.to_owned())).await
    };
    for (signed, status) in SIGNATURES {
        let now = Clock::system().machine().utc().timestamp();
        let fits = psp_sim::signature(WEBHOOK_SECRET, now, &body);
        let (_, mac) = fits.split_once("v1=").unwrap();
        let header = match signed {
            Signed::At(seconds) => Some(psp_sim::signature(WEBHOOK_SECRET, now + seconds, &body)),
            Signed::As(text) => Some(filled(text, now, mac)),
            Signed::Not => None,
        };
        let answer = send(header.as_deref(), &body).await;
        assert_eq!(answer.status, *status, "{header:?}");
        if *status != 200 {
            let problem = answer.expect_problem(400, "signature_invalid");
            assert!(!problem["detail"].as_str().unwrap().contains(mac), "it does not tell the signature");
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

/// The text with now and the signatures in it.
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
