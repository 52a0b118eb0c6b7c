//! The sandbox: what it shows of a request, what it breaks, how it travels in time, and how everything begins anew.
#![allow(clippy::unwrap_used, reason = "tests")]

mod harness;
#[path = "sandbox/inside.rs"]
mod inside;
#[path = "sandbox/provider.rs"]
mod provider;
#[path = "sandbox/strangers.rs"]
mod strangers;
#[path = "sandbox/time.rs"]
mod time;
#[path = "sandbox/triggers.rs"]
mod triggers;

use harness::{App, HERE, id, in_progress};
use ridematch::sandbox::store::{FORGOTTEN, KEPT};
use serde_json::{Value, json};

/// A POST that needs no token.
async fn post(app: &App, path: &str, body: &Value) -> harness::Answer {
    harness::Answer::of(app.http.post(app.url(path)).json(body)).await
}

#[tokio::test]
async fn everything_begins_anew_with_both_books_empty() {
    let app = App::start().await;
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = in_progress(&app, &rider, &driver).await;
    driver.act(id(&trip), "complete").await.expect(200);

    let forgotten = post(&app, "/v1/sandbox/reset", &json!({})).await.expect(200);
    assert_eq!(forgotten, json!({"trips": 1, "payments": 1, "drivers": 1}));
    for table in FORGOTTEN.iter().filter(|table| **table != "driver_events") {
        assert_eq!(app.count(&format!("select count(*) from {table}")).await, 0, "{table}");
    }
    let books = app.http.get(format!("http://{}/sim/books", app.provider.address())).bearer_auth(harness::PSP_SECRET);
    let books: Value = books.send().await.unwrap().json().await.unwrap();
    assert_eq!(books["payment_intents"], json!([]));
    assert_eq!(rider.get(&format!("/v1/trips/{}", id(&trip))).await.status, 404);

    // The driver's next position is answered `offline`; who is still there comes online again, and life goes on.
    assert_eq!(driver.send_position(&app, HERE).await, "offline");
    let driver = app.driver_at(HERE).await;
    let trip = in_progress(&app, &rider, &driver).await;
    driver.act(id(&trip), "complete").await.expect(200);
    app.assert_clean().await;
    // What only grows is guarded again.
    let refused = sqlx::query("truncate trip_events").execute(app.sql()).await.unwrap_err();
    assert!(refused.to_string().contains("append-only"), "{refused}");
}

#[tokio::test]
async fn every_table_is_either_kept_or_forgotten() {
    let app = App::start().await;
    let sql = "select table_name::text from information_schema.tables where table_schema = 'public' and table_type = 'BASE TABLE'";
    let mut there: Vec<String> = sqlx::query_scalar(sql).fetch_all(app.sql()).await.unwrap();
    let mut known: Vec<_> = KEPT.iter().chain(&FORGOTTEN).map(|name| (*name).to_owned()).collect();
    there.sort();
    known.sort();
    assert_eq!(there, known, "name a new table in sandbox/store/beginning.rs");
}

#[tokio::test]
async fn nobody_is_killed_who_would_not_be_started_again() {
    let app = App::start().await;
    post(&app, "/v1/sandbox/kill", &json!({})).await.expect_problem(409, "not_supervised");
}
