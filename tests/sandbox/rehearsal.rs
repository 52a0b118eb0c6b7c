//! The rehearsal over HTTP: a session outlives its service, a damaged file loses nothing, and other sites are refused.

use std::net::SocketAddr;
use std::path::Path;

use reqwest::header::ORIGIN;
use ridematch::platform::config::Config;
use ridematch::sandbox::{Flags, SqlRecorder};
use ridematch::startup::{self, Running};
use serde_json::{Value, json};

use crate::harness::{ApiResponse, App, free_address};

/// A service with a directory for rehearsals, on the database of `app`.
pub async fn serve(app: &App, folder: &Path) -> Running {
    serve_partners(app, folder, None).await
}

/// The same with an address for partners.
pub async fn serve_partners(app: &App, folder: &Path, partner_listen: Option<SocketAddr>) -> Running {
    let config = Config { listen: free_address(), ..app.config.clone() };
    let flags = Flags {
        sandbox: true,
        rehearsal_dir: Some(folder.join("rehearsals")),
        lab_dir: Some(folder.join("lab")),
        partner_listen,
        ..Flags::default()
    };
    startup::start_with_sandbox(&config, flags, SqlRecorder::default()).await.expect("the service starts")
}

pub fn url(service: &Running, path: &str) -> String {
    format!("http://{}/rehearse/api{path}", service.address)
}

pub async fn get(app: &App, service: &Running, path: &str) -> ApiResponse {
    ApiResponse::of(app.http.get(url(service, path))).await
}

pub async fn post(app: &App, service: &Running, path: &str, body: &Value) -> ApiResponse {
    ApiResponse::of(app.http.post(url(service, path)).json(body)).await
}

/// Marks the canned answers of the session at `path`, which is `now`.
pub async fn mark_canned(app: &App, service: &Running, path: &str, mut now: Value) {
    while now["stage"] == "canned" {
        let marks = json!({"do": "mark_canned", "id": now["canned"]["id"], "ticks": [], "passes": false});
        now = post(app, service, path, &marks).await.expect(200);
    }
}

/// Begins a session and returns its path.
async fn begin(app: &App, service: &Running) -> String {
    let choice = json!({"cut": "ride-hailing", "minutes": 45, "level": "senior", "seed": 7});
    let made = post(app, service, "/sessions", &choice).await.expect(201);
    format!("/sessions/{}", made["id"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn session_continues_in_another_process_and_ends_with_a_report() {
    let (app, folder) = (App::start().await, tempfile::tempdir().unwrap());
    let service = serve(&app, folder.path()).await;
    let session = begin(&app, &service).await;
    let does = async |service: &Running, command: Value| post(&app, service, &session, &command).await.expect(200);
    does(&service, json!({"do": "start"})).await;
    let card = json!({"do": "draft", "kind": "requirements", "fields": {"text": "a ride, and no ratings"}});
    does(&service, card).await;
    post(&app, &service, &session, &json!({"do": "ask"})).await.expect_problem(409, "invalid_transition");
    does(&service, json!({"do": "lock", "kind": "requirements"})).await;
    let before = does(&service, json!({"do": "ask"})).await;
    service.stop().await;

    let service = serve(&app, folder.path()).await;
    let after = get(&app, &service, &session).await.expect(200);
    for member in ["cards", "prompts", "phases", "constraint", "now"] {
        assert_eq!(after[member], before[member], "{member}");
    }
    let mut now = after;
    while now["stage"] == "interview" {
        if now["now"]["bet"]["lab"].is_string() {
            does(&service, json!({"do": "bet", "value": now["now"]["bet"]["max"]})).await;
        }
        now = does(&service, json!({"do": "next"})).await;
    }
    mark_canned(&app, &service, &session, now).await;
    get(&app, &service, &format!("{session}/report")).await.expect_problem(409, "invalid_transition");
    let tick = json!({"observable": "scope-cut", "shown": "unprompted", "card": 0});
    does(&service, json!({"do": "mark", "ticks": [tick]})).await;
    let done = does(&service, json!({"do": "finish"})).await;
    let open = &done["result"]["marks"]["bets"][0];
    assert_eq!(open["is_right"], Value::Null);

    let lab = open["lab"].as_str().unwrap();
    std::fs::create_dir_all(folder.path().join("lab")).unwrap();
    let found = json!({"lab": lab, "commit": "abc1234", "seed": 1, "answer": {"value": open["value"]}}).to_string();
    std::fs::write(folder.path().join(format!("lab/{lab}.json")), found).unwrap();
    let report = get(&app, &service, &format!("{session}/report")).await;
    assert_eq!(report.header("content-type"), Some("text/markdown; charset=utf-8"));
    let report = report.text();
    assert!(report.contains("## Say next time") && report.contains("commit abc1234"), "{report}");
    let kept = folder.path().join(format!("rehearsals{}.md", session.trim_start_matches("/sessions")));
    assert_eq!(std::fs::read_to_string(kept).unwrap(), report);
    service.stop().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_session_gets_a_line_and_the_others_are_listed() {
    let (app, folder) = (App::start().await, tempfile::tempdir().unwrap());
    let service = serve(&app, folder.path()).await;
    let session = begin(&app, &service).await;
    begin(&app, &service).await;
    let file = folder.path().join(format!("rehearsals{}.json", session.trim_start_matches("/sessions")));
    std::fs::write(&file, "{").unwrap();
    let problem = get(&app, &service, &session).await.expect_problem(404, "not_found");
    assert!(problem["detail"].as_str().unwrap().contains("it is kept as"), "{problem}");
    let listed = get(&app, &service, "/sessions").await.expect(200);
    assert_eq!(listed["sessions"].as_array().unwrap().len(), 1, "{listed}");
    assert_eq!(listed["unreadable"].as_array().unwrap().len(), 1, "{listed}");
    service.stop().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_requests_and_other_sites_are_refused() {
    let (app, folder) = (App::start().await, tempfile::tempdir().unwrap());
    let service = serve(&app, folder.path()).await;
    let choice = json!({"cut": "cooking", "minutes": 45, "level": "senior"});
    let problem = post(&app, &service, "/sessions", &choice).await.expect_problem(422, "invalid_request");
    assert_eq!(problem["errors"][0]["pointer"], "/cut");
    let session = begin(&app, &service).await;
    post(&app, &service, &session, &json!({"do": "dance"})).await.expect_problem(422, "invalid_request");
    get(&app, &service, "/sessions/..%2F..%2Fsecret").await.expect_problem(404, "not_found");
    let foreign = app.http.post(url(&service, "/sessions")).header(ORIGIN, "http://evil.example").json(&choice);
    ApiResponse::of(foreign).await.expect_problem(403, "forbidden");
    service.stop().await;
    // Without a directory, the page is there and says so.
    let none = ApiResponse::of(app.http.get(app.url("/rehearse/api/sessions"))).await.expect_problem(404, "not_found");
    assert!(none["detail"].as_str().unwrap().contains("no directory for rehearsals"), "{none}");
    app.stop().await;
}
