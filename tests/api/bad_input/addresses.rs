//! Invalid paths, queries, headers and methods.

use std::collections::BTreeMap;

use reqwest::Method;
use reqwest::header::HeaderValue;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{World, assert_names};
use crate::harness::{Actor, ApiResponse, App, id, new_key};

/// The methods of each documented path.
fn documented() -> BTreeMap<String, Vec<String>> {
    let document = serde_json::to_value(ridematch::document()).unwrap();
    let paths = document["paths"].as_object().unwrap();
    paths
        .iter()
        .map(|(path, item)| (path.clone(), item.as_object().unwrap().keys().map(|m| m.to_uppercase()).collect()))
        .map(|(path, mut methods): (_, Vec<_>)| {
            if methods.iter().any(|method| method == "GET") {
                methods.push("HEAD".to_owned());
                methods.sort();
            }
            (path, methods)
        })
        .collect()
}

/// The path with unknown ids.
fn filled(template: &str) -> String {
    [("trip_id", "trip"), ("offer_id", "ofr"), ("payment_id", "pay"), ("finding_id", "fnd"), ("run_id", "run")]
        .into_iter()
        .fold(template.to_owned(), |path, (name, prefix)| {
            path.replace(&format!("{{{name}}}"), &format!("{prefix}_01h455vb4pex5vsknk084sn02q"))
        })
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_id_in_path_is_400_with_expected_prefix() {
    let app = App::start().await;
    let (rider, driver, ops) = (app.rider().await, app.actor("driver").await, app.ops().await);
    let cases = [
        (&rider, "GET", "/v1/trips/{}", "trip_id", "trip"),
        (&rider, "GET", "/v1/trips/{}/events", "trip_id", "trip"),
        (&rider, "GET", "/v1/trips/{}/driver", "trip_id", "trip"),
        (&rider, "GET", "/v1/trips/{}/receipt", "trip_id", "trip"),
        (&rider, "GET", "/v1/trips/{}/explain", "trip_id", "trip"),
        (&rider, "POST", "/v1/trips/{}/cancel", "trip_id", "trip"),
        (&driver, "POST", "/v1/trips/{}/arrive", "trip_id", "trip"),
        (&driver, "POST", "/v1/trips/{}/complete", "trip_id", "trip"),
        (&driver, "POST", "/v1/trips/{}/no_show", "trip_id", "trip"),
        (&ops, "POST", "/v1/trips/{}/abort", "trip_id", "trip"),
        (&ops, "POST", "/v1/trips/{}/pin/reset", "trip_id", "trip"),
        (&driver, "POST", "/v1/offers/{}/accept", "offer_id", "ofr"),
        (&driver, "POST", "/v1/offers/{}/decline", "offer_id", "ofr"),
        (&rider, "GET", "/v1/payments/{}", "payment_id", "pay"),
        (&ops, "POST", "/v1/payments/{}/refunds", "payment_id", "pay"),
        (&ops, "GET", "/v1/ops/reconciliation/findings/{}", "finding_id", "fnd"),
        (&ops, "POST", "/v1/ops/reconciliation/findings/{}/resolve", "finding_id", "fnd"),
        (&ops, "GET", "/v1/ops/reconciliation/runs/{}", "run_id", "run"),
    ];
    let wrong = [
        "quo_01h455vb4pex5vsknk084sn02q",
        "01h455vb4pex5vsknk084sn02q",
        "1",
        "_",
        "%00",
        "%ff",
        "..%2f..",
        "%F0%9F%9A%95",
        "a%0d%0ab",
    ];
    for (actor, method, template, name, prefix) in cases {
        for id in
            wrong.map(str::to_owned).into_iter().chain([format!("{prefix}_"), format!("{prefix}_x"), "x".repeat(5_000)])
        {
            let path = template.replace("{}", &id);
            let response = if method == "GET" { actor.get(&path).await } else { actor.post(&path, &json!({})).await };
            let problem = response.expect_problem(400, "invalid_id");
            assert_eq!(problem["errors"][0]["pointer"], name, "{problem:#}");
            let detail = problem["detail"].as_str().unwrap();
            assert!(detail.contains(&format!("`{prefix}_`")), "{path}: {detail}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_query_parameter_is_refused_by_name() {
    let app = App::start().await;
    let (rider, driver, ops) = (app.rider().await, app.actor("driver").await, app.ops().await);
    let trip = rider.request_trip().await;
    let events = format!("/v1/trips/{}/events", id(&trip));
    let cases: [(&Actor, &str, &str, &[&str]); 15] = [
        (&rider, "/v1/trips", "limit", &["0", "101", "255"]),
        (&rider, "/v1/trips", "limit", &["256", "99999999999999999999", "-1", "ten", "", "1.5", "%00"]),
        (&rider, "/v1/trips", "cursor", &["", "x", "c", "%00", "c%ff", "1", "c0192", "c' or '1' = '1"]),
        (&rider, "/v1/trips", "state", &["", "lost", "SEARCHING", "%00"]),
        (&rider, "/v1/trips", "surprise", &["1"]),
        (&driver, "/v1/offers", "limit", &["0", "101", "256", "x"]),
        (&driver, "/v1/offers", "cursor", &["x", "%00"]),
        (&driver, "/v1/offers", "state", &["pending"]),
        (&rider, &events, "limit", &["0", "101", "-1", "x", "9223372036854775807", "9223372036854775808"]),
        (&rider, &events, "cursor", &["x", "-5", "9223372036854775808", "%00"]),
        (&ops, "/v1/ops/ledger", "trip_id", &["x", "ofr_01h455vb4pex5vsknk084sn02q", "%00", ""]),
        (&ops, "/v1/ops/ledger", "limit", &["1"]),
        (&rider, "/v1/drivers/nearby?lat=1&lon=1", "limit", &["0", "51", "256", "x"]),
        (&rider, "/v1/drivers/nearby?lat=1&lon=1", "radius_m", &["-1", "50001", "NaN", "inf", "x", "1e999"]),
        (&rider, "/v1/drivers/nearby?lat=1&lon=1", "class", &["tank", ""]),
    ];
    for (actor, path, name, values) in cases {
        for value in values {
            let path = format!("{path}{}{name}={value}", if path.contains('?') { '&' } else { '?' });
            let response = actor.get(&path).await;
            let status = response.status.as_u16();
            assert!(status == 400 || status == 422, "{path}: {:#}", response.json());
            let code = response.code();
            assert_names(response, status, &code, name, &path);
        }
    }
    for (query, name) in [
        ("", "lat"),
        ("lat=1", "lon"),
        ("lat=91&lon=0", "lat"),
        ("lat=0&lon=-181", "lon"),
        ("lat=NaN&lon=0", "lat"),
        ("lat=1&lat=2&lon=0", "lat"),
        ("lat=&lon=0", "lat"),
        ("lat=1&lon=inf", "lon"),
    ] {
        let response = rider.get(&format!("/v1/drivers/nearby?{query}")).await;
        let (status, code) = (response.status.as_u16(), response.code());
        assert!(status == 400 || status == 422, "{query}: {:#}", response.json());
        assert_names(response, status, &code, name, query);
    }
    // Unusual but valid.
    for odd in ["/v1/trips?", "/v1/trips?limit=100&state=searching", "/v1/drivers/nearby?lat=-0.0&lon=180&radius_m=0"] {
        rider.get(odd).await.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_header_is_400() {
    let app = App::start().await;
    let (rider, driver) = (app.rider().await, app.actor("driver").await);
    let trip = rider.request_trip().await;
    let (path, events) = (format!("/v1/trips/{}/cancel", id(&trip)), format!("/v1/trips/{}/events", id(&trip)));
    for tag in ["", "nonsense", "W/", "1", "1.5", "\u{e9}"] {
        let request = rider.request(Method::POST, &path).header("Idempotency-Key", new_key());
        let request = request.header("If-Match", HeaderValue::from_bytes(tag.as_bytes()).unwrap());
        let problem = ApiResponse::of(request.json(&json!({}))).await.expect_problem(400, "malformed");
        assert_eq!(problem["errors"][0]["pointer"], "If-Match");
    }
    // Valid tags that are not of this service.
    for tag in ["\"\"", "\"x\"", "\"-1\"", "\"99999999999999999999\"", "\"77\", \"78\""] {
        let request = rider.request(Method::POST, &path).header("Idempotency-Key", new_key()).header("If-Match", tag);
        ApiResponse::of(request.json(&json!({}))).await.expect_problem(412, "version_mismatch");
    }
    for number in ["", "x", "-1", "1.5", "99999999999999999999", "\u{e9}"] {
        for (actor, path) in [(&rider, events.as_str()), (&driver, "/v1/drivers/me/events")] {
            let request = actor.request(Method::GET, path).header("Accept", "text/event-stream");
            let request = request.header("Last-Event-ID", HeaderValue::from_bytes(number.as_bytes()).unwrap());
            ApiResponse::of(request).await.expect_problem(400, "malformed");
        }
    }
    // An invalid `traceparent` is ignored.
    for traceparent in
        ["", "nonsense", "00-0-0-0", "\u{e9}", "00-ffffffffffffffffffffffffffffffff-0000000000000000-00-more"]
    {
        let request = rider.request(Method::GET, "/v1/trips");
        let request = request.header("traceparent", HeaderValue::from_bytes(traceparent.as_bytes()).unwrap());
        ApiResponse::of(request).await.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unsupported_method_is_405_with_allow() {
    let app = App::start().await;
    let rider = app.rider().await;
    for (template, methods) in documented() {
        let path = filled(&template);
        for method in ["GET", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"] {
            if methods.iter().any(|known| known == method) {
                continue;
            }
            let response = ApiResponse::of(rider.request(method.parse().unwrap(), &path)).await;
            let mut allowed: Vec<_> =
                response.header("allow").unwrap_or_default().split(", ").map(str::to_owned).collect();
            allowed.sort();
            assert_eq!(allowed, methods, "{method} {path}");
            response.expect_problem(405, "method_not_allowed");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_path_is_404() {
    let app = App::start().await;
    let rider = app.rider().await;
    let long = format!("/{}", "x".repeat(20_000));
    let unknown = [
        "/v1",
        "/v2/trips",
        "/v1/trips/",
        "/V1/TRIPS",
        "//v1/trips",
        "/v1//trips",
        "/v1/trips/a/b/c",
        "/%",
        "/%00",
        "/%ff",
        "/v1/trips%2f",
        "/v1/../v1/nothing",
        "/docs/nothing",
        "/problems/nothing",
        "/problems/",
        "/.env",
        "/v1/trips;x=1",
        &long,
    ];
    for path in unknown {
        for method in [Method::GET, Method::POST, Method::DELETE] {
            let response = ApiResponse::of(rider.request(method.clone(), path)).await;
            // Some of these paths exist, but only for GET.
            let code = if response.status == 405 { "method_not_allowed" } else { "not_found" };
            let status = if code == "not_found" { 404 } else { 405 };
            response.expect_problem(status, code);
        }
        rider.get(path).await.expect_problem(404, "not_found");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_http_does_no_harm() {
    let world = World::new().await;
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(200_000));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X-Header: x\r\n".repeat(10_000));
    let garbage: [&[u8]; 9] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"hello\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/quotes HTTP/1.1\r\nContent-Length: 10\r\nContent-Length: 20\r\n\r\n0123456789",
        b"POST /v1/quotes HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        b"\0\0\0\0\r\n\r\n",
        long.as_bytes(),
        many.as_bytes(),
    ];
    for bytes in garbage {
        let mut stream = TcpStream::connect(world.app.service().address).await.unwrap();
        let _refused = stream.write_all(bytes).await;
        let _closed = stream.shutdown().await;
        let mut response = [0; 12];
        let _closed = stream.read(&mut response).await;
        assert!(!response.starts_with(b"HTTP/1.1 5"), "{}", String::from_utf8_lossy(&bytes[..bytes.len().min(60)]));
    }
    world.assert_unharmed().await;
}
