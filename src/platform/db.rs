//! Database access. Every state change goes through [`Db::transaction`] or, with an idempotency key,
//! [`super::idempotency::Execution::run`]; every read goes through [`Db::read`].
//!
//! Work runs in its own task on the process's main runtime. A client that disconnects therefore cancels nothing, and no future
//! that owns a connection is dropped midway. Tasks are counted, and shutdown waits for them.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use futures_util::future::BoxFuture;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{PgConnection, PgPool, Postgres, pool::PoolConnection};
use uuid::Uuid;

use super::error::{Code, Error, Refusal, Result};
use super::tasks::Tasks;
use super::wake::{Wake, WakeHub};

/// The maximum number of attempts of a transaction after serialization failures, deadlocks and stale writes. Row locks are
/// taken in one order, so these are rare; four failures in a row indicate a bug.
const TRANSACTION_ATTEMPTS_MAX: u32 = 4;

/// How long a request waits for a free connection. After that the pool is overloaded, and a quick 503 is better than a longer wait.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);

/// How long running transactions and queries may take to end. A request's takes milliseconds, an audit's seconds.
#[cfg(feature = "sandbox")]
const OTHERS_END_WITHIN: Duration = Duration::from_secs(15);

/// The settings of every session. What a stopped process has locked is free again within seconds, and whatever waits for it ends
/// with an error before it occupies the pool.
///
/// - `lock_timeout`: as long as a request waits for a connection.
/// - `idle_in_transaction_session_timeout`: a transaction only runs statements, so the process of an idle one has stopped.
/// - `tcp_…`: a machine that has not acknowledged anything for five seconds is gone. A Unix socket ignores them.
/// - `max_parallel_workers_per_gather`: statements are short, and parallel workers read rows beyond the `limit` of a page.
const SESSION_SETTINGS: [(&str, &str); 7] = [
    ("lock_timeout", "3s"),
    ("idle_in_transaction_session_timeout", "5s"),
    ("tcp_keepalives_idle", "2"),
    ("tcp_keepalives_interval", "1"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "5s"),
    ("max_parallel_workers_per_gather", "0"),
];

/// The longest statement. The slowest query of a request takes a fraction of a second.
const STATEMENT_TIMEOUT: (&str, &str) = ("statement_timeout", "30s");

/// Shortens the wait for a lock in the transaction of a worker, which has other rows to process and tries this one again later.
const WAIT_BRIEFLY: &str = "SET LOCAL lock_timeout = '200ms'";

/// Returns the options of a session at `url`, with the settings of every session.
///
/// # Errors
/// If `url` is not a PostgreSQL URL.
pub fn session_options(url: &str) -> Result<PgConnectOptions> {
    let options: PgConnectOptions = url.parse()?;
    Ok(options.application_name("ridematch").options(SESSION_SETTINGS))
}

/// A connection, inside or outside of a transaction.
pub type Conn = PgConnection;

/// The connections, and the tasks that work on them.
#[derive(Debug, Clone)]
pub struct Db {
    pool: PgPool,
    listener: PgPool,
    tasks: Tasks,
    hub: WakeHub,
    waits_briefly: bool,
}

impl Db {
    /// Opens at most `connections_max` connections, one of them in a pool for the listener alone. They are made on demand.
    ///
    /// # Errors
    /// If `url` is not a PostgreSQL URL.
    pub fn open(url: &str, connections_max: u32, hub: WakeHub) -> Result<Self> {
        let options = session_options(url)?.options([STATEMENT_TIMEOUT]);
        let pool = PgPoolOptions::new()
            .max_connections(connections_max.saturating_sub(1).max(1))
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_lazy_with(options.clone());
        let listener =
            PgPoolOptions::new().max_connections(1).acquire_timeout(ACQUIRE_TIMEOUT).connect_lazy_with(options);
        Ok(Self { pool, listener, tasks: Tasks::new(), hub, waits_briefly: false })
    }

    /// Returns a handle for workers: its transactions wait for a lock for at most 200 ms.
    #[must_use]
    pub fn waiting_briefly(&self) -> Self {
        Self { waits_briefly: true, ..self.clone() }
    }

    /// The pool of all work, for gauges.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// The pool of the one connection on which the process listens for wakes.
    pub fn listener(&self) -> &PgPool {
        &self.listener
    }

    /// The in-process wakes that a commit triggers.
    pub fn wake_hub(&self) -> &WakeHub {
        &self.hub
    }

    /// Runs `work` in a task, as [`Tasks::run`] does.
    ///
    /// # Errors
    /// The error of `work`; [`Error::Bug`] if it panicked.
    pub fn task<T, W>(&self, work: W) -> impl Future<Output = Result<T>> + Send
    where
        T: Send + 'static,
        W: Future<Output = Result<T>> + Send + 'static,
    {
        self.tasks.run(work)
    }

    /// Runs queries on one connection, outside of a transaction.
    ///
    /// # Errors
    /// The error of `query`; [`Code::Overloaded`] if no connection is free.
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

