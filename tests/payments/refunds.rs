//! Concurrent refunds, refunds of unknown captures, and refunds with unknown results: the sum never exceeds the captured amount, and
//! nothing is refunded twice.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use crate::fixtures::cents;
use crate::harness::breakpoint::Side;
use crate::harness::{
    API_VERSION, Actor, ApiResponse, App, HERE, PSP_SECRET, at_once, id, in_progress, new_key, until, within,
};
use serde_json::{Value, json};

/// Failed calls are retried after a back-off, and after several failures the breaker is open for some seconds.
const SETTLED_WITHIN: Duration = Duration::from_secs(60);

/// A service with a captured fare.
struct World {
    app: App,
    rider: Actor,
    driver: Actor,
    ops: Actor,
    trip_id: String,
    payment_id: String,
    captured: i64,
}

/// Posts until there is an answer: a request that waits too long for a connection or a row is unavailable, to be repeated with its key.
async fn answered(ops: &Actor, path: &str, body: &Value) -> ApiResponse {
    let key = new_key();
    within(SETTLED_WITHIN, "there is an answer", async || {
        let answer = ops.post_with(&key, path, body).await;
        (answer.status == 201 || answer.code() != "unavailable").then_some(answer)
    })
    .await
}

impl World {
    async fn new() -> Self {
        let mut world = Self::in_progress().await;
        world.complete().await;
        world.captured = world.until_captured().await;
        world
    }

    /// Returns a world whose ride is in progress.
    async fn in_progress() -> Self {
        let app = App::start().await;
        let (rider, driver, ops) = (app.rider().await, app.driver_at(HERE).await, app.ops().await);
        let trip = in_progress(&app, &rider, &driver).await;
        let payment_id = trip["payment_id"].as_str().unwrap().to_owned();
        Self { app, rider, driver, ops, trip_id: id(&trip).to_owned(), payment_id, captured: 0 }
    }

    async fn complete(&self) {
        self.driver.command(&self.trip_id, "complete").await.expect(200);
    }

    async fn until_captured(&self) -> i64 {
        within(SETTLED_WITHIN, "the fare is captured", async || {
            let payment = self.payment().await;
            (payment["state"] == "captured").then(|| payment["captured"]["amount"].as_i64().unwrap())
        })
        .await
    }

    async fn payment(&self) -> Value {
        self.rider.get(&format!("/v1/payments/{}", self.payment_id)).await.expect(200)
    }

    fn path(&self) -> String {
        format!("/v1/payments/{}/refunds", self.payment_id)
    }

    async fn refund(&self, body: &Value) -> ApiResponse {
        self.ops.post(&self.path(), body).await
    }

    /// Makes these requests concurrently, each by another operator because commands per caller are limited. Returns how many were
    /// granted; checks the refusal of the others.
    async fn race(&self, bodies: &[Value]) -> usize {
        let operators = at_once(bodies.iter().map(|_| self.app.ops())).await;
        let path = self.path();
        let answers = at_once(operators.iter().zip(bodies).map(|(ops, body)| answered(ops, &path, body))).await;
        let (granted, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 201);
        for answer in refused {
            answer.expect_problem(409, "not_refundable");
        }
        granted.len()
    }

    /// Waits until the first call of this kind has ended, and checks that its result is unknown.
    async fn until_unknown(&self, operation: &str) {
        let ended =
            "select outcome from payment_attempts where operation = $1 and outcome <> 'started' order by id limit 1";
        let outcome: String = until(&format!("the {operation} has ended"), async || {
            sqlx::query_scalar(ended).bind(operation).fetch_optional(self.app.sql()).await.unwrap()
        })
        .await;
        assert_eq!(outcome, "unknown", "the result of the {operation}");
    }

    /// Repeats a refund under one key until it is answered: four commands per caller run at a time, and the wait for a key is
    /// bounded.
    async fn refund_with_retry(&self, key: &str, body: &Value) -> ApiResponse {
        until("the refund is answered", async || {
            let answer = self.ops.post_with(key, &self.path(), body).await;
            let must_retry = answer.status == 429 || answer.code() == "request_in_progress";
            (!must_retry).then_some(answer)
        })
        .await
    }

    /// Returns the settled refunds, and the sum of the succeeded ones.
    async fn settled(&self) -> (Vec<Value>, i64) {
        within(SETTLED_WITHIN, "the refunds are settled", async || {
            let payment = self.payment().await;
            let refunds = payment["refunds"].as_array().unwrap().clone();
            let refunded = payment["refunded"]["amount"].as_i64().unwrap();
            refunds.iter().all(|refund| refund["state"] != "pending").then_some((refunds, refunded))
        })
        .await
    }

