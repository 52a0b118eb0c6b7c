//! Lost authorizations and debts, and the decisions of operators about them.
#![allow(clippy::unwrap_used, reason = "tests")]

use crate::fixtures::cents;
use ridematch::platform::class::VehicleClass;
use ridematch::pricing::{Tariff, driver_share};

use crate::harness::{
    API_VERSION, Actor, ApiResponse, App, HERE, Options, PSP_SECRET, assigned, at_once, id, in_progress, new_key, until,
};
use serde_json::{Value, json};

const DECLINED: &str = "update payments set payment_method = 'pm_card_chargeDeclinedInsufficientFunds'";
const VALID_AGAIN: &str = "update payments set payment_method = 'pm_card_visa'";

/// Cancels a payment's intent at the provider, as an expired authorization does.
async fn expire(app: &App, intent: &str) {
    let url = format!("http://{}/v1/payment_intents/{intent}/cancel", app.provider.address());
    let answer = app.http.post(url).bearer_auth(PSP_SECRET).header("Stripe-Version", API_VERSION).send().await.unwrap();
    assert_eq!(answer.status(), 200);
}

async fn text(app: &App, sql: &str) -> String {
    sqlx::query_scalar(sqlx::AssertSqlSafe(sql.to_owned())).fetch_one(app.sql()).await.unwrap()
}

/// Returns purpose and state of a trip's payments, oldest first.
async fn payments(app: &App, trip: &Value) -> Vec<(String, String)> {
    let trip: ridematch::platform::ids::TripId = id(trip).parse().unwrap();
    let trip: sqlx::types::Uuid = ridematch::platform::ids::Id::uuid(trip);
    sqlx::query_as("select purpose, state from payments where trip_id = $1 order by id")
        .bind(trip)
        .fetch_all(app.sql())
        .await
        .unwrap()
}

async fn until_payments(app: &App, trip: &Value, wanted: &[(&str, &str)]) {
    let same = |found: &[(String, String)]| {
        found.len() == wanted.len() && found.iter().zip(wanted).all(|(a, b)| (a.0.as_str(), a.1.as_str()) == *b)
    };
    until(&format!("the payments are {wanted:?}"), async || same(&payments(app, trip).await).then_some(())).await;
}

/// Returns the balance of an account.
async fn balance(app: &App, account: &str) -> i64 {
    let sql = format!("select coalesce(sum(amount), 0)::bigint from ledger_entries where account = '{account}'");
    app.count(&sql).await
}

/// Returns the payments and refunds that need review.
async fn review_queue(ops: &Actor) -> Vec<Value> {
    let queue = ops.get("/v1/ops/reconciliation").await.expect(200)["needs_review"]["items"].clone();
    queue.as_array().unwrap().clone()
}

