//! Everything goes wrong at once, and a caller who keeps to the rules still pays once, and once only.

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::sim::{Form, Http, MANUAL, Reply, SECRET_KEY, Sim, read};

const CALLERS: usize = 8;
const PAYMENTS: usize = 15;
const ATTEMPTS_MAX: usize = 200;
const INTENTS: &str = "/v1/payment_intents";

/// A fifth of everything is struck, in every way there is.
fn storm() -> Value {
    let door = [
        json!({ "kind": "hang_before", "ms": 5 }),
        json!({ "kind": "hang_after", "ms": 5 }),
        json!({ "kind": "error_503" }),
        json!({ "kind": "rate_limited" }),
        json!({ "kind": "reset_before" }),
        json!({ "kind": "reset_after" }),
        json!({ "kind": "malformed" }),
        json!({ "kind": "unknown_status" }),
    ];
    let work = [json!({ "kind": "error_500" }), json!({ "kind": "error_500_after" })];
    let latency = json!({ "kind": "latency", "p50_ms": 2, "p99_ms": 10 });
    let strike = |mut fault: Value, on: &[&str]| -> Vec<Value> {
        fault["share"] = json!(0.03);
        let on_one = |on: &&str| [fault.clone(), json!({ "on": on })].iter().flat_map(object).collect();
        on.iter().map(on_one).collect()
    };
    let steps = ["create", "confirm", "capture", "refund"];
    let faults = door.into_iter().chain([latency]).flat_map(|fault| strike(fault, &["any"]));
    faults.chain(work.into_iter().flat_map(|fault| strike(fault, &steps))).collect()
}

fn object(value: &Value) -> Vec<(String, Value)> {
    value.as_object().unwrap().clone().into_iter().collect()
}

/// An answer that says what happened: a whole body, and a status that anybody knows.
async fn heard(request: reqwest::RequestBuilder) -> Option<Reply> {
    let response = request.send().await.ok()?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await.ok()?;
    let json: Value = serde_json::from_str(&text).ok()?;
    let is_known = !text.contains("sim_mystery") && !matches!(status, 409 | 429 | 503);
    is_known.then_some(Reply { status, headers, text, json })
}

/// Asks under one key until something is certain. A stored 500 is that, too: what it hides has to be looked up.
async fn insist(http: &Http, key: &str, path: &str, form: Form<'_>) -> Reply {
    for _ in 0..ATTEMPTS_MAX {
        let request = http.client.post(http.url(path)).bearer_auth(SECRET_KEY).form(form);
        if let Some(reply) = heard(request.header("Idempotency-Key", key)).await {
            return reply;
        }
    }
    panic!("{key}: no answer in {ATTEMPTS_MAX} attempts");
}

async fn look(http: &Http, path: &str) -> Value {
    for _ in 0..ATTEMPTS_MAX {
        if let Some(reply) = heard(http.client.get(http.url(path)).bearer_auth(SECRET_KEY)).await {
            return reply.json;
        }
    }
    panic!("{path}: no answer in {ATTEMPTS_MAX} attempts");
}

/// Does one step of an intent until it is done: a 500 is looked up, and tried under a new key if nothing happened.
async fn step(http: &Http, name: &str, id: &str, command: &str, done: &str) {
    for attempt in 0..ATTEMPTS_MAX {
        let path = format!("{INTENTS}/{id}/{command}");
        insist(http, &format!("{name} {command} {attempt}"), &path, &[]).await;
        if look(http, &format!("{INTENTS}/{id}")).await["status"] == done {
            return;
        }
    }
    panic!("{name}: no {command}");
}

/// One payment from beginning to end; a create that answered 500 is found by its metadata, or made anew.
async fn pay(http: &Http, name: &str) {
    let form = [MANUAL, &[("metadata[name]", name)]].concat();
    let mut created = insist(http, &format!("{name} create"), INTENTS, &form).await.json;
    for attempt in 0..ATTEMPTS_MAX {
        if created["id"].is_string() {
            break;
        }
        let listed = look(http, &format!("{INTENTS}?limit=100")).await;
        let mine = listed["data"].as_array().unwrap().iter().find(|intent| intent["metadata"]["name"] == name);
        created = match mine {
            Some(mine) => mine.clone(),
            None => insist(http, &format!("{name} create {attempt}"), INTENTS, &form).await.json,
        };
    }
    let id = created["id"].as_str().unwrap();
    step(http, name, id, "confirm", "requires_capture").await;
    step(http, name, id, "capture", "succeeded").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_keeps_to_the_rules_pays_once() {
    let sim = Sim::start().await;
    let plan = json!({ "faults": storm(), "seed": 1 });
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

    let totals = sim.http.heal().await.json["totals"].clone();
    assert_eq!(totals.as_object().unwrap().len(), 11, "every kind struck: {totals}");
    let books = sim.http.books().await;
    let count = CALLERS * PAYMENTS;
    assert_eq!(books["totals"]["captured"]["USD"], 1000 * count);
    assert_eq!(books["totals"]["authorized_open"], json!({}));
    for payment in books["payment_intents"].as_array().unwrap() {
        let kinds: Vec<&Value> =
            payment["movements"].as_array().unwrap().iter().map(|movement| &movement["type"]).collect();
        assert_eq!(kinds, ["authorized", "captured"], "{payment}");
    }
    assert_eq!(books["payment_intents"].as_array().unwrap().len(), count);
}
