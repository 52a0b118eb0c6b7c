//! Refunds that race, refunds of what nobody knows to be captured, refunds that nobody knows to be made: the sum never exceeds
//! what was captured, and nothing goes back twice.
#![allow(clippy::unwrap_used, reason = "tests")]

mod harness;

use std::time::Duration;

use harness::hold::Side;
use harness::{Actor, Answer, App, HERE, PSP_SECRET, at_once, id, in_progress, until, within};
use serde_json::{Value, json};

/// Calls that failed are made again after a pause, and after several failures nobody calls for some seconds.
const SETTLED_WITHIN: Duration = Duration::from_secs(60);

/// A service, and a fare that was captured.
struct World {
    app: App,
    rider: Actor,
    driver: Actor,
    ops: Actor,
    trip_id: String,
    payment_id: String,
    captured: i64,
}

fn cents(amount: i64) -> Value {
    json!({"amount": {"amount": amount, "currency": "USD"}})
}

impl World {
    async fn new() -> Self {
        let mut world = Self::under_way().await;
        world.complete().await;
        world.captured = world.until_captured().await;
        world
    }

    /// The ride is not over yet.
    async fn under_way() -> Self {
        let app = App::start().await;
        let (rider, driver, ops) = (app.rider().await, app.driver_at(HERE).await, app.ops().await);
        let trip = in_progress(&app, &rider, &driver).await;
        let payment_id = trip["payment_id"].as_str().unwrap().to_owned();
        Self { app, rider, driver, ops, trip_id: id(&trip).to_owned(), payment_id, captured: 0 }
    }

