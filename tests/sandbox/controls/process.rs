//! The SQL of a request and the kill request, each in a separate process: the first records the process's log.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::harness::process::{Launch, RECOVERED_WITHIN, program};
use crate::harness::{
    Actor, ApiResponse, App, HERE, JWT_SECRET, PSP_SECRET, THERE, WEBHOOK_SECRET, free_address, within,
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

#[tokio::test]
async fn request_shows_its_sql_without_values() {
    let app = App::start().await;
    let scratch = tempfile::tempdir().unwrap();
    let log = scratch.path().join("log");
    let launch = Launch {
        database_url: app.database.url(),
        provider: app.provider.address(),
        listen: free_address(),
        log: ("info", log.clone()),
    };
    let process = launch.start().await;
    let rider: Actor = process.actor("rider").await;
    let quote = rider.quote(HERE, THERE).await;
    let body = json!({"quote_id": quote["id"], "payment_method": "pm_card_visa"});
    let traceparent = format!("00-{TRACE}-00f067aa0ba902b7-01");
    let order = || async {
        let request = rider.request(reqwest::Method::POST, "/v1/trips").header("Idempotency-Key", "k").json(&body);
        ApiResponse::of(request.header("traceparent", &traceparent)).await.status.as_u16()
    };
    assert_eq!((order().await, order().await), (201, 201));

    let shown = process.http.get(format!("{}/v1/sandbox/requests/{TRACE}", process.base_url));
    let shown = ApiResponse::of(shown).await.expect(200);
    let requests = shown["requests"].as_array().unwrap();
    let sql = |request: &Value| -> Vec<String> {
        let statements = request["statements"].as_array().unwrap();
        statements.iter().map(|it| it["sql"].as_str().unwrap().to_owned()).collect()
    };
    let (first, replay) = (sql(&requests[0]), sql(&requests[1]));
    assert_eq!((&requests[0]["method"], &requests[0]["status"]), (&json!("POST"), &json!(201)));
    let begin = first.iter().position(|it| it == "BEGIN").unwrap();
    assert_eq!(first.last().unwrap(), "COMMIT");
    for table in ["trips", "payments", "trip_events", "idempotency_keys"] {
        let insert = format!("insert into {table} ");
        assert!(first[begin..].iter().any(|it| it.contains(&insert)), "{insert}: {first:#?}");
    }
    assert_eq!(replay.len(), 1, "a replay is one lookup: {replay:#?}");
    let text = shown.to_string();
    assert!(!text.contains("pm_card") && !text.contains(rider.id.trim_start_matches("rdr_")), "{text}");
    // Recording does not change what is logged.
    assert!(!std::fs::read_to_string(&log).unwrap().contains("sqlx::query"));
}

#[tokio::test]
async fn supervised_process_requests_the_kill_and_answers_202() {
    let app = App::start().await;
    let listen = free_address();
    let mut child = program(&["serve", "--supervised", "--sandbox"])
        .env("DATABASE_URL", app.database.url())
        .env("RIDEMATCH_LISTEN", listen.to_string())
        .env("RIDEMATCH_JWT_SECRET", JWT_SECRET)
        .env("PSP_BASE_URL", format!("http://{}", app.provider.address()))
        .env("PSP_SECRET_KEY", PSP_SECRET)
        .env("PSP_WEBHOOK_SECRET", WEBHOOK_SECRET)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let kill = format!("http://{listen}/v1/sandbox/kill");
    let answered =
        within(RECOVERED_WITHIN, "it answers", async || ApiResponse::attempt(app.http.post(&kill)).await.ok()).await;
    assert_eq!(answered.status, 202);
    // The line with the listen address may come before or after.
    while lines.next_line().await.unwrap().expect("the kill request") != ridematch::sandbox::supervisor::KILL_REQUEST {}
}
