//! Connections to the database survive whatever a client or a dropped future does: none goes back to the pool with a transaction open.
//!
//! What this guards against: a `begin()` that is cancelled after `BEGIN` was sent and before it was answered leaves the connection
//! in a transaction that sqlx does not know of (transact-rs/sqlx#4393, in 0.8.4 to 0.9.0). The next request that gets it writes into
//! that transaction, is told that all went well, and nothing is ever committed.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "connections/cancelled.rs"]
mod cancelled;
mod harness;

use std::time::Duration;

use harness::{Actor, App, HERE, Options, THERE, at_once, id, until};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Clients that hang up. Enough for each moment of a command to be hit by some.
const RESETS: usize = 300;

/// How many of them do it at the same time: more than there are connections.
const AT_ONCE: usize = 8;

/// A keyed POST as bytes.
fn post(who: &Actor, key: &str, path: &str, body: &Value) -> Vec<u8> {
    let body = body.to_string();
    format!(
        "POST {path} HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {}\r\nIdempotency-Key: {key}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        who.token,
        body.len(),
    )
    .into_bytes()
}

async fn connect(app: &App) -> TcpStream {
    TcpStream::connect(app.service().address).await.unwrap()
}

/// Sends a command and resets the connection after a while; in every third case before all of it is sent.
async fn hang_up(app: &App, (rider, wish): &(Actor, Value), attempt: usize) {
    let bytes = post(rider, "k", "/v1/trips", wish);
    let sent = if attempt.is_multiple_of(3) { bytes.len() * (attempt % 10) / 10 } else { bytes.len() };
    let mut stream = connect(app).await;
    stream.write_all(&bytes[..sent]).await.unwrap();
    // Nobody waits for anything here: this is the moment at which it happens, from at once to when the answer is there.
    let patience = Duration::from_micros(u64::try_from(attempt).unwrap() % 40 * 250);
    let _answered = tokio::time::timeout(patience, stream.read_u8()).await;
    stream.set_zero_linger().unwrap();
}

/// Somebody with a quote: each time somebody else, for a rider has one trip at a time.
async fn wish(app: &App) -> (Actor, Value) {
    let rider = app.rider().await;
    let quote = rider.quote(HERE, THERE).await;
    (rider, json!({"quote_id": quote["id"], "payment_method": "pm_card_visa"}))
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_reset_their_connection_poison_none_of_ours() {
    let app = App::with(Options { pool_max: 3, ..Options::default() }).await;
    let mut wishes = Vec::new();
    for _ in 0..RESETS {
        wishes.push(wish(&app).await);
    }
    at_once((0..AT_ONCE).map(|nth| {
        let (app, wishes) = (&app, &wishes);
        async move {
            for attempt in (nth..RESETS).step_by(AT_ONCE) {
                hang_up(app, &wishes[attempt], attempt).await;
            }
        }
    }))
    .await;

    until("all commands have ended", async || (app.service().platform().gate.keys_in_use() == 0).then_some(())).await;
    let in_transaction = "select count(*) from pg_stat_activity
                          where datname = current_database() and state like 'idle in transaction%' and pid <> pg_backend_pid()";
    until("no session is idle in a transaction", async || (app.count(in_transaction).await == 0).then_some(())).await;

    // Each command was done whole or not at all, and both happened.
    let (trips, keys) = ("select count(*) from trips", "select count(*) from idempotency_keys");
    let done = app.count(trips).await;
    assert_eq!(app.count(keys).await, done);
    assert!(0 < done && done < RESETS as i64, "{done} of {RESETS} were done");
    // And everything works, on every connection: what is answered is there.
    let after = at_once((0..12).map(|_| async {
        let rider = app.rider().await;
        let trip = rider.request_trip().await;
        rider.get(&format!("/v1/trips/{}", id(&trip))).await.expect(200);
    }));
    after.await;
    assert_eq!(app.count(trips).await, done + 12);
    app.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hangs_up_cancels_nothing() {
    let app = App::start().await;
    let (rider, wish) = wish(&app).await;
    let mut hold = app.sql().begin().await.unwrap();
    sqlx::query("select from quotes for update").execute(&mut *hold).await.unwrap();

    let mut stream = connect(&app).await;
    stream.write_all(&post(&rider, "k", "/v1/trips", &wish)).await.unwrap();
    let waiting =
        "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    until("the command waits for the quote", async || (app.count(waiting).await == 1).then_some(())).await;
    stream.set_zero_linger().unwrap();
    drop(stream);
    hold.rollback().await.unwrap();

    let done = "select count(*) from idempotency_keys";
    until("the command is done all the same", async || (app.count(done).await == 1).then_some(())).await;
    let repeat = rider.post_with("k", "/v1/trips", &wish).await;
    assert_eq!(repeat.header("idempotent-replayed"), Some("true"));
    repeat.expect(201);
    app.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_whose_reader_is_gone_ends() {
    let app = App::start().await;
    let hub = app.service().platform().db.hub();
    let before = hub.followed();
    let mut streams = Vec::new();
    for _ in 0..20 {
        let token = app.actor("driver").await.token;
        let head = format!("GET /v1/drivers/me/events HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {token}\r\n\r\n");
        let mut stream = connect(&app).await;
        stream.write_all(head.as_bytes()).await.unwrap();
        streams.push(stream);
    }
    until("they are all under way", async || (hub.followed() == before + 20).then_some(())).await;
    for stream in streams {
        stream.set_zero_linger().unwrap();
    }
    until("nobody is followed any more", async || (hub.followed() == before).then_some(())).await;
}
