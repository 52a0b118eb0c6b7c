//! `cargo trigger`: every event can be made to happen, and an invalid command line is refused before anything is sent.

use std::sync::{Arc, Mutex};

use clap::Parser;
use serde_json::Value;
use trigger::{Cli, Error};

use crate::harness::App;

/// Runs the command. Returns the result and the output.
async fn trigger(arguments: &[&str]) -> (Result<(), Error>, String) {
    let cli = Cli::try_parse_from(["trigger"].iter().chain(arguments)).unwrap();
    let output = Arc::new(Mutex::new(String::new()));
    let lines = Arc::clone(&output);
    let result = trigger::run(&cli, Box::new(move |line| *lines.lock().unwrap() += &format!("{line}\n"))).await;
    let output = output.lock().unwrap().clone();
    (result, output)
}

#[tokio::test]
async fn every_event_happens_and_leaves_a_clean_audit() {
    let app = App::start().await;
    let (_, list) = trigger(&["--list"]).await;
    let documented = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/sandbox.md")).unwrap();
    for line in list.lines() {
        let (event, what) = line.split_once(' ').unwrap();
        let row = format!("| `{event}` | {} |", what.trim());
        assert!(documented.contains(&row), "docs/sandbox.md lacks {row}");
        let (result, output) = trigger(&[event, "--json", "--base-url", &app.base_url]).await;
        assert!(result.is_ok(), "{event}: {result:?}\n{output}");
        let lines: Vec<Value> = output.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let (end, steps) = lines.split_last().unwrap();
        assert_eq!((&end["event"], &end["steps"]), (&event.into(), &steps.len().into()), "{output}");
        let trip = end["ids"]["trip"].as_str().unwrap();
        let trip = app.ops().await.get(&format!("/v1/trips/{trip}")).await.expect(200);
        if let Some(state) = event.strip_prefix("trip.").filter(|state| !["tipped", "cancelled_late"].contains(state)) {
            assert_eq!(trip["state"], state, "{event}");
        }
    }
    app.assert_clean().await;
}

#[tokio::test]
async fn commands_of_the_readme_work() {
    let app = App::start().await;
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let lines: Vec<_> = readme.lines().filter_map(|line| line.strip_prefix("$ cargo trigger ")).collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    for line in lines {
        let mut arguments: Vec<_> = line.split_whitespace().collect();
        arguments.extend(["--base-url", &app.base_url]);
        let (result, output) = trigger(&arguments).await;
        assert!(result.is_ok(), "{line}: {result:?}\n{output}");
    }
}

#[tokio::test]
async fn set_replaces_values_and_an_unused_path_is_refused() {
    let app = App::start().await;
    let set = ["trip.tipped", "--json", "--base-url", &app.base_url, "--set", "pickup.lat=40.7", "tip.amount=512"];
    let (result, output) = trigger(&set).await;
    assert!(result.is_ok(), "{output}");
    let end: Value = serde_json::from_str(output.lines().last().unwrap()).unwrap();
    let ops = app.ops().await;
    let tip = ops.get(&format!("/v1/payments/{}", end["ids"]["tip"].as_str().unwrap())).await.expect(200);
    assert_eq!(tip["captured"]["amount"], 512);
    let trip = ops.get(&format!("/v1/trips/{}", end["ids"]["trip"].as_str().unwrap())).await.expect(200);
    assert_eq!(trip["pickup"]["lat"], 40.7);

    let before = app.count("select count(*) from quotes").await;
    let (result, output) = trigger(&["trip.completed", "--base-url", &app.base_url, "--set", "tip.amount=1"]).await;
    let error = result.unwrap_err();
    assert!(matches!(error, Error::Usage(_)) && output.is_empty(), "{error} {output}");
    let error = error.to_string();
    assert!(error.contains("`tip.amount` is not used by trip.completed") && error.contains("pickup.lat"), "{error}");
    assert_eq!(app.count("select count(*) from quotes").await, before);
}
