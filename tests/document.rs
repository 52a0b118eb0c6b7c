//! The document and the service agree: every operation succeeds, is asked all sorts of nonsense, and answers nothing but what the
//! document declares. The harness compares each answer; here is who asks.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "document/day.rs"]
mod day;
mod harness;
#[path = "document/nonsense.rs"]
mod nonsense;
#[path = "webhooks_out/receiver.rs"]
#[allow(dead_code, reason = "the tests of webhooks use all of it")]
mod receiver;

use std::collections::BTreeSet;

use futures_util::{StreamExt, stream};
use harness::{Actor, Answer, App, Options, document};
use reqwest::RequestBuilder;

/// What cannot succeed in a test's own process, and where else it is seen to.
const ELSEWHERE: [(&str, &str); 2] = [
    ("get_request_sql", "tests/sandbox/inside.rs asks a process of its own, which keeps its statements"),
    ("kill_service", "tests/sandbox/inside.rs kills a supervised service"),
];

/// An operation that nobody here knows how to reach fails this: give it a place in the day.
#[tokio::test(flavor = "multi_thread")]
async fn every_operation_succeeds_as_it_is_documented() {
    let app = App::with(Options { sql: day::PARKED, ..Options::default() }).await;
    day::live(&app).await;
    let succeeded: BTreeSet<_> =
        document::seen().into_iter().filter(|(_, status)| (200..300).contains(status)).map(|(name, _)| name).collect();
    let is_elsewhere = |name: &str| ELSEWHERE.iter().any(|(elsewhere, _)| *elsewhere == name);
    let missing = document::operations().into_keys().filter(|name| !succeeded.contains(name) && !is_elsewhere(name));
    let missing: Vec<_> = missing.collect();
    assert!(missing.is_empty(), "never seen to succeed: {missing:?}");
    app.stop().await;
}

/// It forgets everything, so that it comes last: the audit is to see what all the others have done.
const LAST: &str = "reset_sandbox";

/// How many requests are made at a time: one caller may have as many commands in flight.
const AT_ONCE: usize = 4;

/// All that is wrong is told, not the first of it.
#[tokio::test(flavor = "multi_thread")]
async fn nonsense_is_answered_as_it_is_documented() {
    let app = App::start().await;
    let mut callers = vec![("nobody", None)];
    for role in ["rider", "driver", "gateway", "ops"] {
        callers.push((role, Some(app.actor(role).await)));
    }
    let (mut asked, mut faults) = (0, Vec::new());
    let mut operations: Vec<_> = document::operations().into_iter().collect();
    operations.sort_by_key(|(name, _)| *name == LAST);
    for (name, operation) in operations {
        if name == LAST {
            // Some of it was polite enough to spoil the provider's day.
            Answer::of(app.http.delete(app.url("/v1/sandbox/provider/faults"))).await.expect(200);
            app.assert_clean().await;
        }
        let requests = nonsense::requests(&app, &operation, &callers);
        asked += requests.len();
        let mut answers = stream::iter(requests).map(answered).buffer_unordered(AT_ONCE);
        while let Some((what, answer)) = answers.next().await {
            match answer {
                Err(fault) => faults.push(format!("{name}, {what}: {fault}")),
                Ok(status) if status >= 500 => faults.push(format!("{name}, {what}: {status}")),
                Ok(status) if status < 300 && nonsense::must_be_refused(&what) => {
                    faults.push(format!("{name}, {what}: {status}, and must be refused"));
                }
                Ok(_) => {}
            }
        }
    }
    assert!(asked > 1_000, "{asked} requests are not all sorts of nonsense");
    assert!(faults.is_empty(), "of {asked} requests {} were answered wrongly:\n{}", faults.len(), faults.join("\n"));
    app.stop().await;
}

/// Asks in a task of its own, in which the document may object.
async fn answered((what, request): (String, RequestBuilder)) -> (String, Result<u16, String>) {
    let answer = tokio::spawn(Answer::of(request));
    let judged = async {
        match answer.await {
            Ok(answer) => Ok(answer.status.as_u16()),
            Err(objection) => {
                let objection = objection.into_panic();
                Err(objection.downcast_ref::<String>().cloned().unwrap_or_default())
            }
        }
    };
    (what, judged.await)
}

/// A caller's request: with a token, if the caller has one.
fn by(caller: &Option<Actor>, request: RequestBuilder) -> RequestBuilder {
    match caller {
        Some(actor) => request.bearer_auth(&actor.token),
        None => request,
    }
}
