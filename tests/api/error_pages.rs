//! Error pages: every example is run, and codes without an example are produced here.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use crate::harness::breakpoint::database::DatabaseProxy;
use crate::harness::{Actor, ApiResponse, App, HERE, Options, THERE, at_once, id, until, within};
use reqwest::Method;
use ridematch::platform::error::Code;
use serde_json::{Value, json};
use tokio::process::Command;

/// The time limit of an example.
const EXAMPLE_MAX: Duration = Duration::from_secs(120);

/// Half of the demo's limit, so that the example of `rate_limited` reaches it on a busy machine.
const RATE_LIMIT: u32 = 50;

async fn page(app: &App, path: &str, accept: &str) -> ApiResponse {
    ApiResponse::of(app.http.get(app.url(path)).header("Accept", accept)).await
}

fn text(response: &ApiResponse) -> String {
    assert_eq!(response.status, 200);
    String::from_utf8(response.bytes.clone()).unwrap()
}

/// Returns the commands of a page, if any.
fn example(page: &str) -> Option<&str> {
    page.split_once("```sh\n")?.1.split_once("```").map(|(lines, _)| lines)
}

/// Runs commands in a shell. Returns the last JSON document of the output.
async fn run(name: &str, lines: &str) -> Value {
    let mut shell = Command::new("bash");
    // curl would use the proxy of the environment.
    launcher::environment::isolate(shell.as_std_mut());
    shell.args(["-euo", "pipefail", "-c", lines]).stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(EXAMPLE_MAX, shell.output()).await;
    let output = output.unwrap_or_else(|_| panic!("{name}: timed out after {EXAMPLE_MAX:?}")).unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{name}: {}\n{stdout}\n{stderr}", output.status);
    let printed = serde_json::Deserializer::from_str(&stdout).into_iter::<Value>();
    let last = printed.last().unwrap_or_else(|| panic!("{name} prints no JSON: {stderr}"));
    last.unwrap_or_else(|error| panic!("{name} prints invalid JSON ({error}): {stdout}"))
}

