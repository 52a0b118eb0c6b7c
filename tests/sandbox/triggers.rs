//! `ridematch trigger`: every event can be made to happen, and what cannot is said before anything is sent.

use std::process::Output;

use serde_json::Value;
use tokio::process::Command;

use crate::harness::App;

async fn trigger(arguments: &[&str]) -> (Output, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ridematch"));
    let output = command.arg("trigger").args(arguments).env_clear().output().await.unwrap();
    let said = String::from_utf8(output.stdout.clone()).unwrap();
    (output, said)
}

#[tokio::test]
async fn every_event_happens_and_the_books_are_right_afterwards() {
    let app = App::start().await;
    let (_, list) = trigger(&["--list"]).await;
    let documented = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/sandbox.md")).unwrap();
    for event in list.lines().map(|line| line.split_whitespace().next().unwrap()) {
        assert!(documented.contains(&format!("| `{event}` |")), "{event} is not in docs/sandbox.md");
        let (output, said) = trigger(&[event, "--json", "--base-url", &app.base_url]).await;
        assert!(output.status.success(), "{event}: {}\n{said}", String::from_utf8_lossy(&output.stderr));
        let lines: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let (end, steps) = lines.split_last().unwrap();
        assert_eq!((&end["event"], &end["steps"]), (&event.into(), &steps.len().into()), "{said}");
        let trip = end["ids"]["trip"].as_str().unwrap();
        let trip = app.ops().await.get(&format!("/v1/trips/{trip}")).await.expect(200);
        if let Some(state) = event.strip_prefix("trip.").filter(|state| !["tipped", "cancelled_late"].contains(state)) {
            assert_eq!(trip["state"], state, "{event}");
        }
    }
    app.assert_clean().await;
}

#[tokio::test]
async fn what_the_readme_triggers_happens() {
    let app = App::start().await;
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let lines: Vec<_> =
        readme.lines().filter_map(|line| line.strip_prefix("$ cargo run --release -- trigger ")).collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    for line in lines {
        let mut arguments: Vec<_> = line.split_whitespace().collect();
        arguments.extend(["--base-url", &app.base_url]);
        let (output, said) = trigger(&arguments).await;
        assert!(output.status.success(), "{line}: {}\n{said}", String::from_utf8_lossy(&output.stderr));
    }
}

#[tokio::test]
async fn what_is_set_is_sent_or_refused_before_anything_is_sent() {
    let app = App::start().await;
    let set = ["trip.tipped", "--json", "--base-url", &app.base_url, "--set", "pickup.lat=40.7", "tip.amount=512"];
    let (output, said) = trigger(&set).await;
    assert!(output.status.success(), "{said}");
    let end: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    let ops = app.ops().await;
    let tip = ops.get(&format!("/v1/payments/{}", end["ids"]["tip"].as_str().unwrap())).await.expect(200);
    assert_eq!(tip["captured"]["amount"], 512);
    let trip = ops.get(&format!("/v1/trips/{}", end["ids"]["trip"].as_str().unwrap())).await.expect(200);
    assert_eq!(trip["pickup"]["lat"], 40.7);

    let before = app.count("select count(*) from quotes").await;
    let (output, said) = trigger(&["trip.completed", "--base-url", &app.base_url, "--set", "tip.amount=1"]).await;
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), said.as_str()), (Some(2), ""));
    assert!(error.contains("`tip.amount` is not used by trip.completed") && error.contains("pickup.lat"), "{error}");
    assert_eq!(app.count("select count(*) from quotes").await, before);
}
