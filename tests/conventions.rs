//! What all of the API has in common: versions, pages, rate limits, trace ids.
#![allow(clippy::unwrap_used, reason = "tests")]

mod harness;

use std::collections::BTreeSet;

use harness::{Actor, Answer, App, HERE, Options, THERE, assigned, at_once, id, in_progress, new_key, until};
use reqwest::Method;
use serde_json::{Value, json};

async fn get_if_none_match(who: &Actor, path: &str, tags: &str) -> Answer {
    Answer::of(who.request(Method::GET, path).header("If-None-Match", tags)).await
}

async fn post_if_match(who: &Actor, path: &str, tag: &str) -> Answer {
    let request = who.request(Method::POST, path).header("Idempotency-Key", new_key()).header("If-Match", tag);
    Answer::of(request.json(&json!({}))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_the_version_already_gets_304() {
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
        for other in ["\"0\"", "nonsense", "", "\"x\", \"y\""] {
            assert_eq!(get_if_none_match(&rider, path, other).await.status, 200, "{path} {other}");
        }
    }
    // A version is of what is shown: with the next step the old one is no more.
    let before = rider.get(&paths[0]).await;
    let completed = driver.act(id(&trip), "complete").await;
    let (old, new) = (before.header("etag").unwrap(), completed.header("etag").unwrap());
    assert_ne!(old, new);
    assert_eq!(get_if_none_match(&rider, &paths[0], old).await.header("etag"), Some(new));
    app.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_is_never_said_to_be_unchanged() {
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
async fn a_command_for_another_version_is_refused() {
    let app = App::start().await;
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = assigned(&app, &rider, &driver).await;
    let path = format!("/v1/trips/{}", id(&trip));
    let seen = rider.get(&path).await.header("etag").unwrap().to_owned();
    driver.send_position(&app, HERE).await;
    driver.act(id(&trip), "arrive").await.expect(200);

    let cancel = format!("{path}/cancel");
    let refused = post_if_match(&rider, &cancel, &seen).await.expect_problem(412, "version_mismatch");
    let now = rider.get(&path).await;
    assert_eq!(now.json()["state"], "arrived");
    assert_eq!(format!("\"{}\"", refused["version"]), now.header("etag").unwrap(), "it says which version there is");
    let done = post_if_match(&rider, &cancel, now.header("etag").unwrap()).await;
    assert_ne!(done.header("etag"), now.header("etag"));
    done.expect(200);

    // Payments too.
    let ops = app.ops().await;
    let payment = format!("/v1/payments/{}", trip["payment_id"].as_str().unwrap());
    post_if_match(&ops, &format!("{payment}/refunds"), "\"0\"").await.expect_problem(412, "version_mismatch");
    app.assert_clean().await;
}

/// Reads a list to its end, `limit` items at a time; after each page `between` happens.
async fn read_all(who: &Actor, path: &str, limit: usize, between: impl AsyncFn()) -> Vec<Value> {
    let mut items = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = who.get(&format!("{path}?limit={limit}{cursor}")).await.expect(200);
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

/// Asks for a trip and calls it off.
async fn trip_and_back(rider: &Actor) -> String {
    let trip = rider.request_trip().await;
    rider.act(id(&trip), "cancel").await.expect(200);
    id(&trip).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_trips_are_stable_under_inserts() {
    let app = App::start().await;
    let (rider, other) = (app.rider().await, app.rider().await);
    let mut made = Vec::new();
    for _ in 0..9 {
        made.push(trip_and_back(&rider).await);
        trip_and_back(&other).await;
    }
    made.reverse();
    for limit in [1, 2, 4, 9, 100] {
        assert_eq!(
            ids(&read_all(&rider, "/v1/trips", limit, async || ()).await),
            made,
            "newest first, {limit} at a time"
        );
    }
    // What comes in while one reads is on no page; what was there is on one.
    let read = read_all(&rider, "/v1/trips", 2, async || drop(trip_and_back(&rider).await)).await;
    assert_eq!(ids(&read), made);
    assert_eq!(read_all(&rider, "/v1/trips", 100, async || ()).await.len(), 9 + 4);
    let mine = rider.get("/v1/trips?state=searching").await.expect(200);
    assert_eq!(mine, json!({"items": [], "next_cursor": null}));
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_a_history_are_stable_under_inserts() {
    let app = App::start().await;
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = in_progress(&app, &rider, &driver).await;
    let path = format!("/v1/trips/{}/events", id(&trip));
    let seqs = |events: &[Value]| events.iter().map(|event| event["seq"].as_i64().unwrap()).collect::<Vec<_>>();
    let before = rider.get(&path).await.expect(200)["items"].as_array().unwrap().len() as i64;
    let completed = async || drop(driver.act(id(&trip), "complete").await);
    let read = read_all(&rider, &path, 2, completed).await;
    assert_eq!(seqs(&read), (1..=before + 1).collect::<Vec<_>>(), "oldest first, so news come last");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_is_told_the_limit_and_stopped_at_it() {
    let app = App::with(Options { rate_limit: 5, ..Options::default() }).await;
    let (rider, other) = (app.rider().await, app.rider().await);
    let first = rider.get("/v1/trips").await;
    assert_eq!(first.header("ratelimit-policy"), Some("\"caller\";q=5;w=1"));
    assert_eq!(first.header("ratelimit"), Some("\"caller\";r=9;t=1"));

    let answers = at_once((0..40).map(|_| rider.get("/v1/trips"))).await;
    let (refused, granted): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 429);
    // Twice the rate at once, less the one before; the rest as time goes by, and forty do not take that long.
    assert!(granted.len() >= 9 && !refused.is_empty(), "{} were granted", granted.len());
    for answer in refused {
        assert!(answer.header("retry-after").unwrap().parse::<u32>().unwrap() >= 1);
        assert!(answer.header("ratelimit").unwrap().starts_with("\"caller\";r=0;"));
        answer.expect_problem(429, "rate_limited");
    }
    other.get("/v1/trips").await.expect(200);
    until("the limit lets the caller in again", async || (rider.get("/v1/trips").await.status == 200).then_some(()))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_goes_in_and_comes_out() {
    let app = App::start().await;
    let rider = app.rider().await;
    let trace_id = "4bf92f3577b34da6a3ce929d0e0e4736";
    let traced = |path: &'static str| {
        let parent = format!("00-{trace_id}-00f067aa0ba902b7-01");
        Answer::of(rider.request(Method::GET, path).header("traceparent", parent))
    };
    assert_eq!(traced("/v1/trips").await.header("trace-id"), Some(trace_id));
    let problem = traced("/v1/trips/nonsense").await;
    assert_eq!(problem.header("trace-id"), Some(trace_id));
    assert_eq!(problem.expect_problem(400, "invalid_id")["trace_id"], trace_id);
    for nowhere in ["/v1/nothing", "/v1/quotes"] {
        assert_eq!(traced(nowhere).await.json()["trace_id"], trace_id);
    }
    // Without one, each request has one of its own.
    let answers = at_once((0..20).map(|_| rider.get("/v1/nothing"))).await;
    let own: BTreeSet<_> = answers.iter().map(|answer| answer.header("trace-id").unwrap().to_owned()).collect();
    assert_eq!(own.len(), answers.len());
    assert!(own.iter().all(|id| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit())), "{own:?}");
    // A request's trace goes with the news that it makes.
    let quote = rider.quote(HERE, THERE).await;
    let wish = json!({"quote_id": quote["id"], "payment_method": "pm_card_visa"});
    let parent = format!("00-{trace_id}-00f067aa0ba902b7-01");
    let request = rider.request(Method::POST, "/v1/trips").header("Idempotency-Key", "k").header("traceparent", parent);
    let answer = Answer::of(request.json(&wish)).await;
    assert_eq!(answer.header("trace-id"), Some(trace_id));
    answer.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_problem_has_a_page_that_explains_it() {
    let app = App::start().await;
    for code in ridematch::platform::error::Code::ALL {
        let name = code.meaning().name;
        let page = Answer::of(app.http.get(app.url(&format!("/problems/{name}")))).await;
        assert_eq!(page.status, 200, "{name}");
        assert!(page.text().contains(name));
    }
}
