//! The history of a payment: one event for each change, without gaps, whatever is repeated.
#![allow(clippy::unwrap_used, reason = "tests")]

use crate::fixtures::{cents, intent_event, post_event, until_payment};
use crate::harness::{Actor, App, HERE, id, in_progress, new_key, until};
use serde_json::{Value, json};

/// Returns the events of a payment.
async fn events(actor: &Actor, payment: &str) -> Vec<Value> {
    let page = actor.get(&format!("/v1/payments/{payment}/events")).await.expect(200);
    assert_eq!(page["next_cursor"], Value::Null);
    page["items"].as_array().unwrap().clone()
}

/// Asserts that events are numbered from 1, that each starts in the state in which the one before ended, and returns them as text.
fn shown(events: &[Value]) -> Vec<String> {
    let mut before = Value::Null;
    for (n, event) in events.iter().enumerate() {
        assert_eq!((event["seq"].as_u64(), &event["from"]), (Some(n as u64 + 1), &before), "{event}");
        before = event["state"].clone();
    }
    let text = |event: &Value| format!("{} {}", event["kind"].as_str().unwrap(), event["state"].as_str().unwrap());
    events.iter().map(text).collect()
}

const CAPTURED: [&str; 4] =
    ["opened authorizing", "state_changed authorized", "goal_set capturing", "state_changed captured"];

#[tokio::test(flavor = "multi_thread")]
async fn each_change_has_one_event_over_retries_and_repeated_hints() {
    let app = App::start().await;
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = in_progress(&app, &rider, &driver).await;
    let (key, complete) = (new_key(), format!("/v1/trips/{}/complete", id(&trip)));
    for _ in 0..2 {
        driver.post_with(&key, &complete, &json!({})).await.expect(200);
    }
    let payment_id = trip["payment_id"].as_str().unwrap();
    let payment = until_payment(&rider, payment_id, "captured").await;
    let intent: String =
        sqlx::query_scalar("select provider_intent_id from payments").fetch_one(app.sql()).await.unwrap();
    for kind in ["payment_intent.succeeded", "charge.updated"] {
        post_event(&app, &intent_event(&format!("evt_{}", new_key()), kind, &intent), 0).await.expect(200);
    }
    let (ops, refund_key) = (app.ops().await, new_key());
    for _ in 0..2 {
        ops.post_with(&refund_key, &format!("/v1/payments/{payment_id}/refunds"), &cents(200)).await.expect(201);
    }
    until("the refund has succeeded", async || {
        let payment = rider.get(&format!("/v1/payments/{payment_id}")).await.expect(200);
        (payment["refunded"]["amount"] == 200).then_some(())
    })
    .await;
    app.assert_clean().await;

    let events = events(&rider, payment_id).await;
    let expected = [CAPTURED.as_slice(), &["refund_requested captured", "refund_succeeded captured"]].concat();
    assert_eq!(shown(&events), expected);
    assert_eq!((&events[0]["amount"], &events[3]["amount"]), (&payment["amount"], &payment["captured"]));
    let refund = &ops.get(&format!("/v1/payments/{payment_id}")).await.expect(200)["refunds"][0]["id"];
    assert_eq!((&events[4]["refund_id"], &events[5]["refund_id"]), (refund, refund));
    // What the provider did names its call; what the trip or an operator wanted names none.
    let caused: Vec<bool> = events.iter().map(|event| event["attempt_id"].is_string()).collect();
    assert_eq!(caused, [false, true, false, true, false, true]);
    let known = "select count(*) from payment_events e join payment_attempts a on a.id = e.attempt_id and a.payment_id = e.payment_id";
    assert_eq!(app.count(known).await, 3);
    // The capture continues the trace of the request that completed the ride.
    assert_eq!(events[2]["trace_id"], events[3]["trace_id"]);
    assert_ne!(events[1]["trace_id"], events[2]["trace_id"]);
    let traced = "select count(distinct e.trace_id) from trip_events e join payment_events p on p.trace_id = e.trace_id
                  where e.command = 'complete' and p.kind in ('goal_set', 'state_changed') and p.seq > 2";
    assert_eq!(app.count(traced).await, 1);
    app.stop().await;
}