    /// Returns the amounts of the provider's refunds.
    async fn provider_refunds(&self) -> Vec<i64> {
        let url = format!("http://{}/v1/refunds?limit=100", self.app.provider.address());
        let answer =
            self.app.http.get(url).bearer_auth(PSP_SECRET).header("Stripe-Version", API_VERSION).send().await.unwrap();
        let page: Value = answer.error_for_status().unwrap().json().await.unwrap();
        assert_eq!(page["has_more"], false);
        page["data"].as_array().unwrap().iter().map(|refund| refund["amount"].as_i64().unwrap()).collect()
    }

    /// Checks the refunded amount in our records, in the ledger and at the provider.
    async fn assert_refunded(&self, expected: i64) {
        let (_, refunded) = self.settled().await;
        assert_eq!(refunded, expected);
        assert_eq!(self.provider_refunds().await.iter().sum::<i64>(), expected);
        let sql = "select coalesce(sum(amount), 0)::bigint from ledger_entries where account = 'refunds'";
        assert_eq!(self.app.count(sql).await, expected);
        self.app.assert_clean().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_concurrent_refunds_of_sixty_percent_succeeds() {
    let world = World::new().await;
    let part = world.captured * 6 / 10;
    assert_eq!(world.race(&[cents(part), cents(part)]).await, 1);
    world.assert_refunded(part).await;
    assert_eq!(world.race(&[cents(part), cents(part)]).await, 0);
    world.assert_refunded(part).await;
    world.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_of_a_hundred_concurrent_refunds_succeed_when_fifty_cents_are_left() {
    let world = World::new().await;
    world.refund(&cents(world.captured - 50)).await.expect(201);
    assert_eq!(world.race(&vec![cents(1); 100]).await, 50);
    world.assert_refunded(world.captured).await;
    assert_eq!(world.provider_refunds().await.len(), 51);
    world.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_full_and_partial_refunds_never_exceed_the_capture() {
    let world = World::new().await;
    let part = world.captured / 3;
    // In any order: a refund without an amount refunds what is left.
    let granted = world.race(&[json!({}), cents(part), json!({}), cents(part), json!({}), cents(part)]).await;
    assert!((1..=4).contains(&granted), "{granted}");
    world.assert_refunded(world.captured).await;
    assert_eq!(world.race(&[json!({}), cents(1)]).await, 0);
    world.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_requests_with_one_key_are_one_refund() {
    let world = World::new().await;
    let body = cents(100);
    let raced = at_once((0..50).map(|_| world.refund_with_retry("once", &body))).await;
    assert_eq!(raced.iter().filter(|answer| answer.header("idempotent-replayed").is_none()).count(), 1);
    for answer in &raced {
        assert_eq!((answer.status.as_u16(), &answer.bytes), (201, &raced[0].bytes), "{:#}", answer.json());
    }
    world.ops.post_with("once", &world.path(), &cents(101)).await.expect_problem(422, "idempotency_key_reused");
    world.assert_refunded(100).await;
    assert_eq!(world.provider_refunds().await, [100]);
    // The key is used again after the refund has succeeded.
    assert_eq!(world.refund_with_retry("once", &body).await.bytes, raced[0].bytes);
    assert_eq!(world.provider_refunds().await, [100]);
    world.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refund_of_an_unknown_capture_is_refused() {
    let world = World::in_progress().await;
    let answer = world.app.calls.break_at("capture", Side::After);
    world.complete().await;
    let answer = answer.reached().await;
    // The capture is done, its answer is lost, and look-ups fail.
    world.app.calls.reject(["read", "capture"]);
    answer.cut();
    world.until_unknown("capture").await;
    for _ in 0..3 {
        let refused = world.refund(&cents(1)).await.expect_problem(409, "not_refundable");
        assert_eq!((&refused["state"], &refused["refundable"]["amount"]), (&json!("capturing"), &json!(0)));
    }
    world.app.calls.reject([]);
    let captured = world.until_captured().await;
    world.refund(&json!({})).await.expect(201);
    world.assert_refunded(captured).await;
    world.app.stop().await;
}

/// The response in the place of the answer to a refund that was made.
#[derive(Debug, Clone, Copy)]
enum FaultyAnswer {
    None,
    Error(u16),
    UnknownStatus,
}

/// Makes a refund with a faulty answer: its amount stays reserved until the result is known, and it is made once.
async fn with_faulty_answer(fault: FaultyAnswer) {
    let world = World::new().await;
    let part = world.captured * 6 / 10;
    let answer = world.app.calls.break_at("refund", Side::After);
    world.refund(&cents(part)).await.expect(201);
    let answer = answer.reached().await;
    world.app.calls.reject(["read", "refund"]);
    match fault {
        FaultyAnswer::None => answer.cut(),
        FaultyAnswer::Error(status) => {
            answer.respond(status, &json!({"error": {"type": "api_error", "message": "internal error"}}))
        }
        FaultyAnswer::UnknownStatus => {
            answer.respond(200, &json!({"id": "re_1", "object": "refund", "status": "sim_unknown", "amount": part}))
        }
    }
    world.until_unknown("refund").await;
    assert_eq!(world.race(&[cents(part), cents(part)]).await, 0, "an unknown refund stays reserved");
    assert_eq!(world.payment().await["refunded"]["amount"], 0);
    assert_eq!(world.provider_refunds().await, [part]);

    world.app.calls.reject([]);
    world.assert_refunded(part).await;
    assert_eq!(world.provider_refunds().await, [part]);
    // The rest can be refunded.
    world.refund(&json!({})).await.expect(201);
    world.assert_refunded(world.captured).await;
    world.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refund_with_a_lost_answer_is_made_once() {
    with_faulty_answer(FaultyAnswer::None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refund_answered_500_after_the_effect_is_made_once() {
    with_faulty_answer(FaultyAnswer::Error(500)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refund_answered_503_after_the_effect_is_made_once() {
    with_faulty_answer(FaultyAnswer::Error(503)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refund_with_an_unknown_status_is_made_once() {
    with_faulty_answer(FaultyAnswer::UnknownStatus).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_refund_frees_its_reserved_amount() {
    let world = World::new().await;
    let part = world.captured * 6 / 10;
    let call = world.app.calls.break_at("refund", Side::Before);
    world.refund(&cents(part)).await.expect(201);
    let call = call.reached().await;
    assert_eq!(world.race(&[cents(part)]).await, 0);
    call.respond(400, &json!({"error": {"type": "invalid_request_error", "code": "charge_disputed", "message": "no"}}));
    let (refunds, refunded) = world.settled().await;
    assert_eq!((&refunds[0]["state"], &refunds[0]["failure_code"]), (&json!("failed"), &json!("charge_disputed")));
    assert_eq!((refunded, world.provider_refunds().await.len()), (0, 0));

    world.refund(&json!({})).await.expect(201);
    world.assert_refunded(world.captured).await;
    world.app.stop().await;
}

/// The first call fails without an answer, its repeat is refused: the refund ends, and its amount is free again.
#[tokio::test(flavor = "multi_thread")]
async fn refund_refused_after_a_lost_call_fails_and_frees_its_amount() {
    let world = World::new().await;
    let part = world.captured * 6 / 10;
    let first = world.app.calls.break_at("refund", Side::Before);
    world.refund(&cents(part)).await.expect(201);
    let second = world.app.calls.break_at("refund", Side::Before);
    first.reached().await.respond(429, &json!({"error": {"type": "rate_limit_error", "message": "later"}}));
    let refusal = json!({"error": {"type": "invalid_request_error", "code": "charge_disputed", "message": "no"}});
    second.reached().await.respond(400, &refusal);
    let (refunds, refunded) = world.settled().await;
    assert_eq!((&refunds[0]["state"], &refunds[0]["failure_code"]), (&json!("failed"), &json!("charge_disputed")));
    assert_eq!((refunded, world.provider_refunds().await.len()), (0, 0));

    world.refund(&json!({})).await.expect(201);
    world.assert_refunded(world.captured).await;
    world.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failing_and_succeeding_refunds_never_exceed_the_capture() {
    let world = World::new().await;
    let part = world.captured / 4;
    let calls: Vec<_> = (0..4).map(|_| world.app.calls.break_at("refund", Side::Before)).collect();
    assert_eq!(world.race(&vec![cents(part); 8]).await, 4);
    for (n, call) in calls.into_iter().enumerate() {
        match (n % 2, call.reached().await) {
            (0, call) => call.resume(),
            (_, call) => {
                call.respond(402, &json!({"error": {"type": "card_error", "code": "refused", "message": "no"}}))
            }
        }
    }
    world.assert_refunded(2 * part).await;
    let left = world.captured - 2 * part;
    assert_eq!(world.race(&vec![cents(left); 4]).await, 1);
    world.assert_refunded(world.captured).await;
    world.app.stop().await;
}
