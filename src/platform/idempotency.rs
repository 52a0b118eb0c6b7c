//! Idempotency keys. The rule in one sentence: the key commits with the effect, in the same transaction; no effect, no key.
//!
//! A request under a key first queues for the key, in the process, holding no connection: of two hundred retries one runs, and
//! the others find its answer. Two processes are kept apart by an advisory lock that the running transaction holds, and by the
//! unique constraint on the key whatever else fails.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::Value;
use sha2::{Digest, Sha256};
use sqlx::PgConnection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

use super::auth::Caller;
use super::clock::{MachineTime, Stopwatch};
use super::db::{Db, Tx};
use super::error::{Code, Error, OnConstraint, Refusal, Result};

/// How long a repeat waits for the first one to finish.
const QUEUE_MAX: Duration = Duration::from_secs(2);

/// How often it looks, when the first one runs in another process.
const OTHER_PROCESS_POLL: Duration = Duration::from_millis(25);

/// Commands of one caller that may run at the same time. A phone needs one; a retry storm does not get more than this.
const COMMANDS_PER_CALLER_MAX: usize = 4;

/// The longest key, in bytes.
pub const KEY_BYTES_MAX: usize = 255;

/// A key, whose it is, and what it was used for.
#[derive(Debug, Clone)]
pub struct Key {
    /// Whose it is: keys of two callers have nothing to do with each other.
    pub caller: Caller,
    /// The header's value: 1 to 255 visible ASCII characters.
    pub key: String,
    /// SHA-256 of method, path, query and raw body.
    pub fingerprint: [u8; 32],
}

impl Key {
    /// Reads the header's value.
    ///
    /// # Errors
    /// If there is none, or it is empty, too long, or not visible ASCII.
    pub fn new(caller: Caller, header: Option<&[u8]>, fingerprint: [u8; 32]) -> Result<Self> {
        let Some(bytes) = header else {
            return Err(Refusal::new(
                Code::IdempotencyKeyMissing,
                "This request changes something, so it needs an `Idempotency-Key` header: any text of 1 to 255 visible ASCII \
                 characters that you will send again if you have to repeat the request. A UUID is a good one.",
            )
            .into());
        };
        let visible = bytes.iter().all(u8::is_ascii_graphic);
        match std::str::from_utf8(bytes) {
            Ok(key) if visible && (1..=KEY_BYTES_MAX).contains(&key.len()) => {
                Ok(Self { caller, key: key.to_owned(), fingerprint })
            }
            _ => Err(Refusal::new(
                Code::IdempotencyKeyInvalid,
                format!(
                    "`Idempotency-Key` must be 1 to 255 visible ASCII characters; this one has {} bytes.",
                    bytes.len()
                ),
            )
            .into()),
        }
    }

    /// The advisory lock that stands for the key: the first 64 bits of a hash of it.
    fn lock_id(&self) -> i64 {
        let hash = Sha256::new()
            .chain_update(self.caller.role.as_str())
            .chain_update(self.caller.subject.as_bytes())
            .chain_update(&self.key)
            .finalize();
        i64::from_be_bytes(std::array::from_fn(|i| hash[i]))
    }
}

