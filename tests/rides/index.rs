//! The driver index and the database: lost wakes, slow reads, the election, and drivers that no longer send positions.
#![allow(clippy::unwrap_used, reason = "tests")]

use ridematch::platform::class::VehicleClass;
use ridematch::platform::ids::{DriverId, Id};
use ridematch::platform::work::RunOutcome;
use ridematch::supply::{self, Status};
use ridematch::trips::worker::{Inactivity, index};
use serde_json::json;

use crate::harness::{Actor, App, HERE, id, in_progress, until};

const FREE: Status = Status::Free { class: VehicleClass::Standard };

fn driver_id(driver: &Actor) -> DriverId {
    driver.id.parse().unwrap()
}

fn status(service: &ridematch::startup::Running, driver: &Actor) -> Option<Status> {
    service.supply().statuses().unwrap_or_default().get(&driver_id(driver)).copied()
}

fn repairs(app: &App, kind: &str) -> u64 {
    app.service().platform().metrics.supply.index_repairs.with_label_values(&[kind]).get()
}

async fn availability(driver: &Actor) -> String {
    driver.get("/v1/drivers/me").await.expect(200)["availability"].as_str().unwrap().to_owned()
}

async fn reconcile(app: &App) {
    index::reconcile_once(app.service().platform(), app.service().supply()).await.unwrap();
}

