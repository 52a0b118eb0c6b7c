//! A row that another transaction holds delays itself and nothing else, and is processed soon after its release.

mod frozen_process;

use std::time::Duration;

use ridematch::platform::clock::Stopwatch;
use ridematch::platform::ids::{DriverId, Id, TripId};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use uuid::Uuid;

use crate::harness::breakpoint::Side;
use crate::harness::{Actor, App, HERE, id, until, within};

/// A place 800 m from [`HERE`].
const FARTHER: (f64, f64) = (40.7572, -73.9800);

/// How long another trip may take meanwhile, and a held one after its release: a pause of half a second, on a busy machine.
const PROMPTLY: Duration = Duration::from_secs(3);

/// A transaction of another session that holds row locks.
struct HeldRows(PgConnection);

impl HeldRows {
    /// Locks the rows that `select` finds, as a session of `psql` would.
    async fn lock(app: &App, select: String) -> Self {
        let mut session = PgConnection::connect(&app.database.url()).await.unwrap();
        let sql = format!("begin; {select} for update");
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut session).await.unwrap();
        Self(session)
    }

    async fn lock_trip(app: &App, trip: &Value) -> Self {
        Self::lock(app, format!("select from trips where id = '{}'", trip_uuid(trip))).await
    }

    async fn release(mut self) {
        sqlx::raw_sql("rollback").execute(&mut self.0).await.unwrap();
    }
}

fn trip_uuid(trip: &Value) -> Uuid {
    id(trip).parse::<TripId>().unwrap().uuid()
}

async fn state_of(rider: &Actor, trip: &Value) -> Value {
    rider.get(&format!("/v1/trips/{}", id(trip))).await.expect(200)["state"].clone()
}

async fn is_offered(driver: &Actor) -> bool {
    driver.get("/v1/drivers/me").await.expect(200)["offer"].is_object()
}

/// Returns a rider, the rider's trip, and its pending offer to a new driver.
async fn offered(app: &App) -> (Actor, Value, Value) {
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = rider.request_trip().await;
    let offer = driver.until_offered().await;
    assert_eq!(offer["trip_id"], trip["id"]);
    (rider, trip, offer)
}