/// What makes two requests under one key the same request.
pub fn fingerprint(method: &str, path: &str, query: &str, body: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in [method.as_bytes(), path.as_bytes(), query.as_bytes(), body] {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// An answer as it is stored under a key and sent: status, headers and body bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status, 2xx.
    pub status: u16,
    /// Headers beyond the usual: `Location`, `ETag`.
    pub headers: Vec<(String, String)>,
    /// JSON.
    pub body: Vec<u8>,
}

/// An answer, and whether it was stored earlier.
#[derive(Debug)]
pub enum Answered {
    /// The command ran.
    Now(Answer),
    /// It ran earlier; this is what it answered then.
    Replayed(Answer),
}

/// Who is at work in this process: queues per key, and a count per caller.
#[derive(Debug, Clone, Default)]
pub struct Gate(Arc<Mutex<Queues>>);

#[derive(Debug, Default)]
struct Queues {
    keys: HashMap<QueueId, Arc<Semaphore>>,
    callers: HashMap<Caller, usize>,
}

type QueueId = (Caller, String);

impl Gate {
    /// Queues for the key. `None` when the time is up.
    async fn enter(&self, key: &Key, wait_max: Duration) -> Option<Turn> {
        let id = (key.caller, key.key.clone());
        let queue = Arc::clone(self.lock().keys.entry(id.clone()).or_insert_with(|| Arc::new(Semaphore::new(1))));
        let mut turn = Turn { gate: self.clone(), id, queue: Some(Arc::clone(&queue)), permit: None };
        turn.permit = tokio::time::timeout(wait_max, queue.acquire_owned()).await.ok()?.ok();
        turn.permit.is_some().then_some(turn)
    }

    /// Counts one more command of the caller, up to the limit.
    fn admit(&self, caller: Caller) -> Result<Admitted> {
        let mut queues = self.lock();
        let running = queues.callers.entry(caller).or_insert(0);
        if *running >= COMMANDS_PER_CALLER_MAX {
            return Err(Refusal::new(
                Code::TooManyCommands,
                format!("{COMMANDS_PER_CALLER_MAX} commands of yours are under way. Wait for one of them to finish."),
            )
            .retry_after(1)
            .into());
        }
        *running += 1;
        Ok(Admitted { gate: self.clone(), caller })
    }

    /// Keys that somebody runs under or waits for.
    pub fn keys_in_use(&self) -> usize {
        self.lock().keys.len()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Queues> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The turn of one request at its key. Dropping it lets the next one in; the last to leave removes the queue.
#[derive(Debug)]
struct Turn {
    gate: Gate,
    id: QueueId,
    queue: Option<Arc<Semaphore>>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut queues = self.gate.lock();
        drop(self.permit.take());
        drop(self.queue.take());
        if queues.keys.get(&self.id).is_some_and(|queue| Arc::strong_count(queue) == 1) {
            queues.keys.remove(&self.id);
        }
    }
}

#[derive(Debug)]
struct Admitted {
    gate: Gate,
    caller: Caller,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        if let Entry::Occupied(mut running) = self.gate.lock().callers.entry(self.caller) {
            *running.get_mut() = running.get().saturating_sub(1);
            if *running.get() == 0 {
                running.remove();
            }
        }
    }
}

/// The ticket of a request that is the first under its key: [`Ticket::run`] runs its command.
#[derive(Debug)]
pub struct Ticket {
    db: Db,
    key: Key,
    key_id: Uuid,
    now: MachineTime,
    _turn: Turn,
    _admitted: Admitted,
}

/// What the look-up of a key found.
#[derive(Debug)]
pub enum Entered {
    /// Nobody has used it: the request may go on.
    First(Box<Ticket>),
    /// It was used for this very request: here is the answer.
    Replay(Answer),
}

/// Queues for the key and looks it up.
///
/// # Errors
/// 422 if the key was used for another request, 409 if the first one takes too long, 429 if the caller has too many commands
/// under way.
pub async fn enter(db: &Db, gate: &Gate, key: Key, key_id: Uuid, now: MachineTime) -> Result<Entered> {
    let waited = Stopwatch::start();
    let turn = gate.enter(&key, QUEUE_MAX).await.ok_or_else(in_progress)?;
    loop {
        let look = key.clone();
        let (stored, free) = db
            .read(look, |conn, key| {
                Box::pin(async move {
                    let stored = stored_answer(conn, key).await?;
                    let free = stored.is_some() || is_free(conn, key).await?;
                    Ok((stored, free))
                })
            })
            .await?;
        if let Some(answer) = stored {
            return Ok(Entered::Replay(answer));
        }
        if free {
            let admitted = gate.admit(key.caller)?;
            let ticket = Ticket { db: db.clone(), key, key_id, now, _turn: turn, _admitted: admitted };
            return Ok(Entered::First(Box::new(ticket)));
        }
        if waited.elapsed() >= QUEUE_MAX {
            return Err(in_progress().into());
        }
        tokio::time::sleep(OTHER_PROCESS_POLL).await;
    }
}

impl Ticket {
    /// Runs the command in one transaction with its key: takes the key, builds, renders, stores the answer, commits.
    ///
    /// # Errors
    /// What `build` returns, and then nothing is stored and the key is free again.
    pub async fn run<I, T>(
        self,
        input: I,
        build: impl for<'a> Fn(&'a mut Tx, &'a I) -> BoxFuture<'a, Result<T>> + Send + Sync + 'static,
        render: impl Fn(&T) -> Result<Answer> + Send + Sync + 'static,
    ) -> Result<Answered>
    where
        I: Send + Sync + 'static,
        T: Send + Sync + 'static,
    {
        let db = self.db.clone();
        let work = (self, input, build, render);
        db.clone()
            .task(async move {
                let waited = Stopwatch::start();
                loop {
                    let end = db.run(&work, &|tx, (ticket, input, build, render)| {
                        Box::pin(async move {
                            if let Some(answer) = ticket.take(tx).await? {
                                return Ok(Answered::Replayed(answer));
                            }
                            let done = build(tx, input).await?;
                            let answer = render(&done)?;
                            ticket.store(tx, &answer).await?;
                            Ok(Answered::Now(answer))
                        })
                    });
                    match end.await {
                        // Another process came between the look-up and this transaction. Wait for it as the look-up would
                        // have, holding no connection.
                        Err(Error::Refused(refusal))
                            if refusal.code == Code::RequestInProgress && waited.elapsed() < QUEUE_MAX =>
                        {
                            tokio::time::sleep(OTHER_PROCESS_POLL).await;
                        }
                        end => return end,
                    }
                }
            })
            .await
    }

    /// Takes the key for this transaction. Another process may have finished since the look-up.
    async fn take(&self, tx: &mut Tx) -> Result<Option<Answer>> {
        let got = sqlx::query_scalar!(r#"select pg_try_advisory_xact_lock($1) as "got!""#, self.key.lock_id())
            .fetch_one(&mut **tx)
            .await?;
        if !got {
            return Err(in_progress().into());
        }
        tx.set_key_id(self.key_id);
        stored_answer(tx, &self.key).await
    }

    async fn store(&self, tx: &mut Tx, answer: &Answer) -> Result<()> {
        let headers = serde_json::to_value(&answer.headers).map_err(|error| Error::Bug(error.to_string()))?;
        let key = &self.key;
        sqlx::query!(
            "insert into idempotency_keys (id, role, subject, key, fingerprint, status, headers, body, created_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            self.key_id,
            key.caller.role.as_str(),
            key.caller.subject,
            key.key,
            &key.fingerprint[..],
            i16::try_from(answer.status).unwrap_or(0),
            headers,
            answer.body,
            self.now as _,
        )
        .execute(&mut **tx)
        .await
        .on_constraint("idempotency_keys_scope", in_progress)?;
        Ok(())
    }
}

fn in_progress() -> Refusal {
    Refusal::new(
        Code::RequestInProgress,
        "A request with this key is still running. Repeat it in a moment to get its answer.",
    )
    .retry_after(1)
}

/// The answer stored under the key, if the key was used for this very request.
async fn stored_answer(conn: &mut PgConnection, key: &Key) -> Result<Option<Answer>> {
    let Some(row) = sqlx::query!(
        "select fingerprint, status, headers, body from idempotency_keys where role = $1 and subject = $2 and key = $3",
        key.caller.role.as_str(),
        key.caller.subject,
        key.key,
    )
    .fetch_optional(conn)
    .await?
    else {
        return Ok(None);
    };
    if row.fingerprint != key.fingerprint {
        return Err(Refusal::new(
            Code::IdempotencyKeyReused,
            "This key was used for another request (its method, path, query or body differed). Use a new key for a new request, \
             and the same bytes for a repeat.",
        )
        .into());
    }
    Ok(Some(Answer { status: u16::try_from(row.status).unwrap_or(500), headers: headers(row.headers), body: row.body }))
}

fn headers(stored: Value) -> Vec<(String, String)> {
    serde_json::from_value(stored).unwrap_or_default()
}

/// Whether no transaction of another process holds the key's lock. Taken and given back at once, outside a transaction.
async fn is_free(conn: &mut PgConnection, key: &Key) -> Result<bool> {
    Ok(sqlx::query_scalar!(r#"select pg_try_advisory_xact_lock($1) as "got!""#, key.lock_id()).fetch_one(conn).await?)
}

/// Removes keys that were stored before `before`, at most `limit` of them.
///
/// # Errors
/// If the database does not answer.
pub async fn reap(conn: &mut PgConnection, before: MachineTime, limit: i64) -> Result<u64> {
    let done = sqlx::query!(
        "delete from idempotency_keys where id in (select id from idempotency_keys where created_at < $1 order by created_at limit $2)",
        before as _,
        limit,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

#[cfg(test)]
mod tests;
