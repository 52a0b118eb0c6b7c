//! A run compares window by window: it continues where it was, finds late changes of old payments, and is not ended by one finding.

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};

use crate::harness::audit_fixture::broken;
use crate::harness::breakpoint::Side;
use crate::harness::{HERE, id, in_progress, until};
use crate::reconciliation::world::World;

/// Returns a UUID of version 7 that was made at midnight `days` days ago, as an SQL expression.
fn made_days_ago(days: u32) -> String {
    let hex = format!(
        "lpad(to_hex((extract(epoch from date_trunc('day', now(), 'UTC') - interval '{days} days') * 1000)::bigint), 12, '0')"
    );
    format!("(left({hex}, 8) || '-' || right({hex}, 4) || '-7000-8000-000000000001')::uuid")
}

impl World {
    /// Adds a copy of the paid ride, made `days` days ago, whose payment has another intent.
    async fn add_old_payment(&self, days: u32, intent: &str) {
        let made = made_days_ago(days);
        self.sql(&format!(
            "insert into quotes select (jsonb_populate_record(quotes, jsonb_build_object('id', {made}))).*
             from quotes join trips on trips.quote_id = quotes.id where trips.state = 'completed' limit 1;
             insert into payments select (jsonb_populate_record(payments, jsonb_build_object(
                 'id', {made}, 'trip_id', {made}, 'provider_intent_id', '{intent}', 'amount', 1000, 'authorized_amount', 1000,
                 'captured_amount', 1000, 'capture_amount', 1000, 'last_event', 1))).*
             from payments where state = 'captured' limit 1;
             insert into payment_events (payment_id, seq, kind, state, at, made_at)
                 select id, 1, 'recorded', state, created_at, created_at from payments where id = {made};
             insert into trips select (jsonb_populate_record(trips, jsonb_build_object(
                 'id', {made}, 'quote_id', {made}, 'payment_id', {made}, 'request_key_id', null))).*
             from trips where state = 'completed' limit 1"
        ))
        .await;
    }

    async fn run_recent(&self) -> Value {
        let run = self.ops.post("/v1/ops/reconciliation/runs", &json!({"scope": "recent"})).await.expect(201);
        self.until_run(&run).await
    }

    /// Returns the subjects of the open findings.
    async fn subjects(&self) -> Vec<String> {
        self.open().await.into_iter().map(|(_, subject, _)| subject).collect()
    }

    /// Runs comparisons of recent payments until nothing differs.
    async fn until_recent_is_equal(&self) {
        until("nothing differs", async || {
            self.run_recent().await;
            self.open().await.is_empty().then_some(())
        })
        .await;
    }
}