/// SQL changes a driver without a wake, like a COMMIT whose response was lost.
#[tokio::test(flavor = "multi_thread")]
async fn driver_whose_wake_was_lost_is_found_after_the_next_reconciliation() {
    let app = App::start().await;
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    app.break_with("update drivers set available = false").await;
    reconcile(&app).await;
    assert_eq!(driver.send_position(&app, HERE).await, "offline");
    app.break_with("update drivers set available = true").await;
    reconcile(&app).await;
    assert_eq!(driver.send_position(&app, HERE).await, "accepted");
    app.break_with("update drivers set class = 'xl'").await;
    reconcile(&app).await;
    app.break_with("update drivers set class = 'standard'").await;
    reconcile(&app).await;

    assert_eq!(["surplus", "missing", "status"].map(|kind| repairs(&app, kind)), [1, 1, 2]);
    rider.request_trip().await;
    driver.until_offered().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rides_need_no_repairs() {
    let app = App::start().await;
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = in_progress(&app, &rider, &driver).await;
    reconcile(&app).await;
    driver.command(id(&trip), "complete").await.expect(200);
    reconcile(&app).await;
    assert_eq!(["surplus", "missing", "status"].map(|kind| repairs(&app, kind)), [0, 0, 0]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_read_of_a_status_does_not_replace_a_later_one() {
    let app = App::start().await;
    let driver = app.driver_at(HERE).await;
    let supply = app.service().supply();
    // A reader that has read that the driver is free, and is then slow.
    let permit = supply.sync_permit().await.unwrap();
    let read = vec![(driver_id(&driver), FREE)];
    let offline = {
        let driver = driver.clone();
        tokio::spawn(async move { driver.put("/v1/drivers/me/availability", &json!({"available": false})).await })
    };
    app.until("the driver is offline in the database", async || {
        (app.count("select count(*) from drivers where not available").await == 1).then_some(())
    })
    .await;
    supply.apply(read);
    drop(permit);
    offline.await.unwrap().expect(200);
    assert_eq!(status(app.service(), &driver), None);
    app.stop().await;
}

/// The index is loaded before the process acts as the matcher. A change in between must not be missed.
#[tokio::test(flavor = "multi_thread")]
async fn change_between_load_and_election_is_in_the_index() {
    let app = App::start().await;
    let driver = app.driver_at(HERE).await;
    let standby = app.second_process(|_| ()).await;
    index::load(standby.platform(), standby.supply()).await.unwrap();
    assert_eq!((standby.platform().leadership.epoch(), status(&standby, &driver)), (None, Some(FREE)));
    driver.put("/v1/drivers/me/availability", &json!({"available": false})).await.expect(200);
    until("the standby has applied the change", async || status(&standby, &driver).is_none().then_some(())).await;
    standby.stop().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn audit_of_the_matcher_counts_differences_of_the_index() {
    let app = App::start().await;
    let (ops, _driver) = (app.ops().await, app.driver_at(HERE).await);
    let differences = async |ops: &Actor| ops.get("/v1/ops/audit").await.expect(200)["index_differences"].clone();
    assert_eq!(differences(&ops).await, 0);
    // The service may repair one difference before the audit looks.
    app.until("the audit counts a difference", async || {
        app.break_with("update drivers set available = not available").await;
        (differences(&ops).await == 1).then_some(())
    })
    .await;
    let other = app.second_process(|_| ()).await;
    assert!(differences(&ops.at(&other)).await.is_null(), "another process keeps the index");
    other.stop().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn driver_without_a_position_for_15_minutes_is_taken_offline_until_the_next_availability() {
    let app = App::start().await;
    let (gone, present) = (app.driver_at(HERE).await, app.driver_at(HERE).await);
    let inactivity = Inactivity::new(app.service().platform().clone(), app.service().supply().clone());
    app.advance(15 * 60 + 1).await;
    // A jump of the clock makes every driver look inactive once.
    inactivity.run_once().await.unwrap();
    assert_eq!([availability(&gone).await, availability(&present).await], ["online", "online"]);
    present.send_position(&app, HERE).await;
    inactivity.run_once().await.unwrap();
    assert_eq!([availability(&gone).await, availability(&present).await], ["offline", "online"]);
    let sql =
        "select count(*) from driver_events where type = 'driver.offline' and data = '{\"because\": \"inactive\"}'";
    assert_eq!(app.count(sql).await, 1);

    until("the index has dropped the driver", async || status(app.service(), &gone).is_none().then_some(())).await;
    assert_eq!(gone.send_position(&app, HERE).await, "offline", "a position does not bring the driver back");
    gone.put("/v1/drivers/me/availability", &json!({"available": true})).await.expect(200);
    assert_eq!(gone.send_position(&app, HERE).await, "accepted");
    app.assert_clean().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn inactive_driver_whose_row_is_locked_delays_no_other() {
    let app = App::start().await;
    let (held, gone) = (app.driver_at(HERE).await, app.driver_at(HERE).await);
    let inactivity = Inactivity::new(app.service().platform().clone(), app.service().supply().clone());
    app.advance(15 * 60 + 1).await;
    inactivity.run_once().await.unwrap();
    let mut lock = app.sql().begin().await.unwrap();
    let locked = sqlx::query("select from drivers where id = $1 for update").bind(driver_id(&held).uuid());
    locked.execute(&mut *lock).await.unwrap();

    assert_eq!(inactivity.run_once().await.unwrap(), RunOutcome { done: 1, failed: 1 });
    assert_eq!(availability(&gone).await, "offline");
    lock.rollback().await.unwrap();
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn driver_without_positions_on_a_ride_stays_online_and_the_ride_needs_review() {
    let app = App::start().await;
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = in_progress(&app, &rider, &driver).await;
    let (platform, supply) = (app.service().platform(), app.service().supply());
    let inactivity = Inactivity::new(platform.clone(), supply.clone());
    app.advance(15 * 60 + 1).await;
    inactivity.run_once().await.unwrap();
    inactivity.run_once().await.unwrap();
    assert_eq!(availability(&driver).await, "online");

    let ops = app.ops().await;
    let needs_review = async || ops.get("/v1/ops/reconciliation").await.expect(200)["needs_review"].clone();
    supply::worker::checkpoint_once(platform, supply).await.unwrap();
    assert_eq!(needs_review().await["items"][0]["trip_id"], trip["id"]);
    driver.send_position(&app, HERE).await;
    supply::worker::checkpoint_once(platform, supply).await.unwrap();
    assert_eq!(needs_review().await["total"], 0);
    app.stop().await;
}