    async fn complete(&self) {
        self.driver.act(&self.trip_id, "complete").await.expect(200);
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

    async fn refund(&self, body: &Value) -> Answer {
        self.ops.post(&self.path(), body).await
    }

    /// Asks for all of these at once, each by another operator, so that none waits for the limit of commands per caller. How many
    /// of them were granted; the others were told why not.
    async fn race(&self, bodies: &[Value]) -> usize {
        let operators = at_once(bodies.iter().map(|_| self.app.ops())).await;
        let path = self.path();
        let answers = at_once(operators.iter().zip(bodies).map(|(ops, body)| ops.post(&path, body))).await;
        let (granted, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 201);
        for answer in refused {
            answer.expect_problem(409, "not_refundable");
        }
        granted.len()
    }

    /// Waits until it is written how the first call of this kind ended, and demands that nobody knows what became of it.
    async fn until_unknown(&self, operation: &str) {
        let ended =
            "select outcome from payment_attempts where operation = $1 and outcome <> 'started' order by id limit 1";
        let outcome: String = until(&format!("the {operation} has ended"), async || {
            sqlx::query_scalar(ended).bind(operation).fetch_optional(self.app.sql()).await.unwrap()
        })
        .await;
        assert_eq!(outcome, "unknown", "what became of the {operation}");
    }

    /// Asks again and again under the same key, until there is an answer: four of one caller at a time, and a request waits in
    /// line for its key, but not for ever.
    async fn insist(&self, key: &str, body: &Value) -> Answer {
        until("there is an answer", async || {
            let answer = self.ops.post_with(key, &self.path(), body).await;
            let is_later = answer.status == 429 || answer.code() == "request_in_progress";
            (!is_later).then_some(answer)
        })
        .await
    }

    /// The refunds as they are in the end, and the sum of those that were made.
    async fn settled(&self) -> (Vec<Value>, i64) {
        within(SETTLED_WITHIN, "the refunds are settled", async || {
            let payment = self.payment().await;
            let refunds = payment["refunds"].as_array().unwrap().clone();
            let refunded = payment["refunded"]["amount"].as_i64().unwrap();
            refunds.iter().all(|refund| refund["state"] != "pending").then_some((refunds, refunded))
        })
        .await
    }

    /// What the provider has given back, refund by refund.
    async fn given_back(&self) -> Vec<i64> {
        let url = format!("http://{}/v1/refunds?limit=100", self.app.provider.address());
        let answer = self.app.http.get(url).bearer_auth(PSP_SECRET).send().await.unwrap();
        let page: Value = answer.error_for_status().unwrap().json().await.unwrap();
        assert_eq!(page["has_more"], false);
        page["data"].as_array().unwrap().iter().map(|refund| refund["amount"].as_i64().unwrap()).collect()
    }

    /// Fails unless so much went back, in our books, in the ledger and at the provider.
    async fn assert_given_back(&self, expected: i64) {
        let (_, refunded) = self.settled().await;
        assert_eq!(refunded, expected);
        assert_eq!(self.given_back().await.iter().sum::<i64>(), expected);
        let sql = "select coalesce(sum(amount), 0)::bigint from ledger_entries where account = 'refunds'";
        assert_eq!(self.app.count(sql).await, expected);
        self.app.assert_clean().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_refunds_of_sixty_percent_one_is_made() {
    let world = World::new().await;
    let part = world.captured * 6 / 10;
    assert_eq!(world.race(&[cents(part), cents(part)]).await, 1);
    world.assert_given_back(part).await;
    assert_eq!(world.race(&[cents(part), cents(part)]).await, 0);
    world.assert_given_back(part).await;
    world.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_hundred_refunds_of_a_cent_fifty_are_made_when_fifty_cents_are_left() {
    let world = World::new().await;
    world.refund(&cents(world.captured - 50)).await.expect(201);
    assert_eq!(world.race(&vec![cents(1); 100]).await, 50);
    world.assert_given_back(world.captured).await;
    assert_eq!(world.given_back().await.len(), 51);
    world.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_against_a_part_gives_back_everything_and_no_more() {
    let world = World::new().await;
    let part = world.captured / 3;
    // Whichever comes first: "everything" is what is left.
    let granted = world.race(&[json!({}), cents(part), json!({}), cents(part), json!({}), cents(part)]).await;
    assert!((1..=4).contains(&granted), "{granted}");
    world.assert_given_back(world.captured).await;
    assert_eq!(world.race(&[json!({}), cents(1)]).await, 0);
    world.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_times_the_same_key_is_one_refund() {
    let world = World::new().await;
    let body = cents(100);
    let raced = at_once((0..50).map(|_| world.insist("once", &body))).await;
    assert_eq!(raced.iter().filter(|answer| answer.header("idempotent-replayed").is_none()).count(), 1);
    for answer in &raced {
        assert_eq!((answer.status.as_u16(), &answer.bytes), (201, &raced[0].bytes), "{:#}", answer.json());
    }
    world.ops.post_with("once", &world.path(), &cents(101)).await.expect_problem(422, "idempotency_key_reused");
    world.assert_given_back(100).await;
    assert_eq!(world.given_back().await, [100]);
    // The first refund is long made when the key is used once more.
    assert_eq!(world.insist("once", &body).await.bytes, raced[0].bytes);
    assert_eq!(world.given_back().await, [100]);
    world.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_goes_back_while_it_is_not_known_whether_it_was_captured() {
    let world = World::under_way().await;
    let answer = world.app.calls.hold("capture", Side::After);
    world.complete().await;
    let answer = answer.reached().await;
    // It is done, we are not told, and cannot ask.
    world.app.calls.close(["look", "capture"]);
    answer.cut();
    world.until_unknown("capture").await;
    for _ in 0..3 {
        let refused = world.refund(&cents(1)).await.expect_problem(409, "not_refundable");
        assert_eq!((&refused["state"], &refused["refundable"]["amount"]), (&json!("capturing"), &json!(0)));
    }
    world.app.calls.close([]);
    let captured = world.until_captured().await;
    world.refund(&json!({})).await.expect(201);
    world.assert_given_back(captured).await;
    world.app.stop().await;
}

/// What the provider says instead of the answer to a refund that it has made.
#[derive(Debug, Clone, Copy)]
enum Instead {
    Nothing,
    Error(u16),
    Mystery,
}

/// A refund was made, and we were not told. What is reserved stays reserved until we know; and it is made once.
async fn unheard(instead: Instead) {
    let world = World::new().await;
    let part = world.captured * 6 / 10;
    let answer = world.app.calls.hold("refund", Side::After);
    world.refund(&cents(part)).await.expect(201);
    let answer = answer.reached().await;
    world.app.calls.close(["look", "refund"]);
    match instead {
        Instead::Nothing => answer.cut(),
        Instead::Error(status) => answer.answer(status, &json!({"error": {"type": "api_error", "message": "oh"}})),
        Instead::Mystery => {
            answer.answer(200, &json!({"id": "re_1", "object": "refund", "status": "sim_mystery", "amount": part}))
        }
    }
    world.until_unknown("refund").await;
    assert_eq!(world.race(&[cents(part), cents(part)]).await, 0, "what is not known is reserved");
    assert_eq!(world.payment().await["refunded"]["amount"], 0);
    assert_eq!(world.given_back().await, [part]);

    world.app.calls.close([]);
    world.assert_given_back(part).await;
    assert_eq!(world.given_back().await, [part]);
    // And the rest is as good as it was.
    world.refund(&json!({})).await.expect(201);
    world.assert_given_back(world.captured).await;
    world.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_whose_answer_is_lost_is_made_once() {
    unheard(Instead::Nothing).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_that_is_answered_500_and_was_made_is_made_once() {
    unheard(Instead::Error(500)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_that_is_answered_503_and_was_made_is_made_once() {
    unheard(Instead::Error(503)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_of_a_status_that_nobody_knows_is_made_once() {
    unheard(Instead::Mystery).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_that_fails_gives_back_what_it_had_reserved() {
    let world = World::new().await;
    let part = world.captured * 6 / 10;
    let call = world.app.calls.hold("refund", Side::Before);
    world.refund(&cents(part)).await.expect(201);
    let call = call.reached().await;
    assert_eq!(world.race(&[cents(part)]).await, 0);
    call.answer(400, &json!({"error": {"type": "invalid_request_error", "code": "charge_disputed", "message": "no"}}));
    let (refunds, refunded) = world.settled().await;
    assert_eq!((&refunds[0]["state"], &refunds[0]["failure_code"]), (&json!("failed"), &json!("charge_disputed")));
    assert_eq!((refunded, world.given_back().await.len()), (0, 0));

    world.refund(&json!({})).await.expect(201);
    world.assert_given_back(world.captured).await;
    world.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refunds_that_fail_and_refunds_that_do_not_never_exceed_the_capture_together() {
    let world = World::new().await;
    let part = world.captured / 4;
    let calls: Vec<_> = (0..4).map(|_| world.app.calls.hold("refund", Side::Before)).collect();
    assert_eq!(world.race(&vec![cents(part); 8]).await, 4);
    for (n, call) in calls.into_iter().enumerate() {
        match (n % 2, call.reached().await) {
            (0, call) => call.let_go(),
            (_, call) => {
                call.answer(402, &json!({"error": {"type": "card_error", "code": "refused", "message": "no"}}))
            }
        }
    }
    world.assert_given_back(2 * part).await;
    let left = world.captured - 2 * part;
    assert_eq!(world.race(&vec![cents(left); 4]).await, 1);
    world.assert_given_back(world.captured).await;
    world.app.stop().await;
}
