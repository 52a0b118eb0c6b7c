//! A row with a value that the code never writes delays itself and nothing else. It is counted, and tried again after a growing
//! pause.

use ridematch::platform::ids::{Id, TripId};
use ridematch::platform::wake::Wake;
use serde_json::Value;

use crate::harness::{Actor, App, HERE, Options, assigned, free_address, id, until};
use crate::worker_runs::{postponed, runs_meanwhile};

/// Makes the first trip unreadable.
async fn break_first_trip(app: &App) {
    app.break_with(
        "alter table trips drop constraint trips_class_check;
         update trips set class = 'limousine' where id = (select min(id::text)::uuid from trips)",
    )
    .await;
}

/// Returns the driver of a trip with a pending offer.
async fn offered(app: &App) -> (Actor, Value) {
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    rider.request_trip().await;
    let offer = driver.until_offered().await;
    (driver, offer)
}

#[tokio::test(flavor = "multi_thread")]
async fn unreadable_searching_trip_delays_no_match() {
    let app = App::start().await;
    let rider = app.rider().await;
    let trip = rider.request_trip().await;
    rider.until_state(id(&trip), "searching").await;
    break_first_trip(&app).await;
    let trip: TripId = id(&trip).parse().unwrap();
    app.service().platform().db.wake_hub().wake(&[Wake::Search(trip.uuid())]);
    until("the row is found", async || (postponed(&app, "dispatch", "unreadable").await > 0).then_some(())).await;

    let (_, offer) = offered(&app).await;
    assert_eq!(offer["status"], "pending");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unreadable_trip_delays_no_other_deadline_and_is_tried_ever_less_often() {
    let app = App::start().await;
    offered(&app).await;
    let (driver, offer) = offered(&app).await;
    break_first_trip(&app).await;

    app.advance(16).await;
    until("the other offer expires", async || {
        let offers = driver.get("/v1/offers").await.expect(200);
        let ended = offers["items"].as_array().unwrap().iter().find(|item| item["id"] == offer["id"]).unwrap();
        (ended["status"] == "expired").then_some(())
    })
    .await;
    let before = postponed(&app, "deadlines", "unreadable").await;
    let runs = runs_meanwhile(&app, "deadlines").await;
    assert!(runs < 60, "{runs} runs in a few seconds");
    let tries = postponed(&app, "deadlines", "unreadable").await - before;
    assert!((1..=5).contains(&tries), "{tries} tries, each with a line in the log");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unreadable_payment_delays_no_other_payment() {
    // Without events of the provider nothing looks the payment up while it is broken.
    let app = App::with(Options { events_to: Some(free_address()), ..Options::default() }).await;
    let rider = app.rider().await;
    rider.until_state(id(&rider.request_trip().await), "searching").await;
    app.break_with(
        "alter table payments drop constraint payments_purpose_check;
         update payments set purpose = 'gift', due_at = now() - interval '1 hour'",
    )
    .await;
    until("the row is found", async || (postponed(&app, "settlement", "unreadable").await > 0).then_some(())).await;

    let other = app.rider().await;
    other.until_state(id(&other.request_trip().await), "searching").await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unreadable_trip_delays_the_unassignment_of_no_other_unresponsive_driver() {
    let app = App::start().await;
    assigned(&app, &app.rider().await, &app.driver_at(HERE).await).await;
    let rider = app.rider().await;
    let trip = assigned(&app, &rider, &app.driver_at(HERE).await).await;
    break_first_trip(&app).await;

    app.advance(181).await;
    until("the driver is unassigned", async || {
        let trip = rider.get(&format!("/v1/trips/{}", id(&trip))).await.expect(200);
        (trip["state"] != "assigned").then_some(())
    })
    .await;
    assert!(postponed(&app, "unresponsive-drivers", "unreadable").await > 0);
    app.stop().await;
}
