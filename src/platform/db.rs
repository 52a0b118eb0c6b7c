//! The door to the database. Every change of state goes through [`Db::transaction`] or, with an idempotency key,
//! [`super::idempotency::command`]; every read through [`Db::read`].
//!
//! Work runs in a task of its own, on the process's main runtime: a client that hangs up cancels nothing, and no future that
//! owns a connection is ever dropped half-way. The tasks are counted, and a shutdown waits for them.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use futures_util::future::BoxFuture;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{PgConnection, PgPool, Postgres, pool::PoolConnection};
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;
use tracing::Instrument;
use uuid::Uuid;

use super::error::{Code, Error, Refusal, Result};
use super::wake::{Hub, Wake};

/// How often a transaction is run again after a serialization failure or a deadlock. With row locks in one order both are
/// rare; three times in a row is a bug worth an error.
const TRANSACTION_ATTEMPTS_MAX: u32 = 4;

/// How long a request waits for a free connection. Past that the pool is not busy but overwhelmed, and a quick 503 helps more.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);

/// A connection to run queries on, inside a transaction or outside.
pub type Conn = PgConnection;

/// The pool, and the runtime that its work runs on.
#[derive(Debug, Clone)]
pub struct Db {
    pool: PgPool,
    tasks: TaskTracker,
    runtime: Handle,
    hub: Hub,
}

impl Db {
    /// Opens a pool of at most `connections_max` connections. The first one is made when it is needed.
    ///
    /// # Errors
    /// If `url` is not a PostgreSQL URL.
    pub fn open(url: &str, connections_max: u32, hub: Hub) -> Result<Self> {
        let options: PgConnectOptions = url.parse()?;
        let pool = PgPoolOptions::new()
            .max_connections(connections_max)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_lazy_with(options.application_name("ridematch"));
        Ok(Self { pool, tasks: TaskTracker::new(), runtime: Handle::current(), hub })
    }

    /// The pool itself: for migrations, the listener, and gauges.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// The in-process wakes that a commit sets off.
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Runs `work` in a tracked task and waits for it.
    ///
    /// # Errors
    /// What `work` returns; [`Error::Bug`] if it panicked.
    pub async fn task<T: Send + 'static>(&self, work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
        let work = super::telemetry::within(super::telemetry::context(), work);
        let task = self.tasks.spawn_on(work.in_current_span(), &self.runtime);
        task.await.unwrap_or_else(|panic| Err(Error::Bug(format!("a task died: {panic}"))))
    }

    /// Runs queries on one connection, outside any transaction.
    ///
    /// # Errors
    /// What `query` returns, or that no connection could be had.
    pub async fn read<I, T>(
        &self,
        input: I,
        query: impl for<'a> FnOnce(&'a mut PgConnection, &'a I) -> BoxFuture<'a, Result<T>> + Send + 'static,
    ) -> Result<T>
    where
        I: Send + Sync + 'static,
        T: Send + 'static,
    {
        let pool = self.pool.clone();
        self.task(async move {
            let mut conn = acquire(&pool).await?;
            query(&mut conn, &input).await
        })
        .await
    }

    /// Runs queries in one snapshot: all of them see the database as it was at one moment. For audits, not for requests: the
    /// snapshot holds a connection, and keeps dead rows from being cleaned away, for as long as it lives.
    ///
    /// # Errors
    /// What `query` returns, that no connection could be had, or that a query took longer than a minute.
    pub async fn snapshot<I, T>(
        &self,
        input: I,
        query: impl for<'a> FnOnce(&'a mut PgConnection, &'a I) -> BoxFuture<'a, Result<T>> + Send + 'static,
    ) -> Result<T>
    where
        I: Send + Sync + 'static,
        T: Send + 'static,
    {
        let db = self.clone();
        self.task(async move {
            let mut tx = db.begin().await?;
            sqlx::query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY").execute(&mut *tx).await?;
            sqlx::query("SET LOCAL statement_timeout = '60s'").execute(&mut *tx).await?;
            let end = query(&mut tx, &input).await;
            tx.roll_back().await; // there is nothing to commit
            end
        })
        .await
    }

    /// Runs `build` in a transaction and commits it; a refusal or an error rolls it back, unless the refusal says that it
    /// commits. `input` holds everything the work needs, ids made beforehand included, so that a run after a deadlock is the
    /// same work and not another.
    ///
    /// # Errors
    /// What `build` returns; [`Error::OutcomeUnknown`] if the connection was lost at COMMIT.
    pub async fn transaction<I, T>(
        &self,
        input: I,
        build: impl for<'a> Fn(&'a mut Tx, &'a I) -> BoxFuture<'a, Result<T>> + Send + Sync + 'static,
    ) -> Result<T>
    where
        I: Send + Sync + 'static,
        T: Send + 'static,
    {
        let db = self.clone();
        self.task(async move { db.run(&input, &build).await }).await
    }

    /// The loop behind [`Db::transaction`], for callers who are in a tracked task already.
    pub(super) async fn run<I, T>(
        &self,
        input: &I,
        build: &(impl for<'a> Fn(&'a mut Tx, &'a I) -> BoxFuture<'a, Result<T>> + Send + Sync),
    ) -> Result<T>
    where
        I: Sync,
    {
        let mut attempt = 1;
        loop {
            match self.run_once(input, build).await {
                Err(error) if error.is_transient() && attempt < TRANSACTION_ATTEMPTS_MAX => {
                    tracing::debug!(%error, attempt, "transaction runs again");
                    tokio::time::sleep(Duration::from_millis(u64::from(5 * attempt))).await;
                    attempt += 1;
                }
                end => return end,
            }
        }
    }

    async fn run_once<I, T>(
        &self,
        input: &I,
        build: &(impl for<'a> Fn(&'a mut Tx, &'a I) -> BoxFuture<'a, Result<T>> + Send + Sync),
    ) -> Result<T> {
        let mut tx = self.begin().await?;
        let end = build(&mut tx, input).await;
        let keep = match &end {
            Ok(_) => true,
            Err(Error::Refused(refusal)) => refusal.commits,
            Err(_) => false,
        };
        if keep {
            tx.commit(&self.hub).await?
        } else {
            tx.roll_back().await
        }
        end
    }

    /// Begins a transaction. A future dropped in here, or a [`Tx`] dropped before its end, costs the connection and nothing
    /// else: it is closed instead of going back to the pool with a transaction open in it (transact-rs/sqlx#4393).
    ///
    /// # Errors
    /// If no connection can be had, or the server does not answer.
    pub async fn begin(&self) -> Result<Tx> {
        let mut tx = Tx { conn: Some(acquire(&self.pool).await?), wakes: Vec::new(), key_id: None };
        sqlx::query("BEGIN").execute(&mut *tx).await?;
        Ok(tx)
    }

    /// Takes no new work's side, waits for the work under way, and closes the pool.
    pub async fn drain(&self) {
        self.tasks.close();
        self.tasks.wait().await;
        self.pool.close().await;
    }

    /// Work under way, for the gauge.
    pub fn tasks_running(&self) -> usize {
        self.tasks.len()
    }
}

