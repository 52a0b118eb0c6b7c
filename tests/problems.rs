//! The pages of problems tell the truth: every example is run as it stands, and what has no example is provoked here.
#![allow(clippy::unwrap_used, reason = "tests")]

mod harness;

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use harness::proxy::Proxy;
use harness::{Actor, Answer, App, HERE, Options, THERE, at_once, id, within};
use reqwest::Method;
use ridematch::platform::error::Code;
use serde_json::{Value, json};
use tokio::process::Command;

/// An example that takes longer hangs.
const EXAMPLE_MAX: Duration = Duration::from_secs(30);

/// As in the demo: the example of `rate_limited` needs a limit that can be reached.
const RATE_LIMIT: u32 = 100;

async fn page(app: &App, path: &str, accept: &str) -> Answer {
    Answer::of(app.http.get(app.url(path)).header("Accept", accept)).await
}

fn text(answer: &Answer) -> String {
    assert_eq!(answer.status, 200);
    String::from_utf8(answer.bytes.clone()).unwrap()
}

/// The lines of a page that are to be pasted, if it has some.
fn example(page: &str) -> Option<&str> {
    page.split_once("```sh\n")?.1.split_once("```").map(|(lines, _)| lines)
}

/// Runs what somebody would paste; the last JSON document that it prints.
async fn paste(name: &str, lines: &str) -> Value {
    let mut shell = Command::new("bash");
    shell.args(["-euo", "pipefail", "-c", lines]).stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(EXAMPLE_MAX, shell.output()).await;
    let output = output.unwrap_or_else(|_| panic!("{name}: nothing after {EXAMPLE_MAX:?}")).unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{name}: {}\n{stdout}\n{stderr}", output.status);
    let printed = serde_json::Deserializer::from_str(&stdout).into_iter::<Value>();
    let last = printed.last().unwrap_or_else(|| panic!("{name} prints nothing: {stderr}"));
    last.unwrap_or_else(|error| panic!("{name} prints what is no JSON ({error}): {stdout}"))
}

