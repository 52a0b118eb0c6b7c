//! A phone that has lost its mind: two hundred retries of one key at once, on a pool of five connections.

use std::time::Duration;

use ridematch::platform::clock::Stopwatch;
use serde_json::Value;

use super::held::{Hold, USES_UP, until_waiting};
use super::{assert_same, keys, trips, wish};
use crate::harness::{Actor, Answer, App, HERE, Options, THERE, at_once, until};

const RETRIES: usize = 200;

/// What anybody else's request may take meanwhile. They are a few milliseconds' work each; this leaves room for a busy machine,
/// and none for waiting until a connection is given up.
const OTHERS_MAX: Duration = Duration::from_secs(2);

/// Sends it until it is answered, as the contract tells clients to.
async fn insist(rider: &Actor, body: &Value) -> Answer {
    loop {
        let answer = rider.post_with("k", "/v1/trips", body).await;
        if answer.code() != "request_in_progress" {
            return answer;
        }
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
}

/// Somebody else's ordinary requests; how long the slowest took.
async fn somebody_else(app: &App) -> Duration {
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
async fn two_hundred_retries_have_one_effect_and_hold_nobody_up() {
    let app = App::with(Options { pool_max: 5, ..Options::default() }).await;
    let rider = app.rider().await;
    let body = wish(&rider).await;
    let hold = Hold::quote(&app, &body).await;
    let storm = {
        let (rider, body) = (rider.clone(), body.clone());
        tokio::spawn(async move { at_once((0..RETRIES).map(|_| insist(&rider, &body))).await })
    };
    until_waiting(&app, USES_UP, 1).await;
    // While one of them runs and the others wait, holding no connection, and again while they are being answered.
    let held_up = at_once((0..4).map(|_| somebody_else(&app))).await;
    hold.let_go().await;
    let (answers, answered) = tokio::join!(storm, at_once((0..4).map(|_| somebody_else(&app))));
    let answers = answers.unwrap();

    let slowest = held_up.into_iter().chain(answered).max().unwrap();
    assert!(slowest < OTHERS_MAX, "somebody else waited {slowest:?}");
    assert_eq!(answers.len(), RETRIES);
    assert_eq!(answers[0].status, 201, "{:#}", answers[0].json());
    answers.iter().for_each(|answer| assert_same(&answers[0], answer));
    let replays = answers.iter().filter(|answer| answer.header("idempotent-replayed") == Some("true")).count();
    assert_eq!(replays, RETRIES - 1);
    assert_eq!((trips(&app).await, keys(&app).await), (1, 1));
    let gate = &app.service().platform().gate;
    until("no queue is left", async || (gate.keys_in_use() == 0).then_some(())).await;
    app.assert_clean().await;
}
