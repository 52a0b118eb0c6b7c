//! The console: a page that needs nothing from elsewhere, and the machines that it draws.
#![allow(clippy::unwrap_used, reason = "tests")]

mod harness;

use std::collections::BTreeSet;

use harness::{Answer, App};
use reqwest::Method;
use serde_json::Value;

#[tokio::test(flavor = "multi_thread")]
async fn the_page_and_its_files_come_from_here_and_let_nothing_else_in() {
    let app = App::start().await;
    let anybody = app.rider().await;
    let page = anybody.get("/").await;
    assert_eq!((page.status.as_u16(), page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let text = String::from_utf8(page.bytes.to_vec()).unwrap();
    let files: Vec<_> = text.split('"').filter(|part| part.starts_with("/console/")).collect();
    assert!(files.len() >= 4, "{files:?}");
    for path in files {
        let file = anybody.get(path).await;
        assert_eq!(file.status, 200, "{path}");
        let policy = file.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'self';"), "{path}: {policy}");
        let tag = file.header("etag").unwrap().to_owned();
        let again = Answer::of(anybody.request(Method::GET, path).header("If-None-Match", &tag)).await;
        assert_eq!((again.status.as_u16(), again.bytes.len()), (304, 0), "{path}");
        let other = Answer::of(anybody.request(Method::GET, path).header("If-None-Match", "\"0\"")).await;
        assert_eq!(other.status, 200, "{path}");
    }
    for nothing in ["/console/nothing.js", "/console/..%2Fconsole.rs", "/console/"] {
        anybody.get(nothing).await.expect_problem(404, "not_found");
    }
    app.stop().await;
}

/// The picture of a trip's machine is that of the table which refuses every other step.
#[tokio::test(flavor = "multi_thread")]
async fn the_machines_are_complete() {
    let app = App::start().await;
    let found = app.rider().await.get("/v1/sandbox/machines").await.expect(200);
    let machines = found["machines"].as_array().unwrap();
    let names: Vec<_> = machines.iter().map(|machine| machine["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["trip", "offer", "payment", "refund"]);
    let edges = machines[0]["edges"].as_array().unwrap().len();
    assert_eq!(
        i64::try_from(edges).unwrap(),
        app.count("select count(*) from trip_edges where from_state <> 'none'").await
    );
    for machine in machines {
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
