//! The trips that `cargo xtask scale` makes by SQL are as consistent as those of the service.
#![allow(clippy::unwrap_used, reason = "tests")]

use serde_json::Value;

use crate::harness::audit_fixture::broken;
use crate::harness::{Actor, App};

/// The SQL of `cargo xtask scale`.
const GENERATE: &str = include_str!("../../crates/xtask/src/scale/generate.sql");

/// The number of trips in these tests.
const TOTAL: u64 = 1_500;

/// Starts a service and generates trips in two runs.
async fn app_with_generated_trips() -> App {
    let app = App::start().await;
    let now = app.now().await;
    for (first, last) in [(1, 900), (901, TOTAL)] {
        let numbers = [("{seed}", 7), ("{first}", first), ("{last}", last), ("{total}", TOTAL)];
        let sql = numbers.into_iter().fold(GENERATE.to_owned(), |sql, (name, n)| sql.replace(name, &n.to_string()));
        app.break_with(&sql.replace("{now}", &now)).await;
    }
    app
}

#[tokio::test(flavor = "multi_thread")]
async fn generated_trips_violate_no_invariant_of_our_records() {
    let app = app_with_generated_trips().await;
    for table in ["refunds", "offers", "match_cycles", "payment_resolutions", "webhook_attempts", "ledger_days"] {
        assert_ne!(app.count(&format!("select count(*) from {table}")).await, 0, "{table}");
    }
    assert_eq!(app.count("select count(*) from trips").await, i64::try_from(TOTAL).unwrap());
    assert_ne!(app.count("select count(*) from trips where ended_at is null").await, 0);
    // The simulator of the provider knows none of the payments.
    let report = app.ops().await.get("/v1/ops/audit").await.expect(200);
    assert_eq!(broken(&report), ["provider"], "{report:#}");
    app.stop().await;
}

/// Reads all pages of a list. Checks that each item's id is below the one before.
async fn all_pages(actor: &Actor, path: &str) -> Vec<Value> {
    let mut items: Vec<Value> = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = actor.get(&format!("{path}{cursor}")).await.expect(200);
        items.extend(page["items"].as_array().unwrap().iter().cloned());
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    let id = |item: &Value| item["id"].as_str().unwrap().to_owned();
    assert!(items.is_sorted_by(|first, second| id(first) > id(second)), "{path} is not in order");
    items
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_of_trips_have_every_trip_of_their_caller_and_state() {
    let app = app_with_generated_trips().await;
    let ops = app.ops().await;
    let all = all_pages(&ops, "/v1/trips?limit=100").await;
    assert_eq!(all.len() as u64, TOTAL);
    let ids = |items: &[Value], is_in: &dyn Fn(&Value) -> bool| -> Vec<Value> {
        items.iter().filter(|item| is_in(item)).map(|item| item["id"].clone()).collect()
    };
    // The trips that are not over change meanwhile.
    for state in ["completed", "cancelled", "no_driver", "no_show", "payment_failed", "aborted"] {
        let listed = all_pages(&ops, &format!("/v1/trips?limit=37&state={state}")).await;
        let expected = ids(&all, &|trip| trip["state"] == state);
        assert_eq!(ids(&listed, &|_| true), expected, "{state}");
    }
    let trip = all.iter().rfind(|trip| trip["state"] == "completed").unwrap();
    for (role, member) in [("driver", "driver_id"), ("rider", "rider_id")] {
        let actor = app.actor_named(role, trip[member].as_str()).await;
        let listed = all_pages(&actor, "/v1/trips?limit=1").await;
        assert_eq!(ids(&listed, &|_| true), ids(&all, &|other| other[member] == trip[member]), "{role}");
        let listed = all_pages(&actor, "/v1/trips?limit=1&state=completed").await;
        let expected = ids(&all, &|other| other[member] == trip[member] && other["state"] == "completed");
        assert_eq!(ids(&listed, &|_| true), expected, "completed of the {role}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_of_postings_have_every_posting_of_their_account_and_owner() {
    let app = app_with_generated_trips().await;
    let ops = app.ops().await;
    let path = "/v1/ops/ledger/postings";
    let all = all_pages(&ops, &format!("{path}?limit=100")).await;
    let with = |member: &str, value: &Value| -> Vec<Value> {
        let has = |posting: &&Value| posting["entries"].as_array().unwrap().iter().any(|entry| entry[member] == *value);
        all.iter().filter(has).cloned().collect()
    };
    for account in ["clearing", "refunds", "driver_payable", "bad_debt"] {
        let listed = all_pages(&ops, &format!("{path}?limit=41&account={account}")).await;
        assert_eq!(listed, with("account", &account.into()), "{account}");
    }
    let kinds = |kind: &str| all.iter().filter(|posting| posting["kind"] == kind).count();
    assert!(kinds("refund") > 0 && kinds("tip") > 0, "both have entries of one owner");
    let owner = all.iter().find(|posting| posting["kind"] == "tip").unwrap()["entries"][0]["owner_id"].clone();
    let listed = all_pages(&ops, &format!("{path}?limit=1&owner_id={}", owner.as_str().unwrap())).await;
    assert_eq!(listed, with("owner_id", &owner));
    app.stop().await;
}
