//! Repeats of a request that is still running, blocked by a row lock of the test.

use std::time::Duration;

use ridematch::platform::clock::Stopwatch;
use sqlx::{AssertSqlSafe, Postgres, Transaction};
use type_safe_id::{DynamicType, TypeSafeId};

use super::{assert_replayed, assert_same, keys, trip_request, trips};
use crate::harness::{Actor, ApiResponse, App, HERE, Options, THERE, until};
use serde_json::Value;

/// A lock on a row.
pub struct RowLock(Transaction<'static, Postgres>);

impl RowLock {
    /// Locks the row of `table` with this id.
    pub async fn row(app: &App, table: &str, id: &str) -> Self {
        let uuid = id.parse::<TypeSafeId<DynamicType>>().unwrap().uuid();
        let mut tx = app.sql().begin().await.unwrap();
        let sql = format!("select from {table} where id = '{uuid}' for update");
        let locked = sqlx::query(AssertSqlSafe(sql)).execute(&mut *tx).await.unwrap();
        assert_eq!(locked.rows_affected(), 1);
        Self(tx)
    }

    /// Locks the quote of a trip request.
    pub async fn quote(app: &App, body: &Value) -> Self {
        Self::row(app, "quotes", body["quote_id"].as_str().unwrap()).await
    }

    pub async fn release(self) {
        self.0.rollback().await.unwrap();
    }
}

/// Waits until this many sessions are blocked in a statement like `statement`. Workers and webhooks may wait for locks as well.
pub async fn until_waiting(app: &App, statement: &str, sessions: i64) {
    let sql = format!(
        "select count(*) from pg_stat_activity
         where datname = current_database() and wait_event_type = 'Lock' and query like '{statement}'"
    );
    until("the request is blocked", async || (app.count(&sql).await == sessions).then_some(())).await;
}

/// The statement that marks the quote as used.
pub const REDEEM_QUOTE: &str = "update quotes%";

/// Sends a request in a separate task.
pub fn send(actor: &Actor, key: &str, path: &str, body: &Value) -> tokio::task::JoinHandle<ApiResponse> {
    let (actor, key, path, body) = (actor.clone(), key.to_owned(), path.to_owned(), body.clone());
    tokio::spawn(async move { actor.post_with(&key, &path, &body).await })
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_repeat_waits_and_gets_the_stored_response() {
    let app = App::start().await;
    let rider = app.rider().await;
    let body = trip_request(&rider).await;
    let lock = RowLock::quote(&app, &body).await;
    let first = send(&rider, "k", "/v1/trips", &body);
    until_waiting(&app, REDEEM_QUOTE, 1).await;
    let mut repeat = send(&rider, "k", "/v1/trips", &body);
    let early = tokio::time::timeout(Duration::from_millis(200), &mut repeat).await;
    assert!(early.is_err(), "it did not wait: {early:?}");
    lock.release().await;

    let (first, repeat) = (first.await.unwrap(), repeat.await.unwrap());
    assert_eq!((first.status.as_u16(), first.header("idempotent-replayed")), (201, None));
    assert_replayed(&first, &repeat);
    assert_eq!((trips(&app).await, keys(&app).await), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_repeat_is_409_after_two_seconds() {
    let app = App::start().await;
    let rider = app.rider().await;
    let body = trip_request(&rider).await;
    let lock = RowLock::quote(&app, &body).await;
    let first = send(&rider, "k", "/v1/trips", &body);
    until_waiting(&app, REDEEM_QUOTE, 1).await;
    let timed_repeat = async {
        let watch = Stopwatch::start();
        (rider.post_with("k", "/v1/trips", &body).await, watch.elapsed())
    };
    // Another request does not wait for this key.
    let ((repeat, waited), _quote) = tokio::join!(timed_repeat, rider.quote(HERE, THERE));
    assert_eq!(repeat.header("retry-after"), Some("1"));
    repeat.expect_problem(409, "request_in_progress");
    assert!(waited >= Duration::from_secs(2), "{waited:?}");
    lock.release().await;

    let first = first.await.unwrap();
    assert_eq!(first.status, 201);
    assert_replayed(&first, &rider.post_with("k", "/v1/trips", &body).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_repeat_of_a_refused_request_runs() {
    let app = App::start().await;
    let rider = app.rider().await;
    let body = trip_request(&rider).await;
    let lock = RowLock::quote(&app, &body).await;
    let first = send(&rider, "k", "/v1/trips", &body);
    until_waiting(&app, REDEEM_QUOTE, 1).await;
    let repeat = send(&rider, "k", "/v1/trips", &body);
    // Both find the quote used: the first one stored no response to replay.
    let mut tx = lock.0;
    let used = "update quotes set used_at = created_at";
    sqlx::query(used).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    for refused in [first, repeat] {
        refused.await.unwrap().expect_problem(409, "quote_used");
    }
    assert_eq!((trips(&app).await, keys(&app).await), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn fifth_concurrent_command_is_429() {
    let app = App::with(Options { pool_max: 12, ..Options::default() }).await;
    let (rider, other) = (app.rider().await, app.rider().await);
    let (mut locks, mut running) = (Vec::new(), Vec::new());
    // The test has two connections: one lock blocks all four commands.
    let bodies = [trip_request(&rider).await, trip_request(&rider).await];
    locks.push(RowLock::quote(&app, &bodies[0]).await);
    for n in 0..4 {
        running.push(send(&rider, &format!("k{n}"), "/v1/trips", &bodies[0]));
    }
    until_waiting(&app, REDEEM_QUOTE, 4).await;
    let fifth = rider.post_with("k4", "/v1/trips", &bodies[1]).await;
    assert_eq!(fifth.header("retry-after"), Some("1"));
    fifth.expect_problem(429, "too_many_commands");
    // A repeat of a running command queues and does not count. Queries and other callers do not count either.
    let repeat = send(&rider, "k0", "/v1/trips", &bodies[0]);
    other.request_trip().await;
    rider.get("/v1/trips").await.expect(200);
    for lock in locks {
        lock.release().await;
    }
    let mut responses = Vec::new();
    for response in running {
        responses.push(response.await.unwrap());
    }
    let made: Vec<_> = responses.iter().filter(|response| response.status == 201).collect();
    assert_eq!(made.len(), 1, "one trip per quote");
    assert_eq!(keys(&app).await, 2);
    let repeat = repeat.await.unwrap();
    if responses[0].status == 201 {
        assert_same(&responses[0], &repeat);
    } else {
        repeat.expect_problem(409, "quote_used");
    }
    rider.post_with("k4", "/v1/trips", &bodies[1]).await.expect_problem(409, "active_trip_exists");
}