/// Waits until the first offer of a trip has expired.
async fn until_expired(app: &App, trip: &Value) {
    let expired = format!("select count(*) from offers where trip_id = '{}' and status = 'expired'", trip_uuid(trip));
    let what = format!("the offer of {} has expired", id(trip));
    within(PROMPTLY, &what, async || (app.count(&expired).await == 1).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn held_offered_trip_delays_no_other_deadline_and_no_match() {
    let app = App::start().await;
    let (rider, held, _) = offered(&app).await;
    let (_, other, _) = offered(&app).await;
    let lock = HeldRows::lock_trip(&app, &held).await;

    app.advance(16).await;
    until_expired(&app, &other).await;
    app.driver_at(HERE).await;
    let next_rider = app.rider().await;
    let next = next_rider.request_trip().await;
    within(PROMPTLY, "another trip is offered", async || {
        (state_of(&next_rider, &next).await == "offered").then_some(())
    })
    .await;
    assert_eq!(state_of(&rider, &held).await, "offered");

    lock.release().await;
    until_expired(&app, &held).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn held_driver_is_passed_over_and_is_offered_a_trip_after_the_release() {
    let app = App::start().await;
    let (near, far) = (app.driver_at(HERE).await, app.driver_at(FARTHER).await);
    let near_id = near.id.parse::<DriverId>().unwrap().uuid();
    let lock = HeldRows::lock(&app, format!("select from drivers where id = '{near_id}'")).await;

    app.rider().await.request_trip().await;
    within(PROMPTLY, "the farther driver is offered the trip", async || is_offered(&far).await.then_some(())).await;
    let rider = app.rider().await;
    rider.until_state(id(&rider.request_trip().await), "searching").await;
    assert!(!is_offered(&near).await);

    lock.release().await;
    within(PROMPTLY, "the nearest driver is offered the other trip", async || is_offered(&near).await.then_some(()))
        .await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn request_on_a_held_trip_is_503_and_its_repeat_succeeds() {
    let app = App::start().await;
    let rider = app.rider().await;
    let trip = rider.request_trip().await;
    rider.until_state(id(&trip), "searching").await;
    let lock = HeldRows::lock_trip(&app, &trip).await;
    let cancel = format!("/v1/trips/{}/cancel", id(&trip));

    let refused = rider.post_with("k", &cancel, &serde_json::json!({})).await;
    assert_eq!(refused.header("retry-after"), Some("1"));
    refused.expect_problem(503, "unavailable");
    lock.release().await;
    let repeated = rider.post_with("k", &cancel, &serde_json::json!({})).await;
    assert_eq!(repeated.expect(200)["state"], "cancelled");
    app.assert_clean().await;
}

/// Requests a trip, and returns how long its authorization takes.
async fn until_searching_takes(rider: &Actor) -> Duration {
    let watch = Stopwatch::start();
    rider.until_state(id(&rider.request_trip().await), "searching").await;
    watch.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn held_trip_delays_no_other_reaction_to_a_payment() {
    let app = App::start().await;
    let (rider, other) = (app.rider().await, app.rider().await);
    let usual = until_searching_takes(&app.rider().await).await;
    let call = app.calls.break_at("create", Side::Before);
    let held = rider.request_trip().await;
    let call = call.reached().await;
    let lock = HeldRows::lock_trip(&app, &held).await;
    call.resume();
    let failing = "select count(*) from outbox_deliveries where delivered_at is null and last_error is not null";
    until("the reaction has failed", async || (app.count(failing).await == 1).then_some(())).await;

    let took = until_searching_takes(&other).await;
    assert!(took < PROMPTLY.max(5 * usual), "the other trip is searching after {took:?}, usually after {usual:?}");
    // More attempts than kill a delivery, were they counted.
    let attempts = "select count(*) from outbox_deliveries where delivered_at is null and attempts > 1";
    assert_eq!(app.count(attempts).await, 0);
    assert_eq!(state_of(&rider, &held).await, "requested");

    lock.release().await;
    within(PROMPTLY, "the held trip is searching", async || {
        (state_of(&rider, &held).await == "searching").then_some(())
    })
    .await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn held_payment_delays_no_other_event_of_the_provider() {
    let app = App::start().await;
    let (first, second) = (app.rider().await, app.rider().await);
    let (held, other) = (first.request_trip().await, second.request_trip().await);
    first.until_state(id(&held), "searching").await;
    second.until_state(id(&other), "searching").await;
    let of = |trip: &Value| format!("trip_id = '{}'", trip_uuid(trip));
    let lock = HeldRows::lock(&app, format!("select from payments where {}", of(&held))).await;

    // That of the held payment is due first.
    app.break_with(&format!(
        "insert into provider_events (event_id, type, intent_id, received_at, due_at)
         select 'evt_test_' || id, 'payment_intent.created', provider_intent_id, now(),
                case when {} then now() - interval '1 hour' else now() end from payments",
        of(&held)
    ))
    .await;
    let handled = async |trip: &Value| {
        let handled = format!(
            "select count(*) from provider_events join payments on event_id = 'evt_test_' || payments.id
             where handled_at is not null and {}",
            of(trip)
        );
        app.count(&handled).await == 1
    };
    within(PROMPTLY, "the other event is handled", async || handled(&other).await.then_some(())).await;
    assert!(!handled(&held).await);

    lock.release().await;
    within(PROMPTLY, "the event of the held payment is handled", async || handled(&held).await.then_some(())).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn held_key_is_left_by_the_retention_and_the_others_are_deleted() {
    let app = App::start().await;
    let (first, second) = (app.rider().await, app.rider().await);
    let held = first.request_trip().await;
    second.request_trip().await;
    app.break_with("update idempotency_keys set created_at = created_at - interval '2 days'").await;
    let key = format!(
        "select from idempotency_keys where id = (select request_key_id from trips where id = '{}')",
        trip_uuid(&held)
    );
    let lock = HeldRows::lock(&app, key).await;
    let deleted = app.service().delete_expired().await.unwrap();
    assert_eq!((deleted.done, app.count("select count(*) from idempotency_keys").await), (1, 1));
    lock.release().await;
    app.stop().await;
}
