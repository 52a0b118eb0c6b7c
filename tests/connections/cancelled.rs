//! Futures that own a connection, dropped at every point at which they can be.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use embedded_postgres::Database;
use ridematch::platform::db::Db;
use ridematch::platform::error::{Error, Result};
use ridematch::platform::wake::Hub;
use sqlx::postgres::PgPoolOptions;
use sqlx::{Executor, PgConnection};

use crate::harness::database;
use crate::harness::proxy::Proxy;

/// A future of ours is done after fewer polls: acquire, ping, BEGIN, each with a few turns.
const POLLS_MAX: usize = 200;

/// Rounds of dropping it after one poll, after two, and so on.
const ROUNDS: usize = 5;

/// How far away the server is, so that every answer has to be waited for and there is a moment to drop the future in.
const DISTANCE: Duration = Duration::from_millis(2);

/// PostgreSQL's code for a savepoint outside of any transaction.
const NO_ACTIVE_TRANSACTION: &str = "25P01";

/// Polls a future so many times and then drops it; its output, if it was done by then.
async fn polled<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|context| {
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Whether the connection is in a transaction: a savepoint can be made in one only.
async fn is_in_transaction(conn: &mut PgConnection) -> std::result::Result<bool, sqlx::Error> {
    match conn.execute("savepoint probe").await {
        Ok(_) => Ok(true),
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(NO_ACTIVE_TRANSACTION) => Ok(false),
        Err(error) => Err(error),
    }
}

/// A database, and its address at a distance.
async fn far_away() -> (Database, String) {
    let database = database().await;
    let proxy = Proxy::with_delay(&database.url(), DISTANCE).await;
    (database, proxy.url())
}

/// A pool of one connection.
async fn one_connection() -> (Database, Db) {
    let (database, url) = far_away().await;
    (database, Db::open(&url, 1, Hub::default()).unwrap())
}

/// Fails unless the one connection of the pool can be had, and is in no transaction.
async fn assert_healthy(db: &Db) {
    let poisoned = db.read((), |conn, ()| Box::pin(async move { Ok(is_in_transaction(conn).await?) })).await;
    assert!(!poisoned.unwrap(), "the connection went back with a transaction open in it");
}

async fn count(db: &Db, sql: &'static str) -> i64 {
    db.read(sql, |conn, sql| Box::pin(async move { Ok(sqlx::query_scalar(*sql).fetch_one(conn).await?) }))
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_begin_poisons_no_connection() {
    let (_database, db) = one_connection().await;
    let mut cancelled = 0;
    for _ in 0..ROUNDS {
        for polls in 1..POLLS_MAX {
            let end = polled(polls, db.begin()).await;
            let is_done = end.is_some();
            // A transaction that is dropped with no end to it is the same danger.
            drop(end);
            assert_healthy(&db).await;
            if is_done {
                break;
            }
            cancelled += 1;
        }
    }
    assert!(cancelled >= ROUNDS, "it was cancelled {cancelled} times only");
}

/// Why `Db::begin` is written by hand. When this fails, sqlx has been mended: then `Pool::begin` will do, `Db` loses some lines, and
/// this test goes. The one above stays.
#[tokio::test(flavor = "multi_thread")]
async fn the_begin_of_sqlx_itself_still_does() {
    let (_database, url) = far_away().await;
    let pool = PgPoolOptions::new().max_connections(1).connect(&url).await.unwrap();
    let mut poisoned = 0;
    for _ in 0..ROUNDS {
        for polls in 1..POLLS_MAX {
            let is_done = polled(polls, pool.begin()).await.is_some();
            let mut conn = pool.acquire().await.unwrap();
            if is_in_transaction(&mut conn).await.unwrap() {
                poisoned += 1;
                conn.execute("rollback").await.unwrap();
            }
            if is_done {
                break;
            }
        }
    }
    assert!(poisoned > 0, "a cancelled begin() leaves no transaction open any more: transact-rs/sqlx#4393 is mended");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_cancelled_in_a_transaction_costs_its_connection_and_no_other() {
    let (_database, db) = one_connection().await;
    for _ in 0..ROUNDS {
        for polls in 1..POLLS_MAX {
            let mut tx = db.begin().await.unwrap();
            let is_done = polled(polls, tx.execute("create table half_done ()")).await.is_some();
            drop(tx);
            assert_healthy(&db).await;
            if is_done {
                break;
            }
        }
    }
    let left = count(&db, "select count(*) from pg_class where relname = 'half_done'").await;
    assert_eq!(left, 0, "nobody committed it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_a_transaction_costs_its_connection_and_no_other() {
    let (_database, db) = one_connection().await;
    for _ in 0..ROUNDS {
        let end: Result<()> = db.transaction((), |_, ()| Box::pin(async { panic!("as the test wants it") })).await;
        assert!(matches!(end, Err(Error::Bug(_))), "{end:?}");
        assert_healthy(&db).await;
    }
    db.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn work_goes_on_when_nobody_waits_for_it_and_a_drain_waits_for_its_end() {
    let database = database().await;
    let open = || Db::open(&database.url(), 4, Hub::default()).unwrap();
    let db = open();
    db.transaction((), |tx, ()| {
        Box::pin(async move {
            tx.execute("create table deeds (nth int)").await?;
            Ok(())
        })
    })
    .await
    .unwrap();
    for nth in 0..20 {
        let deed = db.transaction(nth, |tx, nth| {
            Box::pin(async move {
                sqlx::query("insert into deeds values ($1)").bind(*nth).execute(&mut **tx).await?;
                Ok(())
            })
        });
        drop(polled(1, deed).await); // begun, and no longer waited for
    }
    db.drain().await;
    assert_eq!(count(&open(), "select count(*) from deeds").await, 20);
}
