//! Database connections survive disconnected clients and dropped futures: none returns to the pool with an open transaction.
//!
//! A `begin()` that is cancelled between sending `BEGIN` and its response leaves the connection in a transaction unknown to sqlx
//! (transact-rs/sqlx#4393, in 0.8.4 to 0.9.0). The next request on this connection would write into that transaction and report
//! success, and nothing would ever be committed.
#![allow(clippy::unwrap_used, reason = "tests")]

mod cancelled;

use std::time::Duration;

use crate::harness::{Actor, App, HERE, Options, THERE, at_once, id, until, within};
use ridematch::platform::clock::Stopwatch;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The number of clients that disconnect: enough to hit every step of a command.
const RESETS: usize = 300;

/// How long the authorizations of some hundred trips may take on a few connections.
const SETTLED_WITHIN: Duration = Duration::from_secs(120);

/// The number of concurrent clients: more than connections.
const CLIENTS: usize = 8;

/// Returns a POST with an idempotency key, as bytes.
fn post(actor: &Actor, key: &str, path: &str, body: &Value) -> Vec<u8> {
    let body = body.to_string();
    format!(
        "POST {path} HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {}\r\nIdempotency-Key: {key}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        actor.token,
        body.len(),
    )
    .into_bytes()
}

async fn connect(app: &App) -> TcpStream {
    TcpStream::connect(app.service().address).await.unwrap()
}

/// Sends a command and resets the connection after a delay; every third one before it is completely sent.
async fn disconnect(app: &App, (rider, body): &(Actor, Value), attempt: usize, usual: Duration) {
    let bytes = post(rider, "k", "/v1/trips", body);
    let sent = if attempt.is_multiple_of(3) { bytes.len() * (attempt % 10) / 10 } else { bytes.len() };
    let mut stream = connect(app).await;
    stream.write_all(&bytes[..sent]).await.unwrap();
    // From 0 to twice the usual time of a response, so that it arrives in about half of the cases, however busy the machine is.
    let delay = usual * u32::try_from(attempt % 40).unwrap() / 20;
    let _ = tokio::time::timeout(delay, stream.read_u8()).await;
    stream.set_zero_linger().unwrap();
}

/// Returns a new rider and the body of a trip request. A rider can have only one active trip.
async fn rider_with_request(app: &App) -> (Actor, Value) {
    let rider = app.rider().await;
    let quote = rider.quote(HERE, THERE).await;
    (rider, json!({"quote_id": quote["id"], "payment_method": "pm_card_visa"}))
}

/// Returns the longest of the response times of [`CLIENTS`] concurrent commands.
async fn usual_response_time(app: &App) -> Duration {
    let response_time = async || {
        let (rider, body) = rider_with_request(app).await;
        let watch = Stopwatch::start();
        rider.post("/v1/trips", &body).await.expect(201);
        watch.elapsed()
    };
    at_once((0..CLIENTS).map(|_| response_time())).await.into_iter().max().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn client_resets_leave_no_connection_in_a_transaction() {
    let app = App::with(Options { pool_max: 3, ..Options::default() }).await;
    let usual = usual_response_time(&app).await;
    let mut requests = Vec::new();
    for _ in 0..RESETS {
        requests.push(rider_with_request(&app).await);
    }
    at_once((0..CLIENTS).map(|nth| {
        let (app, requests) = (&app, &requests);
        async move {
            for attempt in (nth..RESETS).step_by(CLIENTS) {
                disconnect(app, &requests[attempt], attempt, usual).await;
            }
        }
    }))
    .await;

    until("all commands have ended", async || (app.service().platform().key_locks.keys_in_use() == 0).then_some(()))
        .await;
    let in_transaction = "select count(*) from pg_stat_activity
                          where datname = current_database() and state like 'idle in transaction%' and pid <> pg_backend_pid()";
    until("no session is idle in a transaction", async || (app.count(in_transaction).await == 0).then_some(())).await;

    // Each command ran completely or not at all; both occurred. One statement counts both: a request may still be on its way.
    let partial = "select abs((select count(*) from trips) - (select count(*) from idempotency_keys))";
    assert_eq!(app.count(partial).await, 0);
    let done = app.count("select count(*) from trips").await - CLIENTS as i64;
    assert!(0 < done && done < RESETS as i64, "{done} of {RESETS} commands ran");
    let at_work = "select count(*) from payments where due_at is not null or leased_until is not null";
    let settled = async || (app.count(at_work).await == 0).then_some(());
    within(SETTLED_WITHIN, "the payments of the committed commands are authorized", settled).await;
    // Every connection works: each committed trip can be read.
    let after = at_once((0..12).map(|_| async {
        let rider = app.rider().await;
        let trip = rider.request_trip().await;
        rider.get(&format!("/v1/trips/{}", id(&trip))).await.expect(200);
    }));
    after.await;
    assert_eq!(app.count(partial).await, 0);
    app.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn command_completes_after_its_client_disconnects() {
    let app = App::start().await;
    let (rider, body) = rider_with_request(&app).await;
    let mut lock = app.sql().begin().await.unwrap();
    sqlx::query("select from quotes for update").execute(&mut *lock).await.unwrap();

    let mut stream = connect(&app).await;
    stream.write_all(&post(&rider, "k", "/v1/trips", &body)).await.unwrap();
    let waiting =
        "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    until("the command waits for the quote", async || (app.count(waiting).await == 1).then_some(())).await;
    stream.set_zero_linger().unwrap();
    drop(stream);
    lock.rollback().await.unwrap();

    let done = "select count(*) from idempotency_keys";
    until("the command completes", async || (app.count(done).await == 1).then_some(())).await;
    let repeat = rider.post_with("k", "/v1/trips", &body).await;
    assert_eq!(repeat.header("idempotent-replayed"), Some("true"));
    repeat.expect(201);
    app.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stream_ends_when_its_client_disconnects() {
    let app = App::start().await;
    let hub = app.service().platform().db.wake_hub();
    let before = hub.subscribed();
    let mut streams = Vec::new();
    for _ in 0..20 {
        let token = app.actor("driver").await.token;
        let head = format!("GET /v1/drivers/me/events HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {token}\r\n\r\n");
        let mut stream = connect(&app).await;
        stream.write_all(head.as_bytes()).await.unwrap();
        streams.push(stream);
    }
    until("all streams are open", async || (hub.subscribed() == before + 20).then_some(())).await;
    for stream in streams {
        stream.set_zero_linger().unwrap();
    }
    until("all subscriptions end", async || (hub.subscribed() == before).then_some(())).await;
}
