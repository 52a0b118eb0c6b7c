//! Pages of other people's, in the browser of somebody whose sandbox runs.

use reqwest::header::{CONTENT_TYPE, HOST, ORIGIN};
use reqwest::{Method, RequestBuilder};

use crate::harness::{Answer, App};

/// What a page can send anywhere without asking: a simple POST.
fn simple(app: &App, path: &str) -> RequestBuilder {
    app.http.post(app.url(path)).header(CONTENT_TYPE, "text/plain").body("{}")
}

#[tokio::test]
async fn a_page_of_another_site_reaches_nothing() {
    let app = App::start().await;
    for path in ["/v1/sandbox/kill", "/v1/sandbox/reset", "/v1/sandbox/clock", "/v1/sandbox/provider/faults"] {
        for origin in ["http://evil.example", "null", "http://127.0.0.1:1"] {
            Answer::of(simple(&app, path).header(ORIGIN, origin)).await.expect_problem(403, "forbidden");
        }
        Answer::of(simple(&app, path).header("Sec-Fetch-Site", "cross-site")).await.expect_problem(403, "forbidden");
    }
    // However the path is spelt.
    let spelt = simple(&app, "/v1/sandbox/%6bill").header(ORIGIN, "http://evil.example").send().await.unwrap();
    assert_eq!(spelt.status(), 403);
}

#[tokio::test]
async fn a_name_that_was_pointed_here_reaches_nothing() {
    let app = App::start().await;
    let port = app.service().address.port();
    let (evil, origin) = (format!("evil.example:{port}"), format!("http://evil.example:{port}"));
    for (method, path) in [(Method::GET, "/v1/sandbox/clock"), (Method::POST, "/v1/sandbox/reset")] {
        let rebound = app.http.request(method, app.url(path)).header(HOST, &evil).header(ORIGIN, &origin);
        Answer::of(rebound).await.expect_problem(403, "forbidden");
    }
    // Names matter to the sandbox alone.
    Answer::of(app.http.get(app.url("/healthz")).header(HOST, &evil)).await.expect(200);
}

#[tokio::test]
async fn the_pages_of_the_service_and_programs_reach_everything() {
    let app = App::start().await;
    let local = format!("localhost:{}", app.service().address.port());
    let own = app.http.post(app.url("/v1/sandbox/reset")).json(&serde_json::json!({}));
    Answer::of(own.header(HOST, &local).header(ORIGIN, format!("http://{local}"))).await.expect(200);
    let own = app.http.get(app.url("/v1/sandbox/clock")).header("Sec-Fetch-Site", "same-origin");
    Answer::of(own).await.expect(200);
    Answer::of(app.http.get(app.url("/v1/sandbox/clock"))).await.expect(200);
}
