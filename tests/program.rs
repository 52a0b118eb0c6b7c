//! The program as its operator meets it: what it says when something is missing, and how it stops.
#![allow(clippy::unwrap_used, reason = "tests")]

mod harness;

use std::process::{Output, Stdio};
use std::time::Duration;

use harness::{Answer, JWT_SECRET, PSP_SECRET, WEBHOOK_SECRET, database, free_address, until};
use tokio::process::Command;

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ridematch"));
    command.args(arguments).env_clear().stdin(Stdio::null()).kill_on_drop(true);
    command
}

fn configured(arguments: &[&str]) -> Command {
    let mut command = program(arguments);
    command
        .env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nothing")
        .env("RIDEMATCH_JWT_SECRET", JWT_SECRET)
        .env("PSP_BASE_URL", "http://127.0.0.1:1")
        .env("PSP_SECRET_KEY", PSP_SECRET)
        .env("PSP_WEBHOOK_SECRET", WEBHOOK_SECRET);
    command
}

/// One line on standard error and exit code 2; gives the line.
async fn refused(mut command: Command) -> String {
    let Output { status, stdout, stderr } = command.output().await.unwrap();
    let said = String::from_utf8(stderr).unwrap();
    assert_eq!((status.code(), said.trim_end().lines().count()), (Some(2), 1), "{said}");
    assert!(stdout.is_empty());
    said
}

#[tokio::test]
async fn what_is_missing_is_named_in_one_line() {
    let said = refused(program(&["serve"])).await;
    for option in ["--database-url", "--psp-base-url", "--psp-secret-key", "--psp-webhook-secret", "--jwt-secret"] {
        assert!(said.contains(option), "{option}: {said}");
    }
}

#[tokio::test]
async fn what_is_malformed_is_named_in_one_line_without_the_secret() {
    for (variable, value) in [
        ("DATABASE_URL", "mysql://x"),
        ("RIDEMATCH_LISTEN", "everywhere"),
        ("RIDEMATCH_POOL_MAX", "0"),
        ("RIDEMATCH_RATE_LIMIT", "none"),
        ("PSP_BASE_URL", "ftp://x"),
        ("RIDEMATCH_JWT_SECRET", "too short to be a secret"),
        ("PSP_WEBHOOK_SECRET", "whsec_1,whsec_2,whsec_3,whsec_4,whsec_5"),
        ("PSP_WEBHOOK_SECRET", "whsec_1,,whsec_2"),
    ] {
        let mut command = configured(&["serve"]);
        command.env(variable, value);
        let said = refused(command).await;
        let option = variable.trim_start_matches("RIDEMATCH_").to_lowercase().replace('_', "-");
        assert!(said.contains(&format!("--{option}")), "{variable}: {said}");
        assert!(!said.contains(&format!("'{value}'")), "{variable}: {said}");
    }
}

#[tokio::test]
async fn help_lists_the_environment() {
    let Output { status, stdout, .. } = program(&["serve", "--help"]).output().await.unwrap();
    let help = String::from_utf8(stdout).unwrap();
    assert!(status.success());
    for variable in ["DATABASE_URL", "RIDEMATCH_JWT_SECRET", "PSP_BASE_URL", "PSP_SECRET_KEY", "PSP_WEBHOOK_SECRET"] {
        assert!(help.contains(variable), "{variable} is not in the help");
    }
}

const COMMANDS: [&str; 6] = ["demo", "serve", "migrate", "openapi", "audit", "completions"];

async fn printed(arguments: &[&str]) -> String {
    let Output { status, stdout, stderr } = program(arguments).output().await.unwrap();
    assert!(status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap()
}

#[tokio::test]
async fn help_has_examples_and_exit_codes_and_no_colours_in_a_pipe() {
    let help = printed(&["--help"]).await;
    for word in COMMANDS.iter().chain(&["Exit codes:", "NO_COLOR"]) {
        assert!(help.contains(word), "{word}: {help}");
    }
    for command in COMMANDS {
        let help = printed(&[command, "--help"]).await;
        assert!(help.contains("Examples:") && help.contains(&format!("ridematch {command}")), "{command}: {help}");
        assert!(!help.contains('\u{1b}'), "{command} has colours in a pipe");
        let ours = help.split("Examples:").nth(1).unwrap();
        assert!(ours.lines().all(|line| line.chars().count() <= 110), "{command} has long lines: {ours}");
    }
}

#[tokio::test]
async fn completions_know_every_command() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = printed(&["completions", shell]).await;
        for command in COMMANDS {
            assert!(script.contains(command), "{command} is not in the completions for {shell}");
        }
    }
    refused(program(&["completions", "cmd.exe"])).await;
}

/// `ridematch openapi | head -1`
#[tokio::test]
async fn a_reader_that_has_had_enough_is_no_failure() {
    for arguments in [&["openapi"][..], &["completions", "bash"]] {
        let mut child = program(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // Closed before anything is written: the pipe breaks at once.
        drop(child.stdout.take());
        let Output { status, stderr, .. } = child.wait_with_output().await.unwrap();
        assert_eq!((status.code(), String::from_utf8(stderr).unwrap().as_str()), (Some(0), ""));
    }
}

#[tokio::test]
async fn a_script_gets_json() {
    let database = database().await;
    let said = printed(&["migrate", "--json", "--database-url", &database.url()]).await;
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["status"], "up_to_date");
    let document: serde_json::Value = serde_json::from_str(&printed(&["openapi"]).await).unwrap();
    assert!(document["openapi"].is_string());
}

#[tokio::test]
async fn a_database_that_is_not_there_is_one_line_too() {
    let Output { status, stderr, .. } = configured(&["migrate"]).output().await.unwrap();
    assert_eq!((status.code(), String::from_utf8(stderr).unwrap().trim_end().lines().count()), (Some(1), 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_drains_and_exits_within_ten_seconds_with_a_stream_open() {
    let (database, listen) = (database().await, free_address());
    let mut child = configured(&["serve"])
        .env("DATABASE_URL", database.url())
        .env("RIDEMATCH_LISTEN", listen.to_string())
        .env("RIDEMATCH_SANDBOX", "true")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let http = reqwest::Client::new();
    let base = format!("http://{listen}");
    until("it is ready", async || {
        let ready = Answer::attempt(http.get(format!("{base}/readyz"))).await.ok()?;
        (ready.status == 200).then_some(())
    })
    .await;
    let body = serde_json::json!({"role": "driver"});
    let token = Answer::of(http.post(format!("{base}/v1/sandbox/tokens")).json(&body)).await.expect(201);
    let stream = http.get(format!("{base}/v1/drivers/me/events")).bearer_auth(token["token"].as_str().unwrap());
    let mut stream = Answer::open(stream).await;
    assert!(stream.chunk().await.unwrap().is_some());
    let terminated = Command::new("kill").args(["-TERM", &child.id().unwrap().to_string()]).status().await.unwrap();
    assert!(terminated.success());
    let status = tokio::time::timeout(Duration::from_secs(10), child.wait()).await.expect("gone in time").unwrap();
    assert_eq!(status.code(), Some(0));
}
