//! Concurrent requests on one payment.

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::harness::{Http, Reply, Sim};

const ROUNDS: usize = 20;
const CALLERS: usize = 24;

/// Sends `CALLERS` requests at once; `ask` gets the number of the caller.
async fn race<F>(http: &Http, ask: impl Fn(Http, usize) -> F) -> Vec<Reply>
where
    F: Future<Output = Reply> + Send + 'static,
{
    let mut callers: JoinSet<Reply> = (0..CALLERS).map(|number| ask(http.clone(), number)).collect();
    let mut replies = Vec::new();
    while let Some(reply) = callers.join_next().await {
        replies.push(reply.unwrap());
    }
    replies
}

fn won(replies: &[Reply]) -> Vec<&Reply> {
    replies.iter().filter(|reply| reply.status == 200).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_many_captures_succeeds() {
    let sim = Sim::start().await;
    for _ in 0..ROUNDS {
        let id = sim.http.authorized().await;
        let replies = race(&sim.http, |http, number| {
            let id = id.clone();
            let amount = (100 + number).to_string();
            async move { http.command(&id, "capture", &[("amount_to_capture", &amount)]).await }
        })
        .await;
        let winners = won(&replies);
        assert_eq!(winners.len(), 1);
        assert_eq!(sim.http.intent(&id).await, winners[0].json);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_many_captures_and_cancels_succeeds_and_the_others_are_400() {
    let sim = Sim::start().await;
    for _ in 0..ROUNDS {
        let id = sim.http.authorized().await;
        let replies = race(&sim.http, |http, number| {
            let id = id.clone();
            let command = if number % 2 == 0 { "capture" } else { "cancel" };
            async move { http.command(&id, command, &[]).await }
        })
        .await;
        assert_eq!(won(&replies).len(), 1);
        for loser in replies.iter().filter(|reply| reply.status != 200) {
            assert_eq!(loser.error(), (400, "invalid_request_error", "payment_intent_unexpected_state"));
        }
    }
    assert_eq!(sim.http.sums().await["authorized_open"], json!({}));
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_refunds_never_exceed_the_captured_amount() {
    let sim = Sim::start().await;
    for _ in 0..ROUNDS {
        let id = sim.http.captured().await;
        let replies = race(&sim.http, |http, _| {
            let id = id.clone();
            async move { http.refund(&id, "300").await }
        })
        .await;
        assert_eq!(won(&replies).len(), 3, "three times 300 of 1000");
        for loser in replies.iter().filter(|reply| reply.status != 200) {
            assert_eq!(loser.error(), (400, "invalid_request_error", "amount_too_large"));
        }
        let refunds = sim.http.get(&format!("/v1/refunds?payment_intent={id}")).await.json;
        let amounts: Vec<&Value> = refunds["data"].as_array().unwrap().iter().map(|refund| &refund["amount"]).collect();
        assert_eq!(amounts, [300, 300, 300]);
    }
    let rounds = i64::try_from(ROUNDS).unwrap();
    assert_eq!(sim.http.sums().await["refunded"], json!({ "USD": 900 * rounds }));
}
