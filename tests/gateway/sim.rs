//! The gateway against psp-sim's bad days, one after the other: what it says of a call that was struck, what is true, and
//! what the same call under the same key says afterwards.

use std::fmt::Write as _;

use ridematch::payments::gateway::{Answer, ProviderIntent};
use ridematch::platform::config::ProviderConfig;
use serde_json::json;

use crate::harness::PSP_SECRET;
use crate::{done, fare, gateway, key, provider};

/// Every kind of fault that a request can be struck by.
const KINDS: [&str; 12] = [
    "decline",
    "latency",
    "hang_before",
    "hang_after",
    "error_500",
    "error_500_after",
    "error_503",
    "rate_limited",
    "reset_before",
    "reset_after",
    "malformed",
    "unknown_status",
];

fn brief(answer: &Answer<ProviderIntent>) -> String {
    match answer {
        Answer::Done(intent) => format!("done: {:?}", intent.seen.status),
        Answer::Refused { .. } => "refused".to_owned(),
        Answer::Unknown { answered: true, .. } => "unknown, answered".to_owned(),
        Answer::Unknown { answered: false, .. } => "unknown, not answered".to_owned(),
        Answer::NotSent { .. } => "not sent".to_owned(),
    }
}

#[tokio::test]
async fn what_is_heard_and_what_is_true_on_every_bad_day() {
    let books = tempfile::tempdir().unwrap();
    let sim = psp_sim::start(psp_sim::Settings::new(books.path(), PSP_SECRET)).await.unwrap();
    let base_url = format!("http://{}", sim.address());
    let config = ProviderConfig { timeout_ms: 500, connect_timeout_ms: 500, ..provider(&base_url) };
    let mut heard = String::new();
    for kind in KINDS {
        // A client that has met no bad day yet.
        let (gateway, platform) = gateway(&config);
        let made = done(gateway.create(&fare(&platform, 500, "USD", "pm_card_visa"), &key(&platform)).await);
        let mut fault = json!({"on": "confirm", "kind": kind, "times": 1});
        match kind {
            "hang_before" | "hang_after" => fault["ms"] = 5_000.into(),
            "latency" => (fault["p50_ms"], fault["p99_ms"]) = (10.into(), 50.into()),
            _ => {}
        }
        let plan = json!({"faults": [fault], "seed": 1});
        let control = reqwest::Client::new().put(format!("{base_url}/sim/faults")).bearer_auth(PSP_SECRET);
        let control = control.json(&plan).send().await.unwrap();
        assert_eq!(control.status(), 200, "{kind}: {:?}", control.text().await);
        let key = key(&platform);
        let first = gateway.confirm(&made.id, &key).await;
        let truth = gateway.intent(&made.id).await;
        let again = gateway.confirm(&made.id, &key).await;
        let (first, truth, again) = (brief(&first), brief(&truth), brief(&again));
        writeln!(heard, "{kind:16} → {first:22} true: {truth:22} again: {again}").unwrap();
    }
    sim.stop().await;
    insta::assert_snapshot!(heard);
}
