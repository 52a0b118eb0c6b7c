//! One key on two processes at the same time, for a refund: only the key prevents two refunds of the same amount.

use serde_json::{Value, json};

use super::assert_same;
use super::concurrent::{RowLock, send, until_waiting};
use crate::harness::{App, HERE, Options, id, in_progress, until};

/// Disables the advisory lock of keys.
const WITHOUT_LOCK: &str = "
    create function public.pg_try_advisory_xact_lock(bigint) returns boolean language sql as 'select true';
    do $$ begin execute format('alter database %I set search_path = public, pg_catalog', current_database()); end $$;";

/// Disables the advisory lock and the unique constraint.
const WITHOUT_LOCK_AND_CONSTRAINT: &str = "
    alter table idempotency_keys drop constraint idempotency_keys_scope;
    create function public.pg_try_advisory_xact_lock(bigint) returns boolean language sql as 'select true';
    do $$ begin execute format('alter database %I set search_path = public, pg_catalog', current_database()); end $$;";

/// The statement of a refund that locks its payment.
const LOCK_PAYMENT: &str = "%from payments%for no key update of p";

/// Returns a captured payment.
async fn captured(app: &App) -> Value {
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = in_progress(app, &rider, &driver).await;
    driver.command(id(&trip), "complete").await.expect(200);
    let path = format!("/v1/payments/{}", trip["payment_id"].as_str().unwrap());
    until("the fare is captured", async || {
        let payment = rider.get(&path).await.expect(200);
        (payment["state"] == "captured").then_some(payment)
    })
    .await
}

/// Requests a refund from two processes at once, with one key. Returns the number of refunds. With `together`, both look up the key
/// before either commits.
async fn refund_at_both(app: &App, together: bool) -> i64 {
    let service = app.second_process(|_| ()).await;
    let payment = captured(app).await;
    let first = app.ops().await;
    let second = first.at(&service);
    let path = format!("/v1/payments/{}/refunds", id(&payment));
    let body = json!({"amount": {"amount": 1, "currency": "USD"}});
    let lock = RowLock::row(app, "payments", id(&payment)).await;
    let requests = [send(&first, "k", &path, &body), send(&second, "k", &path, &body)];
    until_waiting(app, LOCK_PAYMENT, if together { 2 } else { 1 }).await;
    lock.release().await;

    let mut responses = Vec::new();
    for response in requests {
        responses.push(response.await.unwrap());
    }
    let refunds = app.count("select count(*) from refunds").await;
    if refunds == 1 {
        assert_eq!(responses[0].status, 201, "{:#}", responses[0].json());
        assert_same(&responses[0], &responses[1]);
        let replays = responses.iter().filter(|response| response.header("idempotent-replayed").is_some()).count();
        assert_eq!(replays, 1);
        app.assert_clean().await;
    }
    service.stop().await;
    refunds
}

#[tokio::test(flavor = "multi_thread")]
async fn one_key_on_two_processes_has_one_effect() {
    let app = App::start().await;
    assert_eq!(refund_at_both(&app, false).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn unique_constraint_holds_without_the_advisory_lock() {
    let app = App::with(Options { sql: WITHOUT_LOCK, ..Options::default() }).await;
    assert_eq!(refund_at_both(&app, true).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_lock_and_constraint_the_refund_is_made_twice() {
    let app = App::with(Options { sql: WITHOUT_LOCK_AND_CONSTRAINT, ..Options::default() }).await;
    assert_eq!(refund_at_both(&app, true).await, 2, "without the guards the refund is made twice");
}
