//! The program as a user calls it: bad use gets one clear line with the way out, and changes nothing.

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
    thread,
    time::Duration,
};

use serde_json::Value;

/// Runs `cargo drill` with a data directory of its own.
fn drill(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_drill"))
        .args(arguments)
        .env("RIDEMATCH_DRILL_DIR", folder)
        // As if it were called without cargo: nothing is built.
        .env_remove("CARGO")
        .output()
        .expect("the program runs")
}

fn error(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn command_before_a_start_says_how_to_start() {
    let folder = tempfile::tempdir().expect("a directory");
    for arguments in
        [&["check"][..], &["try"], &["hint"], &["observe"], &["reset"], &["reveal"], &["diagnose", "--review"]]
    {
        let message = error(&drill(folder.path(), arguments));
        assert!(message.contains("cargo drill start 1") && message.lines().count() == 1, "{arguments:?}: {message}");
    }
}

#[test]
fn unknown_drill_points_to_the_list() {
    let folder = tempfile::tempdir().expect("a directory");
    let message = error(&drill(folder.path(), &["start", "9999"]));
    assert!(message.contains("9999") && message.contains("cargo drill list"), "{message}");
    assert!(!folder.path().join("tree").exists());
}

#[test]
fn second_command_names_the_one_that_runs() {
    let folder = tempfile::tempdir().expect("a directory");
    let path = folder.path().join("lock");
    fs::write(&path, "`cargo drill check` (process 7)").expect("written");
    let lock = fs::File::open(&path).expect("the lock");
    lock.lock().expect("locked");
    for arguments in [
        &["start", "1"][..],
        &["try"],
        &["check"],
        &["mitigate", "--set", "A=1"],
        &["mitigate", "--roll-back", "a commit"],
        &["repair"],
        &["reset"],
        &["stop"],
    ] {
        let message = error(&drill(folder.path(), arguments));
        let says = "`cargo drill check` (process 7) is running; wait";
        assert!(message.contains(says) && message.lines().count() == 1, "{arguments:?}: {message}");
    }
    drop(lock);
    assert!(error(&drill(folder.path(), &["reset"])).contains("no drill is started"));
}

#[test]
fn interrupted_command_says_so_and_releases_its_lock() {
    let folder = tempfile::tempdir().expect("a directory");
    let child = Command::new(env!("CARGO_BIN_EXE_drill"))
        .args(["verify", "--all", "--quick"])
        .env("RIDEMATCH_DRILL_DIR", folder.path())
        .env_remove("CARGO")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program runs");
    let lock = folder.path().join("proof/lock");
    let is_running = || fs::read_to_string(&lock).is_ok_and(|holder| holder.contains("verify"));
    for _ in 0..500 {
        if is_running() {
            break;
        }
        thread::sleep(Duration::from_millis(20));
    }
    let interrupted = Command::new("/bin/sh").args(["-c", "kill -INT \"$1\"", "sh", &child.id().to_string()]).status();
    assert!(interrupted.expect("a signal").success());
    let output = child.wait_with_output().expect("its end");
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("interrupted; your changes are as you left them"));
    assert_eq!(fs::read_to_string(&lock).expect("the lock"), "");
}

#[test]
fn interrupted_start_is_said_until_it_is_started_again() {
    let folder = tempfile::tempdir().expect("a directory");
    let session = r#"{"number": 7, "name": "07-x", "phase": "starting", "blind": false, "started_at": "2026-03-04T05:06:07Z",
        "finished_at": null, "commit": "", "checkout": "/", "program": "/", "is_served": true, "hints": 0, "diagnoses": [],
        "attempts": [], "resets": 0}"#;
    fs::write(folder.path().join("session.json"), session).expect("written");
    let message = error(&drill(folder.path(), &["try"]));
    assert!(message.contains("interrupted") && message.contains("cargo drill start 7"), "{message}");
}

#[test]
fn damaged_file_of_the_user_is_named_and_kept() {
    let folder = tempfile::tempdir().expect("a directory");
    fs::write(folder.path().join("scoreboard.json"), "{").expect("written");
    let message = error(&drill(folder.path(), &["list"]));
    assert!(message.contains("scoreboard.json"), "{message}");
    assert_eq!(fs::read_to_string(folder.path().join("scoreboard.json")).expect("kept"), "{");
}

#[test]
fn list_and_lists_of_a_diagnosis_are_json_too() {
    let folder = tempfile::tempdir().expect("a directory");
    let json = |arguments: &[&str]| -> Value {
        let output = drill(folder.path(), arguments);
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).expect("JSON")
    };
    assert!(json(&["list", "--json"])["drills"].is_array());
    assert!(json(&["diagnose", "--json"])["mechanism"].as_array().is_some_and(|list| list.len() > 30));
    assert!(json(&["report", "--json"])["session"].is_null());
}

#[test]
fn bad_diagnosis_lists_what_there_is() {
    let folder = tempfile::tempdir().expect("a directory");
    let unknown = ["diagnose", "--component", "supply", "--mechanism", "gremlins"];
    assert!(error(&drill(folder.path(), &unknown)).contains("stale-cache-entry"));
    let half = ["diagnose", "--component", "supply"];
    assert!(error(&drill(folder.path(), &half)).contains("--mechanism"));
}

#[test]
fn name_of_a_new_drill_is_checked_before_anything_is_written() {
    let folder = tempfile::tempdir().expect("a directory");
    for slug in ["Upper", "two words", "x-", ""] {
        let message = error(&drill(folder.path(), &["new", slug]));
        assert!(message.contains("lower-case"), "{slug}: {message}");
    }
}
