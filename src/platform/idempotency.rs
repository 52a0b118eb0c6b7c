//! Idempotency keys. The key commits with the effect, in the same transaction: without an effect, no key is stored.
//!
//! Requests with the same key first queue in the process, holding no connection: of two hundred retries one runs, and the others
//! get its stored response. Between processes, the running transaction holds an advisory lock on the key. The unique constraint
//! on the key backs up both.

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

/// How long a repeated request waits for the first one to finish.
const QUEUE_MAX: Duration = Duration::from_secs(2);

/// The poll interval while the first request runs in another process.
const OTHER_PROCESS_POLL: Duration = Duration::from_millis(25);

/// The most commands of one caller that run at the same time. A phone needs one; this bounds a retry storm.
const COMMANDS_PER_CALLER_MAX: usize = 4;

/// The maximum length of a key, bytes.
pub const KEY_BYTES_MAX: usize = 255;

/// An idempotency key, its owner, and the request it belongs to.
#[derive(Debug, Clone)]
pub struct Key {
    /// The owner. Each caller has a separate space of keys.
    pub caller: Caller,
    /// The header's value: 1 to 255 visible ASCII characters.
    pub key: String,
    /// The SHA-256 hash of method, path, query and raw body.
    pub fingerprint: [u8; 32],
}

impl Key {
    /// Reads the header's value.
    ///
    /// # Errors
    /// 400 if it is missing, empty, too long, or not visible ASCII.
    pub fn new(caller: Caller, header: Option<&[u8]>, fingerprint: [u8; 32]) -> Result<Self> {
        let Some(bytes) = header else {
            return Err(Refusal::new(
                Code::IdempotencyKeyMissing,
                "This request needs an `Idempotency-Key` header: 1 to 255 visible ASCII characters, such as a UUID. Send the same \
                 key when you repeat the request.",
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
                    "`Idempotency-Key` must be 1 to 255 visible ASCII characters; this value has {} bytes.",
                    bytes.len()
                ),
            )
            .into()),
        }
    }

    /// The id of the key's advisory lock: the first 64 bits of its hash.
    fn lock_id(&self) -> i64 {
        let hash = Sha256::new()
            .chain_update(self.caller.role.as_str())
            .chain_update(self.caller.subject.as_bytes())
            .chain_update(&self.key)
            .finalize();
        i64::from_be_bytes(std::array::from_fn(|i| hash[i]))
    }
}

