//! The console: a page without external resources, and the state machines it draws.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;

use crate::harness::{ApiResponse, App};
use reqwest::Method;
use serde_json::Value;

#[tokio::test(flavor = "multi_thread")]
async fn page_and_files_are_served_with_policy_and_etag() {
    let app = App::start().await;
    let client = app.rider().await;
    let page = client.get("/").await;
    assert_eq!((page.status.as_u16(), page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let text = String::from_utf8(page.bytes.to_vec()).unwrap();
    let files: Vec<_> = text.split('"').filter(|part| part.starts_with("/console/")).collect();
    assert!(files.len() >= 4, "{files:?}");
    for path in files {
        let file = client.get(path).await;
        assert_eq!(file.status, 200, "{path}");
        let policy = file.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'self';"), "{path}: {policy}");
        let tag = file.header("etag").unwrap().to_owned();
        let again = ApiResponse::of(client.request(Method::GET, path).header("If-None-Match", &tag)).await;
        assert_eq!((again.status.as_u16(), again.bytes.len()), (304, 0), "{path}");
        let other = ApiResponse::of(client.request(Method::GET, path).header("If-None-Match", "\"0\"")).await;
        assert_eq!(other.status, 200, "{path}");
    }
    for missing in ["/console/nothing.js", "/console/..%2Fconsole.rs", "/console/"] {
        client.get(missing).await.expect_problem(404, "not_found");
    }
    app.stop().await;
}

/// The trip's edges are those of the table that refuses every other transition.
#[tokio::test(flavor = "multi_thread")]
async fn state_machines_are_complete() {
    let app = App::start().await;
    let found = app.rider().await.get("/v1/sandbox/state_machines").await.expect(200);
    let state_machines = found["state_machines"].as_array().unwrap();
    let names: Vec<_> = state_machines.iter().map(|machine| machine["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["trip", "offer", "payment", "refund"]);
    let edges = state_machines[0]["edges"].as_array().unwrap().len();
    assert_eq!(
        i64::try_from(edges).unwrap(),
        app.count("select count(*) from trip_transitions where from_state <> 'none'").await
    );
    for machine in state_machines {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let states: BTreeSet<_> =
            machine["states"].as_array().unwrap().iter().map(|state| text(&state["name"])).collect();
        assert!(states.contains(machine["initial"].as_str().unwrap()));
        for edge in machine["edges"].as_array().unwrap() {
            assert!(states.contains(&text(&edge["from"])) && states.contains(&text(&edge["to"])), "{edge}");
        }
    }
    app.stop().await;
}
