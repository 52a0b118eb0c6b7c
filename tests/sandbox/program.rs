//! The command line: errors, help, completions, output, and SIGTERM.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::process::{Output, Stdio};
use std::time::Duration;

use crate::harness::process::program;
use crate::harness::{ApiResponse, JWT_SECRET, PSP_SECRET, WEBHOOK_SECRET, database, free_address, until};
use sqlx::{Connection as _, PgConnection};
use tokio::process::Command;

fn configured(arguments: &[&str]) -> Command {
    let mut command = program(arguments);
    command
        .env("DATABASE_URL", "postgres://unreachable@127.0.0.1:1/nothing")
        .env("RIDEMATCH_JWT_SECRET", JWT_SECRET)
        .env("PSP_BASE_URL", "http://127.0.0.1:1")
        .env("PSP_SECRET_KEY", PSP_SECRET)
        .env("PSP_WEBHOOK_SECRET", WEBHOOK_SECRET);
    command
}

/// Asserts one line on standard error and exit code 2; returns the line.
async fn refused(mut command: Command) -> String {
    let Output { status, stdout, stderr } = command.output().await.unwrap();
    let message = String::from_utf8(stderr).unwrap();
    assert_eq!((status.code(), message.trim_end().lines().count()), (Some(2), 1), "{message}");
    assert!(stdout.is_empty());
    message
}

#[tokio::test]
async fn missing_option_is_one_line_and_exit_2() {
    let message = refused(program(&["serve"])).await;
    for option in ["--database-url", "--psp-base-url", "--psp-secret-key", "--psp-webhook-secret", "--jwt-secret"] {
        assert!(message.contains(option), "{option}: {message}");
    }
}

#[tokio::test]
async fn malformed_option_is_one_line_without_its_value() {
    for (variable, value) in [
        ("DATABASE_URL", "mysql://x"),
        ("RIDEMATCH_LISTEN", "everywhere"),
        ("RIDEMATCH_ADMIN_LISTEN", "9090"),
        ("RIDEMATCH_JWT_ISSUER", ""),
        ("RIDEMATCH_POOL_MAX", "0"),
        ("RIDEMATCH_RATE_LIMIT", "none"),
        ("PSP_BASE_URL", "ftp://x"),
        ("RIDEMATCH_JWT_SECRET", "too short to be a secret"),
        ("PSP_WEBHOOK_SECRET", "whsec_1,whsec_2,whsec_3,whsec_4,whsec_5"),
        ("PSP_WEBHOOK_SECRET", "whsec_1,,whsec_2"),
    ] {
        let mut command = configured(&["serve"]);
        command.env(variable, value);
        let message = refused(command).await;
        let option = variable.trim_start_matches("RIDEMATCH_").to_lowercase().replace('_', "-");
        assert!(message.contains(&format!("--{option}")), "{variable}: {message}");
        assert!(!message.contains(&format!("'{value}'")), "{variable}: {message}");
    }
}

