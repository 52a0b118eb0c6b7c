//! Every operation succeeds once, receives invalid requests, and answers only what the document declares. The harness compares each
//! response with the document.
#![allow(clippy::unwrap_used, reason = "tests")]

mod extremes;
mod invalid_requests;
mod scenario;

use std::collections::{BTreeMap, BTreeSet};

use crate::harness::receiver::WebhookReceiver;
use crate::harness::{Actor, ApiResponse, App, HERE, Options, id, in_progress, openapi_check};
use futures_util::{StreamExt, stream};
use reqwest::RequestBuilder;
use serde_json::json;

/// Operations that cannot succeed in the test's process, and the tests that cover them.
const ELSEWHERE: [(&str, &str); 2] = [
    ("get_request_sql", "tests/sandbox/controls/process.rs uses a separate process that records SQL"),
    ("kill_service", "tests/sandbox/controls/process.rs kills a supervised service"),
];

/// A new operation fails this test until the scenario calls it.
#[tokio::test(flavor = "multi_thread")]
async fn every_operation_succeeds_as_documented() {
    let app = App::with(Options { sql: scenario::REFUNDS_NEED_REVIEW, ..Options::default() }).await;
    scenario::run(&app).await;
    let succeeded: BTreeSet<_> = openapi_check::seen()
        .into_iter()
        .filter(|(_, status)| (200..300).contains(status))
        .map(|(name, _)| name)
        .collect();
    let is_elsewhere = |name: &str| ELSEWHERE.iter().any(|(elsewhere, _)| *elsewhere == name);
    let missing =
        openapi_check::operations().into_keys().filter(|name| !succeeded.contains(name) && !is_elsewhere(name));
    let missing: Vec<_> = missing.collect();
    assert!(missing.is_empty(), "never succeeded: {missing:?}");
    app.stop().await;
}

/// Clears all data, so it comes last, after the audit.
const LAST: &str = "reset_sandbox";

/// Concurrent requests: the limit of concurrent commands per caller.
const CONCURRENCY: usize = 4;

/// Collects all faults instead of stopping at the first one.
#[tokio::test(flavor = "multi_thread")]
async fn invalid_requests_are_answered_as_documented() {
    let app = App::start().await;
    let mut callers = vec![("no token", None)];
    for role in ["rider", "driver", "gateway", "ops"] {
        callers.push((role, Some(app.actor(role).await)));
    }
    let (mut sent, mut faults) = (0, Vec::new());
    let mut operations: Vec<_> = openapi_check::operations().into_iter().collect();
    operations.sort_by_key(|(name, _)| *name == LAST);
    for (name, operation) in operations {
        if name == LAST {
            // Valid requests have planned provider faults.
            ApiResponse::of(app.http.delete(app.url("/v1/sandbox/provider/faults"))).await.expect(200);
            app.assert_clean().await;
        }
        let requests = invalid_requests::requests(&app, &operation, &callers);
        sent += requests.len();
        let mut responses = stream::iter(requests).map(send).buffer_unordered(CONCURRENCY);
        while let Some((what, outcome)) = responses.next().await {
            match outcome {
                Err(fault) => faults.push(format!("{name}, {what}: {fault}")),
                Ok(status) if status >= 500 => faults.push(format!("{name}, {what}: {status}")),
                Ok(status) if status < 300 && invalid_requests::must_be_refused(&what) => {
                    faults.push(format!("{name}, {what}: {status}, must be refused"));
                }
                Ok(_) => {}
            }
        }
    }
    assert!(sent > 1_000, "only {sent} requests");
    assert!(faults.is_empty(), "{} of {sent} requests were answered wrongly:\n{}", faults.len(), faults.join("\n"));
    app.stop().await;
}

/// Operations that change what the others need: they come last.
const DISRUPTIVE: [&str; 3] = ["set_clock", "expire_authorization", LAST];

