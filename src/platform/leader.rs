//! Leader election of the matcher, the one process that owns supply and dispatch. A session advisory lock elects it. When the
//! process dies, stops or vanishes with its machine, the server closes the session and frees the lock. An epoch is the fencing
//! token of its writes: the database rejects the offers of a former matcher that has not noticed its loss.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use sqlx::{ConnectOptions, Connection, PgConnection};

use super::Platform;
use super::clock::DomainTime;
use super::db::Tx;
use super::error::{Code, Refusal, Result};

/// The id of the advisory lock: "ride" in ASCII.
const LOCK_ID: i64 = 0x7269_6465;

/// The interval of attempts to become the matcher, and of the matcher's checks that it still holds the lock.
const INTERVAL: Duration = Duration::from_secs(1);

/// The timeout of the check that the lock is still held. After it the process steps down.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// The time without a check after which the server closes the matcher's session. A matcher that is cut off has stepped down by
/// then: that takes at most [`INTERVAL`] and [`CHECK_TIMEOUT`].
const SESSION_TIMEOUT: (&str, &str) = ("idle_session_timeout", "5s");

/// The longest attempt to become the matcher.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// The leadership of this process.
#[derive(Debug, Default)]
pub struct Leadership {
    /// Zero if this process is not the matcher.
    epoch: AtomicI64,
}

impl Leadership {
    /// Returns the epoch, if this process is the matcher.
    pub fn epoch(&self) -> Option<i64> {
        Some(self.epoch.load(Ordering::Acquire)).filter(|epoch| *epoch != 0)
    }

    /// Returns the epoch.
    ///
    /// # Errors
    /// [`Code::NotTheMatcher`] if this process is not the matcher.
    pub fn require(&self) -> Result<i64> {
        self.epoch().ok_or_else(|| not_the_matcher().into())
    }
}

/// Returns the refusal of what only the matcher can do.
pub fn not_the_matcher() -> Refusal {
    Refusal::new(Code::NotTheMatcher, "Another process is the matcher. Repeat the request after `Retry-After`.")
        .retry_after(1)
}

/// The term of the elected matcher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Term {
    /// Its epoch.
    pub epoch: i64,
    /// Its start. Before, nothing received the drivers' positions.
    pub since: DomainTime,
}

/// Returns the current term, without a lock: an election may end it before this transaction commits.
///
/// # Errors
/// If the database does not answer.
pub async fn term(conn: &mut PgConnection) -> Result<Term> {
    Ok(sqlx::query_as!(Term, "select epoch, since from matcher").fetch_one(conn).await?)
}

/// Fences a transaction by its epoch: no other process becomes the matcher before it commits.
///
/// # Errors
/// [`Code::NotTheMatcher`] if another process has become the matcher.
pub async fn fence(tx: &mut Tx, epoch: i64) -> Result<()> {
    let current = sqlx::query_scalar!("select epoch from matcher for share").fetch_one(&mut **tx).await?;
    if current == epoch {
        Ok(())
    } else {
        Err(Refusal::new(Code::NotTheMatcher, "Another process has become the matcher. Repeat the request.").into())
    }
}

/// Tries to become the matcher, forever. `elected` runs after each election, before the process acts as the matcher: it loads the
/// index. `lost` runs after each loss: it drops the index.
pub async fn campaign<E: Future<Output = ()>>(platform: Platform, elected: impl Fn() -> E, lost: impl Fn()) {
    loop {
        // The session is not the pool's: dropping the attempt closes it.
        match tokio::time::timeout(ACQUIRE_TIMEOUT, acquire(&platform)).await {
            Ok(Ok(Some((session, epoch)))) => {
                lead(&platform, session, epoch, elected()).await;
                lost();
            }
            Ok(Ok(None)) => {}
            Ok(Err(error)) => tracing::debug!(%error, "the election failed; trying again"),
            Err(_) => tracing::debug!("the election took too long; trying again"),
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Acts as the matcher until the session is lost. The session is checked meanwhile: loading may take longer than the
/// server waits for a check.
async fn lead(platform: &Platform, mut session: PgConnection, epoch: i64, elected: impl Future<Output = ()>) {
    let mut loss = pin!(wait_for_loss(&mut session));
    tokio::select! {
        () = elected => {
            platform.leadership.epoch.store(epoch, Ordering::Release);
            tracing::info!(epoch, "this process is the matcher");
            loss.await;
            platform.leadership.epoch.store(0, Ordering::Release);
        }
        () = &mut loss => {}
    }
    tracing::warn!(epoch, "this process is no longer the matcher");
}

/// Takes the lock, if it is free, on a separate connection, and starts a new epoch.
async fn acquire(platform: &Platform) -> Result<Option<(PgConnection, i64)>> {
    let options = platform.db.pool().connect_options();
    let mut session = Arc::unwrap_or_clone(options).options([SESSION_TIMEOUT]).connect().await?;
    let elected =
        sqlx::query_scalar!(r#"select pg_try_advisory_lock($1) as "got!""#, LOCK_ID).fetch_one(&mut session).await?;
    if !elected {
        session.close().await?;
        return Ok(None);
    }
    let epoch = sqlx::query_scalar!(
        "update matcher set epoch = epoch + 1, owner = $1, since = $2 returning epoch",
        platform.process,
        platform.clock.domain() as _,
    )
    .fetch_one(&mut session)
    .await?;
    Ok(Some((session, epoch)))
}

/// Returns when the session is lost.
async fn wait_for_loss(session: &mut PgConnection) {
    loop {
        tokio::time::sleep(INTERVAL).await;
        match tokio::time::timeout(CHECK_TIMEOUT, session.ping()).await {
            Ok(Ok(())) => {}
            _ => return,
        }
    }
}
