//! A reset while requests run.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use reqwest::StatusCode;
use ridematch::platform::db::Db;
use ridematch::platform::error::{Code, Error};
use ridematch::platform::wake::WakeHub;
use serde_json::json;
use sqlx::Executor;

use super::post;
use crate::harness::{App, HERE, THERE, database, id, in_progress};

const RESETS: usize = 10;

/// Requests without a pause, until they are stopped.
#[derive(Default)]
struct Traffic {
    is_stopped: AtomicBool,
    sent: AtomicUsize,
    internal_errors: AtomicUsize,
}

impl Traffic {
    fn count(&self, status: StatusCode) {
        self.sent.fetch_add(1, Ordering::Relaxed);
        self.internal_errors.fetch_add(usize::from(status == StatusCode::INTERNAL_SERVER_ERROR), Ordering::Relaxed);
    }

    fn goes_on(&self) -> bool {
        !self.is_stopped.load(Ordering::Relaxed)
    }

    /// A rider who requests rides and cancels them.
    async fn rides(&self, app: &App) {
        let rider = app.rider().await;
        let (pickup, dropoff) = (json!({"lat": HERE.0, "lon": HERE.1}), json!({"lat": THERE.0, "lon": THERE.1}));
        while self.goes_on() {
            let quote = rider.post_unkeyed("/v1/quotes", &json!({"pickup": pickup, "dropoff": dropoff})).await;
            self.count(quote.status);
            let order = json!({"quote_id": quote.json()["id"], "payment_method": "pm_card_visa"});
            if quote.status == StatusCode::CREATED {
                let trip = rider.post("/v1/trips", &order).await;
                self.count(trip.status);
                if trip.status == StatusCode::CREATED {
                    self.count(rider.command(id(&trip.json()), "cancel").await.status);
                }
            }
        }
    }

    /// A driver who goes online and offline.
    async fn shifts(&self, app: &App) {
        let driver = app.actor("driver").await;
        while self.goes_on() {
            for available in [true, false] {
                let shift = json!({"available": available, "name": "D", "class": "standard", "plate": "D 1"});
                self.count(driver.put("/v1/drivers/me/availability", &shift).await.status);
            }
        }
    }
}

#[tokio::test]
async fn reset_under_traffic_succeeds_and_fails_no_request() {
    let app = App::start().await;
    let traffic = Traffic::default();
    let resets = async {
        for _ in 0..RESETS {
            tokio::time::sleep(Duration::from_millis(200)).await;
            post(&app, "/v1/sandbox/reset", &json!({})).await.expect(200);
        }
        traffic.is_stopped.store(true, Ordering::Relaxed);
    };
    let rides = join_all((0..6).map(|_| traffic.rides(&app)));
    let shifts = join_all((0..6).map(|_| traffic.shifts(&app)));
    tokio::join!(resets, rides, shifts);
    assert_eq!(traffic.internal_errors.load(Ordering::Relaxed), 0, "of {:?} requests", traffic.sent);
    assert!(traffic.sent.load(Ordering::Relaxed) > 100, "{:?} requests are no traffic", traffic.sent);

    post(&app, "/v1/sandbox/reset", &json!({})).await.expect(200);
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = in_progress(&app, &rider, &driver).await;
    driver.command(id(&trip), "complete").await.expect(200);
    app.assert_clean().await;
}

/// The process has lost the connection on which it listens, and makes another one: nothing else may run on it meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn reset_runs_alone_also_while_the_process_does_not_listen() {
    let database = database().await;
    let db = Db::open(&database.url(), 4, WakeHub::default()).unwrap();
    let alone = db.transaction(db.clone(), |tx, db| {
        Box::pin(async move {
            let _others = db.other_connections(tx).await?;
            Ok(db.read((), |conn, ()| Box::pin(async move { Ok(conn.execute("select 1").await?) })).await)
        })
    });
    let other = alone.await.unwrap().expect_err("no connection is left");
    assert!(matches!(&other, Error::Refused(refusal) if refusal.code == Code::Overloaded), "{other}");
    db.drain().await;
}
