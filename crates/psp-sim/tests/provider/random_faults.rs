//! All faults at once: a client that follows the retry rules still pays exactly once.

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::harness::{Form, Http, MANUAL, Reply, SECRET_KEY, Sim, read};

const CALLERS: usize = 8;
const PAYMENTS: usize = 15;
const ATTEMPTS_MAX: usize = 200;
const INTENTS: &str = "/v1/payment_intents";

/// Every kind of request fault, each with a share of a few percent.
fn every_fault() -> Value {
    let requests = [
        json!({ "kind": "hang_before", "ms": 5 }),
        json!({ "kind": "hang_after", "ms": 5 }),
        json!({ "kind": "error_503" }),
        json!({ "kind": "rate_limited" }),
        json!({ "kind": "reset_before" }),
        json!({ "kind": "reset_after" }),
        json!({ "kind": "malformed" }),
        json!({ "kind": "unknown_status" }),
    ];
    let executions = [json!({ "kind": "error_500" }), json!({ "kind": "error_500_after" })];
    let latency = json!({ "kind": "latency", "p50_ms": 2, "p99_ms": 10 });
    let at_steps = |mut fault: Value, on: &[&str]| -> Vec<Value> {
        fault["share"] = json!(0.03);
        let on_one = |on: &&str| [fault.clone(), json!({ "on": on })].iter().flat_map(object).collect();
        on.iter().map(on_one).collect()
    };
    let steps = ["create", "confirm", "capture", "refund"];
    let faults = requests.into_iter().chain([latency]).flat_map(|fault| at_steps(fault, &["any"]));
    faults.chain(executions.into_iter().flat_map(|fault| at_steps(fault, &steps))).collect()
}

fn object(value: &Value) -> Vec<(String, Value)> {
    value.as_object().unwrap().clone().into_iter().collect()
}

/// A response with a definite result: a complete body and a known status.
async fn definite(request: reqwest::RequestBuilder) -> Option<Reply> {
    let response = request.send().await.ok()?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await.ok()?;
    let json: Value = serde_json::from_str(&text).ok()?;
    let is_known = !text.contains("sim_unknown") && !matches!(status, 409 | 429 | 503);
    is_known.then_some(Reply { status, headers, text, json })
}

/// Retries with one key until the result is definite. A stored 500 is definite too; its effect has to be looked up.
async fn post_until_definite(http: &Http, key: &str, path: &str, form: Form<'_>) -> Reply {
    for _ in 0..ATTEMPTS_MAX {
        let request = http.client.post(http.url(path)).bearer_auth(SECRET_KEY).form(form);
        if let Some(reply) = definite(request.header("Idempotency-Key", key)).await {
            return reply;
        }
    }
    panic!("{key}: no definite result in {ATTEMPTS_MAX} attempts");
}

async fn get_until_definite(http: &Http, path: &str) -> Value {
    for _ in 0..ATTEMPTS_MAX {
        if let Some(reply) = definite(http.client.get(http.url(path)).bearer_auth(SECRET_KEY)).await {
            return reply.json;
        }
    }
    panic!("{path}: no definite result in {ATTEMPTS_MAX} attempts");
}

/// Repeats a step until it is done: after a 500 it looks the intent up, and retries with a new key if nothing happened.
async fn step(http: &Http, name: &str, id: &str, command: &str, done: &str) {
    for attempt in 0..ATTEMPTS_MAX {
        let path = format!("{INTENTS}/{id}/{command}");
        post_until_definite(http, &format!("{name} {command} {attempt}"), &path, &[]).await;
        if get_until_definite(http, &format!("{INTENTS}/{id}")).await["status"] == done {
            return;
        }
    }
    panic!("{name}: no {command}");
}

/// One payment from create to refund. After a 500 of the create, finds the intent by its metadata or creates another.
async fn pay(http: &Http, name: &str) {
    let form = [MANUAL, &[("metadata[name]", name)]].concat();
    let mut created = post_until_definite(http, &format!("{name} create"), INTENTS, &form).await.json;
    for attempt in 0..ATTEMPTS_MAX {
        if created["id"].is_string() {
            break;
        }
        let listed = get_until_definite(http, &format!("{INTENTS}?limit=100")).await;
        let mine = listed["data"].as_array().unwrap().iter().find(|intent| intent["metadata"]["name"] == name);
        created = match mine {
            Some(mine) => mine.clone(),
            None => post_until_definite(http, &format!("{name} create {attempt}"), INTENTS, &form).await.json,
        };
    }
    let id = created["id"].as_str().unwrap();
    step(http, name, id, "confirm", "requires_capture").await;
    step(http, name, id, "capture", "succeeded").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn client_that_follows_the_retry_rules_pays_once() {
    let sim = Sim::start().await;
    let plan = json!({ "faults": every_fault(), "seed": 1 });
    let planned = read(sim.http.client.put(sim.http.url("/sim/faults")).bearer_auth(SECRET_KEY).json(&plan)).await;
    assert_eq!(planned.status, 200, "{}", planned.text);
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let http = sim.http.clone();
        callers.spawn(async move {
            for number in 0..PAYMENTS {
                pay(&http, &format!("{caller}/{number}")).await;
            }
        });
    }
    callers.join_all().await;

    let totals = sim.http.clear_faults().await.json["totals"].clone();
    assert_eq!(totals.as_object().unwrap().len(), 11, "every kind was injected: {totals}");
    let state = sim.http.state().await;
    let count = CALLERS * PAYMENTS;
    assert_eq!(state["totals"]["captured"]["USD"], 1000 * count);
    assert_eq!(state["totals"]["authorized_open"], json!({}));
    for payment in state["payment_intents"].as_array().unwrap() {
        let kinds: Vec<&Value> =
            payment["movements"].as_array().unwrap().iter().map(|movement| &movement["type"]).collect();
        assert_eq!(kinds, ["authorized", "captured"], "{payment}");
    }
    assert_eq!(state["payment_intents"].as_array().unwrap().len(), count);
}