/// No value of any parameter or field causes a 5xx, and a value that is refused is named.
#[tokio::test(flavor = "multi_thread")]
async fn extreme_value_is_accepted_or_refused_by_name() {
    let app = App::start().await;
    let (rider, driver, ops) = (app.rider().await, app.driver_at(HERE).await, app.ops().await);
    let actors = [
        ("rider", rider.clone()),
        ("driver", driver.clone()),
        ("ops", ops.clone()),
        ("gateway", app.actor("gateway").await),
    ];
    let trip = in_progress(&app, &rider, &driver).await;
    let offer = driver.get("/v1/offers").await.expect(200)["items"][0].clone();
    let endpoint = WebhookReceiver::start().register(&ops, &["trip.completed"]).await;
    let run = ops.post("/v1/ops/reconciliation/runs", &json!({})).await.expect(201);
    let unknown = |prefix: &str| format!("{prefix}_01h455vb4pex5vsknk084sn02q");
    let ids = BTreeMap::from([
        ("trip_id", id(&trip).to_owned()),
        ("payment_id", trip["payment_id"].as_str().unwrap().to_owned()),
        ("offer_id", id(&offer).to_owned()),
        ("endpoint_id", id(&endpoint).to_owned()),
        ("run_id", id(&run).to_owned()),
        ("refund_id", unknown("rfd")),
        ("finding_id", unknown("fnd")),
        ("delivery_id", unknown("whd")),
        ("trace_id", "none".to_owned()),
        ("id", id(&trip).to_owned()),
        ("cell", "882a100d2dfffff".to_owned()),
    ]);
    let (mut sent, mut faults) = (0, Vec::new());
    let mut operations: Vec<_> = openapi_check::operations().into_iter().collect();
    operations.sort_by_key(|(name, _)| DISRUPTIVE.iter().position(|disruptive| disruptive == name));
    for (name, (method, template, operation)) in operations {
        let roles = operation["security"].as_array().unwrap();
        let actor = actors.iter().find(|(role, _)| roles.iter().any(|one| one.get(role).is_some()));
        let actor = actor.map(|(_, actor)| actor.clone());
        let extremes = extremes::Target { app: &app, method, template, operation, ids: &ids }.requests();
        sent += extremes.len();
        let mut responses =
            stream::iter(extremes).map(|extreme| send_extreme(extreme, actor.clone())).buffer_unordered(CONCURRENCY);
        while let Some(fault) = responses.next().await {
            faults.extend(fault.map(|fault| format!("{name}, {fault}")));
        }
    }
    assert!(sent > 5_000, "only {sent} requests");
    let shown: Vec<_> = faults.iter().take(60).map(String::as_str).collect();
    assert!(faults.is_empty(), "{} of {sent} requests were answered wrongly:\n{}", faults.len(), shown.join("\n"));
    app.stop().await;
}

/// Codes of refusals that name the value.
const NAMING: [&str; 3] = ["malformed", "invalid_request", "invalid_id"];

/// Sends a request with an extreme value. Returns what is wrong with the response.
async fn send_extreme(extreme: extremes::Extreme, actor: Option<Actor>) -> Option<String> {
    let extremes::Extreme { what, name, request } = extreme;
    let response = match tokio::spawn(ApiResponse::of(by(&actor, request))).await {
        Ok(response) => response,
        Err(panic) => return Some(format!("{what}: {:?}", panic.into_panic().downcast_ref::<String>())),
    };
    let status = response.status.as_u16();
    if status >= 500 {
        return Some(format!("{what}: {status} {}", response.text()));
    }
    let body = response.json();
    let named = body["errors"][0]["pointer"].as_str();
    // An error may be in a field of the value, or concern the object that the field is in.
    let is_named = named.is_some_and(|pointer| {
        pointer.starts_with(&name) || (name.starts_with(pointer) && (!pointer.is_empty() || name == "/0"))
    });
    let must_name = NAMING.iter().any(|code| body["code"] == *code);
    (must_name && !is_named).then(|| format!("{what}: {status} names {named:?}: {}", body["detail"]))
}

/// Sends a request in a separate task, in which the harness may panic. Returns the status, or the panic message.
async fn send((what, request): (String, RequestBuilder)) -> (String, Result<u16, String>) {
    let outcome = match tokio::spawn(ApiResponse::of(request)).await {
        Ok(response) => Ok(response.status.as_u16()),
        Err(panic) => Err(panic.into_panic().downcast_ref::<String>().cloned().unwrap_or_default()),
    };
    (what, outcome)
}

/// Adds the caller's token, if any.
fn by(caller: &Option<Actor>, request: RequestBuilder) -> RequestBuilder {
    match caller {
        Some(actor) => request.bearer_auth(&actor.token),
        None => request,
    }
}
