//! Expired rows are deleted however many they are, and what an invariant, a receipt, a dispute or an open payment needs is kept.

use std::collections::BTreeSet;

use crate::harness::audit_fixture::{app_with_trips, completed, paid, refund};
use crate::harness::{ApiResponse, App, id, until};
use serde_json::json;

const PAGE: &str = include_str!("../../docs/operations/retention.md");

/// Deletes the expired rows and checks that each rule succeeded.
async fn delete_expired(app: &App) {
    let outcome = app.service().delete_expired().await.unwrap();
    assert_eq!(outcome.failed, 0);
}

async fn metric(app: &App, series: &str) -> i64 {
    let text = ApiResponse::of(app.http.get(app.url("/metrics"))).await.text();
    let value = text.lines().find_map(|line| line.strip_prefix(series));
    value.unwrap_or_else(|| panic!("{series} is missing: {text}")).trim().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_pass_deletes_more_than_one_batch() {
    let app = App::start().await;
    app.break_with(
        "insert into idempotency_keys (id, role, subject, key, fingerprint, status, headers, body, created_at)
         select gen_random_uuid(), 'rider', gen_random_uuid(), 'old', sha256('x'), 200, '{}', '', now() - interval '25 hours'
         from generate_series(1, 3500)",
    )
    .await;
    delete_expired(&app).await;
    assert_eq!(app.count("select count(*) from idempotency_keys").await, 0);
    assert_eq!(metric(&app, "ridematch_retention_deleted_total{rows=\"idempotency_keys\"}").await, 3_500);
    assert_eq!(metric(&app, "ridematch_retention_behind{rows=\"idempotency_keys\"}").await, 0);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failing_rule_is_behind_and_delays_no_other() {
    let app = App::start().await;
    app.rider().await.request_trip().await;
    app.break_with(
        "update idempotency_keys set created_at = created_at - interval '25 hours';
         alter table driver_events rename column made_at to removed_at",
    )
    .await;
    let outcome = app.service().delete_expired().await.unwrap();
    assert_eq!(outcome.failed, 1);
    assert_eq!(app.count("select count(*) from idempotency_keys").await, 0);
    assert_eq!(metric(&app, "ridematch_retention_behind{rows=\"driver_events\"}").await, 1);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn history_of_an_old_trip_is_deleted_and_its_receipt_is_kept() {
    let app = app_with_trips().await;
    let ops = app.ops().await;
    let trip = completed(&ops).await;
    app.break_with("update trips set ended_at = ended_at - interval '179 days' where ended_at is not null").await;
    let kept = "select count(*) from trip_events event join trips on trips.id = event.trip_id where trips.ended_at is not null";
    let all = app.count(kept).await;
    delete_expired(&app).await;
    assert_eq!(app.count(kept).await, all, "a day too early");

    let active = "select (select count(*) from trip_events join trips on trips.id = trip_id where ended_at is null)
                       + (select count(*) from offers join trips on trips.id = trip_id where ended_at is null)";
    let of_active_trips = app.count(active).await;
    app.break_with("update trips set ended_at = ended_at - interval '2 days' where ended_at is not null").await;
    let receipt = ops.get(&format!("/v1/trips/{}/receipt", id(&trip))).await.expect(200);
    delete_expired(&app).await;
    assert_eq!(app.count(kept).await, 0);
    assert_eq!(
        app.count("select count(*) from offers join trips on trips.id = trip_id where ended_at is not null").await,
        0
    );
    assert_eq!(app.count(active).await, of_active_trips);

    assert_eq!(ops.get(&format!("/v1/trips/{}/receipt", id(&trip))).await.expect(200), receipt);
    let events = format!("/v1/trips/{}/events", id(&trip));
    assert_eq!(ops.get(&events).await.expect(200)["items"], json!([]));
    let stream = ops.request(reqwest::Method::GET, &events).header("Accept", "text/event-stream");
    assert_eq!(ApiResponse::of(stream).await.status, 204, "a stream has nothing more to send");
    ops.get(&format!("/v1/trips/{}/explain", id(&trip))).await.expect(200);
    app.assert_clean().await;
    app.stop().await;
}

/// Each change makes the payment of the completed trip one that is still needed; the second statement undoes it.
const IN_USE: [(&str, &str); 4] = [
    (
        "update payments set needs_review = 'by hand' where state = 'captured'",
        "update payments set needs_review = null where state = 'captured'",
    ),
    (
        "update payments set dispute = 'open' where state = 'captured'",
        "update payments set dispute = null where state = 'captured'",
    ),
    ("update refunds set needs_review = 'by hand'", "update refunds set needs_review = null"),
    (
        "alter table refunds disable trigger user; update refunds set state = 'pending', needs_review = 'by hand'",
        "update refunds set state = 'succeeded', needs_review = null; alter table refunds enable trigger user",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn history_and_attempts_are_kept_while_a_payment_is_needed() {
    let app = app_with_trips().await;
    let ops = app.ops().await;
    app.break_with(
        "update trips set ended_at = ended_at - interval '181 days' where ended_at is not null;
         update payment_attempts set started_at = started_at - interval '181 days', finished_at = finished_at - interval '181 days'",
    )
    .await;
    let of_completed = "select (select count(*) from trip_events join trips on trips.id = trip_id where state = 'completed')
                             + (select count(*) from payment_attempts join payments on payments.id = payment_id where state = 'captured')";
    let all = app.count(of_completed).await;
    for (change, undo) in IN_USE {
        app.break_with(change).await;
        delete_expired(&app).await;
        assert_eq!(app.count(of_completed).await, all, "after {change}");
        app.break_with(undo).await;
    }
    // Two trips have an authorized payment, and a call whose result is not known may be looked up.
    let in_use =
        "select count(*) from payment_attempts join payments on payments.id = payment_id where state = 'authorized'";
    let of_authorized = app.count(in_use).await;
    app.break_with(
        "insert into payment_attempts (id, payment_id, operation, provider_key, outcome, lease_token, started_at, finished_at)
         select gen_random_uuid(), id, 'capture', 'unresolved', 'unknown', 1, '2020-01-01', '2020-01-01'
         from payments where state = 'captured'",
    )
    .await;
    delete_expired(&app).await;
    assert_eq!(app.count(of_completed).await, 1, "the call with the unknown result");
    assert_eq!((app.count(in_use).await, of_authorized >= 2), (of_authorized, true));

    // What is left is enough to go on with the payment.
    app.break_with("update payment_attempts set resolved_at = finished_at where provider_key = 'unresolved'").await;
    delete_expired(&app).await;
    assert_eq!(app.count(of_completed).await, 0);
    let trip = completed(&ops).await;
    refund(&ops, &paid(&ops, &trip).await, 50).await;
    until("it is refunded", async || (paid(&ops, &trip).await["refunded"]["amount"] == 150).then_some(())).await;
    app.assert_clean().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_a_trip_with_its_history_cannot_be_deleted() {
    let app = app_with_trips().await;
    for sql in [
        "delete from trip_events",
        "update trips set history_deleted_at = now() where ended_at is null",
        "update trip_events set at = now()",
    ] {
        sqlx::query(sql).execute(app.sql()).await.unwrap_err();
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn match_cycles_of_old_trips_are_deleted_and_those_of_active_trips_kept() {
    let app = app_with_trips().await;
    app.break_with("update match_cycles set decided_at = decided_at - interval '31 days'").await;
    let of = |state: &str| {
        format!("select count(*) from match_cycles join trips on trips.id = trip_id where ended_at is {state}")
    };
    let active = app.count(&of("null")).await;
    assert!(active > 0 && app.count(&of("not null")).await > 0);
    delete_expired(&app).await;
    assert_eq!((app.count(&of("null")).await, app.count(&of("not null")).await), (active, 0));
    app.assert_clean().await;
    app.stop().await;
}

/// For each kind of row: SQL that makes old rows, the count of what is needed, and the count of what has expired.
const RULES: [(&str, &str, &str); 5] = [
    (
        "update outbox_events set created_at = now() - interval '25 hours';
         update outbox_deliveries set delivered_at = null, dead_at = now() - interval '89 days', due_at = now()
         where event_id = (select min(id) from outbox_events)",
        "select count(*) from outbox_events where id in (select event_id from outbox_deliveries where dead_at is not null)",
        "select count(*) from outbox_events where id not in (select event_id from outbox_deliveries where dead_at is not null)",
    ),
    (
        "update quotes set expires_at = expires_at - interval '25 hours';
         insert into quotes select gen_random_uuid(), rider_id, class, pickup_lat, pickup_lon, dropoff_lat, dropoff_lon, distance_m,
                duration_s, base, by_distance, by_time, surge, to_minimum, price, currency, surge_bp, created_at, expires_at, null
         from quotes limit 1",
        "select count(*) from quotes where used_at is not null",
        "select count(*) from quotes where used_at is null",
    ),
    (
        "insert into provider_events (event_id, type, intent_id, received_at, due_at, handled_at) values
             ('evt_due', 'charge.refunded', 'pi_unknown', '2020-01-01', '2099-01-01', null),
             ('evt_handled', 'charge.refunded', 'pi_unknown', '2020-01-01', null, '2020-01-01')",
        "select count(*) from provider_events where event_id = 'evt_due'",
        "select count(*) from provider_events where event_id = 'evt_handled'",
    ),
    (
        "insert into webhook_endpoints (id, url, event_types, secret, created_at)
         values (gen_random_uuid(), 'https://example.com', '{*}', sha256('x'), '2020-01-01');
         insert into webhook_events (id, type, trip_id, body, created_at)
         select gen_random_uuid(), type, trips.id, '{}', '2020-01-01' from (values ('kept'), ('old')) types (type), trips where state = 'completed';
         insert into webhook_deliveries (id, event_id, endpoint_id, state, due_at, schedule_started_at, created_at)
         select gen_random_uuid(), event.id, endpoint.id, case type when 'kept' then 'pending' else 'dead' end,
                case type when 'kept' then '2099-01-01'::timestamptz end, now(), now()
         from webhook_events event, webhook_endpoints endpoint",
        "select count(*) from webhook_deliveries where state = 'pending'",
        "select count(*) from webhook_deliveries where state = 'dead'",
    ),
    (
        "insert into reconciliation_runs (id, scope, state, requested_at, started_at, finished_at, repairs)
         select gen_random_uuid(), 'all', 'checked', '2020-01-01', '2020-01-01', '2020-01-01', repairs
         from generate_series(0, 1) repairs",
        "select count(*) from reconciliation_runs where repairs = 1",
        "select count(*) from reconciliation_runs where repairs = 0 and started_at < '2021-01-01'",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn each_rule_deletes_what_has_expired_and_keeps_what_is_needed() {
    let app = app_with_trips().await;
    for (change, needed, expired) in RULES {
        app.break_with(change).await;
        let before = app.count(needed).await;
        assert!(before > 0 && app.count(expired).await > 0, "{change}");
        delete_expired(&app).await;
        assert_eq!((app.count(needed).await, app.count(expired).await), (before, 0), "{change}");
    }
    // A dead delivery ends after its period, and its event with it.
    app.break_with("update outbox_deliveries set dead_at = dead_at - interval '2 days' where dead_at is not null")
        .await;
    delete_expired(&app).await;
    assert_eq!(app.count("select count(*) from outbox_events where created_at < now() - interval '1 hour'").await, 0);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_table_is_on_the_page_about_retention() {
    let app = App::start().await;
    let sql = "select table_name::text from information_schema.tables where table_schema = 'public' and table_type = 'BASE TABLE'";
    let tables: BTreeSet<String> = sqlx::query_scalar(sql).fetch_all(app.sql()).await.unwrap().into_iter().collect();
    let named = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let (about_tables, _) = PAGE.split_once("## Metrics").unwrap();
    let rows = about_tables.lines().filter(|line| line.starts_with("| `"));
    let rows = rows.flat_map(|line| named(line.split('|').nth(1).unwrap()));
    let listed: BTreeSet<String> = rows.collect();
    assert_eq!(listed, tables, "left: docs/operations/retention.md, right: the database");
    app.stop().await;
}
