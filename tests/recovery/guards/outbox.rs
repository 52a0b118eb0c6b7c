//! The outbox: an event that commits late is delivered, and a lost lease neither finishes a delivery nor releases it.

use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use ridematch::platform::Platform;
use ridematch::platform::clock::MachineTime;
use ridematch::platform::db::Tx;
use ridematch::platform::error::Result;
use ridematch::platform::ids::TripId;
use ridematch::platform::outbox::{self, Delivery};
use ridematch::platform::work::RunOutcome;
use serde_json::json;
use sqlx::PgPool;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::harness::App;

/// A subscriber of the test's own, so that no worker claims its deliveries.
const SUBSCRIBER: &str = "guards";
const TOPIC: &str = "guards.changed";
const SUBSCRIBE: &str = "insert into outbox_subscriptions (topic, subscriber) values ('guards.changed', 'guards')";

async fn publish(tx: &mut Tx, trip: u128, now: MachineTime) -> Result<()> {
    outbox::publish(tx, TOPIC, TripId::from(Uuid::from_u128(trip)), json!({}), now).await
}

async fn published(platform: &Platform, trip: u128) {
    let now = platform.clock.machine();
    let end = platform.db.transaction(trip, move |tx, trip| Box::pin(publish(tx, *trip, now))).await;
    end.unwrap();
}

/// Writes an event, notifies the first gate, and commits after the second is notified.
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

/// The trips of the handled events, in order.
type Handled = Arc<Mutex<Vec<TripId>>>;

fn handle<'a>(_: &'a mut Tx, handled: &'a Handled, delivery: &'a Delivery) -> BoxFuture<'a, Result<()>> {
    Box::pin(async move {
        handled.lock().unwrap().push(delivery.trip_id);
        Ok(())
    })
}

/// Event ids are assigned before the events commit, so a greater id can be visible first.
#[tokio::test(flavor = "multi_thread")]
async fn event_that_commits_late_is_delivered() {
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

    let handled = Handled::default();
    assert_eq!(outbox::run_once(&platform, SUBSCRIBER, || Arc::clone(&handled), handle).await.unwrap(), 1.into());
    gates.1.notify_one();
    slow.await.unwrap().unwrap();
    assert_eq!(
        outbox::run_once(&platform, SUBSCRIBER, || Arc::clone(&handled), handle).await.unwrap(),
        1.into(),
        "the event was skipped"
    );
    assert_eq!(*handled.lock().unwrap(), [2, 1].map(|trip| TripId::from(Uuid::from_u128(trip))));
    app.stop().await;
}

/// Leases all other deliveries, as another process would if this one had been paused for a minute.
fn steal_leases<'a>(_: &'a mut Tx, pool: &'a PgPool, delivery: &'a Delivery) -> BoxFuture<'a, Result<()>> {
    Box::pin(async move {
        let steal =
            "update outbox_deliveries set lease_token = gen_random_uuid(), leased_until = '2099-01-01', attempts = 7
                     where subscriber = 'guards' and event_id <> $1 and delivered_at is null";
        sqlx::query(steal).bind(delivery.event_id).execute(pool).await?;
        Ok(())
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_delivery_lease_neither_finishes_nor_releases_it() {
    let app = App::start().await;
    app.break_with(SUBSCRIBE).await;
    let platform = app.service().platform().clone();
    published(&platform, 1).await;
    published(&platform, 2).await;
    let outcome = outbox::run_once(&platform, SUBSCRIBER, || app.sql().clone(), steal_leases).await.unwrap();
    assert_eq!(outcome, RunOutcome { done: 1, failed: 1 });
    let count = async |what: &str| {
        app.count(&format!("select count(*) from outbox_deliveries where subscriber = 'guards' and {what}")).await
    };
    assert_eq!(count("delivered_at is not null").await, 1, "the lost delivery was marked as done");
    assert_eq!(count("leased_until = '2099-01-01' and last_error is null").await, 1, "the lost delivery was released");
    app.stop().await;
}

/// The ids of the rows that a reaction inserts are made before its transaction: two reactions need different ones.
#[tokio::test(flavor = "multi_thread")]
async fn each_reaction_has_a_context_of_its_own() {
    type Context = (u32, Arc<Mutex<Vec<u32>>>);
    fn record<'a>(_: &'a mut Tx, (number, seen): &'a Context, _: &'a Delivery) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            seen.lock().unwrap().push(*number);
            Ok(())
        })
    }
    let app = App::start().await;
    app.break_with(SUBSCRIBE).await;
    let platform = app.service().platform().clone();
    for trip in 1..4 {
        published(&platform, trip).await;
    }
    let (made, seen) = (Arc::new(Mutex::new(0)), Arc::new(Mutex::new(Vec::new())));
    let context = || {
        let mut made = made.lock().unwrap();
        *made += 1;
        (*made, Arc::clone(&seen))
    };
    assert_eq!(outbox::run_once(&platform, SUBSCRIBER, context, record).await.unwrap(), 3.into());
    assert_eq!(*seen.lock().unwrap(), [1, 2, 3]);
    app.stop().await;
}
