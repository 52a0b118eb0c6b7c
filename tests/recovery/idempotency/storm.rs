//! A retry storm: two hundred concurrent retries of one key, on a pool of five connections.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ridematch::platform::clock::Stopwatch;
use serde_json::Value;

use super::concurrent::{REDEEM_QUOTE, RowLock, until_waiting};
use super::{assert_same, keys, trip_request, trips};
use crate::harness::{Actor, ApiResponse, App, HERE, Options, THERE, at_once, until};

const RETRIES: usize = 200;

/// The maximum latency of other callers. Their requests take a few milliseconds; this allows for a busy machine, but not for waiting
/// until the acquire timeout of a connection.
const OTHERS_MAX: Duration = Duration::from_secs(2);

/// Repeats the request while it is in progress, as the contract requires, and once if it is unavailable: the first request of all may have
/// waited too long for its row.
async fn retry_until_done(rider: &Actor, body: &Value, unavailable: &AtomicUsize) -> ApiResponse {
    loop {
        let response = rider.post_with("k", "/v1/trips", body).await;
        match response.code().as_str() {
            "request_in_progress" => {}
            "unavailable" => assert_eq!(unavailable.fetch_add(1, Ordering::Relaxed), 0, "a second one is unavailable"),
            _ => return response,
        }
        assert_eq!(response.header("retry-after"), Some("1"));
    }
}

/// Sends ordinary requests of another rider. Returns the latency of the slowest.
async fn other_rider(app: &App) -> Duration {
    let rider = app.rider().await;
    let mut slowest = Duration::ZERO;
    for _ in 0..10 {
        let watch = Stopwatch::start();
        rider.quote(HERE, THERE).await;
        rider.get("/v1/trips").await.expect(200);
        slowest = slowest.max(watch.elapsed());
    }
    slowest
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_retries_have_one_effect_and_block_no_other_caller() {
    let app = App::with(Options { pool_max: 5, ..Options::default() }).await;
    let rider = app.rider().await;
    let body = trip_request(&rider).await;
    let lock = RowLock::quote(&app, &body).await;
    let storm = {
        let (rider, body) = (rider.clone(), body.clone());
        let unavailable = AtomicUsize::new(0);
        tokio::spawn(async move { at_once((0..RETRIES).map(|_| retry_until_done(&rider, &body, &unavailable))).await })
    };
    until_waiting(&app, REDEEM_QUOTE, 1).await;
    // Once while one retry is blocked and the others queue, and once while they are being served.
    let while_blocked = at_once((0..4).map(|_| other_rider(&app))).await;
    lock.release().await;
    let (responses, while_released) = tokio::join!(storm, at_once((0..4).map(|_| other_rider(&app))));
    let responses = responses.unwrap();

    let slowest = while_blocked.into_iter().chain(while_released).max().unwrap();
    assert!(slowest < OTHERS_MAX, "another caller waited {slowest:?}");
    assert_eq!(responses.len(), RETRIES);
    assert_eq!(responses[0].status, 201, "{:#}", responses[0].json());
    responses.iter().for_each(|response| assert_same(&responses[0], response));
    let replays = responses.iter().filter(|response| response.header("idempotent-replayed") == Some("true")).count();
    assert_eq!(replays, RETRIES - 1);
    assert_eq!((trips(&app).await, keys(&app).await), (1, 1));
    let locks = &app.service().platform().key_locks;
    until("no queue is left", async || (locks.keys_in_use() == 0).then_some(())).await;
    app.assert_clean().await;
}