/// The payment is older than a run of recent payments goes back. Its refund and its dispute are not.
#[tokio::test(flavor = "multi_thread")]
async fn late_refund_and_late_dispute_of_an_old_charge_are_found_by_a_recent_run() {
    let world = World::new().await;
    let form = [("amount", "1000"), ("currency", "usd"), ("payment_method", "pm_card_visa"), ("confirm", "true")];
    let intent = id(&world.at_provider(Method::POST, "/v1/payment_intents", &form).await).to_owned();
    world.add_old_payment(30, &intent).await;
    let run = world.run_recent().await;
    assert_eq!((&run["differences"], &run["foreign_intents"]), (&json!(0), &json!(0)), "{run:#}");
    assert!(run["since"].is_string(), "{run:#}");

    world.at_provider(Method::POST, "/v1/refunds", &[("payment_intent", &intent), ("amount", "150")]).await;
    let run = world.run_recent().await;
    assert_eq!(run["found"], 1, "{run:#}");
    until("our records contain the refund", async || {
        let refunded = "select count(*) from refunds join payments on payments.id = payment_id
                        where provider_intent_id = '{}' and refunds.state = 'succeeded' and refunds.amount = 150";
        (world.app.count(&refunded.replace("{}", &intent)).await == 1).then_some(())
    })
    .await;
    world.until_recent_is_equal().await;

    world.app.simulator(Method::POST, &format!("/payment_intents/{intent}/dispute"), &json!({})).await;
    let run = world.run_recent().await;
    assert_eq!(run["found"], 1, "{run:#}");
    world.until_recent_is_equal().await;
    let disputed = format!("select count(*) from payments where provider_intent_id = '{intent}' and dispute = 'open'");
    assert_eq!(world.app.count(&disputed).await, 1);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn run_that_lost_its_process_continues_at_its_window_and_the_former_process_writes_nothing_more() {
    let world = World::new().await;
    world.add_old_payment(30, "pi_lost").await;
    world.add_old_payment(10, "pi_mistaken").await;
    let held = world.app.calls.break_at("read_mistaken", Side::Before);
    let run = world.ops.post("/v1/ops/reconciliation/runs", &json!({})).await.expect(201);
    let held = held.reached().await;
    assert_eq!(world.subjects().await, ["pi_lost"], "the earlier windows are committed");
    let position = "select count(*) from reconciliation_runs
                    where state = 'running' and windows >= 20 and position = date_trunc('day', now(), 'UTC') - interval '10 days'";
    assert_eq!(world.app.count(position).await, 1);

    // The first process does not answer for longer than its lease.
    let second = world.app.second_process(|_| ()).await;
    world
        .sql("update reconciliation_runs set leased_until = now() - interval '1 second' where state = 'running'")
        .await;
    let ended = world.until_run(&run).await;
    assert_eq!(
        (&ended["state"], &ended["found"], &ended["detail"]),
        (&json!("checked"), &json!(2), &Value::Null),
        "{ended:#}"
    );
    assert!((31..=33).contains(&ended["windows"].as_i64().unwrap()), "each window once: {ended:#}");
    held.resume();
    until("the first process has given up", async || {
        let failed = "ridematch_worker_runs_total{end=\"failed\",worker=\"reconciliation\"} 1";
        let metrics = crate::harness::ApiResponse::of(world.app.http.get(world.app.url("/metrics"))).await.text();
        metrics.contains(failed).then_some(())
    })
    .await;
    let run = world.ops.get(&format!("/v1/ops/reconciliation/runs/{}", id(&run))).await.expect(200);
    assert_eq!(run, ended, "the former process changed nothing");
    assert_eq!(world.app.count("select count(*) from reconciliation_findings").await, 2);
    second.stop().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unfinished_run_over_all_payments_is_continued_by_the_next_one() {
    let world = World::new().await;
    world.add_old_payment(30, "pi_lost").await;
    world.add_old_payment(10, "pi_mistaken").await;
    world
        .sql("insert into reconciliation_watermarks values ('all', date_trunc('day', now(), 'UTC') - interval '20 days')")
        .await;
    let run = world.run().await;
    assert_eq!(
        (&run["state"], &run["found"], run["since"].is_string()),
        (&json!("checked"), &json!(1), true),
        "{run:#}"
    );
    assert_eq!(world.subjects().await, ["pi_mistaken"]);
    let run = world.run().await;
    assert_eq!(
        (&run["found"], &run["since"]),
        (&json!(1), &Value::Null),
        "it starts with the first payment again: {run:#}"
    );
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn locked_finding_is_counted_and_ends_no_run() {
    let world = World::new().await;
    let intent = world.intent(&world.paid).await;
    world.update(&world.paid, "captured_amount = captured_amount - 1").await;
    world.finds(&[("amount_differs", &intent, "none")]).await;

    let reached = "select extract(epoch from reached_at)::bigint from reconciliation_watermarks where scope = 'recent'";
    let before = world.app.count(reached).await;
    let mut session = PgConnection::connect(&world.app.database.url()).await.unwrap();
    sqlx::raw_sql("begin; select from reconciliation_findings for update").execute(&mut session).await.unwrap();
    let held = world.second_intent(&world.voided, &[("capture_method", "manual"), ("confirm", "true")]).await;
    let run = world.run().await;
    assert_eq!((&run["state"], &run["failed"], &run["found"]), (&json!("checked"), &json!(1), &json!(1)), "{run:#}");
    assert!(run["detail"].as_str().unwrap().contains("1 findings could not be processed"), "{run:#}");
    assert_eq!(world.provider_status(&held).await, "canceled", "the other finding is repaired");
    assert_eq!(world.app.count(reached).await, before, "the watermark stays");

    sqlx::raw_sql("rollback").execute(&mut session).await.unwrap();
    let run = world.run().await;
    assert_eq!((&run["failed"], &run["detail"]), (&json!(0), &Value::Null), "{run:#}");
    assert_eq!(world.subjects().await, [intent]);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn watermark_waits_for_the_payment_of_an_active_trip() {
    let world = World::new().await;
    let (rider, driver) = (world.app.rider().await, world.app.driver_at(HERE).await);
    let trip = in_progress(&world.app, &rider, &driver).await;
    world.run().await;
    let waits = "select count(*) from reconciliation_watermarks, payments
                 where scope = 'recent' and reached_at <= payments.created_at and payments.state = 'authorized'";
    assert_eq!(world.app.count(waits).await, 1);
    driver.command(id(&trip), "complete").await.expect(200);
    until("the watermark has passed the payment", async || {
        world.run_recent().await;
        let passed = "select count(*) from reconciliation_watermarks
                      where scope = 'recent' and reached_at > (select max(created_at) from payments)";
        (world.app.count(passed).await == 1).then_some(())
    })
    .await;
    world.app.assert_clean().await;
    world.stop().await;
}

/// The old trip has no events, so that it violates an invariant.
#[tokio::test(flavor = "multi_thread")]
async fn recent_audit_checks_the_trips_of_eight_days_and_a_whole_one_all() {
    let world = World::new().await;
    world.add_old_payment(9, "pi_lost").await;
    let recent = world.ops.get("/v1/ops/audit?recent=true").await.expect(200);
    assert_eq!((broken(&recent), &recent["clean"]), (vec![], &json!(true)), "{recent:#}");
    let whole = world.ops.get("/v1/ops/audit").await.expect(200);
    assert!(broken(&whole).contains(&"events") && broken(&whole).contains(&"provider"), "{whole:#}");
    world.ops.get("/v1/ops/audit?recent=1").await.expect_problem(400, "malformed");
    world.stop().await;
}