/// Returns the hash that identifies a request. Length prefixes keep adjacent parts apart.
pub fn fingerprint(method: &str, path: &str, query: &str, body: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in [method.as_bytes(), path.as_bytes(), query.as_bytes(), body] {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// A response as it is stored under a key and sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredResponse {
    /// The HTTP status, 2xx.
    pub status: u16,
    /// The headers `Location` and `ETag`, where set.
    pub headers: Vec<(String, String)>,
    /// The JSON body.
    pub body: Vec<u8>,
}

/// The response to a command.
#[derive(Debug)]
pub enum CommandResponse {
    /// The command ran.
    Executed(StoredResponse),
    /// The command ran earlier; this is its stored response.
    Replayed(StoredResponse),
}

/// The in-process locks: one queue per key, and a count of running commands per caller.
#[derive(Debug, Clone, Default)]
pub struct KeyLocks(Arc<Mutex<Queues>>);

#[derive(Debug, Default)]
struct Queues {
    keys: HashMap<QueueId, Arc<Semaphore>>,
    callers: HashMap<Caller, usize>,
}

type QueueId = (Caller, String);

impl KeyLocks {
    /// Queues for the key. `None` after `wait_max`.
    async fn acquire(&self, key: &Key, wait_max: Duration) -> Option<KeyGuard> {
        let id = (key.caller, key.key.clone());
        let queue = Arc::clone(self.lock().keys.entry(id.clone()).or_insert_with(|| Arc::new(Semaphore::new(1))));
        let mut guard = KeyGuard { locks: self.clone(), id, queue: Some(Arc::clone(&queue)), permit: None };
        guard.permit = tokio::time::timeout(wait_max, queue.acquire_owned()).await.ok()?.ok();
        guard.permit.is_some().then_some(guard)
    }

    /// Counts another running command of the caller, up to the limit.
    fn admit(&self, caller: Caller) -> Result<CallerSlot> {
        let mut queues = self.lock();
        let running = queues.callers.entry(caller).or_insert(0);
        if *running >= COMMANDS_PER_CALLER_MAX {
            return Err(Refusal::new(
                Code::TooManyCommands,
                format!(
                    "{COMMANDS_PER_CALLER_MAX} of your commands are running, the maximum. Wait until one finishes."
                ),
            )
            .retry_after(1)
            .into());
        }
        *running += 1;
        Ok(CallerSlot { locks: self.clone(), caller })
    }

    /// The number of keys that a request runs under or waits for.
    pub fn keys_in_use(&self) -> usize {
        self.lock().keys.len()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Queues> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Exclusive use of a key in this process. Dropping it admits the next request; the last one removes the queue.
#[derive(Debug)]
struct KeyGuard {
    locks: KeyLocks,
    id: QueueId,
    queue: Option<Arc<Semaphore>>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Drop for KeyGuard {
    fn drop(&mut self) {
        let mut queues = self.locks.lock();
        drop(self.permit.take());
        drop(self.queue.take());
        if queues.keys.get(&self.id).is_some_and(|queue| Arc::strong_count(queue) == 1) {
            queues.keys.remove(&self.id);
        }
    }
}

/// One running command in the count of its caller.
#[derive(Debug)]
struct CallerSlot {
    locks: KeyLocks,
    caller: Caller,
}

impl Drop for CallerSlot {
    fn drop(&mut self) {
        if let Entry::Occupied(mut running) = self.locks.lock().callers.entry(self.caller) {
            *running.get_mut() = running.get().saturating_sub(1);
            if *running.get() == 0 {
                running.remove();
            }
        }
    }
}

/// The right to run the command of the first request with a key.
#[derive(Debug)]
pub struct Execution {
    db: Db,
    key: Key,
    key_id: Uuid,
    now: MachineTime,
    _guard: KeyGuard,
    _slot: CallerSlot,
}

/// The result of looking up a key.
#[derive(Debug)]
pub enum KeyLookup {
    /// The key is unused: the command may run.
    Unused(Box<Execution>),
    /// The key was used for this request; this is its stored response.
    Replay(StoredResponse),
}

/// Queues for the key and looks it up.
///
/// # Errors
/// 422 if the key was used for another request, 409 if the first request takes too long, 429 if the caller runs too many
/// commands.
pub async fn look_up(db: &Db, locks: &KeyLocks, key: Key, key_id: Uuid, now: MachineTime) -> Result<KeyLookup> {
    let waited = Stopwatch::start();
    let guard = locks.acquire(&key, QUEUE_MAX).await.ok_or_else(in_progress)?;
    loop {
        let looked_up = key.clone();
        let (stored, free) = db
            .read(looked_up, |conn, key| {
                Box::pin(async move {
                    let stored = stored_response(conn, key).await?;
                    let free = stored.is_some() || is_free(conn, key).await?;
                    Ok((stored, free))
                })
            })
            .await?;
        if let Some(response) = stored {
            return Ok(KeyLookup::Replay(response));
        }
        if free {
            let slot = locks.admit(key.caller)?;
            let execution = Execution { db: db.clone(), key, key_id, now, _guard: guard, _slot: slot };
            return Ok(KeyLookup::Unused(Box::new(execution)));
        }
        if waited.elapsed() >= QUEUE_MAX {
            return Err(in_progress().into());
        }
        tokio::time::sleep(OTHER_PROCESS_POLL).await;
    }
}

impl Execution {
    /// Runs the command in one transaction with its key: takes the key, builds, renders, stores the response, commits.
    ///
    /// # Errors
    /// The error of `build`. Then nothing is stored, and the key is unused again.
    pub async fn run<I, T>(
        self,
        input: I,
        build: impl for<'a> Fn(&'a mut Tx, &'a I) -> BoxFuture<'a, Result<T>> + Send + Sync + 'static,
        render: impl Fn(&T) -> Result<StoredResponse> + Send + Sync + 'static,
    ) -> Result<CommandResponse>
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
                    let end = db.run(&work, &|tx, (execution, input, build, render)| {
                        Box::pin(async move {
                            if let Some(response) = execution.take(tx).await? {
                                return Ok(CommandResponse::Replayed(response));
                            }
                            let done = build(tx, input).await?;
                            let response = render(&done)?;
                            execution.store(tx, &response).await?;
                            Ok(CommandResponse::Executed(response))
                        })
                    });
                    match end.await {
                        // Another process took the key after the look-up. Wait as the look-up does, holding no connection.
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

    /// Takes the key for this transaction. Returns the response if another process has finished since the look-up.
    async fn take(&self, tx: &mut Tx) -> Result<Option<StoredResponse>> {
        let got = sqlx::query_scalar!(r#"select pg_try_advisory_xact_lock($1) as "got!""#, self.key.lock_id())
            .fetch_one(&mut **tx)
            .await?;
        if !got {
            return Err(in_progress().into());
        }
        tx.set_key_id(self.key_id);
        stored_response(tx, &self.key).await
    }

    async fn store(&self, tx: &mut Tx, response: &StoredResponse) -> Result<()> {
        let headers = serde_json::to_value(&response.headers).map_err(|error| Error::Bug(error.to_string()))?;
        let key = &self.key;
        sqlx::query!(
            "insert into idempotency_keys (id, role, subject, key, fingerprint, status, headers, body, created_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            self.key_id,
            key.caller.role.as_str(),
            key.caller.subject,
            key.key,
            &key.fingerprint[..],
            i16::try_from(response.status).unwrap_or(0),
            headers,
            response.body,
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
        "A request with this key is still running. Repeat it after `Retry-After` to get its response.",
    )
    .retry_after(1)
}

/// Returns the response stored under the key.
///
/// # Errors
/// 422 if the key was used for another request.
async fn stored_response(conn: &mut PgConnection, key: &Key) -> Result<Option<StoredResponse>> {
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
            "This key was used for a request with another method, path, query or body. Use a new key for a new request, and the \
             same bytes for a repeated one.",
        )
        .into());
    }
    Ok(Some(StoredResponse {
        status: u16::try_from(row.status).unwrap_or(500),
        headers: headers(row.headers),
        body: row.body,
    }))
}

fn headers(stored: Value) -> Vec<(String, String)> {
    serde_json::from_value(stored).unwrap_or_default()
}

/// Whether no transaction holds the key's advisory lock. Outside of a transaction the lock is released at once.
async fn is_free(conn: &mut PgConnection, key: &Key) -> Result<bool> {
    Ok(sqlx::query_scalar!(r#"select pg_try_advisory_xact_lock($1) as "got!""#, key.lock_id()).fetch_one(conn).await?)
}

#[cfg(test)]
mod tests;
