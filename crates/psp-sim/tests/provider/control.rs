//! The control interface: fault plans and their counts.

use serde_json::{Value, json};

use crate::harness::{Http, MANUAL, Sim, read};

#[tokio::test]
async fn control_interface_without_the_key_is_401_except_health() {
    let Sim { http, .. } = &Sim::start().await;
    for path in ["/sim/state", "/sim/faults", "/sim/events", "/sim/nowhere"] {
        assert_eq!(read(http.client.get(http.url(path))).await.status, 401, "{path}");
    }
    assert_eq!(read(http.client.get(http.url("/sim/health"))).await.json["status"], "ok");
    assert_eq!(http.get("/sim/nowhere").await.status, 404);
}

/// An invalid fault, and the parameter that the error names.
fn invalid() -> Vec<(Value, &'static str)> {
    vec![
        (json!({ "on": "confirm", "kind": "explode" }), "faults"),
        (json!({ "on": "confirm" }), "faults"),
        (json!({ "on": "confirm", "kind": "decline", "color": "red" }), "faults"),
        (json!({ "on": "confirm", "kind": "lost" }), "faults[0][on]"),
        (json!({ "on": "any", "kind": "doubled" }), "faults[0][on]"),
        (json!({ "on": "webhook", "kind": "error_500" }), "faults[0][on]"),
        (json!({ "on": "capture", "kind": "decline" }), "faults[0][on]"),
        (json!({ "on": "get", "kind": "error_500" }), "faults[0][on]"),
        (json!({ "on": "any", "kind": "reset_after", "share": 1.5 }), "faults[0][share]"),
        (json!({ "on": "any", "kind": "reset_after", "share": -0.1 }), "faults[0][share]"),
        (json!({ "on": "any", "kind": "reset_after", "times": -1 }), "faults"),
        (json!({ "on": "any", "kind": "reset_after", "ms": 1 }), "faults[0][ms]"),
        (json!({ "on": "any", "kind": "hang_after", "ms": 60_001 }), "faults[0][ms]"),
        (json!({ "on": "any", "kind": "hang_after", "p50_ms": 10 }), "faults[0][p50_ms]"),
        (json!({ "on": "any", "kind": "latency", "p50_ms": 10, "p99_ms": 9 }), "faults[0][p99_ms]"),
        (json!({ "on": "any", "kind": "decline", "code": "because" }), "faults[0][code]"),
        (json!({ "on": "any", "kind": "error_503", "code": "lost_card" }), "faults[0][code]"),
        (json!({ "on": "capture", "kind": "rejected", "code": "lost_card" }), "faults[0][code]"),
        (json!({ "on": "list", "kind": "rejected" }), "faults[0][on]"),
        (json!({ "on": "capture", "kind": "refund_fails" }), "faults[0][on]"),
        (json!({ "on": "refund", "kind": "disputed" }), "faults[0][on]"),
    ]
}

#[tokio::test]
async fn plan_with_an_invalid_fault_is_rejected_and_the_old_plan_stays() {
    let Sim { http, .. } = &Sim::start().await;
    let good = json!({ "on": "any", "kind": "latency", "ms": 0 });
    http.plan(json!([good])).await;
    let too_many = (Value::Array(vec![good; 101]), "faults");
    for (faults, param) in invalid().into_iter().map(|(fault, param)| (json!([fault]), param)).chain([too_many]) {
        let refused = http.plan(faults.clone()).await;
        assert_eq!(refused.error().0, 400, "{faults}");
        assert_eq!(refused.json["error"]["param"], param, "{faults}");
    }
    assert_eq!(http.get("/sim/faults").await.json["faults"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn plan_shows_its_injections_until_it_is_cleared() {
    let sim = Sim::start().await;
    let http = &sim.http;
    http.plan(json!([{ "on": "create", "kind": "error_503", "times": 2 }])).await;
    let mut create = vec![];
    for _ in 0..3 {
        create.push(http.post("/v1/payment_intents", MANUAL).await.status);
    }
    assert_eq!(create, [503, 503, 200]);
    let shown = http.get("/sim/faults").await.json;
    let fault = json!({ "on": "create", "kind": "error_503", "share": 1.0, "times": 2, "injected": 2 });
    assert_eq!(shown["faults"], json!([fault]));
    assert_eq!(shown["totals"], json!({ "error_503": 2 }));

    let cleared = http.clear_faults().await.json;
    assert_eq!((&cleared["faults"], &cleared["totals"]), (&json!([]), &json!({ "error_503": 2 })));
    http.plan(json!([{ "on": "create", "kind": "error_503" }])).await;
    assert_eq!(http.post("/v1/payment_intents", MANUAL).await.status, 503);
    let sim = sim.restart().await;
    assert_eq!(sim.http.post("/v1/payment_intents", MANUAL).await.status, 200, "a restart clears the faults");
}

async fn statuses(http: &Http, seed: u64) -> Vec<u16> {
    let plan = json!({ "faults": [{ "on": "create", "kind": "error_503", "share": 0.5 }], "seed": seed });
    let shown =
        read(http.client.put(http.url("/sim/faults")).bearer_auth(crate::harness::SECRET_KEY).json(&plan)).await;
    assert_eq!(shown.json["seed"], seed);
    let mut statuses = Vec::new();
    for _ in 0..30 {
        statuses.push(http.post("/v1/payment_intents", MANUAL).await.status);
    }
    statuses
}

#[tokio::test]
async fn same_seed_injects_into_the_same_requests() {
    let (one, two) = (Sim::start().await, Sim::start().await);
    let first = statuses(&one.http, 7).await;
    assert!(first.contains(&200) && first.contains(&503), "{first:?}");
    assert_eq!(statuses(&two.http, 7).await, first);
    assert_ne!(statuses(&two.http, 8).await, first);
}
