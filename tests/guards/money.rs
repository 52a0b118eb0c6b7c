//! Leases and their fencing tokens, versions of payments, what refunds reserve, and the ledger's sums.

use chrono::{DateTime, TimeDelta};
use ridematch::payments::model::{Intent, Operation, Outcome, Payment, State};
use ridematch::payments::store::{self, Finished, Lease, Pace, Started};
use ridematch::platform::clock::{DomainTime, MachineTime};
use ridematch::platform::ids::PaymentId;
use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

use crate::harness::App;
use crate::world::world;
use crate::{assert_guarded, late, session};

const LEASE: TimeDelta = TimeDelta::seconds(30);

fn now() -> MachineTime {
    MachineTime::new(late())
}

/// A payment that is due, though not before this test says so.
async fn due_payment(app: &App) {
    app.break_with(
        "insert into payments select (jsonb_populate_record(payments, jsonb_build_object(
             'id', gen_random_uuid(), 'purpose', 'fee', 'state', 'authorizing', 'provider_intent_id', null,
             'authorized_amount', 0, 'captured_amount', 0, 'refund_reserved', 0, 'due_at', '2099-01-01',
             'lease_token', 0, 'leased_until', null))).*
         from payments where state = 'captured'",
    )
    .await;
}

/// A refund of one cent that is due.
async fn due_refund(app: &App) {
    app.break_with(
        "update payments set refund_reserved = refund_reserved + 1 where state = 'captured';
         insert into refunds (id, payment_id, amount, state, created_at, due_at)
             select gen_random_uuid(), id, 1, 'pending', '2020-01-01', '2099-01-01' from payments where state = 'captured'",
    )
    .await;
}

async fn the_captured_one(conn: &mut PgConnection) -> Payment {
    let id: Uuid =
        sqlx::query_scalar("select id from payments where state = 'captured'").fetch_one(&mut *conn).await.unwrap();
    store::one(conn, PaymentId::from(id)).await.unwrap().unwrap()
}

