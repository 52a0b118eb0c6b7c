//! The sandbox's controls: reset, kill, clock, provider faults and the SQL of a request.
#![allow(clippy::unwrap_used, reason = "tests")]

mod foreign_origins;
mod objects;
mod process;
mod provider;
mod reset;
mod time;
mod traces;
mod triggers;

use crate::harness::{App, HERE, id, in_progress};
use ridematch::sandbox::store::{CLEARED, KEPT};
use serde_json::{Value, json};

/// Sends a GET without a token.
async fn get(app: &App, path: &str) -> crate::harness::ApiResponse {
    crate::harness::ApiResponse::of(app.http.get(app.url(path))).await
}

/// Sends a POST without a token.
async fn post(app: &App, path: &str, body: &Value) -> crate::harness::ApiResponse {
    crate::harness::ApiResponse::of(app.http.post(app.url(path)).json(body)).await
}

#[tokio::test]
async fn reset_empties_our_records_and_the_providers() {
    let app = App::start().await;
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = in_progress(&app, &rider, &driver).await;
    driver.command(id(&trip), "complete").await.expect(200);

    let summary = post(&app, "/v1/sandbox/reset", &json!({})).await.expect(200);
    assert_eq!(summary, json!({"trips": 1, "payments": 1, "drivers": 1}));
    // Workers write these again: a driver's end of work, the zones of the next cycle, and a checkpoint that was under way.
    const WRITTEN_AGAIN: [&str; 3] = ["driver_events", "demand_zones", "index_checkpoint"];
    for table in CLEARED.iter().filter(|table| !WRITTEN_AGAIN.contains(table)) {
        assert_eq!(app.count(&format!("select count(*) from {table}")).await, 0, "{table}");
    }
    let state =
        app.http.get(format!("http://{}/sim/state", app.provider.address())).bearer_auth(crate::harness::PSP_SECRET);
    let state: Value = state.send().await.unwrap().json().await.unwrap();
    assert_eq!(state["payment_intents"], json!([]));
    assert_eq!(rider.get(&format!("/v1/trips/{}", id(&trip))).await.status, 404);

    // The driver has to go online again, and the next trip works.
    assert_eq!(driver.send_position(&app, HERE).await, "offline");
    let driver = app.driver_at(HERE).await;
    let trip = in_progress(&app, &rider, &driver).await;
    driver.command(id(&trip), "complete").await.expect(200);
    app.assert_clean().await;
    // Append-only tables are guarded again.
    let refused = sqlx::query("truncate trip_events").execute(app.sql()).await.unwrap_err();
    assert!(refused.to_string().contains("append-only"), "{refused}");
}

#[tokio::test]
async fn every_table_is_either_kept_or_cleared() {
    let app = App::start().await;
    let sql = "select table_name::text from information_schema.tables where table_schema = 'public' and table_type = 'BASE TABLE'";
    let mut tables: Vec<String> = sqlx::query_scalar(sql).fetch_all(app.sql()).await.unwrap();
    let mut known: Vec<_> = KEPT.iter().chain(&CLEARED).map(|name| (*name).to_owned()).collect();
    tables.sort();
    known.sort();
    assert_eq!(tables, known, "add new tables to src/sandbox/store/reset.rs");
}

#[tokio::test]
async fn kill_without_a_supervisor_is_409() {
    let app = App::start().await;
    post(&app, "/v1/sandbox/kill", &json!({})).await.expect_problem(409, "not_supervised");
}
