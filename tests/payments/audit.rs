//! Each invariant is violated by SQL, and the audit reports exactly that one.
#![allow(clippy::unwrap_used, reason = "tests")]

use crate::harness::audit_fixture::{app_with_trips, broken, completed};
use crate::harness::{API_VERSION, App, PSP_SECRET, until};

/// Applies each change `(change, undo)` and checks that only `invariant` is reported, with an example; and that the audit is clean
/// after the undo.
async fn assert_reported(invariant: &str, changes: &[(&str, &str)]) -> App {
    let app = app_with_trips().await;
    for (change, undo) in changes {
        app.break_with(change).await;
        let report = app.audit().await;
        assert_eq!(broken(&report), [invariant], "after {change}: {report:#}");
        assert_eq!(report["clean"], false);
        let examples = report["examples"].as_array().unwrap();
        assert!(examples.iter().all(|example| example["invariant"] == invariant), "{report:#}");
        assert!(!examples.is_empty() && !examples[0]["subject"].as_str().unwrap().is_empty(), "{report:#}");
        app.break_with(undo).await;
        app.assert_clean().await;
    }
    app
}

#[tokio::test(flavor = "multi_thread")]
async fn engagement_violation_is_reported() {
    let app = assert_reported(
        "engagements",
        &[
            (
                "create table kept as table driver_engagements; delete from driver_engagements",
                "insert into driver_engagements table kept; drop table kept",
            ),
            (
                "insert into driver_engagements
                 select (select id from drivers where not available), trips.id, offers.id, 'ride'
                 from trips join offers on offers.trip_id = trips.id where trips.state = 'completed'",
                "delete from driver_engagements where driver_id in (select id from drivers where not available)",
            ),
            (
                "drop index one_active_trip_per_rider; create table kept as select id, rider_id from trips;
                 update trips set rider_id = (select rider_id from trips where state = 'assigned') where state = 'searching'",
                "update trips set rider_id = kept.rider_id from kept where kept.id = trips.id; drop table kept",
            ),
        ],
    )
    .await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn offer_violation_is_reported() {
    const ANOTHER: &str =
        "insert into offers (id, trip_id, driver_id, status, pickup_distance_m, matcher_epoch, created_at,
                                               expires_at, decided_at)
        select gen_random_uuid(), trips.id, drivers.id, ";
    let pending = format!(
        "{ANOTHER} 'pending', 1, 1, '2020-01-01', '2099-01-01', null
        from trips, drivers where state = 'cancelled' and not available"
    );
    let accepted = format!(
        "drop index one_accepted_offer_per_trip; {ANOTHER} 'accepted', 1, 1, '2020-01-01', '2020-01-01', '2020-01-01'
        from trips, drivers where state = 'completed' and not available"
    );
    let undo = "delete from offers where driver_id in (select id from drivers where not available)";
    assert_reported("offers", &[(&pending, undo), (&accepted, undo)]).await.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn receipt_violation_is_reported() {
    let app = assert_reported(
        "receipts",
        &[
            (
                "update trips set total = total + 100 where state = 'completed'",
                "update trips set total = total - 100 where state = 'completed'",
            ),
            (
                "update trips set total = total - 100 where state = 'completed'",
                "update trips set total = total + 100 where state = 'completed'",
            ),
            (
                "create table kept as select id, total from trips; update trips set total = null where state = 'completed'",
                "update trips set total = kept.total from kept where kept.id = trips.id; drop table kept",
            ),
            (
                "create table kept as select id, total from trips; update trips set total = 250 where state = 'cancelled'",
                "update trips set total = kept.total from kept where kept.id = trips.id; drop table kept",
            ),
        ],
    )
    .await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ledger_violation_is_reported() {
    let app = assert_reported(
        "ledger",
        &[
            (
                "alter table ledger_entries disable trigger user;
                 update ledger_entries set amount = amount + 1 where account = 'clearing' and amount > 0",
                "update ledger_entries set amount = amount - 1 where account = 'clearing' and amount > 0",
            ),
            (
                "update ledger_entries set owner_id = gen_random_uuid() where account = 'driver_payable'",
                "update ledger_entries set owner_id = trips.driver_id from trips
                 where state = 'completed' and account = 'driver_payable'",
            ),
            (
                "alter table ledger_postings disable trigger user;
                 create table kept as select * from ledger_entries
                     where posting_id in (select id from ledger_postings where kind = 'capture');
                 delete from ledger_entries where posting_id in (select posting_id from kept);
                 update ledger_postings set kind = 'charge' where kind = 'capture';
                 insert into ledger_entries select posting_id, 1, 'platform_revenue', null, 5, 'USD' from kept limit 1;
                 insert into ledger_entries select posting_id, 2, 'platform_revenue', null, -5, 'USD' from kept limit 1",
                "delete from ledger_entries where posting_id in (select posting_id from kept);
                 insert into ledger_entries table kept;
                 update ledger_postings set kind = 'capture' where id in (select posting_id from kept);
                 drop table kept",
            ),
            (
                "update ledger_balances set debits = debits + 1 where owner_id in (select rider_id from trips)",
                "update ledger_balances set debits = debits - 1 where owner_id in (select rider_id from trips)",
            ),
            (
                "create table kept as table ledger_balances; delete from ledger_balances where account = 'clearing'",
                "insert into ledger_balances select * from kept where account = 'clearing'; drop table kept",
            ),
            (
                "update ledger_days set credits = credits - 1 where account = 'platform_revenue'",
                "update ledger_days set credits = credits + 1 where account = 'platform_revenue'",
            ),
        ],
    )
    .await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limit_violation_is_reported() {
    let app = assert_reported(
        "limits",
        &[
            (
                "alter table payments drop constraint capture_within_authorization;
                 update payments set authorized_amount = captured_amount - 1 where state = 'captured'",
                "update payments set authorized_amount = amount where state = 'captured'",
            ),
            (
                "update payments set refund_reserved = refund_reserved + 1 where state = 'captured'",
                "update payments set refund_reserved = refund_reserved - 1 where state = 'captured'",
            ),
            (
                "with refund as (
                     insert into refunds (id, payment_id, amount, state, needs_review, created_at)
                     select gen_random_uuid(), id, captured_amount, 'pending', 'broken by hand', '2020-01-01'
                     from payments where state = 'captured' returning *)
                 insert into payment_events (payment_id, seq, kind, from_state, state, amount, refund_id, at)
                 select payment_id, (select max(seq) + 1 from payment_events e where e.payment_id = refund.payment_id),
                        'refund_requested', 'captured', 'captured', amount, id, created_at
                 from refund",
                "alter table payment_events disable trigger user;
                 delete from payment_events where refund_id in (select id from refunds where needs_review is not null);
                 delete from refunds where needs_review is not null",
            ),
        ],
    )
    .await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn key_violation_is_reported() {
    let app = assert_reported(
        "keys",
        &[
            (
                "alter table trip_events disable trigger user; alter table trip_events drop constraint one_event_per_key;
                 create table kept as select trip_id, seq, key_id from trip_events;
                 update trip_events event set key_id = (
                     select key_id from trip_events other
                     where other.trip_id = event.trip_id and other.command = 'arrive' and other.key_id is not null)
                 where command = 'complete'",
                "update trip_events event set key_id = kept.key_id from kept where (kept.trip_id, kept.seq) = (event.trip_id, event.seq);
                 drop table kept",
            ),
            (
                "create table kept as select id, key_id from refunds; update refunds set key_id = null",
                "update refunds set key_id = kept.key_id from kept where kept.id = refunds.id; drop table kept",
            ),
            (
                "create table kept as select * from idempotency_keys where id in (select request_key_id from trips);
                 delete from idempotency_keys where id in (select id from kept)",
                "insert into idempotency_keys table kept; drop table kept",
            ),
        ],
    )
    .await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn event_violation_is_reported() {
    const OF_COMPLETED: &str = "trip_id = (select id from trips where state = 'completed')";
    let delete = format!(
        "alter table trip_events disable trigger user;
         create table kept as select * from trip_events where {OF_COMPLETED} and command = 'arrive';
         delete from trip_events where {OF_COMPLETED} and command = 'arrive'"
    );
    let wrong_start = format!(
        "create table kept as select * from trip_events where {OF_COMPLETED} and command = 'arrive';
         update trip_events set command = 'accept', from_state = 'offered', to_state = 'assigned' where {OF_COMPLETED} and command = 'arrive'"
    );
    let illegal = format!(
        "alter table trip_events drop constraint legal_transition;
         create table kept as select * from trip_events where {OF_COMPLETED} and command = 'arrive';
         update trip_events set command = 'teleport' where {OF_COMPLETED} and command = 'arrive'"
    );
    let undo = "delete from trip_events where (trip_id, seq) in (select trip_id, seq from kept);
                insert into trip_events table kept; drop table kept";
    let restore_events =
        "insert into payment_events (payment_id, seq, kind, from_state, state, amount, refund_id, attempt_id, trace_id, at, made_at)
         select payment_id, seq, kind, from_state, state, amount, refund_id, attempt_id, trace_id, at, made_at from kept;
         drop table kept";
    let app = assert_reported(
        "events",
        &[
            (&delete, undo),
            (&wrong_start, undo),
            (&illegal, undo),
            (
                "update trips set version = version + 1 where state = 'completed'",
                "update trips set version = version - 1 where state = 'completed'",
            ),
            (
                // The refund has succeeded, and its history does not say so.
                "alter table payment_events disable trigger user;
                 create table kept as select * from payment_events where kind = 'refund_succeeded';
                 delete from payment_events where kind = 'refund_succeeded'",
                restore_events,
            ),
            (
                "create table kept as select * from payment_events where refund_id is not null;
                 delete from payment_events where refund_id is not null",
                restore_events,
            ),
        ],
    )
    .await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn provider_violation_is_reported() {
    let app = assert_reported(
        "provider",
        &[
            (
                "create table kept as select id, provider_intent_id from payments;
                 update payments set provider_intent_id = 'pi_mistaken' where state = 'captured'",
                "update payments set provider_intent_id = kept.provider_intent_id from kept where kept.id = payments.id; drop table kept",
            ),
            (
                // The trip is cancelled, and the provider still holds the authorization, as if its cancel had been lost.
                "alter table trip_events disable trigger user;
                 update trips set state = 'cancelled', ended_at = '2020-01-01' where state = 'searching';
                 update trip_events set command = 'rider_cancel', to_state = 'cancelled', from_state = 'requested'
                 where command = 'authorized' and trip_id in (select id from trips where ended_at = '2020-01-01')",
                "update trip_events set command = 'authorized', to_state = 'searching', from_state = 'requested'
                 where command = 'rider_cancel' and trip_id in (select id from trips where ended_at = '2020-01-01');
                 update trips set state = 'searching', ended_at = null where ended_at = '2020-01-01'",
            ),
        ],
    )
    .await;

    // A refund that was made at the provider.
    let trip = completed(&app.ops().await).await;
    let intent: String = sqlx::query_scalar("select provider_intent_id from payments where state = 'captured'")
        .fetch_one(app.sql())
        .await
        .unwrap();
    let form = [("payment_intent", intent)];
    let answer = app
        .http
        .post(format!("{}/v1/refunds", app.config.psp.base_url))
        .bearer_auth(PSP_SECRET)
        .header("Stripe-Version", API_VERSION)
        .form(&form);
    assert!(answer.send().await.unwrap().status().is_success());
    // The provider's event makes us look at the payment again. Until then its trip is not settled, and not judged.
    let report = until("the audit reports the refund", async || {
        let report = app.audit().await;
        (broken(&report) == ["provider"]).then_some(report)
    })
    .await;
    assert_eq!(report["examples"][0]["subject"], trip["payment_id"]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stale_work_is_reported() {
    let app = assert_reported(
        "stale_work",
        &[
            (
                "insert into outbox_deliveries (event_id, subscriber, aggregate_id, due_at, dead_at, last_error)
                 select max(id), 'unknown', (select id from trips where state = 'completed'), '2020-01-01', '2020-01-01', 'no reason'
                 from outbox_events",
                "delete from outbox_deliveries where subscriber = 'unknown'",
            ),
            (
                "insert into outbox_deliveries (event_id, subscriber, aggregate_id, due_at, leased_until)
                 select max(id), 'unknown', (select id from trips where state = 'completed'), '2020-01-01', '2020-01-01'
                 from outbox_events",
                "delete from outbox_deliveries where subscriber = 'unknown'",
            ),
            (
                "insert into payment_attempts (id, payment_id, operation, provider_key, outcome, lease_token, started_at, finished_at)
                 select gen_random_uuid(), id, 'capture', 'broken', 'unknown', 1, '2020-01-01', '2020-01-01'
                 from payments where state = 'captured'",
                "delete from payment_attempts where provider_key = 'broken'",
            ),
            (
                "insert into payment_attempts (id, payment_id, operation, provider_key, outcome, lease_token, started_at)
                 select gen_random_uuid(), id, 'capture', 'broken', 'started', 1, '2020-01-01' from payments where state = 'captured'",
                "delete from payment_attempts where provider_key = 'broken'",
            ),
            (
                "create table kept as select id from payments where state = 'authorized';
                 alter table payments disable trigger all;
                 update payments set state = 'voiding', goal = 'release', recheck_at = null where id in (select id from kept);
                 alter table payments enable trigger all",
                "alter table payments disable trigger all;
                 update payments set state = 'authorized', goal = 'hold' where id in (select id from kept);
                 alter table payments enable trigger all; drop table kept",
            ),
        ],
    )
    .await;
    app.stop().await;
}
