//! The matcher: the one process that owns supply and dispatch. A session advisory lock elects it; when its process dies, the
//! server sees the socket close and the lock is free at once. An epoch fences what it writes: whoever has been overtaken
//! without noticing finds another epoch in the database, and his offer is refused.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use sqlx::{ConnectOptions, Connection, PgConnection};

use super::Platform;
use super::db::Tx;
use super::error::{Code, Refusal, Result};

/// The advisory lock's number: "ride" in ASCII.
const LOCK_ID: i64 = 0x7269_6465;

/// How often a process that is not the matcher tries to become it, and one that is makes sure that it still is.
const EVERY: Duration = Duration::from_secs(1);

/// How long the check of the own lock may take before the process steps down.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// Whether this process is the matcher, and under which epoch.
#[derive(Debug, Default)]
pub struct Leadership {
    /// Zero: it is not.
    epoch: AtomicI64,
}

impl Leadership {
    /// The epoch under which this process is the matcher.
    pub fn epoch(&self) -> Option<i64> {
        Some(self.epoch.load(Ordering::Acquire)).filter(|epoch| *epoch != 0)
    }

    /// The epoch, for those who need it to go on.
    ///
    /// # Errors
    /// [`Code::NotTheMatcher`] when another process is.
    pub fn require(&self) -> Result<i64> {
        self.epoch().ok_or_else(|| {
            Refusal::new(
                Code::NotTheMatcher,
                "Another process owns the positions. Try again: it is a matter of a second or so.",
            )
            .retry_after(1)
            .into()
        })
    }
}

/// Holds a transaction to the epoch it was started under: nobody becomes the matcher until it has committed, and it fails if
/// somebody has.
///
/// # Errors
/// [`Code::NotTheMatcher`] if the epoch is another one.
pub async fn fence(tx: &mut Tx, epoch: i64) -> Result<()> {
    let current = sqlx::query_scalar!("select epoch from matcher for share").fetch_one(&mut **tx).await?;
    if current == epoch {
        Ok(())
    } else {
        Err(Refusal::new(Code::NotTheMatcher, "Another process has become the matcher.").into())
    }
}

/// Tries to be the matcher, for ever. `elected` runs each time this process has become it, before it acts as such: it loads
/// the positions.
pub async fn campaign<E: Future<Output = ()>>(platform: Platform, elected: impl Fn() -> E) {
    loop {
        if let Ok(Some((mut session, epoch))) = stand(&platform).await {
            elected().await;
            platform.leadership.epoch.store(epoch, Ordering::Release);
            tracing::info!(epoch, "this process is the matcher");
            hold(&mut session).await;
            platform.leadership.epoch.store(0, Ordering::Release);
            tracing::warn!(epoch, "this process is the matcher no more");
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Takes the lock, if it is free, on a connection of its own, and a new epoch.
async fn stand(platform: &Platform) -> Result<Option<(PgConnection, i64)>> {
    let mut session = platform.db.pool().connect_options().connect().await?;
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
async fn hold(session: &mut PgConnection) {
    loop {
        tokio::time::sleep(EVERY).await;
        match tokio::time::timeout(CHECK_TIMEOUT, session.ping()).await {
            Ok(Ok(())) => {}
            _ => return,
        }
    }
}