/// Two refunds of one payment, under way at the same time, belong to the requests that asked for them.
#[tokio::test(flavor = "multi_thread")]
async fn each_refund_has_the_trace_of_its_own_request() {
    let app = App::start().await;
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = in_progress(&app, &rider, &driver).await;
    driver.post(&format!("/v1/trips/{}/complete", id(&trip)), &json!({})).await.expect(200);
    let payment_id = trip["payment_id"].as_str().unwrap();
    until_payment(&rider, payment_id, "captured").await;
    let (ops, path) = (app.ops().await, format!("/v1/payments/{payment_id}/refunds"));
    let (mut refunds, mut traces) = (Vec::new(), Vec::new());
    for amount in [100, 200] {
        let answer = ops.post(&path, &cents(amount)).await;
        traces.push(answer.header("trace-id").unwrap().to_owned());
        refunds.push(id(&answer.expect(201)).to_owned());
    }
    until("both are refunded", async || {
        let payment = rider.get(&format!("/v1/payments/{payment_id}")).await.expect(200);
        (payment["refunded"]["amount"] == 300).then_some(())
    })
    .await;
    assert!(
        !traces.contains(&text(&app, "select trace_id from payments").await),
        "no work on the payment was asked for"
    );
    let called = "select string_agg(trace_id, ' ' order by amount) from payment_attempts where operation = 'refund'";
    assert_eq!(text(&app, called).await, traces.join(" "));
    for (refund, trace) in refunds.iter().zip(&traces) {
        let own: Vec<Value> =
            events(&ops, payment_id).await.into_iter().filter(|e| e["refund_id"] == *refund).collect();
        assert!(own.len() == 2 && own.iter().all(|event| event["trace_id"] == *trace), "{trace}: {own:#?}");
    }
    app.assert_clean().await;
    app.stop().await;
}

async fn text(app: &App, sql: &str) -> String {
    sqlx::query_scalar(sqlx::AssertSqlSafe(sql.to_owned())).fetch_one(app.sql()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn declined_and_released_payments_have_their_histories() {
    let app = App::start().await;
    let rider = app.rider().await;
    let declined = rider.request_trip_with("pm_card_chargeDeclinedInsufficientFunds").await;
    rider.until_state(id(&declined), "payment_failed").await;
    let history = events(&rider, declined["payment_id"].as_str().unwrap()).await;
    assert_eq!(shown(&history), ["opened authorizing", "state_changed declined"]);

    let released = rider.request_trip().await;
    until_payment(&rider, released["payment_id"].as_str().unwrap(), "authorized").await;
    rider.post(&format!("/v1/trips/{}/cancel", id(&released)), &json!({})).await.expect(200);
    until_payment(&rider, released["payment_id"].as_str().unwrap(), "voided").await;
    let history = events(&rider, released["payment_id"].as_str().unwrap()).await;
    let expected = ["opened authorizing", "state_changed authorized", "goal_set voiding", "state_changed voided"];
    assert_eq!(shown(&history), expected);
    app.assert_clean().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn history_is_paged_and_hidden_from_other_riders() {
    let app = App::start().await;
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = in_progress(&app, &rider, &driver).await;
    let path = format!("/v1/payments/{}/events", trip["payment_id"].as_str().unwrap());
    let first = rider.get(&format!("{path}?limit=1")).await.expect(200);
    assert_eq!((&first["items"][0]["seq"], &first["next_cursor"]), (&json!(1), &json!(1)));
    let rest = app.ops().await.get(&format!("{path}?limit=1&cursor=1")).await.expect(200);
    assert_eq!((&rest["items"][0]["seq"], &rest["next_cursor"]), (&json!(2), &Value::Null));
    for wrong in ["limit=0", "limit=101", "cursor=-1"] {
        rider.get(&format!("{path}?{wrong}")).await.expect_problem(422, "invalid_request");
    }
    app.rider().await.get(&path).await.expect_problem(404, "not_found");
    app.stop().await;
}

/// The database refuses a state without its event, a gap, and a change of what is written.
#[tokio::test(flavor = "multi_thread")]
async fn database_refuses_a_history_that_differs() {
    let app = App::start().await;
    let rider = app.rider().await;
    let trip = rider.request_trip().await;
    until_payment(&rider, trip["payment_id"].as_str().unwrap(), "authorized").await;
    let event = |seq, from, state| {
        format!(
            "insert into payment_events (payment_id, seq, kind, from_state, state, at, made_at)
             select id, {seq}, 'state_changed', '{from}', '{state}', created_at, created_at from payments"
        )
    };
    let refused = [
        ("update payments set state = 'declined', due_at = null".to_owned(), "last_event_has_the_state"),
        (
            format!(
                "{}; update payments set last_event = 4, state = 'declined', due_at = null",
                event(4, "authorized", "declined")
            ),
            "payment_events_without_gap",
        ),
        (
            format!(
                "{}; update payments set last_event = 3, state = 'declined', due_at = null",
                event(3, "capturing", "declined")
            ),
            "payment_events_without_gap",
        ),
        (event(2, "authorizing", "declined"), "payment_events_pkey"),
        ("update payment_events set at = made_at".to_owned(), "append-only"),
        ("delete from payment_events".to_owned(), "append-only"),
    ];
    for (sql, why) in refused {
        let error = sqlx::raw_sql(sqlx::AssertSqlSafe(sql.clone())).execute(app.sql()).await.unwrap_err();
        assert!(error.to_string().contains(why), "{sql}: {error}");
    }
    app.stop().await;
}