async fn resolve(ops: &Actor, subject: &str, action: &str) -> ApiResponse {
    let kind = if subject.starts_with("pay_") { "payments" } else { "refunds" };
    let body = json!({"action": action, "note": "Checked in the provider's dashboard."});
    ops.post(&format!("/v1/ops/{kind}/{subject}/resolve"), &body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_hold_is_replaced_and_captured() {
    let app = App::start().await;
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = in_progress(&app, &rider, &driver).await;
    expire(&app, &text(&app, "select provider_intent_id from payments").await).await;
    until_payments(&app, &trip, &[("fare", "auth_expired"), ("fare", "authorized")]).await;
    driver.command(id(&trip), "complete").await.expect(200);
    until_payments(&app, &trip, &[("fare", "auth_expired"), ("fare", "captured")]).await;
    app.assert_clean().await;
    assert_eq!(balance(&app, "rider_receivable").await, 0);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_hold_is_replaced_once() {
    let app = App::start().await;
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = in_progress(&app, &rider, &driver).await;
    expire(&app, &text(&app, "select provider_intent_id from payments").await).await;
    until_payments(&app, &trip, &[("fare", "auth_expired"), ("fare", "authorized")]).await;
    expire(&app, &text(&app, "select provider_intent_id from payments where replaces is not null").await).await;
    until_payments(&app, &trip, &[("fare", "auth_expired"), ("fare", "auth_expired")]).await;
    let ops = app.ops().await;
    let queue = review_queue(&ops).await;
    assert_eq!(queue.len(), 1, "{queue:#?}");
    let subject = queue[0]["subject"].as_str().unwrap();
    resolve(&ops, subject, "retry").await.expect_problem(409, "not_resolvable");
    resolve(&ops, subject, "close").await.expect(200);
    assert!(review_queue(&ops).await.is_empty());

    driver.command(id(&trip), "complete").await.expect(200);
    until_payments(&app, &trip, &[("fare", "auth_expired"), ("fare", "auth_expired"), ("remainder", "captured")]).await;
    app.assert_clean().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fee_has_its_own_payment_after_the_hold_expired() {
    let app = App::start().await;
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = assigned(&app, &rider, &driver).await;
    app.break_with(DECLINED).await;
    expire(&app, &text(&app, "select provider_intent_id from payments").await).await;
    until_payments(&app, &trip, &[("fare", "auth_expired"), ("fare", "declined")]).await;
    app.break_with(VALID_AGAIN).await;
    app.advance(150).await;
    driver.send_position(&app, HERE).await;
    let trip = rider.command(id(&trip), "cancel").await.expect(200);
    let fee = Tariff::of(VehicleClass::Standard).cancellation_fee;
    assert_eq!(trip["fare"]["amount"], fee);
    until_payments(&app, &trip, &[("fare", "auth_expired"), ("fare", "declined"), ("fee", "captured")]).await;
    app.assert_clean().await;
    assert_eq!(balance(&app, "clearing").await, fee);
    assert_eq!(balance(&app, "driver_payable").await, -driver_share(fee));
    assert_eq!(balance(&app, "platform_revenue").await, driver_share(fee) - fee);
    app.stop().await;
}

/// The authorization has expired, and its event is lost: the capture is refused.
#[tokio::test(flavor = "multi_thread")]
async fn capture_after_expiry_is_replaced_once() {
    let app = App::start().await;
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = in_progress(&app, &rider, &driver).await;
    let intent = text(&app, "select provider_intent_id from payments").await;
    app.break_with("update payments set provider_intent_id = 'pi_hidden'").await;
    expire(&app, &intent).await;
    // The event about the expiry does not find the payment.
    app.break_with(&format!("update payments set provider_intent_id = '{intent}', due_at = null")).await;
    driver.command(id(&trip), "complete").await.expect(200);
    until("the fare is captured", async || {
        payments(&app, &trip).await.contains(&("fare".to_owned(), "captured".to_owned())).then_some(())
    })
    .await;
    app.assert_clean().await;
    assert_eq!(balance(&app, "rider_receivable").await, 0);
    assert!(review_queue(&app.ops().await).await.is_empty());
    app.stop().await;
}

/// Returns a completed trip with a debt: its authorization expired, and the card is declined since.
async fn trip_with_debt(app: &App) -> (Value, String) {
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = in_progress(app, &rider, &driver).await;
    app.break_with(DECLINED).await;
    expire(app, &text(app, "select provider_intent_id from payments").await).await;
    until_payments(app, &trip, &[("fare", "auth_expired"), ("fare", "declined")]).await;
    driver.command(id(&trip), "complete").await.expect(200);
    until_payments(app, &trip, &[("fare", "auth_expired"), ("fare", "declined"), ("remainder", "declined")]).await;
    app.assert_clean().await;
    let queue = review_queue(&app.ops().await).await;
    assert_eq!(queue.len(), 1, "{queue:#?}");
    (trip, queue[0]["subject"].as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn retried_debt_is_paid() {
    let app = App::start().await;
    let (trip, subject) = trip_with_debt(&app).await;
    let owed = balance(&app, "rider_receivable").await;
    assert!(owed > 0);
    app.break_with(VALID_AGAIN).await;
    let ops = app.ops().await;
    let (first, second) = (app.ops().await, app.ops().await);
    let answers = at_once([resolve(&first, &subject, "retry"), resolve(&second, &subject, "retry")]).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1, "{answers:?}");
    let ends = [("fare", "auth_expired"), ("fare", "declined"), ("remainder", "declined"), ("remainder", "captured")];
    until_payments(&app, &trip, &ends).await;
    app.assert_clean().await;
    assert_eq!(balance(&app, "rider_receivable").await, 0);
    assert_eq!(balance(&app, "clearing").await, owed);
    assert!(review_queue(&ops).await.is_empty());
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn closed_debt_is_written_off_and_recorded() {
    let app = App::start().await;
    let (_, subject) = trip_with_debt(&app).await;
    let (ops, owed) = (app.ops().await, balance(&app, "rider_receivable").await);
    let driver_payable = balance(&app, "driver_payable").await;
    let path = format!("/v1/ops/payments/{subject}/resolve");
    let body = json!({"action": "close", "note": "Stolen card."});
    let stale =
        ops.request(reqwest::Method::POST, &path).header("If-Match", "\"0\"").header("Idempotency-Key", new_key());
    ApiResponse::of(stale.json(&body)).await.expect_problem(412, "version_mismatch");
    let key = new_key();
    let payment = ops.post_with(&key, &path, &body).await.expect(200);
    assert_eq!(payment["state"], "declined");
    ops.post_with(&key, &path, &body).await.expect(200);
    ops.post(&path, &body).await.expect_problem(409, "not_resolvable");
    app.assert_clean().await;
    assert_eq!((balance(&app, "rider_receivable").await, balance(&app, "bad_debt").await), (0, owed));
    assert_eq!(balance(&app, "driver_payable").await, driver_payable, "the driver is paid in any case");
    let record = text(
        &app,
        "select action || ' ' || written_off || ' ' || note || ' ' || needs_review from payment_resolutions",
    );
    assert_eq!(record.await, format!("close {owed} Stolen card. declined, and {owed} of it are owed"));
    for forbidden in ["update payment_resolutions set note = 'x'", "delete from payment_resolutions"] {
        sqlx::raw_sql(sqlx::AssertSqlSafe(forbidden)).execute(app.sql()).await.unwrap_err();
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn payment_that_the_provider_hides_continues_after_retry() {
    let app = App::start().await;
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = in_progress(&app, &rider, &driver).await;
    let intent = text(&app, "select provider_intent_id from payments").await;
    app.break_with("update payments set provider_intent_id = 'pi_nowhere'").await;
    driver.command(id(&trip), "complete").await.expect(200);
    let ops = app.ops().await;
    let subject = until("the payment needs review", async || {
        review_queue(&ops).await.first().map(|one| one["subject"].as_str().unwrap().to_owned())
    })
    .await;
    app.break_with(&format!("update payments set provider_intent_id = '{intent}'")).await;
    let answer = resolve(&ops, &subject, "retry").await;
    let trace = answer.header("trace-id").unwrap().to_owned();
    answer.expect(200);
    until_payments(&app, &trip, &[("fare", "captured")]).await;
    // What follows belongs to the decision, and not to the end of the ride.
    let events =
        "select string_agg(trace_id, ' ' order by seq) from payment_events where state in ('capturing', 'captured')";
    let traces = text(&app, events).await;
    let (ride, captured) = traces.split_once(' ').unwrap();
    assert!(ride != trace && captured == trace, "{trace}: {traces}");
    app.assert_clean().await;
    app.stop().await;
}

/// Every new refund needs review.
const REVIEW_REFUNDS: &str = "
    create function require_review() returns trigger language plpgsql as $$
    begin new.due_at := null; new.needs_review := 'by the test'; return new; end $$;
    create trigger require_review before insert on refunds for each row execute function require_review();";

async fn refund_in_review(app: &App, ops: &Actor, amount: i64) -> (String, String) {
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = in_progress(app, &rider, &driver).await;
    let trip = driver.command(id(&trip), "complete").await.expect(200);
    until_payments(app, &trip, &[("fare", "captured")]).await;
    let payment = trip["payment_id"].as_str().unwrap().to_owned();
    let refund = ops.post(&format!("/v1/payments/{payment}/refunds"), &cents(amount)).await.expect(201);
    (payment, id(&refund).to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn retried_refund_is_sent() {
    let app = App::with(Options { sql: REVIEW_REFUNDS, ..Options::default() }).await;
    let ops = app.ops().await;
    let (payment, refund) = refund_in_review(&app, &ops, 200).await;
    let answer = resolve(&ops, &refund, "retry").await;
    let trace = answer.header("trace-id").unwrap().to_owned();
    answer.expect(200);
    until("it is refunded", async || {
        let payment = ops.get(&format!("/v1/payments/{payment}")).await.expect(200);
        (payment["refunded"]["amount"] == 200).then_some(())
    })
    .await;
    assert_eq!(text(&app, "select trace_id from payment_attempts where operation = 'refund'").await, trace);
    resolve(&ops, &refund, "close").await.expect_problem(409, "not_resolvable");
    app.assert_clean().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn closed_refund_frees_its_amount_and_can_be_replaced() {
    let app = App::with(Options { sql: REVIEW_REFUNDS, ..Options::default() }).await;
    let ops = app.ops().await;
    let (payment, refund) = refund_in_review(&app, &ops, 200).await;
    app.break_with("drop trigger require_review on refunds").await;
    let after = resolve(&ops, &refund, "close").await.expect(200);
    assert_eq!((&after["refunds"][0]["state"], &after["refunded"]["amount"]), (&json!("failed"), &json!(0)));
    app.assert_clean().await;
    assert_eq!(app.count("select refund_reserved from payments").await, 0);

    app.break_with("update refunds set needs_review = 'the refund failed'").await;
    let after = resolve(&ops, &refund, "retry").await.expect(200);
    assert_eq!(after["refunds"].as_array().unwrap().len(), 2);
    until("it is refunded", async || {
        let payment = ops.get(&format!("/v1/payments/{payment}")).await.expect(200);
        (payment["refunded"]["amount"] == 200).then_some(())
    })
    .await;
    app.assert_clean().await;
    assert!(review_queue(&ops).await.is_empty());
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_decisions_are_refused() {
    let app = App::start().await;
    let (_, subject) = trip_with_debt(&app).await;
    let path = format!("/v1/ops/payments/{subject}/resolve");
    let ops = app.ops().await;
    for (body, pointer) in [
        (json!({"action": "forget", "note": "x"}), "/action"),
        (json!({"action": "close", "note": ""}), "/note"),
        (json!({"action": "close", "note": " "}), "/note"),
        (json!({"action": "close", "note": "x".repeat(501)}), "/note"),
        (json!({"action": "close", "note": "a\u{0}b"}), "/note"),
        (json!({"action": "close", "note": "x", "amount": 1}), "/amount"),
    ] {
        let problem = ops.post(&path, &body).await.expect_problem(422, "invalid_request");
        assert_eq!(problem["errors"][0]["pointer"], pointer);
    }
    let good = json!({"action": "close", "note": "x"});
    ops.post_unkeyed(&path, &good).await.expect_problem(400, "idempotency_key_missing");
    app.rider().await.post(&path, &good).await.expect_problem(403, "forbidden");
    let missing = "/v1/ops/refunds/rfd_01h455vb4pex5vsknk084sn02q/resolve";
    ops.post(missing, &good).await.expect_problem(404, "not_found");
    ops.post("/v1/ops/payments/rfd_01h455vb4pex5vsknk084sn02q/resolve", &good).await.expect_problem(400, "invalid_id");
    app.assert_clean().await;
    app.stop().await;
}
