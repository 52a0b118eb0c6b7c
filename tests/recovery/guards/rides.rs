//! Versions of trips, decisions about offers, engagements, and the matcher's epoch.

use chrono::TimeDelta;
use ridematch::platform::clock::DomainTime;
use ridematch::platform::ids::{OfferId, TripId};
use ridematch::platform::leader;
use ridematch::trips::offer::{Decision, Offer};
use ridematch::trips::state_machine::Trip;
use ridematch::trips::store;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::guards::{assert_guarded, late, session};
use crate::harness::App;
use crate::harness::audit_fixture::app_with_trips;

/// Inserts a pending offer of the searching trip to the unavailable driver; it expires in 2099.
async fn pending_offer(app: &App, conn: &mut PgConnection) -> Offer {
    app.break_with(
        "insert into offers (id, trip_id, driver_id, status, pickup_distance_m, matcher_epoch, created_at, expires_at)
         select '00000000-0000-0000-0000-000000000007', trips.id, drivers.id, 'pending', 1, 1, '2020-01-01', '2099-01-01'
         from trips, drivers where trips.state = 'searching' and not drivers.available",
    )
    .await;
    store::find_offer(conn, OfferId::from(Uuid::from_u128(7))).await.unwrap().unwrap()
}

fn accepted(offer: &Offer) -> Offer {
    offer.decide(Decision::Accept, DomainTime::new(late() - TimeDelta::days(1))).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_offer_is_not_accepted() {
    let app = app_with_trips().await;
    let conn = &mut session(&app).await;
    let offer = pending_offer(&app, conn).await;
    app.break_with("update offers set expires_at = '2098-12-31' where status = 'pending'").await;
    assert_guarded(store::decide_offer(conn, &accepted(&offer)).await);
    app.break_with("update offers set expires_at = '2099-01-01' where status = 'pending'").await;
    store::decide_offer(conn, &accepted(&offer)).await.unwrap();
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn offer_is_decided_once() {
    let app = app_with_trips().await;
    let conn = &mut session(&app).await;
    let offer = pending_offer(&app, conn).await;
    let withdrawn = offer.decide(Decision::Withdraw, DomainTime::new(late())).unwrap();
    store::decide_offer(conn, &withdrawn).await.unwrap();
    assert_guarded(store::decide_offer(conn, &accepted(&offer)).await);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn transition_from_a_stale_version_is_not_written() {
    let app = app_with_trips().await;
    let conn = &mut session(&app).await;
    let id: Uuid =
        sqlx::query_scalar("select id from trips where state = 'searching'").fetch_one(&mut *conn).await.unwrap();
    let trip = store::find(conn, TripId::from(id)).await.unwrap().unwrap();
    let stale = Trip { version: trip.version - 1, ..trip.clone() };
    assert_guarded(store::save(conn, &stale, &trip).await);
    store::save(conn, &trip, &trip).await.unwrap();
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn engagement_becomes_a_ride_once_and_by_its_own_offer() {
    let app = app_with_trips().await;
    let conn = &mut session(&app).await;
    let offer = pending_offer(&app, conn).await;
    assert!(store::engage(conn, &offer).await.unwrap());
    assert!(!store::engage(conn, &offer).await.unwrap(), "engaged twice");
    let another = Offer { id: OfferId::from(Uuid::from_u128(8)), ..offer.clone() };
    assert_guarded(store::engage_for_ride(conn, &another).await);
    store::engage_for_ride(conn, &offer).await.unwrap();
    assert_guarded(store::engage_for_ride(conn, &offer).await);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn former_matcher_makes_no_offer() {
    let app = App::start().await;
    let platform = app.service().platform().clone();
    let epoch = platform.leadership.epoch().unwrap();
    let fence = |epoch: i64| platform.db.transaction(epoch, |tx, epoch| Box::pin(leader::fence(tx, *epoch)));
    fence(epoch).await.unwrap();
    assert_guarded(fence(epoch - 1).await);
    app.stop().await;
}
