//! HEAD works wherever GET works, with the same status and headers, and without a body.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use reqwest::Method;

use crate::harness::{Actor, ApiResponse, App, HERE, assigned, id, openapi_check, until};

/// Pages that are not in the document. Their content does not change between two requests.
const PAGES: [&str; 16] = [
    "/",
    "/book",
    "/book/05-high-level-design",
    "/city",
    "/rehearse",
    "/rehearse/partner/x",
    "/rehearse/candidate/x",
    "/shell/shell.css",
    "/docs",
    "/docs/",
    "/docs/explorer.css",
    "/console/style.css",
    "/openapi.json",
    "/problems",
    "/problems/not_found",
    "/healthz",
];

const COMPARED: [&str; 6] = ["content-type", "etag", "vary", "cache-control", "allow", "location"];

async fn head(request: reqwest::RequestBuilder) -> ApiResponse {
    // A stream would have no end.
    tokio::time::timeout(Duration::from_secs(30), ApiResponse::of(request)).await.expect("HEAD ends at once")
}

#[track_caller]
fn assert_alike(get: &ApiResponse, head: &ApiResponse, path: &str) {
    assert_eq!((get.status, head.bytes.len()), (head.status, 0), "{path}");
    for name in COMPARED {
        assert_eq!(get.header(name), head.header(name), "{name} of {path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn head_of_a_page_is_its_get_without_the_body() {
    let app = App::start().await;
    let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    for path in PAGES {
        let get = ApiResponse::of(client.get(app.url(path))).await;
        let head = head(client.head(app.url(path))).await;
        assert_alike(&get, &head, path);
        assert_eq!(head.header("content-length"), Some(get.bytes.len().to_string().as_str()), "{path}");
    }
    assert_eq!(head(client.head(app.url("/metrics"))).await.status, 200);
    assert_eq!(head(client.head(app.url("/nothing"))).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn head_of_every_get_operation_is_answered_alike() {
    let app = App::start().await;
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let (ops, trip) = (app.ops().await, assigned(&app, &rider, &driver).await);
    let anonymous = Actor { token: String::new(), ..rider.clone() };
    let mut count = 0;
    for (name, (method, template, operation)) in openapi_check::operations() {
        if method != Method::GET {
            continue;
        }
        let roles = operation["security"].as_array().unwrap();
        let takes = |role: &str| roles.iter().any(|one| one.get(role).is_some());
        let actor = [("rider", &rider), ("driver", &driver), ("ops", &ops)].into_iter().find(|(role, _)| takes(role));
        let actor = actor.map_or(&anonymous, |(_, actor)| actor);
        let path =
            template.replace("{trip_id}", id(&trip)).replace("{payment_id}", trip["payment_id"].as_str().unwrap());
        let path = if name == "list_nearby_drivers" { format!("{path}?lat={}&lon={}", HERE.0, HERE.1) } else { path };
        // The tag of what changes by itself, like trending zones, may change between the two requests.
        let (get, head) = until("the tag is the same before and after", async || {
            let get = ApiResponse::of(actor.request(Method::GET, &path)).await;
            let head = head(actor.request(Method::HEAD, &path)).await;
            let again = ApiResponse::of(actor.request(Method::GET, &path)).await;
            (get.header("etag") == again.header("etag")).then_some((get, head))
        })
        .await;
        assert_alike(&get, &head, &path);
        count += 1;
    }
    assert!(count > 20, "only {count} operations");
    // A path without GET says so, and a stream is not opened.
    let refused = head(rider.request(Method::HEAD, "/v1/quotes")).await;
    assert_eq!((refused.status.as_u16(), refused.header("allow")), (405, Some("POST")));
    let refused = ApiResponse::of(rider.request(Method::DELETE, "/v1/trips")).await;
    assert_eq!(refused.header("allow"), Some("GET, HEAD, POST"));
    let events = format!("/v1/trips/{}/events", id(&trip));
    let stream = head(rider.request(Method::HEAD, &events).header("Accept", "text/event-stream")).await;
    assert_eq!((stream.status.as_u16(), stream.header("content-type")), (200, Some("text/event-stream")));
    let socket = driver.request(Method::HEAD, "/v1/drivers/me/stream").header("Connection", "Upgrade");
    let socket = socket.header("Upgrade", "websocket").header("Sec-WebSocket-Version", "13");
    let socket = head(socket.header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")).await;
    assert_eq!(socket.status, 200, "a HEAD switches no protocol");
    app.stop().await;
}