/// Returns whether the tools of the examples are installed. On CI they must be.
async fn tools_are_installed() -> bool {
    for tool in ["bash", "curl", "jq"] {
        let found = Command::new(tool).arg("--version").stdout(Stdio::null()).status().await;
        if !found.is_ok_and(|status| status.success()) {
            assert!(std::env::var_os("CI").is_none(), "{tool} is missing");
            eprintln!("skipped: {tool} is not installed");
            return false;
        }
    }
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_produces_its_code() {
    if !tools_are_installed().await {
        return;
    }
    let app = App::with(Options { rate_limit: RATE_LIMIT, ..Options::default() }).await;
    let mut count = 0;
    for code in Code::ALL {
        let problem_type = code.problem_type();
        // As curl receives it.
        let page = text(&page(&app, &format!("/problems/{}", problem_type.name), "*/*").await);
        let Some(lines) = example(&page) else { continue };
        let printed = run(problem_type.name, lines).await;
        assert_eq!(printed["code"], problem_type.name, "{lines}\n{printed:#}");
        assert_eq!((&printed["status"], &printed["title"]), (&json!(problem_type.status), &json!(problem_type.title)));
        count += 1;
    }
    assert!(count >= 29, "only {count} pages have an example");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn page_without_an_example_names_an_existing_test() {
    let app = App::start().await;
    for code in Code::ALL {
        let page = text(&page(&app, &format!("/problems/{}", code.problem_type().name), "*/*").await);
        if example(&page).is_none() {
            let file = page.split('`').find(|part| part.starts_with("tests/")).unwrap();
            assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(file).exists(), "{file} of {code:?}");
        }
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn page_is_served_as_html_markdown_or_json() {
    let app = App::start().await;
    let html = page(&app, "/problems/wrong_pin", "text/html,*/*;q=0.8").await;
    assert_eq!(html.header("content-type"), Some("text/html; charset=utf-8"));
    let policy = html.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    let html = text(&html);
    assert!(html.contains("src=\"/problems/run.js\""), "{html}");
    for path in ["/problems/page.css", "/problems/run.js", "/problems/shell_language.js", "/problems/shell_tools.js"] {
        assert_eq!(page(&app, path, "*/*").await.status, 200, "{path}");
    }
    // A page without commands needs no script of its own.
    assert!(!text(&page(&app, "/problems/internal", "text/html").await).contains("run.js"));
    assert!(html.contains("<h1>Wrong PIN</h1>") && html.contains("<h2>What to do</h2>"), "{html}");
    // The commands contain the address from the request's `Host`.
    assert!(html.contains(&app.base_url) && !html.contains("127.0.0.1:8080"), "{html}");

    let json = page(&app, "/problems/wrong_pin", "application/json").await.expect(200);
    assert_eq!(
        (&json["code"], &json["status"], &json["title"]),
        (&json!("wrong_pin"), &json!(409), &json!("Wrong PIN"))
    );
    let list = page(&app, "/problems", "application/json").await.expect(200);
    assert_eq!(list["items"].as_array().unwrap().len(), Code::ALL.len());
    let index = text(&page(&app, "/problems", "*/*").await);
    for code in Code::ALL {
        assert!(index.contains(&format!("/problems/{}", code.problem_type().name)), "{code:?}");
    }
    for address in ["/", "/problems"] {
        assert!(text(&page(&app, address, "text/html").await).starts_with("<!doctype html>"));
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_code_is_404_with_similar_codes() {
    let app = App::start().await;
    let near = page(&app, "/problems/quote_expire", "*/*").await.expect_problem(404, "not_found");
    assert_eq!(near["near"][0], "quote_expired");
    assert!(near["detail"].as_str().unwrap().contains("quote_expired"));
    let nothing = page(&app, "/problems/zzz", "*/*").await.expect_problem(404, "not_found");
    assert_eq!(nothing["near"], json!([]));
    app.stop().await;
}

/// `internal`: a table is missing, and the response does not reveal it.
#[tokio::test(flavor = "multi_thread")]
async fn internal_error_does_not_reveal_the_cause() {
    let app = App::start().await;
    let rider = app.rider().await;
    app.break_with("alter table quotes rename to elsewhere").await;
    let body = json!({"pickup": {"lat": HERE.0, "lon": HERE.1}, "dropoff": {"lat": THERE.0, "lon": THERE.1}});
    let problem = rider.post_unkeyed("/v1/quotes", &body).await.expect_problem(500, "internal");
    assert!(!problem.to_string().contains("quotes\" does not exist"), "{problem}");
    app.stop().await;
}

/// `overloaded`: slow statements use all connections for longer than a request waits for one.
#[tokio::test(flavor = "multi_thread")]
async fn request_without_a_connection_in_time_is_503() {
    let app = App::with(Options { pool_max: 4, ..Options::default() }).await;
    let mut riders = Vec::new();
    for _ in 0..8 {
        riders.push(app.rider().await);
    }
    let db = app.service().platform().db.clone();
    for _ in 0..3 {
        let db = db.clone();
        tokio::spawn(async move {
            let sleep = db.read((), |conn, ()| {
                Box::pin(async move { Ok(sqlx::query("select pg_sleep(8)").execute(conn).await?) })
            });
            sleep.await
        });
    }
    // The listener has the fourth connection.
    let running = "select count(*) from pg_stat_activity
                   where datname = current_database() and state = 'active' and query like 'select pg_sleep%'";
    until("the connections are in use", async || (app.count(running).await >= 3).then_some(())).await;
    for response in at_once(riders.iter().map(|rider| rider.get("/v1/trips"))).await {
        assert_eq!(response.header("retry-after"), Some("1"));
        response.expect_problem(503, "overloaded");
    }
    app.stop().await;
}

/// `unavailable`: the connection to the database is cut.
#[tokio::test(flavor = "multi_thread")]
async fn service_without_a_database_is_alive_but_not_ready() {
    let app = App::start().await;
    let proxy_runtime = tokio::runtime::Runtime::new().unwrap();
    let database = app.database.url();
    let proxied = proxy_runtime.spawn(async move { DatabaseProxy::start(&database).await.url() }).await.unwrap();
    let service = app.second_process(|config| config.database_url = proxied).await;
    let rider = app.rider().await.at(&service);
    until("the service is ready", async || (rider.get("/readyz").await.status == 200).then_some(())).await;
    proxy_runtime.shutdown_background();
    within(EXAMPLE_MAX, "the service is not ready", async || {
        let response = rider.get("/readyz").await;
        (response.status == 503).then(|| response.expect_problem(503, "unavailable"))
    })
    .await;
    assert_eq!(rider.get("/healthz").await.status, 200);
    service.stop().await;
    app.stop().await;
}

/// `offer_taken`: with constraints switched off, the trip changes while its offer is pending.
#[tokio::test(flavor = "multi_thread")]
async fn accept_checks_the_trip_as_well_as_the_offer() {
    let app = App::start().await;
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = rider.request_trip().await;
    let offer = driver.until_offered().await;
    app.break_with(
        "set session_replication_role = replica; update trips set state = 'searching'; reset session_replication_role",
    )
    .await;
    let refused = driver.post(&format!("/v1/offers/{}/accept", id(&offer)), &json!({})).await;
    let problem = refused.expect_problem(409, "offer_taken");
    assert_eq!(problem["state"], "searching");
    assert_eq!(offer["trip_id"], trip["id"]);
    app.stop().await;
}

/// Returns the paths of the explorer's files that a file of it refers to: attributes of the page, and imports.
fn files_of(text: &str) -> Vec<String> {
    let quoted = text.split(['"', '\'']);
    let path = |part: &str| match part.strip_prefix("./") {
        Some(name) => Some(format!("/docs/{name}")),
        None => part.starts_with("/docs/").then(|| part.to_owned()),
    };
    quoted.filter_map(path).collect()
}

/// The explorer is embedded in the binary and refers to no other host.
#[tokio::test(flavor = "multi_thread")]
async fn explorer_is_complete_and_needs_no_other_host() {
    let app = App::start().await;
    let mut left = vec!["/docs/".to_owned()];
    let mut seen = BTreeSet::new();
    while let Some(path) = left.pop() {
        if !seen.insert(path.clone()) {
            continue;
        }
        let response = page(&app, &path, "*/*").await;
        let policy = response.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'self'") && !policy.contains("unsafe"), "{path}: {policy}");
        let text = text(&response);
        let other_hosts = text.replace("http://www.w3.org/2000/svg", "");
        assert!(!other_hosts.contains("http://") && !other_hosts.contains("https://"), "{path} refers to another host");
        left.extend(files_of(&text));
    }
    assert!(seen.len() > 9 && seen.contains("/docs/explorer.css"), "{seen:?}");
    let moved = ApiResponse::of(
        launcher::http_client().redirect(reqwest::redirect::Policy::none()).build().unwrap().get(app.url("/docs")),
    );
    assert_eq!(moved.await.header("location"), Some("/docs/"));
    page(&app, "/docs/index.html", "*/*").await.expect_problem(404, "not_found");
    let rider: Actor = app.rider().await;
    let document = rider.get("/openapi.json").await;
    assert_eq!(document.header("content-type"), Some("application/json"));
    assert_eq!(document.json(), serde_json::to_value(ridematch::document()).unwrap());
    ApiResponse::of(rider.request(Method::POST, "/docs/")).await.expect_problem(405, "method_not_allowed");
    app.stop().await;
}
