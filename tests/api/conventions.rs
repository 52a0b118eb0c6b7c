//! Conventions of the whole API: versions, pagination, rate limits, trace ids.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;

use crate::harness::{
    Actor, ApiResponse, App, HERE, Options, THERE, assigned, at_once, id, in_progress, new_key, until,
};
use reqwest::Method;
use serde_json::{Value, json};

async fn get_if_none_match(actor: &Actor, path: &str, tags: &str) -> ApiResponse {
    ApiResponse::of(actor.request(Method::GET, path).header("If-None-Match", tags)).await
}

async fn post_if_match(actor: &Actor, path: &str, tag: &str) -> ApiResponse {
    let request = actor.request(Method::POST, path).header("Idempotency-Key", new_key()).header("If-Match", tag);
    ApiResponse::of(request.json(&json!({}))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn matching_if_none_match_is_304() {
    let app = App::start().await;
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = in_progress(&app, &rider, &driver).await;
    let paths = [format!("/v1/trips/{}", id(&trip)), format!("/v1/payments/{}", trip["payment_id"].as_str().unwrap())];
    for path in &paths {
        let tag = rider.get(path).await.header("etag").unwrap().to_owned();
        for known in [tag.clone(), format!("W/{tag}"), format!("\"0\", {tag}"), "*".to_owned()] {
            let answer = get_if_none_match(&rider, path, &known).await;
            assert_eq!((answer.status.as_u16(), answer.bytes.len()), (304, 0), "{path} {known}");
            assert_eq!(answer.header("etag"), Some(tag.as_str()));
        }
        for other in ["\"0\"", "nonsense", "", "\"x\", \"y\"", "\"0\", *"] {
            assert_eq!(get_if_none_match(&rider, path, other).await.status, 200, "{path} {other}");
        }
    }
    // The next transition changes the version.
    let before = rider.get(&paths[0]).await;
    driver.command(id(&trip), "complete").await.expect(200);
    let after = rider.get(&paths[0]).await;
    let (old, new) = (before.header("etag").unwrap(), after.header("etag").unwrap());
    assert_ne!(old, new);
    assert_eq!(get_if_none_match(&rider, &paths[0], old).await.header("etag"), Some(new));
    app.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tag_names_what_its_viewer_sees() {
    let app = App::start().await;
    let (rider, driver, ops) = (app.rider().await, app.driver_at(HERE).await, app.ops().await);
    let trip = assigned(&app, &rider, &driver).await;
    let path = format!("/v1/trips/{}", id(&trip));
    let mut shown = Vec::new();
    for actor in [&rider, &driver, &ops] {
        let response = actor.get(&path).await;
        assert_eq!(response.header("vary"), Some("Authorization"));
        let tag = response.header("etag").unwrap().to_owned();
        assert_eq!(get_if_none_match(actor, &path, &tag).await.status, 304);
        shown.push((actor, tag, response.json()));
    }
    for (actor, own_tag, own_body) in &shown {
        for (_, tag, body) in &shown {
            assert_eq!(tag == own_tag, body == own_body, "one tag for one body");
            let is_known = get_if_none_match(actor, &path, tag).await.status == 304;
            assert_eq!(is_known, tag == own_tag, "304 only for what the caller has seen");
        }
    }
    assert!(shown[0].2["pin"].is_string() && shown[2].2.get("pin").is_none());
    // Another viewer's tag names the same version. The response to a command has the tag of the caller's body.
    let done = post_if_match(&rider, &format!("{path}/cancel"), &shown[2].1).await;
    let tag = done.header("etag").unwrap().to_owned();
    done.expect(200);
    assert_eq!(rider.get(&path).await.header("etag"), Some(tag.as_str()));
}

#[tokio::test(flavor = "multi_thread")]
async fn weak_tag_never_matches_in_if_match() {
    let app = App::start().await;
    let rider = app.rider().await;
    let trip = rider.request_trip().await;
    rider.until_state(id(&trip), "searching").await;
    let path = format!("/v1/trips/{}", id(&trip));
    let tag = rider.get(&path).await.header("etag").unwrap().to_owned();
    let (cancel, version) = (format!("{path}/cancel"), tag.split(['"', '-']).nth(1).unwrap().to_owned());
    for tag in [format!("W/{tag}"), format!("W/{tag}, \"0\"")] {
        post_if_match(&rider, &cancel, &tag).await.expect_problem(412, "version_mismatch");
    }
    post_if_match(&rider, &cancel, &format!("\"0\", \"{version}\"")).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn most_preferred_representation_is_sent() {
    let app = App::start().await;
    let rider = app.rider().await;
    let trip = rider.request_trip().await;
    let (json, stream, text) = ("application/json", "text/event-stream", "text/plain; charset=utf-8");
    for (view, accept, expected) in [
        ("events", "application/json, text/event-stream;q=0", json),
        ("events", "application/json;q=1.0, text/event-stream;q=0.1", json),
        ("events", "application/json, text/event-stream-x", json),
        ("events", "*/*", json),
        ("events", "Text/Event-Stream", stream),
        ("events", "application/json;q=0.5, text/event-stream", stream),
        ("receipt", "text/plain, application/json;q=0.9", text),
        ("receipt", "text/plain;q=0.9, application/json", json),
        ("receipt", "text/*;q=0.5, */*;q=0.1", text),
    ] {
        let request = rider.request(Method::GET, &format!("/v1/trips/{}/{view}", id(&trip))).header("Accept", accept);
        let response = ApiResponse::open(request).await;
        let header = |name: &str| response.headers()[name].to_str().unwrap();
        assert_eq!((header("content-type"), header("vary")), (expected, "Accept, Authorization"), "{view}: {accept}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn driver_profile_ignores_if_none_match() {
    let app = App::start().await;
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let before = driver.get("/v1/drivers/me").await;
    rider.request_trip().await;
    driver.until_offered().await;
    let tag = before.header("etag").unwrap_or("\"1\"");
    let after = get_if_none_match(&driver, "/v1/drivers/me", tag).await.expect(200);
    assert!(after["offer"].is_object());
}

#[tokio::test(flavor = "multi_thread")]
async fn command_with_stale_if_match_is_412() {
    let app = App::start().await;
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = assigned(&app, &rider, &driver).await;
    let path = format!("/v1/trips/{}", id(&trip));
    let seen = rider.get(&path).await.header("etag").unwrap().to_owned();
    driver.send_position(&app, HERE).await;
    driver.command(id(&trip), "arrive").await.expect(200);

    let cancel = format!("{path}/cancel");
    let refused = post_if_match(&rider, &cancel, &seen).await.expect_problem(412, "version_mismatch");
    let now = rider.get(&path).await;
    assert_eq!(now.json()["state"], "arrived");
    let version = format!("\"{}-", refused["version"]);
    assert!(now.header("etag").unwrap().starts_with(&version), "the problem names the current version");
    let done = post_if_match(&rider, &cancel, now.header("etag").unwrap()).await;
    assert_ne!(done.header("etag"), now.header("etag"));
    done.expect(200);

    // Payments have versions as well.
    let ops = app.ops().await;
    let payment = format!("/v1/payments/{}", trip["payment_id"].as_str().unwrap());
    post_if_match(&ops, &format!("{payment}/refunds"), "\"0\"").await.expect_problem(412, "version_mismatch");
    app.assert_clean().await;
}

/// Reads a whole list, `limit` items per page, and runs `between` after each page.
async fn read_all(actor: &Actor, path: &str, limit: usize, between: impl AsyncFn()) -> Vec<Value> {
    let mut items = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = actor.get(&format!("{path}?limit={limit}{cursor}")).await.expect(200);
        let read = page["items"].as_array().unwrap();
        items.extend(read.iter().cloned());
        match &page["next_cursor"] {
            Value::Null => return items,
            next => {
                assert_eq!(read.len(), limit, "only the last page is short");
                cursor = format!("&cursor={}", next.as_str().map_or_else(|| next.to_string(), str::to_owned));
            }
        }
        between().await;
    }
}

fn ids(items: &[Value]) -> Vec<&str> {
    items.iter().map(id).collect()
}

/// Requests a trip and cancels it.
async fn cancelled_trip(rider: &Actor) -> String {
    let trip = rider.request_trip().await;
    rider.command(id(&trip), "cancel").await.expect(200);
    id(&trip).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_trips_are_stable_under_inserts() {
    let app = App::start().await;
    let (rider, other) = (app.rider().await, app.rider().await);
    let mut made = Vec::new();
    for _ in 0..9 {
        made.push(cancelled_trip(&rider).await);
        cancelled_trip(&other).await;
    }
    made.reverse();
    for limit in [1, 2, 4, 9, 100] {
        assert_eq!(
            ids(&read_all(&rider, "/v1/trips", limit, async || ()).await),
            made,
            "newest first, {limit} at a time"
        );
    }
    // Items inserted during reading are on no page; all others are on exactly one.
    let read = read_all(&rider, "/v1/trips", 2, async || drop(cancelled_trip(&rider).await)).await;
    assert_eq!(ids(&read), made);
    assert_eq!(read_all(&rider, "/v1/trips", 100, async || ()).await.len(), 9 + 4);
    let mine = rider.get("/v1/trips?state=searching").await.expect(200);
    assert_eq!(mine, json!({"items": [], "next_cursor": null}));
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_trip_events_are_stable_under_inserts() {
    let app = App::start().await;
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = in_progress(&app, &rider, &driver).await;
    let path = format!("/v1/trips/{}/events", id(&trip));
    let seqs = |events: &[Value]| events.iter().map(|event| event["seq"].as_i64().unwrap()).collect::<Vec<_>>();
    let before = rider.get(&path).await.expect(200)["items"].as_array().unwrap().len() as i64;
    let completed = async || drop(driver.command(id(&trip), "complete").await);
    let read = read_all(&rider, &path, 2, completed).await;
    assert_eq!(seqs(&read), (1..=before + 1).collect::<Vec<_>>(), "oldest first, so the new event is last");
}

#[tokio::test(flavor = "multi_thread")]
async fn request_over_the_rate_limit_is_429() {
    let app = App::with(Options { rate_limit: 5, ..Options::default() }).await;
    let (rider, other) = (app.rider().await, app.rider().await);
    let first = rider.get("/v1/trips").await;
    assert_eq!(first.header("ratelimit-policy"), Some("\"caller\";q=5;w=1"));
    assert_eq!(first.header("ratelimit"), Some("\"caller\";r=9;t=1"));

    let answers = at_once((0..40).map(|_| rider.get("/v1/trips"))).await;
    let (refused, granted): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 429);
    // The burst is twice the rate; one request was used before. Forty requests take less time than the limit needs to refill.
    assert!(granted.len() >= 9 && !refused.is_empty(), "{} were granted", granted.len());
    for answer in refused {
        assert!(answer.header("retry-after").unwrap().parse::<u32>().unwrap() >= 1);
        assert!(answer.header("ratelimit").unwrap().starts_with("\"caller\";r=0;"));
        answer.expect_problem(429, "rate_limited");
    }
    other.get("/v1/trips").await.expect(200);
    until("the limit has refilled", async || (rider.get("/v1/trips").await.status == 200).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn response_carries_the_trace_id_of_the_request() {
    let app = App::start().await;
    let rider = app.rider().await;
    let trace_id = "4bf92f3577b34da6a3ce929d0e0e4736";
    let traced = |path: &'static str| {
        let parent = format!("00-{trace_id}-00f067aa0ba902b7-01");
        ApiResponse::of(rider.request(Method::GET, path).header("traceparent", parent))
    };
    assert_eq!(traced("/v1/trips").await.header("trace-id"), Some(trace_id));
    let problem = traced("/v1/trips/nonsense").await;
    assert_eq!(problem.header("trace-id"), Some(trace_id));
    assert_eq!(problem.expect_problem(400, "invalid_id")["trace_id"], trace_id);
    for path in ["/v1/nothing", "/v1/quotes"] {
        assert_eq!(traced(path).await.json()["trace_id"], trace_id);
    }
    // Without `traceparent`, each request gets a new trace id.
    let answers = at_once((0..20).map(|_| rider.get("/v1/nothing"))).await;
    let own: BTreeSet<_> = answers.iter().map(|answer| answer.header("trace-id").unwrap().to_owned()).collect();
    assert_eq!(own.len(), answers.len());
    assert!(own.iter().all(|id| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit())), "{own:?}");
    // Commands carry the trace id as well.
    let quote = rider.quote(HERE, THERE).await;
    let body = json!({"quote_id": quote["id"], "payment_method": "pm_card_visa"});
    let parent = format!("00-{trace_id}-00f067aa0ba902b7-01");
    let request = rider.request(Method::POST, "/v1/trips").header("Idempotency-Key", "k").header("traceparent", parent);
    let answer = ApiResponse::of(request.json(&body)).await;
    assert_eq!(answer.header("trace-id"), Some(trace_id));
    answer.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_or_repeated_traceparent_starts_a_new_trace() {
    let app = App::start().await;
    let of = async |parents: &[&str]| {
        let request = app.http.get(app.url("/healthz"));
        let request = parents.iter().fold(request, |request, parent| request.header("traceparent", *parent));
        ApiResponse::of(request).await.header("trace-id").unwrap().to_owned()
    };
    let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let future = "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more";
    for parent in [good, future] {
        assert_eq!(of(&[parent]).await, "4bf92f3577b34da6a3ce929d0e0e4736", "{parent}");
    }
    let bad = [
        &["ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"][..],
        &["00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01"],
        &["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more"],
        &["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-"],
        &[good, good],
    ];
    for parents in bad {
        assert_ne!(of(parents).await, "4bf92f3577b34da6a3ce929d0e0e4736", "{parents:?}");
    }
}

/// RFC 9110, 14.2: a server may ignore ranges.
#[tokio::test(flavor = "multi_thread")]
async fn range_request_gets_the_whole_representation() {
    let app = App::start().await;
    let whole = ApiResponse::of(app.http.get(app.url("/openapi.json"))).await.bytes;
    for range in ["bytes=0-1", "bytes=-5", "bytes=999999999-", "items=0-1", "nonsense"] {
        let answer = ApiResponse::of(app.http.get(app.url("/openapi.json")).header("Range", range)).await;
        assert_eq!((answer.status.as_u16(), answer.header("content-range")), (200, None), "{range}");
        assert_eq!(answer.bytes.len(), whole.len(), "{range}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_error_code_has_a_page() {
    let app = App::start().await;
    for code in ridematch::platform::error::Code::ALL {
        let name = code.problem_type().name;
        let page = ApiResponse::of(app.http.get(app.url(&format!("/problems/{name}")))).await;
        assert_eq!(page.status, 200, "{name}");
        assert!(page.text().contains(name));
    }
}