/// The examples need these, as their page says.
async fn tools_are_there() -> bool {
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
async fn every_example_produces_the_problem_that_it_explains() {
    if !tools_are_there().await {
        return;
    }
    let app = App::with(Options { rate_limit: RATE_LIMIT, ..Options::default() }).await;
    let mut run = 0;
    for code in Code::ALL {
        let meaning = code.meaning();
        // As somebody reads it who has asked by curl.
        let page = text(&page(&app, &format!("/problems/{}", meaning.name), "*/*").await);
        let Some(lines) = example(&page) else { continue };
        let printed = paste(meaning.name, lines).await;
        assert_eq!(printed["code"], meaning.name, "{lines}\n{printed:#}");
        assert_eq!((&printed["status"], &printed["title"]), (&json!(meaning.status), &json!(meaning.title)));
        run += 1;
    }
    assert!(run >= 29, "only {run} pages have an example");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_without_an_example_names_a_test_that_is_there() {
    let app = App::start().await;
    for code in Code::ALL {
        let page = text(&page(&app, &format!("/problems/{}", code.meaning().name), "*/*").await);
        if example(&page).is_none() {
            let file = page.split('`').find(|part| part.starts_with("tests/")).unwrap();
            assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(file).exists(), "{file} of {code:?}");
        }
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_comes_as_its_reader_wants_it() {
    let app = App::start().await;
    let html = page(&app, "/problems/wrong_pin", "text/html,*/*;q=0.8").await;
    assert_eq!(html.header("content-type"), Some("text/html; charset=utf-8"));
    let policy = html.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    let html = text(&html);
    assert!(html.contains("<h1>Wrong PIN</h1>") && html.contains("<h2>What to do</h2>"), "{html}");
    // Lines to paste have the address under which the page was asked for.
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
        assert!(index.contains(&format!("/problems/{}", code.meaning().name)), "{code:?}");
    }
    for address in ["/", "/problems"] {
        assert!(text(&page(&app, address, "text/html").await).starts_with("<!doctype html>"));
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_nearly_right_is_told_the_right_one() {
    let app = App::start().await;
    let near = page(&app, "/problems/quote_expire", "*/*").await.expect_problem(404, "not_found");
    assert_eq!(near["near"][0], "quote_expired");
    assert!(near["detail"].as_str().unwrap().contains("quote_expired"));
    let nothing = page(&app, "/problems/zzz", "*/*").await.expect_problem(404, "not_found");
    assert_eq!(nothing["near"], json!([]));
    app.stop().await;
}

/// `internal`: a table is gone, and the answer says nothing of it.
#[tokio::test(flavor = "multi_thread")]
async fn what_should_not_happen_is_our_fault_and_says_no_more() {
    let app = App::start().await;
    let rider = app.rider().await;
    app.break_with("alter table quotes rename to elsewhere").await;
    let body = json!({"pickup": {"lat": HERE.0, "lon": HERE.1}, "dropoff": {"lat": THERE.0, "lon": THERE.1}});
    let problem = rider.post_unkeyed("/v1/quotes", &body).await.expect_problem(500, "internal");
    assert!(!problem.to_string().contains("quotes\" does not exist"), "{problem}");
    app.stop().await;
}

/// `overloaded`: more requests want the database than there are connections, and none of them gets on.
#[tokio::test(flavor = "multi_thread")]
async fn who_finds_no_connection_in_time_is_sent_away() {
    let app = App::with(Options { pool_max: 4, ..Options::default() }).await;
    let mut riders = Vec::new();
    for _ in 0..12 {
        riders.push(app.rider().await);
    }
    let mut hold = app.sql().begin().await.unwrap();
    sqlx::query("lock table trips in access exclusive mode").execute(&mut *hold).await.unwrap();
    let waiting = at_once(riders.iter().map(|rider| async {
        // Those that have a connection wait for the lock: nobody waits for them.
        tokio::time::timeout(Duration::from_secs(6), rider.get("/v1/trips")).await.ok()
    }));
    let answers = waiting.await;
    hold.rollback().await.unwrap();
    let sent_away: Vec<_> = answers.into_iter().flatten().collect();
    assert!(sent_away.len() >= 8, "{} were sent away", sent_away.len());
    for answer in sent_away {
        assert_eq!(answer.header("retry-after"), Some("1"));
        answer.expect_problem(503, "overloaded");
    }
    app.stop().await;
}

/// `unavailable`: the way to the database is gone.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_database_the_service_is_not_ready_and_says_so() {
    let app = App::start().await;
    let way = tokio::runtime::Runtime::new().unwrap();
    let database = app.database.url();
    let through = way.spawn(async move { Proxy::start(&database).await.url() }).await.unwrap();
    let service = app.another(|config| config.database_url = through).await;
    let somebody = app.rider().await.at(&service);
    assert_eq!(somebody.get("/readyz").await.status, 200);
    way.shutdown_background();
    within(EXAMPLE_MAX, "it is not ready", async || {
        let answer = somebody.get("/readyz").await;
        (answer.status == 503).then(|| answer.expect_problem(503, "unavailable"))
    })
    .await;
    assert_eq!(somebody.get("/healthz").await.status, 200);
    service.stop().await;
    app.stop().await;
}

/// `offer_taken`: with the constraints switched off, a trip is taken away from under an open offer.
#[tokio::test(flavor = "multi_thread")]
async fn an_accept_does_not_believe_the_offer_alone() {
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

/// The explorer: all of it from the binary, and nothing in it leads elsewhere.
#[tokio::test(flavor = "multi_thread")]
async fn the_explorer_is_whole_and_needs_no_other_host() {
    let app = App::start().await;
    let own = ["/docs/", "/docs/explorer.css", "/docs/explorer.js"];
    for path in own {
        let answer = page(&app, path, "*/*").await;
        assert!(answer.header("content-security-policy").unwrap().starts_with("default-src 'self'"));
        let text = text(&answer);
        assert!(!text.contains("http://") && !text.contains("https://"), "{path} leads elsewhere");
    }
    let index = text(&page(&app, "/docs/", "text/html").await);
    let files = index.split(['"', '\'']).filter(|part| part.starts_with("/docs/"));
    for file in files {
        assert_eq!(page(&app, file, "*/*").await.status, 200, "{file}");
    }
    let moved = Answer::of(
        reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap().get(app.url("/docs")),
    );
    assert_eq!(moved.await.header("location"), Some("/docs/"));
    page(&app, "/docs/index.html", "*/*").await.expect_problem(404, "not_found");
    let somebody: Actor = app.rider().await;
    let document = somebody.get("/openapi.json").await;
    assert_eq!(document.header("content-type"), Some("application/json"));
    assert_eq!(document.json(), serde_json::to_value(ridematch::document()).unwrap());
    Answer::of(somebody.request(Method::POST, "/docs/")).await.expect_problem(405, "method_not_allowed");
    app.stop().await;
}
