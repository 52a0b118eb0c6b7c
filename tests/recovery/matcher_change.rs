//! A change of the matcher: what the former one still decides, and what the next one restores.
#![allow(clippy::unwrap_used, reason = "tests")]

use ridematch::platform::ids::DriverId;
use ridematch::platform::work::RowBackoff;
use ridematch::startup::Running;
use ridematch::supply;
use ridematch::trips::worker::index;
use serde_json::json;
use sqlx::{Connection, PgConnection};

use crate::guards::assert_guarded;
use crate::harness::{Actor, App, HERE, THERE, assigned, id};

/// Takes the matcher's advisory lock.
const LOCK: &str = "select pg_advisory_lock(x'72696465'::int)";

/// The holders and waiters of that lock. The server has the databases of other tests too.
const LOCKS: &str = "from pg_locks where locktype = 'advisory' and objid = x'72696465'::int
    and database = (select oid from pg_database where datname = current_database())";

fn driver_id(driver: &Actor) -> DriverId {
    driver.id.parse().unwrap()
}

async fn save_checkpoint(app: &App) {
    supply::worker::checkpoint_once(app.service().platform(), app.service().supply()).await.unwrap();
}

/// Takes the matcher's lock from the service, as another process would after a lost session.
async fn depose(app: &App) -> PgConnection {
    let mut session = PgConnection::connect(&app.database.url()).await.unwrap();
    let waiting = tokio::spawn(async move {
        sqlx::query(LOCK).execute(&mut session).await.unwrap();
        session
    });
    app.until("the session waits for the lock", async || {
        (app.count(&format!("select count(*) {LOCKS} and not granted")).await == 1).then_some(())
    })
    .await;
    app.break_with(&format!("select pg_terminate_backend(pid) {LOCKS} and granted")).await;
    app.until("the service is no longer the matcher", async || (!app.service().supply().is_loaded()).then_some(()))
        .await;
    waiting.await.unwrap()
}

