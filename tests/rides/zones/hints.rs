//! Hints to idle drivers.

use std::time::Duration;

use reqwest::Method;
use serde_json::Value;

use super::{request, run_zones, surging};
use crate::harness::{Actor, ApiResponse, App, HERE};

/// About 1.5 km from [`HERE`], in another cell.
const NEAR: (f64, f64) = (40.7630, -73.9750);

/// Reads a driver's stream from its first event, as a reconnecting client does, until an event of this type.
async fn read_stream_until(driver: &Actor, kind: &str) -> String {
    let request = driver.request(Method::GET, "/v1/drivers/me/events").header("Last-Event-ID", "0");
    let mut response = ApiResponse::open(request).await;
    let read = async {
        let mut text = String::new();
        while !(text.contains(kind) && text.ends_with("\n\n")) {
            let chunk = response.chunk().await.unwrap().expect("the stream is open");
            text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
        text
    };
    tokio::time::timeout(Duration::from_secs(30), read).await.expect("the event in time")
}

/// Returns the hints of a driver.
async fn hints(app: &App, driver: &Actor) -> Vec<Value> {
    let rows: Vec<(Value,)> =
        sqlx::query_as("select data from driver_events where type = 'hint.created' and driver_id = $1 order by seq")
            .bind(ridematch::platform::auth::Role::Driver.parse_subject(&driver.id).unwrap())
            .fetch_all(app.sql())
            .await
            .unwrap();
    rows.into_iter().map(|row| row.0).collect()
}

async fn requests(app: &App, number: usize) {
    for _ in 0..number {
        request(app).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nearest_idle_drivers_get_one_hint_and_no_more_than_the_cell_lacks() {
    let app = surging().await;
    let near = app.driver_at(NEAR).await;
    let far = app.driver_at((40.7730, -73.9650)).await;
    requests(&app, 1).await;
    near.send_position(&app, NEAR).await;
    // One request of the last seconds: 1.4 are expected in the next ten minutes.
    run_zones(&app).await;
    let found = hints(&app, &near).await;
    let [hint] = &found[..] else { panic!("one hint, not {found:#?}") };
    assert!(hint["id"].as_str().unwrap().starts_with("hnt_"));
    assert_eq!(hint["reason"], "About 1 ride is expected here within 10 minutes, and no driver is free.");
    let lat = hint["position"]["lat"].as_f64().unwrap();
    assert!((lat - HERE.0).abs() < 0.01, "{hint:#}");
    assert!(hints(&app, &far).await.is_empty(), "the cell lacks one car");
    let streamed = read_stream_until(&near, "hint.created").await;
    assert!(streamed.contains(hint["id"].as_str().unwrap()) && streamed.contains("\"expires_at\""), "{streamed}");
    run_zones(&app).await;
    assert_eq!(hints(&app, &near).await.len(), 1, "no second hint within twenty minutes");
    assert!(hints(&app, &far).await.is_empty(), "a driver is on the way");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn driver_who_stays_gets_the_next_hint_after_twenty_minutes() {
    let app = surging().await;
    let driver = app.driver_at(NEAR).await;
    requests(&app, 6).await;
    run_zones(&app).await;
    assert_eq!(hints(&app, &driver).await.len(), 1);
    app.advance(1_100).await;
    requests(&app, 6).await;
    driver.send_position(&app, NEAR).await;
    run_zones(&app).await;
    assert_eq!(hints(&app, &driver).await.len(), 1);
    app.advance(101).await;
    driver.send_position(&app, NEAR).await;
    run_zones(&app).await;
    assert_eq!(hints(&app, &driver).await.len(), 2);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hint_to_a_locked_driver_is_skipped_and_delays_no_other() {
    let app = surging().await;
    let (first, second) = (app.driver_at(NEAR).await, app.driver_at(NEAR).await);
    // An offer that is being written has this lock.
    let mut offering = app.sql().begin().await.unwrap();
    sqlx::query("select id from drivers where id = $1 for share")
        .bind(ridematch::platform::auth::Role::Driver.parse_subject(&first.id).unwrap())
        .execute(&mut *offering)
        .await
        .unwrap();
    requests(&app, 6).await;
    run_zones(&app).await;
    assert_eq!((hints(&app, &first).await.len(), hints(&app, &second).await.len()), (0, 1));
    offering.rollback().await.unwrap();
    run_zones(&app).await;
    assert_eq!((hints(&app, &first).await.len(), hints(&app, &second).await.len()), (1, 1));
    app.stop().await;
}
