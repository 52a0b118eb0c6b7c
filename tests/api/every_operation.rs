//! Every operation succeeds once, receives invalid requests, and answers only what the document declares. The harness compares each
//! response with the document.
#![allow(clippy::unwrap_used, reason = "tests")]

mod invalid_requests;
mod scenario;

use std::collections::BTreeSet;

use crate::harness::{Actor, ApiResponse, App, Options, openapi_check};
use futures_util::{StreamExt, stream};
use reqwest::RequestBuilder;

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