async fn acquire(pool: &PgPool) -> Result<PoolConnection<Postgres>> {
    pool.acquire().await.map_err(|error| match error {
        sqlx::Error::PoolTimedOut => Refusal::new(
            Code::Overloaded,
            "All database connections have been busy for too long. Nothing was done; try again in a moment.",
        )
        .retry_after(1)
        .into(),
        error => error.into(),
    })
}

/// An open transaction. Derefs to the connection, so that queries run on it.
#[derive(Debug)]
pub struct Tx {
    /// `None` once it has ended in order.
    conn: Option<PoolConnection<Postgres>>,
    wakes: Vec<Wake>,
    key_id: Option<Uuid>,
}

impl Tx {
    /// Tells whoever waits for `wake`, here and in other processes, once this has committed.
    pub fn wake(&mut self, wake: Wake) {
        if !self.wakes.contains(&wake) {
            self.wakes.push(wake);
        }
    }

    /// The id of the idempotency key that this transaction runs under. The row that is its effect carries it.
    pub fn key_id(&self) -> Option<Uuid> {
        self.key_id
    }

    pub(super) fn set_key_id(&mut self, key_id: Uuid) {
        self.key_id = Some(key_id);
    }

    async fn commit(mut self, hub: &Hub) -> Result<()> {
        match sqlx::query("COMMIT").execute(&mut *self).await {
            Ok(_) => {
                self.conn = None;
                hub.wake(&std::mem::take(&mut self.wakes));
                Ok(())
            }
            // A deferred constraint refused, or the like: the server has rolled back, and says so.
            Err(error @ sqlx::Error::Database(_)) => {
                self.roll_back().await;
                Err(error.into())
            }
            Err(error) => Err(Error::OutcomeUnknown(error)),
        }
    }

    async fn roll_back(mut self) {
        if sqlx::query("ROLLBACK").execute(&mut *self).await.is_ok() {
            self.conn = None;
        }
    }
}

impl Drop for Tx {
    fn drop(&mut self) {
        if let Some(conn) = self.conn.take() {
            drop(conn.detach());
        }
    }
}

impl Deref for Tx {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        self.conn.as_deref().unwrap_or_else(|| unreachable!("a transaction that has ended is consumed"))
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.conn.as_deref_mut().unwrap_or_else(|| unreachable!("a transaction that has ended is consumed"))
    }
}

/// A compare-and-set that must hit exactly one row: the guard stands in the `where`, and zero rows is a conflict.
///
/// # Errors
/// `conflict()` if no row was changed.
pub fn one_row(done: &sqlx::postgres::PgQueryResult, conflict: impl FnOnce() -> Refusal) -> Result<()> {
    match done.rows_affected() {
        1 => Ok(()),
        0 => Err(conflict().into()),
        n => Err(Error::Bug(format!("a write meant for one row changed {n}"))),
    }
}
