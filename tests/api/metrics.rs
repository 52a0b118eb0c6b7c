//! `/metrics`: a bounded number of series whatever arrives, on the administrative listener in production, without the database.

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::Method;
use ridematch::platform::config::Config;

use crate::harness::{ApiResponse, App, Options, free_address};

/// Returns the names and labels of the HTTP metrics.
async fn http_series(app: &App) -> BTreeSet<String> {
    let text = ApiResponse::of(app.http.get(app.url("/metrics"))).await.text();
    let series = text.lines().filter(|line| line.starts_with("http_request")).filter_map(|line| line.rsplit_once(' '));
    series.map(|(series, _)| series.to_owned()).collect()
}

/// Sends requests without a token whose methods and paths contain `name`.
async fn send_invented(app: &App, name: &str) {
    for number in 0..8 {
        let name = format!("{name}{number}");
        for method in [name.to_uppercase(), name.clone(), format!("GET{name}")] {
            for path in [
                "/healthz".to_owned(),
                "/v1/trips".to_owned(),
                format!("/v1/trips/{name}/cancel"),
                format!("/v1/sandbox/requests/{name}"),
                format!("/problems/{name}"),
                format!("/docs/{name}"),
                format!("/{name}?{name}={name}"),
            ] {
                for method in [method.parse().unwrap(), Method::GET] {
                    app.http.request(method, app.url(&path)).send().await.unwrap();
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invented_methods_and_paths_make_no_series() {
    let app = App::start().await;
    http_series(&app).await;
    send_invented(&app, "first").await;
    let before = http_series(&app).await;
    send_invented(&app, "second").await;
    let added: Vec<_> = http_series(&app).await.difference(&before).cloned().collect();
    assert!(added.is_empty(), "{added:#?}");
    let shown = before.iter().filter(|series| series.to_lowercase().contains("first")).collect::<Vec<_>>();
    assert!(shown.is_empty(), "{shown:#?}");
    assert!(before.iter().any(|series| series.contains(r#"method="OTHER",route="/healthz""#)), "{before:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn production_serves_metrics_on_the_administrative_listener_only() {
    let app = App::start().await;
    let service = app.production_with(|config: &mut Config| config.admin_listen = Some(free_address())).await;
    let get = async |address, path: &str| ApiResponse::of(app.http.get(format!("http://{address}{path}"))).await;
    let admin = service.admin_address.unwrap();
    let metrics = get(admin, "/metrics").await;
    assert_eq!((metrics.status.as_u16(), metrics.header("content-type")), (200, Some("text/plain; version=0.0.4")));
    assert!(metrics.text().contains("ridematch_pool_connections{state=\"open\"}"));
    for path in ["/healthz", "/readyz"] {
        assert_eq!(get(admin, path).await.status, 200, "{path}");
        assert_eq!(get(service.address, path).await.status, 200, "{path}");
    }
    get(service.address, "/metrics").await.expect_problem(404, "not_found");
    for path in ["/v1/trips", "/openapi.json", "/docs/", "/"] {
        assert_eq!(app.http.get(format!("http://{admin}{path}")).send().await.unwrap().status(), 404, "{path}");
    }
    service.stop().await;

    let without = app.production().await;
    assert_eq!(without.admin_address, None);
    get(without.address, "/metrics").await.expect_problem(404, "not_found");
    without.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_served_while_every_database_connection_is_in_use() {
    let app = App::with(Options { pool_max: 4, ..Options::default() }).await;
    let pool = app.service().platform().db.pool();
    let mut held = Vec::new();
    // Until one cannot be had within three seconds, which is how long a request that needs one would wait.
    while let Ok(connection) = pool.acquire().await {
        held.push(connection);
    }
    let scrape = tokio::time::timeout(Duration::from_secs(2), app.http.get(app.url("/metrics")).send()).await;
    let text = scrape.expect("no query").unwrap().text().await.unwrap();
    assert!(text.contains("ridematch_pool_connections{state=\"idle\"} 0"), "{text}");
    drop(held);
    app.stop().await;
}
