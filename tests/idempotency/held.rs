//! Repeats of a request whose first try still runs. What holds it up is a row lock that the test has taken.

use std::time::Duration;

use ridematch::platform::clock::Stopwatch;
use sqlx::{AssertSqlSafe, Postgres, Transaction};
use type_safe_id::{DynamicType, TypeSafeId};

use super::{assert_replayed, assert_same, keys, trips, wish};
use crate::harness::{Actor, Answer, App, Options, until};
use serde_json::Value;

/// A lock on a row. Whoever needs the row waits.
pub struct Hold(Transaction<'static, Postgres>);

impl Hold {
    /// Locks the row of `table` that has this id.
    pub async fn row(app: &App, table: &str, id: &str) -> Self {
        let uuid = id.parse::<TypeSafeId<DynamicType>>().unwrap().uuid();
        let mut tx = app.sql().begin().await.unwrap();
        let sql = format!("select from {table} where id = '{uuid}' for update");
        let locked = sqlx::query(AssertSqlSafe(sql)).execute(&mut *tx).await.unwrap();
        assert_eq!(locked.rows_affected(), 1);
        Self(tx)
    }

    /// Locks the quote that a request for a trip names.
    pub async fn quote(app: &App, wish: &Value) -> Self {
        Self::row(app, "quotes", wish["quote_id"].as_str().unwrap()).await
    }

    pub async fn let_go(self) {
        self.0.rollback().await.unwrap();
    }
}

/// Waits until so many sessions are held up in a statement like `statement`. (Not just any: workers and webhooks wait for locks too.)
pub async fn until_waiting(app: &App, statement: &str, sessions: i64) {
    let sql = format!(
        "select count(*) from pg_stat_activity
         where datname = current_database() and wait_event_type = 'Lock' and query like '{statement}'"
    );
    until("the first try is held up", async || (app.count(&sql).await == sessions).then_some(())).await;
}

/// How a request for a trip uses up its quote.
pub const USES_UP: &str = "update quotes%";

/// A request on its way, in a task of its own.
pub fn send(who: &Actor, key: &str, path: &str, body: &Value) -> tokio::task::JoinHandle<Answer> {
    let (who, key, path, body) = (who.clone(), key.to_owned(), path.to_owned(), body.clone());
    tokio::spawn(async move { who.post_with(&key, &path, &body).await })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_waits_for_the_first_try_and_gets_its_answer() {
    let app = App::start().await;
    let rider = app.rider().await;
    let body = wish(&rider).await;
    let hold = Hold::quote(&app, &body).await;
    let first = send(&rider, "k", "/v1/trips", &body);
    until_waiting(&app, USES_UP, 1).await;
    let mut repeat = send(&rider, "k", "/v1/trips", &body);
    let early = tokio::time::timeout(Duration::from_millis(200), &mut repeat).await;
    assert!(early.is_err(), "it did not wait: {early:?}");
    hold.let_go().await;

    let (first, repeat) = (first.await.unwrap(), repeat.await.unwrap());
    assert_eq!((first.status.as_u16(), first.header("idempotent-replayed")), (201, None));
    assert_replayed(&first, &repeat);
    assert_eq!((trips(&app).await, keys(&app).await), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_that_has_waited_for_two_seconds_is_told_to_come_back() {
    let app = App::start().await;
    let rider = app.rider().await;
    let body = wish(&rider).await;
    let hold = Hold::quote(&app, &body).await;
    let first = send(&rider, "k", "/v1/trips", &body);
    until_waiting(&app, USES_UP, 1).await;
    let watch = Stopwatch::start();
    let repeat = rider.post_with("k", "/v1/trips", &body).await;
    let waited = watch.elapsed();
    assert_eq!(repeat.header("retry-after"), Some("1"));
    repeat.expect_problem(409, "request_in_progress");
    assert!(waited >= Duration::from_secs(2), "{waited:?}");
    // Another request does not wait for this key.
    rider.quote(crate::HERE, crate::THERE).await;
    hold.let_go().await;

    let first = first.await.unwrap();
    assert_eq!(first.status, 201);
    assert_replayed(&first, &rider.post_with("k", "/v1/trips", &body).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_of_a_first_try_that_is_refused_runs_itself() {
    let app = App::start().await;
    let rider = app.rider().await;
    let body = wish(&rider).await;
    let hold = Hold::quote(&app, &body).await;
    let first = send(&rider, "k", "/v1/trips", &body);
    until_waiting(&app, USES_UP, 1).await;
    let repeat = send(&rider, "k", "/v1/trips", &body);
    // The first try finds its quote used, and so does the repeat: nothing was stored for it to replay.
    let mut tx = hold.0;
    let used = "update quotes set used_at = created_at";
    sqlx::query(used).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    for refused in [first, repeat] {
        refused.await.unwrap().expect_problem(409, "quote_used");
    }
    assert_eq!((trips(&app).await, keys(&app).await), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn at_most_four_commands_of_one_caller_are_in_flight() {
    let app = App::with(Options { pool_max: 12, ..Options::default() }).await;
    let (rider, other) = (app.rider().await, app.rider().await);
    let (mut holds, mut running) = (Vec::new(), Vec::new());
    // Two connections are all that the test has: one lock holds two of the commands up.
    let bodies = [wish(&rider).await, wish(&rider).await];
    holds.push(Hold::quote(&app, &bodies[0]).await);
    for n in 0..4 {
        running.push(send(&rider, &format!("k{n}"), "/v1/trips", &bodies[0]));
    }
    until_waiting(&app, USES_UP, 4).await;
    let fifth = rider.post_with("k4", "/v1/trips", &bodies[1]).await;
    assert_eq!(fifth.header("retry-after"), Some("1"));
    fifth.expect_problem(429, "too_many_commands");
    // A repeat of one of the four is no fifth: it queues. Nor is anybody else's command, nor a query.
    let repeat = send(&rider, "k0", "/v1/trips", &bodies[0]);
    other.request_trip().await;
    rider.get("/v1/trips").await.expect(200);
    for hold in holds {
        hold.let_go().await;
    }
    let mut answers = Vec::new();
    for answer in running {
        answers.push(answer.await.unwrap());
    }
    let made: Vec<_> = answers.iter().filter(|answer| answer.status == 201).collect();
    assert_eq!(made.len(), 1, "one quote makes one trip");
    assert_eq!(keys(&app).await, 2);
    let repeat = repeat.await.unwrap();
    if answers[0].status == 201 {
        assert_same(&answers[0], &repeat);
    } else {
        repeat.expect_problem(409, "quote_used");
    }
    rider.post_with("k4", "/v1/trips", &bodies[1]).await.expect_problem(409, "active_trip_exists");
}
