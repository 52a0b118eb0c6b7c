//! Requests from pages of other sites, in the browser of a developer whose sandbox runs.

use reqwest::header::{CONTENT_TYPE, HOST, ORIGIN};
use reqwest::{Method, RequestBuilder};

use crate::harness::{ApiResponse, App};

/// A simple POST, which a page can send anywhere without a CORS preflight.
fn simple(app: &App, path: &str) -> RequestBuilder {
    app.http.post(app.url(path)).header(CONTENT_TYPE, "text/plain").body("{}")
}

#[tokio::test]
async fn request_from_another_site_is_403() {
    let app = App::start().await;
    for path in ["/v1/sandbox/kill", "/v1/sandbox/reset", "/v1/sandbox/clock", "/v1/sandbox/provider/faults"] {
        for origin in ["http://evil.example", "null", "http://127.0.0.1:1"] {
            ApiResponse::of(simple(&app, path).header(ORIGIN, origin)).await.expect_problem(403, "forbidden");
        }
        ApiResponse::of(simple(&app, path).header("Sec-Fetch-Site", "cross-site"))
            .await
            .expect_problem(403, "forbidden");
    }
    // However the path is encoded.
    let encoded = simple(&app, "/v1/sandbox/%6bill").header(ORIGIN, "http://evil.example").send().await.unwrap();
    assert_eq!(encoded.status(), 403);
}

#[tokio::test]
async fn request_to_a_rebound_host_is_403() {
    let app = App::start().await;
    let port = app.service().address.port();
    let (evil, origin) = (format!("evil.example:{port}"), format!("http://evil.example:{port}"));
    for (method, path) in [(Method::GET, "/v1/sandbox/clock"), (Method::POST, "/v1/sandbox/reset")] {
        let rebound = app.http.request(method, app.url(path)).header(HOST, &evil).header(ORIGIN, &origin);
        ApiResponse::of(rebound).await.expect_problem(403, "forbidden");
    }
    // Only the sandbox checks the host.
    ApiResponse::of(app.http.get(app.url("/healthz")).header(HOST, &evil)).await.expect(200);
}

#[tokio::test]
async fn own_pages_and_programs_are_allowed() {
    let app = App::start().await;
    let local = format!("localhost:{}", app.service().address.port());
    let own = app.http.post(app.url("/v1/sandbox/reset")).json(&serde_json::json!({}));
    ApiResponse::of(own.header(HOST, &local).header(ORIGIN, format!("http://{local}"))).await.expect(200);
    let own = app.http.get(app.url("/v1/sandbox/clock")).header("Sec-Fetch-Site", "same-origin");
    ApiResponse::of(own).await.expect(200);
    ApiResponse::of(app.http.get(app.url("/v1/sandbox/clock"))).await.expect(200);
}
