//! The client against each fault of psp-sim: the result of the faulty call, the actual state, and the result of a repeat under the same
//! key.

use std::fmt::Write as _;

use psp_sim::{FaultKind, FaultStep};
use ridematch::payments::provider::{ProviderIntent, ProviderResult};
use ridematch::platform::config::ProviderConfig;
use serde_json::json;

use crate::harness::PSP_SECRET;
use crate::provider::{client_of, done, fare, key, provider};

fn brief(result: &ProviderResult<ProviderIntent>) -> String {
    match result {
        ProviderResult::Done(intent) => format!("done: {:?}", intent.snapshot.status),
        ProviderResult::Refused { .. } => "refused".to_owned(),
        ProviderResult::Rejected { .. } => "rejected".to_owned(),
        ProviderResult::Unknown { answered: true, .. } => "unknown, answered".to_owned(),
        ProviderResult::Unknown { answered: false, .. } => "unknown, not answered".to_owned(),
        ProviderResult::NotSent { .. } => "not sent".to_owned(),
    }
}

#[tokio::test]
async fn grid_of_results_by_fault() {
    let data_dir = tempfile::tempdir().unwrap();
    let sim = psp_sim::start(psp_sim::Settings::new(data_dir.path(), PSP_SECRET)).await.unwrap();
    let base_url = format!("http://{}", sim.address());
    let config = ProviderConfig { timeout_ms: 2_000, connect_timeout_ms: 2_000, ..provider(&base_url) };
    let mut grid = String::new();
    let strikes_confirm = |kind: &FaultKind| kind.own_steps().is_none_or(|steps| steps.contains(&FaultStep::Confirm));
    for kind in FaultKind::ALL.iter().filter(|kind| !kind.is_of_webhooks() && strikes_confirm(kind)) {
        let kind = kind.as_str();
        // A client whose breaker has seen no failure.
        let (client, platform) = client_of(&config);
        let made = done(client.create(&fare(&platform, 500, "USD", "pm_card_visa"), &key(&platform)).await);
        let mut fault = json!({"on": "confirm", "kind": kind, "times": 1});
        match kind {
            "hang_before" | "hang_after" => fault["ms"] = 10_000.into(),
            "latency" => (fault["p50_ms"], fault["p99_ms"]) = (10.into(), 50.into()),
            _ => {}
        }
        let plan = json!({"faults": [fault], "seed": 1});
        let control =
            launcher::http_client().build().unwrap().put(format!("{base_url}/sim/faults")).bearer_auth(PSP_SECRET);
        let control = control.json(&plan).send().await.unwrap();
        assert_eq!(control.status(), 200, "{kind}: {:?}", control.text().await);
        let key = key(&platform);
        let first = client.confirm(&made.id, &key).await;
        let actual = client.intent(&made.id).await;
        let repeat = client.confirm(&made.id, &key).await;
        let (first, actual, repeat) = (brief(&first), brief(&actual), brief(&repeat));
        writeln!(grid, "{kind:16} → {first:22} actual: {actual:22} repeat: {repeat}").unwrap();
    }
    sim.stop().await;
    insta::assert_snapshot!(grid);
}
