//! The outbox: whose event commits late is not passed over, and whoever has lost the lease of a delivery neither marks it done nor
//! gives it back.

use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use ridematch::platform::Platform;
use ridematch::platform::clock::MachineTime;
use ridematch::platform::db::Tx;
use ridematch::platform::error::Result;
use ridematch::platform::ids::TripId;
use ridematch::platform::outbox::{self, Delivery};
use serde_json::json;
use sqlx::PgPool;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::harness::App;

/// A room of the test's own, so that no other worker claims what is meant for it.
const ROOM: &str = "guards";
const TOPIC: &str = "guards.news";
const SUBSCRIBE: &str = "insert into outbox_subscriptions (topic, subscriber) values ('guards.news', 'guards')";

async fn publish(tx: &mut Tx, trip: u128, now: MachineTime) -> Result<()> {
    outbox::publish(tx, TOPIC, TripId::from(Uuid::from_u128(trip)), json!({}), now).await
}

async fn published(platform: &Platform, trip: u128) {
    let now = platform.clock.machine();
    let end = platform.db.transaction(trip, move |tx, trip| Box::pin(publish(tx, *trip, now))).await;
    end.unwrap();
}

/// Writes an event, says so, and commits when it is told to.
async fn publish_slowly(platform: &Platform, gates: Arc<(Notify, Notify)>) -> Result<()> {
    let now = platform.clock.machine();
    let end = platform.db.transaction(gates, move |tx, gates| {
        Box::pin(async move {
            publish(tx, 1, now).await?;
            gates.0.notify_one();
            gates.1.notified().await;
            Ok(())
        })
    });
    end.await
}

/// The trips whose news were reacted to, in order.
type Heard = Arc<Mutex<Vec<TripId>>>;

fn hear<'a>(_: &'a mut Tx, heard: &'a Heard, delivery: &'a Delivery) -> BoxFuture<'a, Result<()>> {
    Box::pin(async move {
        heard.lock().unwrap().push(delivery.trip_id);
        Ok(())
    })
}

/// The numbers of events are given before the events commit: a later number may be there first.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_commits_late_is_delivered() {
    let app = App::start().await;
    app.break_with(SUBSCRIBE).await;
    let platform = app.service().platform().clone();
    let gates = Arc::new((Notify::new(), Notify::new()));
    let slow = {
        let (platform, gates) = (platform.clone(), Arc::clone(&gates));
        tokio::spawn(async move { publish_slowly(&platform, gates).await })
    };
    gates.0.notified().await;
    published(&platform, 2).await;

    let heard = Heard::default();
    assert_eq!(outbox::run_once(&platform, ROOM, Arc::clone(&heard), hear).await.unwrap(), 1);
    gates.1.notify_one();
    slow.await.unwrap().unwrap();
    assert_eq!(outbox::run_once(&platform, ROOM, Arc::clone(&heard), hear).await.unwrap(), 1, "it was passed over");
    assert_eq!(*heard.lock().unwrap(), [2, 1].map(|trip| TripId::from(Uuid::from_u128(trip))));
    app.stop().await;
}

/// Somebody else leases all other deliveries, as if this process had been stopped for a minute.
fn be_overtaken<'a>(_: &'a mut Tx, pool: &'a PgPool, delivery: &'a Delivery) -> BoxFuture<'a, Result<()>> {
    Box::pin(async move {
        let steal =
            "update outbox_deliveries set lease_token = gen_random_uuid(), leased_until = '2099-01-01', attempts = 7
                     where subscriber = 'guards' and event_id <> $1 and delivered_at is null";
        sqlx::query(steal).bind(delivery.event_id).execute(pool).await?;
        Ok(())
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_lost_a_delivery_neither_finishes_it_nor_gives_it_back() {
    let app = App::start().await;
    app.break_with(SUBSCRIBE).await;
    let platform = app.service().platform().clone();
    published(&platform, 1).await;
    published(&platform, 2).await;
    assert_eq!(outbox::run_once(&platform, ROOM, app.sql().clone(), be_overtaken).await.unwrap(), 2);
    let count = async |what: &str| {
        app.count(&format!("select count(*) from outbox_deliveries where subscriber = 'guards' and {what}")).await
    };
    assert_eq!(count("delivered_at is not null").await, 1, "the lost one was marked as done");
    assert_eq!(count("leased_until = '2099-01-01' and last_error is null").await, 1, "the lost one was given back");
    app.stop().await;
}
