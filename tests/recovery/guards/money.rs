//! Leases and their fencing tokens, versions of payments, refund reservations, and the sums of postings.

use chrono::{DateTime, TimeDelta};
use ridematch::payments::model::{
    AttemptOutcome, CallPool, Goal, Hint, Payment, PaymentState, ProviderOperation, Refund, RefundState,
};
use ridematch::payments::store::{self, FinishedAttempt, LeaseQuery, RetrySchedule, StartedAttempt};
use ridematch::platform::clock::{DomainTime, MachineTime};
use ridematch::platform::ids::{Id, PaymentId};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use uuid::Uuid;

use crate::guards::{assert_guarded, late, session};
use crate::harness::App;
use crate::harness::audit_fixture::app_with_trips;

const LEASE: TimeDelta = TimeDelta::seconds(30);

fn now() -> MachineTime {
    MachineTime::new(late())
}

/// Inserts a payment that is due only at the time of this test.
async fn due_payment(app: &App) {
    app.break_with(
        "insert into payments select (jsonb_populate_record(payments, jsonb_build_object(
             'id', gen_random_uuid(), 'purpose', 'fee', 'state', 'authorizing', 'provider_intent_id', null,
             'authorized_amount', 0, 'captured_amount', 0, 'refund_reserved', 0, 'due_at', '2099-01-01',
             'lease_token', 0, 'leased_until', null, 'last_event', 1))).*
         from payments where state = 'captured';
         insert into payment_events (payment_id, seq, kind, state, at, made_at)
             select id, 1, 'recorded', state, created_at, created_at from payments where due_at = '2099-01-01'",
    )
    .await;
}

/// Inserts a due refund of one cent.
async fn due_refund(app: &App) {
    app.break_with(
        "update payments set refund_reserved = refund_reserved + 1 where state = 'captured';
         insert into refunds (id, payment_id, amount, state, created_at, due_at)
             select gen_random_uuid(), id, 1, 'pending', '2020-01-01', '2099-01-01' from payments where state = 'captured'",
    )
    .await;
}

async fn captured_payment(conn: &mut PgConnection) -> Payment {
    let id: Uuid =
        sqlx::query_scalar("select id from payments where state = 'captured'").fetch_one(&mut *conn).await.unwrap();
    store::payment(conn, PaymentId::from(id)).await.unwrap().unwrap()
}

fn lease(at: MachineTime) -> LeaseQuery {
    // The domain time is long past, so no hold has to be checked.
    let domain_now = DomainTime::new(DateTime::UNIX_EPOCH);
    LeaseQuery { pool: CallPool::Settlement, now: at, domain_now, until: at + LEASE, limit: 9 }
}

async fn leased_payments(conn: &mut PgConnection, at: MachineTime) -> Vec<Payment> {
    let rows = store::lease_payments(conn, lease(at)).await.unwrap();
    rows.into_iter().map(|row| row.expect("a readable row")).collect()
}