/// A whole map would be longer than the message; these are the mistakes that it can have.
#[tokio::test]
async fn unusable_street_map_is_one_line_with_its_place_and_exit_2() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("streets.json");
    let node = |id| format!(r#"{{"id": {id}, "x": -73.9{id}, "y": 40.7}}"#);
    let link =
        |from, to, speed| format!(r#"{{"source": {from}, "target": {to}, "length": 90, "speed_kmph": {speed}}}"#);
    let map = |links: &str| format!(r#"{{"nodes": [{}, {}], "links": [{links}]}}"#, node(1), node(2));
    let both = |speed| format!("{}, {}", link(1, 2, "40"), link(2, 1, speed));
    for (text, expected) in [
        (map(&both("0")), "`links[1].speed_kmph` must be more than 0, not 0"),
        (map(&link(1, 3, "40")), "`links[0].target` names no node: 3"),
        (map(&link(1, 2, "40")), "the streets are not connected: at most 1 of 2 junctions can reach each other"),
        (map(&both("40")).replace("\"y\": 40.7}]", "\"y\": 140.7}]"), "`nodes[1].y` must be from -90 to 90"),
        (map(&both("40")).replace("\"target\": 1, ", ""), "`links[1]`: missing field `target` at line 1"),
        (map(&both("40")).replace("]}", ""), "EOF while parsing"),
    ] {
        std::fs::write(&path, text).unwrap();
        for mut command in [configured(&["serve"]), program(&["demo"])] {
            command.env("RIDEMATCH_STREETS", &path);
            if command.as_std().get_args().next().is_some_and(|first| first == "demo") {
                command.arg("--streets").arg(&path);
            }
            let message = refused(command).await;
            assert!(message.contains(expected), "{message}");
        }
    }
    let mut command = configured(&["serve"]);
    command.args(["--streets", "/nowhere/streets.json"]);
    let message = refused(command).await;
    assert!(message.contains("--streets") && message.contains("cannot be read"), "{message}");
}

#[tokio::test]
async fn help_lists_the_environment() {
    let Output { status, stdout, .. } = program(&["serve", "--help"]).output().await.unwrap();
    let help = String::from_utf8(stdout).unwrap();
    assert!(status.success());
    for variable in [
        "DATABASE_URL",
        "RIDEMATCH_ADMIN_LISTEN",
        "RIDEMATCH_JWT_SECRET",
        "RIDEMATCH_JWT_ISSUER",
        "RIDEMATCH_JWT_AUDIENCE",
        "RIDEMATCH_STREETS",
        "PSP_BASE_URL",
        "PSP_SECRET_KEY",
        "PSP_WEBHOOK_SECRET",
        "PGPASSFILE",
        "SSL_CERT_FILE",
        "TOKIO_WORKER_THREADS",
        "RUST_LOG",
    ] {
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
async fn help_has_examples_exit_codes_and_no_colors_in_a_pipe() {
    let help = printed(&["--help"]).await;
    for word in COMMANDS.iter().chain(&["Exit codes:", "NO_COLOR"]) {
        assert!(help.contains(word), "{word}: {help}");
    }
    for command in COMMANDS {
        let help = printed(&[command, "--help"]).await;
        assert!(help.contains("Examples:") && help.contains(&format!("ridematch {command}")), "{command}: {help}");
        assert!(!help.contains('\u{1b}'), "{command} has colors in a pipe");
        let ours = help.split("Examples:").nth(1).unwrap();
        assert!(ours.lines().all(|line| line.chars().count() <= 110), "{command} has long lines: {ours}");
    }
}

#[tokio::test]
async fn completions_contain_every_command() {
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
async fn closed_pipe_is_not_an_error() {
    for arguments in [&["openapi"][..], &["completions", "bash"]] {
        let mut child = program(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // Closed before anything is written: the pipe breaks at once.
        drop(child.stdout.take());
        let Output { status, stderr, .. } = child.wait_with_output().await.unwrap();
        assert_eq!((status.code(), String::from_utf8(stderr).unwrap().as_str()), (Some(0), ""));
    }
}

#[tokio::test]
async fn json_output_parses() {
    let database = database().await;
    let message = printed(&["migrate", "--json", "--database-url", &database.url()]).await;
    let message: serde_json::Value = serde_json::from_str(&message).unwrap();
    assert_eq!(message["status"], "up_to_date");
    let document: serde_json::Value = serde_json::from_str(&printed(&["openapi"]).await).unwrap();
    assert!(document["openapi"].is_string());
}

#[tokio::test]
async fn unreachable_database_is_one_line_and_exit_1() {
    let Output { status, stderr, .. } = configured(&["migrate"]).output().await.unwrap();
    assert_eq!((status.code(), String::from_utf8(stderr).unwrap().trim_end().lines().count()), (Some(1), 1));
}

#[tokio::test]
async fn database_of_an_earlier_version_is_one_line_and_left_unchanged() {
    let database = database().await;
    let mut conn = PgConnection::connect(&database.url()).await.unwrap();
    sqlx::query("update _sqlx_migrations set checksum = '\\x00' where version = 1").execute(&mut conn).await.unwrap();
    for command in ["migrate", "serve"] {
        let Output { status, stderr, .. } =
            configured(&[command]).env("DATABASE_URL", database.url()).output().await.unwrap();
        let message = String::from_utf8(stderr).unwrap();
        assert_eq!((status.code(), message.trim_end().lines().count()), (Some(1), 1), "{message}");
        assert!(message.contains("migration 1 differs") && message.contains("--data-dir"), "{message}");
    }
    let count = "select count(*) from _sqlx_migrations where checksum = '\\x00'";
    let edited: i64 = sqlx::query_scalar(count).fetch_one(&mut conn).await.unwrap();
    assert_eq!(edited, 1);
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
    let http = launcher::http_client().build().unwrap();
    let base = format!("http://{listen}");
    until("the service is ready", async || {
        let ready = ApiResponse::attempt(http.get(format!("{base}/readyz"))).await.ok()?;
        (ready.status == 200).then_some(())
    })
    .await;
    let body = serde_json::json!({"role": "driver"});
    let token = ApiResponse::of(http.post(format!("{base}/v1/sandbox/tokens")).json(&body)).await.expect(201);
    let stream = http.get(format!("{base}/v1/drivers/me/events")).bearer_auth(token["token"].as_str().unwrap());
    let mut stream = ApiResponse::open(stream).await;
    assert!(stream.chunk().await.unwrap().is_some());
    let terminated = Command::new("kill").args(["-TERM", &child.id().unwrap().to_string()]).status().await.unwrap();
    assert!(terminated.success());
    let status = tokio::time::timeout(Duration::from_secs(10), child.wait()).await.expect("exits in time").unwrap();
    assert_eq!(status.code(), Some(0));
}
