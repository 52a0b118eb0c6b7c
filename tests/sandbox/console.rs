//! The console: a page without external resources, and the state machines it draws.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;

use crate::harness::{ApiResponse, App, id};
use reqwest::Method;
use serde_json::Value;

/// An address of each kind of page of the console.
const PAGES: [&str; 6] =
    ["/", "/city", "/rehearse", "/rehearse/partner/x", "/city/audit", "/city/trips/trip_01jd7zq8w3e9mvd1ab2c3d4e5f"];

#[tokio::test(flavor = "multi_thread")]
async fn pages_and_files_are_served_with_policy_and_etag() {
    let app = App::start().await;
    let client = app.rider().await;
    let mut files = BTreeSet::new();
    for path in PAGES {
        let page = client.get(path).await;
        assert_eq!(
            (page.status.as_u16(), page.header("content-type")),
            (200, Some("text/html; charset=utf-8")),
            "{path}"
        );
        let text = String::from_utf8(page.bytes.to_vec()).unwrap();
        assert!(!text.contains("{{"), "{path} has an open placeholder");
        let is_file =
            |part: &&str| ["/console/", "/shell/", "/rehearse/files/"].iter().any(|folder| part.starts_with(folder));
        files.extend(text.split('"').filter(is_file).map(str::to_owned));
    }
    assert!(files.len() >= 7, "{files:?}");
    for path in files {
        let file = client.get(&path).await;
        assert_eq!(file.status, 200, "{path}");
        let policy = file.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'self';"), "{path}: {policy}");
        let tag = file.header("etag").unwrap().to_owned();
        let again = ApiResponse::of(client.request(Method::GET, &path).header("If-None-Match", &tag)).await;
        assert_eq!((again.status.as_u16(), again.bytes.len()), (304, 0), "{path}");
        let other = ApiResponse::of(client.request(Method::GET, &path).header("If-None-Match", "\"0\"")).await;
        assert_eq!(other.status, 200, "{path}");
    }
    for missing in [
        "/console/nothing.js",
        "/console/..%2Fconsole.rs",
        "/console/",
        "/console/city.html",
        "/shell/nothing.css",
        "/city/nothing",
        "/city/quotes/quo_01jd7zq8w3e9mvd1ab2c3d4e5f",
        "/city/trips/",
    ] {
        client.get(missing).await.expect_problem(404, "not_found");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn header_links_every_page_and_marks_the_current_one() {
    let app = App::start().await;
    let client = app.rider().await;
    for (path, current) in
        [("/", None), ("/city", Some("City")), ("/rehearse", Some("Rehearse")), ("/book", Some("Book"))]
    {
        let text = String::from_utf8(client.get(path).await.bytes.to_vec()).unwrap();
        for link in ["/city", "/rehearse", "/book", "/docs/", "/problems", "/metrics"] {
            assert!(text.contains(&format!("href=\"{link}\"")), "{path} has no link to {link}");
        }
        let marked = text.split("aria-current=\"page\">").nth(1).and_then(|rest| rest.split('<').next());
        assert_eq!(marked, current, "{path}");
    }
    app.stop().await;
}

/// The pages show it, so it has to be there without a token, and to be new.
#[tokio::test(flavor = "multi_thread")]
async fn latest_audit_is_made_again_after_a_violation() {
    let app = App::start().await;
    let rider = app.rider().await;
    let first = rider.get("/v1/sandbox/audit").await.expect(200);
    assert_eq!((&first["clean"], first["violations"].as_object().unwrap().len()), (&Value::from(true), 9), "{first}");
    let trip = rider.request_trip().await;
    rider.until_state(id(&trip), "searching").await;
    // A gap in the events of the trip.
    app.break_with("alter table trip_events disable trigger user; update trip_events set seq = 3 where seq = 2").await;
    let found = app.until("the violation", async || {
        let report = rider.get("/v1/sandbox/audit").await.expect(200);
        (report["violations"]["events"] != 0).then_some(report)
    });
    assert_eq!(found.await["clean"], false);
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