async fn leased_refunds(conn: &mut PgConnection, at: MachineTime) -> Vec<Refund> {
    let rows = store::lease_refunds(conn, lease(at)).await.unwrap();
    rows.into_iter().map(|row| row.expect("a readable row")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn payment_has_one_lease_at_a_time() {
    let app = app_with_trips().await;
    due_payment(&app).await;
    let conn = &mut session(&app).await;
    assert_eq!(leased_payments(conn, now()).await.len(), 1);
    let too_early = now() + LEASE - TimeDelta::milliseconds(1);
    assert_eq!(leased_payments(conn, too_early).await, []);
    assert_eq!(leased_payments(conn, now() + LEASE).await[0].lease_token, 2);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refund_has_one_lease_at_a_time() {
    let app = app_with_trips().await;
    due_refund(&app).await;
    let conn = &mut session(&app).await;
    assert_eq!(leased_refunds(conn, now()).await.len(), 1);
    let too_early = now() + LEASE - TimeDelta::milliseconds(1);
    assert_eq!(leased_refunds(conn, too_early).await, []);
    assert_eq!(leased_refunds(conn, now() + LEASE).await[0].lease_token, 2);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_payment_lease_reads_and_writes_nothing() {
    let app = app_with_trips().await;
    due_payment(&app).await;
    let conn = &mut session(&app).await;
    let stopped = leased_payments(conn, now()).await.remove(0);
    let successor = leased_payments(conn, now() + LEASE).await.remove(0);
    let at = DomainTime::new(late());

    assert_eq!(store::lock_leased_payment(conn, stopped.id, stopped.lease_token).await.unwrap(), None);
    let stale = Payment { provider_intent_id: Some("pi_stale".to_owned()), ..stopped.clone() };
    assert_guarded(store::save_payment(conn, &stopped, &stale, RetrySchedule::IDLE, at).await);

    assert!(store::lock_leased_payment(conn, successor.id, successor.lease_token).await.unwrap().is_some());
    store::save_payment(conn, &successor, &successor, RetrySchedule::IDLE, at).await.unwrap();
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_refund_lease_reads_and_writes_nothing() {
    let app = app_with_trips().await;
    due_refund(&app).await;
    let conn = &mut session(&app).await;
    let stopped = leased_refunds(conn, now()).await.remove(0);
    let successor = leased_refunds(conn, now() + LEASE).await.remove(0);

    assert_eq!(store::lock_leased_refund(conn, stopped.id, stopped.lease_token).await.unwrap(), None);
    assert_guarded(store::save_refund(conn, &stopped, RetrySchedule::IDLE).await);
    assert!(store::lock_leased_refund(conn, successor.id, successor.lease_token).await.unwrap().is_some());
    store::save_refund(conn, &successor, RetrySchedule::IDLE).await.unwrap();
    app.stop().await;
}

/// A hint that arrives while a call is answered is newer than the answer.
#[tokio::test(flavor = "multi_thread")]
async fn hint_during_a_lease_leaves_the_row_due() {
    let app = app_with_trips().await;
    due_payment(&app).await;
    app.break_with("update payments set provider_intent_id = 'pi_due' where due_at = '2099-01-01'").await;
    let conn = &mut session(&app).await;
    let is_due_now = async |conn: &mut PgConnection| -> bool {
        let due = "select due_at is not null from payments where provider_intent_id = 'pi_due'";
        sqlx::query_scalar(due).fetch_one(conn).await.unwrap()
    };
    // A captured payment is only concerned by hints about its charge.
    for (state, hint, is_due) in [
        (PaymentState::Authorizing, Hint::Intent, true),
        (PaymentState::Authorizing, Hint::Charge, true),
        (PaymentState::Captured, Hint::Intent, false),
        (PaymentState::Captured, Hint::Charge, true),
    ] {
        let mut tx = conn.begin().await.unwrap();
        let leased = leased_payments(&mut tx, now()).await.remove(0);
        assert_eq!(store::make_due(&mut tx, "pi_due", hint, now()).await.unwrap(), 1);
        let after =
            Payment { state, authorized: 1, captured: i64::from(state == PaymentState::Captured), ..leased.clone() };
        store::save_payment(&mut tx, &leased, &after, RetrySchedule::IDLE, DomainTime::new(late())).await.unwrap();
        assert_eq!(is_due_now(&mut tx).await, is_due, "{state} after a hint about the {hint}");
        tx.rollback().await.unwrap();
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hint_before_a_lease_is_answered_by_its_calls() {
    let app = app_with_trips().await;
    due_payment(&app).await;
    app.break_with("update payments set provider_intent_id = 'pi_due' where due_at = '2099-01-01'").await;
    let conn = &mut session(&app).await;
    store::make_due(conn, "pi_due", Hint::Intent, now()).await.unwrap();
    let leased = leased_payments(conn, now()).await.remove(0);
    store::save_payment(conn, &leased, &leased, RetrySchedule::IDLE, DomainTime::new(late())).await.unwrap();
    assert_eq!(leased_payments(conn, now() + LEASE).await, []);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attempt_is_finished_once_and_under_its_own_lease() {
    let app = app_with_trips().await;
    due_payment(&app).await;
    let conn = &mut session(&app).await;
    let payment = leased_payments(conn, now()).await.remove(0);
    let started = StartedAttempt {
        id: Uuid::from_u128(7),
        payment_id: payment.id,
        refund_id: None,
        operation: ProviderOperation::Create,
        key: "key",
        amount: Some(1),
        lease_token: payment.lease_token,
        trace_id: None,
    };
    store::start_attempt(conn, &started, now()).await.unwrap();
    let end = FinishedAttempt { id: started.id, outcome: AttemptOutcome::Succeeded, answered: true, detail: None };

    assert_guarded(store::finish_attempt(conn, &end, payment.lease_token + 1, now()).await);
    store::expire_attempts(conn, &[payment.id.uuid()], now()).await.unwrap();
    assert_guarded(store::finish_attempt(conn, &end, payment.lease_token, now()).await);
    let outcome: String = sqlx::query_scalar("select outcome from payment_attempts where provider_key = 'key'")
        .fetch_one(&mut *conn)
        .await
        .unwrap();
    assert_eq!(outcome, "unknown");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn goal_of_a_changed_payment_is_not_set() {
    let app = app_with_trips().await;
    let conn = &mut session(&app).await;
    let held = "select id from payments where state = 'authorized' and goal = 'hold' limit 1";
    let id: Uuid = sqlx::query_scalar(held).fetch_one(&mut *conn).await.unwrap();
    let payment = store::payment(conn, PaymentId::from(id)).await.unwrap().unwrap();
    let want = async |conn: &mut PgConnection, payment: &Payment| {
        store::set_goal(conn, payment, Goal::Release, PaymentState::Voiding, now()).await
    };
    let stale = Payment { version: payment.version - 1, ..payment.clone() };
    // A commit would need the event of the change.
    sqlx::query("begin").execute(&mut *conn).await.unwrap();
    assert_guarded(want(conn, &stale).await);
    want(conn, &payment).await.unwrap();
    let again = store::payment(conn, payment.id).await.unwrap().unwrap();
    assert_guarded(want(conn, &again).await);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refunds_reserve_at_most_the_captured_amount() {
    let app = app_with_trips().await;
    let conn = &mut session(&app).await;
    let payment = captured_payment(conn).await;
    let left = payment.refundable();
    assert_guarded(store::reserve_refund(conn, &payment, left + 1).await);
    assert_guarded(store::reserve_refund(conn, &payment, -payment.refund_reserved - 1).await);
    let stale = Payment { version: payment.version - 1, ..payment.clone() };
    assert_guarded(store::reserve_refund(conn, &stale, left).await);
    store::reserve_refund(conn, &payment, left).await.unwrap();
    app.stop().await;
}

/// Runs SQL that the database has to reject. Returns the name of the constraint.
async fn refused_by(app: &App, sql: &str) -> Option<String> {
    let refused = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(app.sql()).await.err()?;
    refused.as_database_error()?.constraint().map(str::to_owned)
}

/// The checks before this constraint: the lock of the payment, its refundable amount, and the guard of [`store::reserve_refund`].
#[tokio::test(flavor = "multi_thread")]
async fn refunds_within_capture() {
    let app = app_with_trips().await;
    let too_much = "update payments set refund_reserved = captured_amount + 1 where state = 'captured'";
    assert_eq!(refused_by(&app, too_much).await.as_deref(), Some("refunds_within_capture"));
    app.stop().await;
}

/// Changes the state of one row from `from` to `to`, without the other constraints on states. Returns the name of the constraint that
/// rejects it.
async fn state_change_refused_by(conn: &mut PgConnection, table: &str, from: &str, to: &str) -> Option<String> {
    let (trigger, others) = match table {
        "payments" => (
            "ended_payment_keeps_its_state",
            "drop constraint last_event_has_the_state, drop constraint state_follows_goal, drop constraint captured_has_an_amount, drop constraint terminal_has_no_work",
        ),
        _ => ("ended_refund_keeps_its_state", "drop constraint failed_has_no_work"),
    };
    let change = format!(
        "begin;
         alter table {table} {others}, disable trigger {trigger};
         update {table} set state = '{from}' where id = (select max(id::text)::uuid from {table});
         alter table {table} enable trigger {trigger};
         update {table} set state = '{to}' where id = (select max(id::text)::uuid from {table})"
    );
    let end = sqlx::raw_sql(AssertSqlSafe(change)).execute(&mut *conn).await;
    sqlx::raw_sql("rollback").execute(&mut *conn).await.unwrap();
    end.err()?.as_database_error()?.constraint().map(str::to_owned)
}

/// The checks before this trigger: the state machine, and the guards of every write.
#[tokio::test(flavor = "multi_thread")]
async fn ended_payment_keeps_its_state() {
    let app = app_with_trips().await;
    let conn = &mut session(&app).await;
    for from in PaymentState::ALL {
        for to in PaymentState::ALL {
            let refused = state_change_refused_by(conn, "payments", from.as_str(), to.as_str()).await;
            let expected = (from.is_terminal() && from != to).then_some("ended_payment_keeps_its_state");
            assert_eq!(refused.as_deref(), expected, "{from} to {to}");
        }
    }
    app.stop().await;
}

/// A succeeded refund can fail, and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn ended_refund_keeps_its_state() {
    let app = app_with_trips().await;
    let conn = &mut session(&app).await;
    for from in RefundState::ALL {
        for to in RefundState::ALL {
            let refused = state_change_refused_by(conn, "refunds", from.as_str(), to.as_str()).await;
            let is_allowed = from == to
                || from == RefundState::Pending
                || (from, to) == (RefundState::Succeeded, RefundState::Failed);
            let expected = (!is_allowed).then_some("ended_refund_keeps_its_state");
            assert_eq!(refused.as_deref(), expected, "{from} to {to}");
        }
    }
    app.stop().await;
}

/// The check before this constraint: pure functions build every posting.
#[tokio::test(flavor = "multi_thread")]
async fn posting_sums_to_zero() {
    let app = app_with_trips().await;
    let posting = "
        begin;
        insert into ledger_postings (id, kind, source_id, trip_id, posted_at)
            select '00000000-0000-0000-0000-000000000007', 'refund', gen_random_uuid(), id, '2020-01-01' from trips limit 1;
        insert into ledger_entries (posting_id, line, account, amount, currency) values
            ('00000000-0000-0000-0000-000000000007', 1, 'refunds', 100, 'USD'),
            ('00000000-0000-0000-0000-000000000007', 2, 'clearing', -99, 'USD');
        commit";
    assert_eq!(refused_by(&app, posting).await.as_deref(), Some("posting_sums_to_zero"));
    app.stop().await;
}