    /// Runs queries in one REPEATABLE READ snapshot. For audits only: a snapshot holds a connection and blocks vacuum while it
    /// lasts.
    ///
    /// # Errors
    /// The error of `query`; [`Code::Overloaded`] if no connection is free; a query that takes more than a minute.
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
            // To compile an audit's query takes longer than to run it for a window.
            sqlx::query("SET LOCAL jit = off").execute(&mut *tx).await?;
            let end = query(&mut tx, &input).await;
            tx.roll_back().await;
            end
        })
        .await
    }

    /// Runs `build` in a transaction and commits it. An error rolls it back, except for a [`Refusal`] with `commits`. `input` holds
    /// everything that the work needs, generated ids included, so that a retry does the same work.
    ///
    /// # Errors
    /// The error of `build`; [`Error::OutcomeUnknown`] if the connection was lost at COMMIT.
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

    /// As [`Db::transaction`], for callers that run in a tracked task already.
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
                    tracing::debug!(%error, attempt, "retrying transaction");
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
        let commits = match &end {
            Ok(_) => true,
            Err(Error::Refused(refusal)) => refusal.commits,
            Err(_) => false,
        };
        if commits {
            tx.commit(&self.hub).await?
        } else {
            tx.roll_back().await
        }
        end
    }

    /// Begins a transaction. If this future, or an open [`Tx`], is dropped, the connection is closed. sqlx would return it to the
    /// pool with the transaction still open (transact-rs/sqlx#4393).
    ///
    /// # Errors
    /// [`Code::Overloaded`] if no connection is free; an error of the connection.
    pub async fn begin(&self) -> Result<Tx> {
        let mut tx = Tx { conn: Some(acquire(&self.pool).await?), wakes: Vec::new(), key_id: None };
        sqlx::query("BEGIN").execute(&mut *tx).await?;
        if self.waits_briefly {
            sqlx::query(WAIT_BRIEFLY).execute(&mut *tx).await?;
        }
        Ok(tx)
    }

    /// Takes all connections of the pool but `conn`. Until they are dropped, the transaction on `conn` runs alone in this process, and other
    /// work waits for a connection. `conn` must hold no lock yet: others may wait for it. The listener's connection locks nothing.
    ///
    /// # Errors
    /// [`Code::Unavailable`] if other work does not end within 15 s; an error of the connection.
    #[cfg(feature = "sandbox")]
    pub async fn other_connections(&self, conn: &mut PgConnection) -> Result<Vec<PoolConnection<Postgres>>> {
        let others = usize::try_from(self.pool.options().get_max_connections().saturating_sub(1)).unwrap_or(usize::MAX);
        let waited = super::clock::Stopwatch::start();
        let mut taken = Vec::new();
        while taken.len() < others {
            if waited.elapsed() > OTHERS_END_WITHIN {
                let detail = "A running transaction has not ended in time. Nothing was changed. Retry.";
                return Err(Refusal::new(Code::Unavailable, detail).retry_after(5).into());
            }
            let missing = (taken.len()..others).map(|_| self.pool.acquire());
            for connection in futures_util::future::join_all(missing).await {
                match connection {
                    Ok(connection) => taken.push(connection),
                    // Its holder needs longer: wait for it again.
                    Err(sqlx::Error::PoolTimedOut) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            // The wait was at most three seconds; a session that is idle in a transaction for five ends.
            sqlx::query("SELECT 1").execute(&mut *conn).await?;
        }
        Ok(taken)
    }

    /// Waits for the running tasks, then closes the pool.
    pub async fn drain(&self) {
        self.tasks.drain().await;
        self.pool.close().await;
        self.listener.close().await;
    }

    /// The number of running tasks.
    pub fn tasks_running(&self) -> usize {
        self.tasks.running()
    }
}

async fn acquire(pool: &PgPool) -> Result<PoolConnection<Postgres>> {
    pool.acquire().await.map_err(|error| match error {
        sqlx::Error::PoolTimedOut => Refusal::new(
            Code::Overloaded,
            "All database connections are in use. Nothing was changed. Try again after `Retry-After`.",
        )
        .retry_after(1)
        .into(),
        error => error.into(),
    })
}

/// An open transaction. Derefs to the connection, so that queries run on it.
#[derive(Debug)]
pub struct Tx {
    /// `None` after a successful COMMIT or ROLLBACK.
    conn: Option<PoolConnection<Postgres>>,
    wakes: Vec<Wake>,
    key_id: Option<Uuid>,
}

impl Tx {
    /// Sends `wake`, to this process and to others, after the commit.
    pub fn wake(&mut self, wake: Wake) {
        if !self.wakes.contains(&wake) {
            self.wakes.push(wake);
        }
    }

    /// The id of the idempotency key of this transaction. The row that is its effect stores the id.
    pub fn key_id(&self) -> Option<Uuid> {
        self.key_id
    }

    pub(super) fn set_key_id(&mut self, key_id: Uuid) {
        self.key_id = Some(key_id);
    }

    async fn commit(mut self, hub: &WakeHub) -> Result<()> {
        match sqlx::query("COMMIT").execute(&mut *self).await {
            Ok(_) => {
                self.conn = None;
                hub.wake(&std::mem::take(&mut self.wakes));
                Ok(())
            }
            // For example a deferred constraint. The server has rolled back.
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
        self.conn.as_deref().unwrap_or_else(|| unreachable!("ending a transaction consumes it"))
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.conn.as_deref_mut().unwrap_or_else(|| unreachable!("ending a transaction consumes it"))
    }
}

/// Checks that a compare-and-set changed exactly one row. The guard is in the `where` clause; zero rows are a conflict.
///
/// # Errors
/// `conflict()` if no row was changed.
pub fn one_row(done: &sqlx::postgres::PgQueryResult, conflict: impl FnOnce() -> Refusal) -> Result<()> {
    match done.rows_affected() {
        1 => Ok(()),
        0 => Err(conflict().into()),
        n => Err(Error::Bug(format!("a write for one row changed {n} rows"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_limits_locks_idle_transactions_and_the_silence_of_a_machine() {
        let options = session_options("postgres://localhost/rides?options=-c%20geqo%3Doff").expect("a URL");
        let settings = options.get_options().expect("settings").to_owned();
        for (name, value) in SESSION_SETTINGS {
            assert!(settings.contains(&format!("-c {name}={value}")), "{settings}");
        }
        assert!(settings.trim_start().starts_with("-c geqo=off"), "the URL's own are kept: {settings}");
    }
}
