//! One key on two processes at the same time. A refund is what there is no other protection for: two of one cent are as good as one,
//! and only the key says that one was meant.

use serde_json::{Value, json};

use super::assert_same;
use super::held::{Hold, send, until_waiting};
use crate::harness::{App, HERE, Options, id, in_progress, until};

/// Lets everybody have the advisory lock that stands for a key.
const BLIND: &str = "
    create function public.pg_try_advisory_xact_lock(bigint) returns boolean language sql as 'select true';
    do $$ begin execute format('alter database %I set search_path = public, pg_catalog', current_database()); end $$;";

/// And removes what else keeps two uses of one key apart.
const BLIND_AND_LAX: &str = "
    alter table idempotency_keys drop constraint idempotency_keys_scope;
    create function public.pg_try_advisory_xact_lock(bigint) returns boolean language sql as 'select true';
    do $$ begin execute format('alter database %I set search_path = public, pg_catalog', current_database()); end $$;";

/// How a refund takes the lock of its payment.
const LOCKS: &str = "%from payments%for no key update of p";

/// A fare that was captured.
async fn captured(app: &App) -> Value {
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = in_progress(app, &rider, &driver).await;
    driver.act(id(&trip), "complete").await.expect(200);
    let path = format!("/v1/payments/{}", trip["payment_id"].as_str().unwrap());
    until("the fare is captured", async || {
        let payment = rider.get(&path).await.expect(200);
        (payment["state"] == "captured").then_some(payment)
    })
    .await
}

/// Asks two processes for a refund at once, under one key, and says how many were made. `together`: both pass the look-up of the
/// key before either has committed.
async fn refund_at_both(app: &App, together: bool) -> i64 {
    let service = app.another(|_| ()).await;
    let payment = captured(app).await;
    let here = app.ops().await;
    let there = here.at(&service);
    let path = format!("/v1/payments/{}/refunds", id(&payment));
    let body = json!({"amount": {"amount": 1, "currency": "USD"}});
    let hold = Hold::row(app, "payments", id(&payment)).await;
    let tries = [send(&here, "k", &path, &body), send(&there, "k", &path, &body)];
    until_waiting(app, LOCKS, if together { 2 } else { 1 }).await;
    hold.let_go().await;

    let mut answers = Vec::new();
    for answer in tries {
        answers.push(answer.await.unwrap());
    }
    let refunds = app.count("select count(*) from refunds").await;
    if refunds == 1 {
        assert_eq!(answers[0].status, 201, "{:#}", answers[0].json());
        assert_same(&answers[0], &answers[1]);
        let replays = answers.iter().filter(|answer| answer.header("idempotent-replayed").is_some()).count();
        assert_eq!(replays, 1);
        app.assert_clean().await;
    }
    service.stop().await;
    refunds
}

#[tokio::test(flavor = "multi_thread")]
async fn one_key_on_two_processes_at_once_has_one_effect() {
    let app = App::start().await;
    assert_eq!(refund_at_both(&app, false).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_constraint_holds_where_the_advisory_lock_fails() {
    let app = App::with(Options { sql: BLIND, ..Options::default() }).await;
    assert_eq!(refund_at_both(&app, true).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_lock_and_constraint_the_money_goes_back_twice() {
    let app = App::with(Options { sql: BLIND_AND_LAX, ..Options::default() }).await;
    assert_eq!(refund_at_both(&app, true).await, 2, "this test can fail");
}