fn lease(at: MachineTime) -> Lease {
    // The domain's time is long past: no hold is to be looked at.
    let domain_now = DomainTime::new(DateTime::UNIX_EPOCH);
    Lease { now: at, domain_now, until: at + LEASE, limit: 9 }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_is_leased_to_one_at_a_time() {
    let app = world().await;
    due_payment(&app).await;
    let conn = &mut session(&app).await;
    assert_eq!(store::lease_payments(conn, lease(now())).await.unwrap().len(), 1);
    let too_early = now() + LEASE - TimeDelta::milliseconds(1);
    assert_eq!(store::lease_payments(conn, lease(too_early)).await.unwrap(), []);
    assert_eq!(store::lease_payments(conn, lease(now() + LEASE)).await.unwrap()[0].lease_token, 2);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_is_leased_to_one_at_a_time() {
    let app = world().await;
    due_refund(&app).await;
    let conn = &mut session(&app).await;
    assert_eq!(store::lease_refunds(conn, lease(now())).await.unwrap().len(), 1);
    let too_early = now() + LEASE - TimeDelta::milliseconds(1);
    assert_eq!(store::lease_refunds(conn, lease(too_early)).await.unwrap(), []);
    assert_eq!(store::lease_refunds(conn, lease(now() + LEASE)).await.unwrap()[0].lease_token, 2);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_lost_the_lease_of_a_payment_reads_and_writes_nothing() {
    let app = world().await;
    due_payment(&app).await;
    let conn = &mut session(&app).await;
    let stopped = store::lease_payments(conn, lease(now())).await.unwrap().remove(0);
    let successor = store::lease_payments(conn, lease(now() + LEASE)).await.unwrap().remove(0);
    let at = DomainTime::new(late());

    assert_eq!(store::leased_payment(conn, stopped.id, stopped.lease_token).await.unwrap(), None);
    let told = Payment { provider_intent_id: Some("pi_stale".to_owned()), ..stopped.clone() };
    assert_guarded(store::save_payment(conn, &stopped, &told, Pace::REST, at).await);

    assert!(store::leased_payment(conn, successor.id, successor.lease_token).await.unwrap().is_some());
    store::save_payment(conn, &successor, &successor, Pace::REST, at).await.unwrap();
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_lost_the_lease_of_a_refund_reads_and_writes_nothing() {
    let app = world().await;
    due_refund(&app).await;
    let conn = &mut session(&app).await;
    let stopped = store::lease_refunds(conn, lease(now())).await.unwrap().remove(0);
    let successor = store::lease_refunds(conn, lease(now() + LEASE)).await.unwrap().remove(0);

    assert_eq!(store::leased_refund(conn, stopped.id, stopped.lease_token).await.unwrap(), None);
    assert_guarded(store::save_refund(conn, &stopped, Pace::REST).await);
    assert!(store::leased_refund(conn, successor.id, successor.lease_token).await.unwrap().is_some());
    store::save_refund(conn, &successor, Pace::REST).await.unwrap();
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_is_finished_once_and_by_whoever_started_it() {
    let app = world().await;
    due_payment(&app).await;
    let conn = &mut session(&app).await;
    let payment = store::lease_payments(conn, lease(now())).await.unwrap().remove(0);
    let started = Started {
        id: Uuid::from_u128(7),
        payment_id: payment.id,
        refund_id: None,
        operation: Operation::Create,
        key: "key",
        amount: Some(1),
        lease_token: payment.lease_token,
    };
    store::start_attempt(conn, &started, now()).await.unwrap();
    let end = Finished { id: started.id, outcome: Outcome::Succeeded, answered: true, detail: None };

    assert_guarded(store::finish_attempt(conn, &end, payment.lease_token + 1, now()).await);
    store::forsake_attempts(conn, &[payment.id], now()).await.unwrap();
    assert_guarded(store::finish_attempt(conn, &end, payment.lease_token, now()).await);
    let outcome: String = sqlx::query_scalar("select outcome from payment_attempts where provider_key = 'key'")
        .fetch_one(&mut *conn)
        .await
        .unwrap();
    assert_eq!(outcome, "unknown");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wish_changes_no_payment_that_has_changed() {
    let app = world().await;
    let conn = &mut session(&app).await;
    let held = "select id from payments where state = 'authorized' and intent = 'hold' limit 1";
    let id: Uuid = sqlx::query_scalar(held).fetch_one(&mut *conn).await.unwrap();
    let payment = store::one(conn, PaymentId::from(id)).await.unwrap().unwrap();
    let want = async |conn: &mut PgConnection, payment: &Payment| {
        store::want(conn, payment, Intent::Release, State::Voiding, now()).await
    };
    let stale = Payment { version: payment.version - 1, ..payment.clone() };
    assert_guarded(want(conn, &stale).await);
    want(conn, &payment).await.unwrap();
    let again = store::one(conn, payment.id).await.unwrap().unwrap();
    assert_guarded(want(conn, &again).await);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refunds_reserve_what_was_captured_and_no_more() {
    let app = world().await;
    let conn = &mut session(&app).await;
    let payment = the_captured_one(conn).await;
    let left = payment.refundable();
    assert_guarded(store::reserve_refund(conn, &payment, left + 1).await);
    assert_guarded(store::reserve_refund(conn, &payment, -payment.refund_reserved - 1).await);
    let stale = Payment { version: payment.version - 1, ..payment.clone() };
    assert_guarded(store::reserve_refund(conn, &stale, left).await);
    store::reserve_refund(conn, &payment, left).await.unwrap();
    app.stop().await;
}

/// Runs SQL that the database has to refuse; the name of the constraint by which it did.
async fn refused_by(app: &App, sql: &str) -> Option<String> {
    let refused = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(app.sql()).await.err()?;
    refused.as_database_error()?.constraint().map(str::to_owned)
}

/// In front of it: the lock of the payment, what is left by its row, and the guard of [`store::reserve_refund`].
#[tokio::test(flavor = "multi_thread")]
async fn refunds_within_capture() {
    let app = world().await;
    let too_much = "update payments set refund_reserved = captured_amount + 1 where state = 'captured'";
    assert_eq!(refused_by(&app, too_much).await.as_deref(), Some("refunds_within_capture"));
    app.stop().await;
}

/// In front of it: the ledger's postings are made by pure functions that let nothing else out.
#[tokio::test(flavor = "multi_thread")]
async fn posting_sums_to_zero() {
    let app = world().await;
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