/// Advances the domain clock of both processes.
async fn advance_both(app: &App, other: &Running, seconds: i64) {
    app.advance(seconds).await;
    let anchor = app.service().platform().clock.anchor();
    app.until("the other process has the clock", async || (other.platform().clock.anchor() == anchor).then_some(()))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn former_matcher_decides_by_the_checkpoint_and_not_by_its_memory() {
    let app = App::start().await;
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = assigned(&app, &rider, &driver).await;
    let trip_driver = format!("/v1/trips/{}/driver", id(&trip));
    driver.send_position(&app, THERE).await;
    save_checkpoint(&app).await;
    let _lock = depose(&app).await;

    let location = json!({"position": {"lat": HERE.0, "lon": HERE.1}, "recorded_at": app.now().await});
    driver.put("/v1/drivers/me/location", &location).await.expect_problem(503, "not_the_matcher");
    assert_eq!(rider.get(&trip_driver).await.expect(200)["position"]["lat"], THERE.0);
    // The driver may have come near since the checkpoint: only the matcher can refuse.
    driver.command(id(&trip), "arrive").await.expect_problem(503, "not_the_matcher");
    app.advance(181).await;
    assert!(rider.get(&trip_driver).await.expect(200)["position"].is_null(), "older than 180 s");
    // The checkpoint is older than the silence: no free cancellation after 120 s.
    rider.command(id(&trip), "cancel").await.expect(200);
    assert_ne!(rider.get(&format!("/v1/trips/{}/receipt", id(&trip))).await.expect(200)["total"]["amount"], 0);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn driver_near_the_pickup_by_a_fresh_checkpoint_arrives_in_any_process() {
    let app = App::start().await;
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = assigned(&app, &rider, &driver).await;
    let other = app.second_process(|_| ()).await;
    let driver_there = driver.at(&other);
    driver.send_position(&app, HERE).await;
    save_checkpoint(&app).await;
    advance_both(&app, &other, 31).await;
    driver_there.command(id(&trip), "arrive").await.expect_problem(503, "not_the_matcher");
    driver.send_position(&app, HERE).await;
    save_checkpoint(&app).await;
    driver_there.command(id(&trip), "arrive").await.expect(200);
    driver_there.command(id(&trip), "arrive").await.expect(200);
    other.stop().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn arrival_by_a_position_older_than_30_s_is_refused() {
    let app = App::start().await;
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = assigned(&app, &rider, &driver).await;
    app.advance(31).await;
    driver.command(id(&trip), "arrive").await.expect_problem(409, "too_far_from_pickup");
    driver.send_position(&app, HERE).await;
    driver.command(id(&trip), "arrive").await.expect(200);
    app.stop().await;
}

/// A paused process believes that it is the matcher, while the driver sends positions to another.
#[tokio::test(flavor = "multi_thread")]
async fn matcher_that_missed_its_loss_finds_no_driver_unresponsive() {
    let app = App::start().await;
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = assigned(&app, &rider, &driver).await;
    let now = app.now().await;
    app.break_with(&format!("update matcher set epoch = epoch + 1, since = '{now}'")).await;
    app.advance(200).await;
    let (platform, supply) = (app.service().platform(), app.service().supply());
    let backoff = RowBackoff::new("unresponsive-drivers");
    let unassigned = ridematch::trips::worker::unassign_unresponsive_once(platform, supply, &backoff).await.unwrap();
    assert_eq!(unassigned, 0.into());
    rider.command(id(&trip), "cancel").await.expect(200);
    assert_ne!(rider.get(&format!("/v1/trips/{}/receipt", id(&trip))).await.expect(200)["total"]["amount"], 0);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn next_matcher_restores_the_fresh_positions_of_online_drivers() {
    let app = App::start().await;
    let (moved, gone) = (app.driver_at(HERE).await, app.driver_at(HERE).await);
    moved.send_position(&app, THERE).await;
    save_checkpoint(&app).await;
    gone.put("/v1/drivers/me/availability", &json!({"available": false})).await.expect(200);
    let next = app.second_process(|_| ()).await;
    index::load(next.platform(), next.supply()).await.unwrap();
    let last = app.service().supply().position(driver_id(&moved));
    assert!(last.is_some());
    assert_eq!(next.supply().position(driver_id(&moved)), last);
    assert_eq!(next.supply().counts(), (1, 1));
    advance_both(&app, &next, 31).await;
    index::load(next.platform(), next.supply()).await.unwrap();
    assert_eq!(next.supply().counts(), (1, 0), "the position is no longer fresh");
    next.stop().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn checkpoint_is_replaced_as_a_whole() {
    let app = App::start().await;
    let (one, other) = (app.driver_at(HERE).await, app.driver_at(HERE).await);
    let saved = async || {
        save_checkpoint(&app).await;
        let mut conn = app.sql().acquire().await.unwrap();
        let (_, positions) = supply::store::checkpoint(&mut conn).await.unwrap().unwrap();
        positions.into_iter().map(|last| last.driver).collect::<Vec<_>>()
    };
    let mut both = [driver_id(&one), driver_id(&other)];
    both.sort();
    assert_eq!(saved().await, both);
    other.put("/v1/drivers/me/availability", &json!({"available": false})).await.expect(200);
    assert_eq!(saved().await, [driver_id(&one)]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn former_matcher_saves_no_checkpoint() {
    let app = App::start().await;
    let _driver = app.driver_at(HERE).await;
    save_checkpoint(&app).await;
    let (platform, supply) = (app.service().platform(), app.service().supply());
    app.break_with("update matcher set epoch = epoch + 1").await;
    let before = app.count("select epoch from index_checkpoint").await;
    assert_guarded(supply::worker::checkpoint_once(platform, supply).await);
    assert_eq!(app.count("select epoch from index_checkpoint").await, before);
    assert_eq!(app.count("select count(*) from index_checkpoint_chunks").await, 1);
    app.stop().await;
}
