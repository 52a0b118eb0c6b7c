//! Each kind of difference is created in our records or at the provider; a run finds it, and a rule repairs it or an operator has to.
#![allow(clippy::unwrap_used, reason = "tests")]

mod runs;
mod windows;
mod world;

use crate::harness::{ApiResponse, id, until};
use reqwest::Method;
use serde_json::json;
use world::{World, uuid};

/// A change to our records, the kinds and subjects of the findings, and the undo. The subject `pi` is the intent of the paid ride.
type Change<'a> = (String, &'a [(&'a str, &'a str)], String);

/// Makes each change and checks that it is found without a repair rule, and that the findings end after the undo.
async fn assert_needs_operator(world: &World, changes: &[Change<'_>]) {
    let intent = world.intent(&world.paid).await;
    for (change, expected, undo) in changes {
        world.sql(change).await;
        let expected: Vec<_> = expected
            .iter()
            .map(|(kind, subject)| (*kind, if *subject == "pi" { intent.as_str() } else { subject }, "none"))
            .collect();
        world.finds(&expected).await;
        world.sql(undo).await;
        world.finds(&[]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn differing_amounts_need_an_operator() {
    let world = World::new().await;
    let paid = uuid(&world.paid);
    assert_needs_operator(
        &world,
        &[
            (
                format!("update payments set captured_amount = captured_amount - 1 where id = {paid}"),
                &[("amount_differs", "pi")],
                format!("update payments set captured_amount = captured_amount + 1 where id = {paid}"),
            ),
            (
                format!("update payments set currency = 'EUR' where id = {paid}"),
                &[("currency_differs", "pi")],
                format!("update payments set currency = 'USD' where id = {paid}"),
            ),
            (
                format!(
                    "create table kept as select * from payments where id = {paid};
                     update payments set provider_intent_id = 'pi_mistaken' where id = {paid}"
                ),
                &[("charged_twice", "pi"), ("missing_at_provider", "pi_mistaken")],
                format!(
                    "update payments set provider_intent_id = kept.provider_intent_id from kept where payments.id = {paid};
                     drop table kept"
                ),
            ),
            (
                format!(
                    "insert into refunds (id, payment_id, amount, state, provider_refund_id, created_at)
                     values (gen_random_uuid(), {paid}, 100, 'succeeded', 're_mistaken', '2026-01-01')"
                ),
                &[("refund_missing_there", "re_mistaken")],
                "delete from refunds".to_owned(),
            ),
        ],
    )
    .await;
    assert_eq!(world.findings("repaired").await.len(), 0, "no rule was applied");
    let resolved = world.findings("resolved").await;
    assert!(resolved.len() == 5 && resolved.iter().all(|finding| finding["resolved_by"].is_null()), "{resolved:#?}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn capture_missing_here_is_refreshed_while_the_payment_is_open() {
    let world = World::new().await;
    // Our payment is over, so it needs an operator.
    let taken = world.second_intent(&world.voided, &[("confirm", "true")]).await;
    world.finds(&[("captured_there_not_here", &taken, "none")]).await;
    let open = &world.findings("open").await[0];
    assert_eq!((&open["ours"], &open["theirs"], &open["currency"]), (&json!(0), &json!(1000), &json!("USD")));

    // Our payment lags behind: it was to be released and was captured. Its worker sees that and refunds everything.
    world.update(&world.voided, &format!("state = 'voiding', goal = 'release', capture_amount = null, provider_intent_id = '{taken}', amount = 1000, authorized_amount = 0")).await;
    world.run().await;
    let refunded = until("it is refunded", async || {
        let payment = world.payment(&world.voided).await;
        (payment["refunded"]["amount"] == 1000).then_some(payment)
    })
    .await;
    assert_eq!(refunded["state"], "captured");
    world.repairs("captured_there_not_here", "look_again").await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn capture_missing_at_the_provider_needs_an_operator() {
    let world = World::new().await;
    let held = world.second_intent(&world.paid, &[("capture_method", "manual")]).await;
    let intent = world.intent(&world.paid).await;
    world
        .update(
            &world.paid,
            &format!("provider_intent_id = '{held}', amount = 1000, authorized_amount = 1000, captured_amount = 1000"),
        )
        .await;
    let mut expected = [("captured_here_not_there", held.as_str(), "none"), ("charged_twice", intent.as_str(), "none")];
    expected.sort_unstable();
    world.finds(&expected).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hold_that_outlived_its_trip_is_cancelled() {
    let world = World::new().await;
    let hold = [("capture_method", "manual"), ("confirm", "true")];
    // A second intent of a captured payment, and the intent of a payment that is over.
    let second = world.second_intent(&world.paid, &hold).await;
    let own = world.second_intent(&world.voided, &hold).await;
    world.update(&world.voided, &format!("provider_intent_id = '{own}', amount = 1000, authorized_amount = 0")).await;
    let report = world.ops.get("/v1/ops/audit").await.expect(200);
    assert_eq!(report["violations"]["provider"], 2, "{report:#}");

    let run = world.run().await;
    assert_eq!((&run["found"], &run["repairs"]), (&json!(2), &json!(2)), "{run:#}");
    assert_eq!(
        (world.provider_status(&second).await, world.provider_status(&own).await),
        ("canceled".into(), "canceled".into())
    );
    let run = world.finds(&[]).await;
    assert_eq!(run["ended"], 2);
    world.repairs("held_there_trip_over", "cancel_intent").await;
    world.app.assert_clean().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hold_of_a_free_trip_is_released() {
    let world = World::new().await;
    let own = world.second_intent(&world.voided, &[("capture_method", "manual"), ("confirm", "true")]).await;
    world.update(&world.voided, &format!("state = 'authorized', goal = 'hold', provider_intent_id = '{own}', amount = 1000, authorized_amount = 1000")).await;
    world.run().await;
    world.repairs("held_there_trip_over", "release").await;
    assert_eq!(world.payment(&world.voided).await["state"], "voided");
    assert_eq!(world.provider_status(&own).await, "canceled");
    world.app.assert_clean().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn confirmable_intent_is_cancelled_and_is_no_violation() {
    let world = World::new().await;
    let second = world.second_intent(&world.paid, &[("capture_method", "manual")]).await;
    let own = world.second_intent(&world.voided, &[("capture_method", "manual")]).await;
    world.update(&world.voided, &format!("provider_intent_id = '{own}', amount = 1000, authorized_amount = 0")).await;
    // No money is reserved, so the audit is clean.
    world.app.assert_clean().await;
    world.run().await;
    assert_eq!(
        (world.provider_status(&second).await, world.provider_status(&own).await),
        ("canceled".into(), "canceled".into())
    );
    world.repairs("duplicate_intents_for_payment", "cancel_intent").await;
    world.repairs("open_there_over_here", "cancel_intent").await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn vanished_authorization_is_read_again() {
    let world = World::new().await;
    // The provider cancelled it without an event.
    world.update(&world.voided, "state = 'authorized', goal = 'hold', authorized_amount = amount").await;
    world.run().await;
    until("it is read again", async || (world.payment(&world.voided).await["state"] == "auth_expired").then_some(()))
        .await;
    world.repairs("state_differs", "look_again").await;
    world.app.assert_clean().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_intent_is_counted_and_not_changed() {
    let world = World::new().await;
    let form = [
        ("amount", "77"),
        ("currency", "usd"),
        ("payment_method", "pm_card_visa"),
        ("confirm", "true"),
        ("capture_method", "manual"),
    ];
    let foreign = world.at_provider(Method::POST, "/v1/payment_intents", &form).await;
    let run = world.finds(&[]).await;
    assert_eq!(
        (&run["foreign_intents"], &run["intents"], &run["differences"]),
        (&json!(1), &json!(3), &json!(0)),
        "{run:#}"
    );
    world.app.assert_clean().await;

    // An intent that names a payment that we do not have: from a test system on the same account, or lost by restoring a backup.
    let other = world.second_intent(&json!({"id": "pay_01h455vb4pex5vsknk084sn02q"}), &[]).await;
    let expected = [("unknown_to_us", other.as_str(), "none")];
    world.finds(&expected).await;
    world.finds(&expected).await;
    assert_eq!(world.provider_status(id(&foreign)).await, "requires_capture");
    let open = "ridematch_reconciliation_findings_open{kind=\"unknown_to_us\"} 1";
    let metrics = until("the gauges show the finding", async || {
        let metrics = ApiResponse::of(world.app.http.get(world.app.url("/metrics"))).await.text();
        metrics.contains(open).then_some(metrics)
    })
    .await;
    assert!(!metrics.contains("ridematch_reconciliation_last_checked_age_seconds -1"), "{metrics}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn intent_missing_here_needs_an_operator() {
    let world = World::new().await;
    let intent = world.intent(&world.voided).await;
    world.update(&world.voided, "state = 'authorizing', goal = 'hold', provider_intent_id = null, authorized_amount = 0, needs_review = 'broken by hand'").await;
    // Its cancelled intent is no difference; an open one is.
    world.finds(&[]).await;
    let open = world.second_intent(&world.voided, &[("capture_method", "manual"), ("confirm", "true")]).await;
    world.finds(&[("intent_missing_here", &open, "none")]).await;
    world
        .update(
            &world.voided,
            &format!("state = 'voided', goal = 'release', provider_intent_id = '{intent}', needs_review = null"),
        )
        .await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refund_made_at_the_provider_is_recorded_here() {
    let world = World::new().await;
    let intent = world.intent(&world.paid).await;
    world.at_provider(Method::POST, "/v1/refunds", &[("payment_intent", &intent), ("amount", "150")]).await;
    world.run().await;
    let payment = until("it is in our records", async || {
        let payment = world.payment(&world.paid).await;
        (payment["refunded"]["amount"] == 150).then_some(payment)
    })
    .await;
    assert_eq!(payment["refunds"][0]["state"], "succeeded", "{payment:#}");
    world.repairs("refund_missing_here", "adopt_refund").await;
    let ledger =
        world.ops.get(&format!("/v1/ops/ledger?account=refunds&trip_id={}", id(&world.ride))).await.expect(200);
    assert_eq!(ledger["accounts"][0]["balance"], 150);
    world.app.assert_clean().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refund_with_a_lost_response_gets_its_provider_id() {
    let world = World::new().await;
    let (intent, paid) = (world.intent(&world.paid).await, uuid(&world.paid));
    // Our refund needs review, because its key is too old to use again; the provider has made it.
    world
        .sql(&format!(
            "insert into refunds (id, payment_id, amount, state, needs_review, created_at)
             values ('01890a5d-ac96-774b-bcce-b302099a8057', {paid}, 70, 'pending', 'broken by hand', '2026-01-01');
             update payments set refund_reserved = 70 where id = {paid}"
        ))
        .await;
    let ours = "rfd_01h455vb4pex5vsknk084sn02q";
    let form = [("payment_intent", intent.as_str()), ("amount", "70"), ("metadata[refund_id]", ours)];
    world.at_provider(Method::POST, "/v1/refunds", &form).await;
    world.run().await;
    until("it has succeeded", async || {
        let refund = world.payment(&world.paid).await["refunds"][0].clone();
        (refund["state"] == "succeeded").then_some(())
    })
    .await;
    world.repairs("refund_state_differs", "adopt_refund").await;
    world.app.assert_clean().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refunds_with_different_outcomes_need_an_operator() {
    let world = World::new().await;
    let refund = json!({"amount": {"amount": 100, "currency": "USD"}});
    world.ops.post(&format!("/v1/payments/{}/refunds", id(&world.paid)), &refund).await.expect(201);
    until("it is refunded", async || (world.payment(&world.paid).await["refunded"]["amount"] == 100).then_some(()))
        .await;
    let theirs: String =
        sqlx::query_scalar("select provider_refund_id from refunds").fetch_one(world.app.sql()).await.unwrap();
    world.sql("update refunds set state = 'failed'").await;
    world.finds(&[("refund_state_differs", &theirs, "none")]).await;
    world.sql("update refunds set state = 'succeeded', amount = 90").await;
    world.finds(&[("refund_amount_differs", &theirs, "none")]).await;
    world.sql("update refunds set amount = 100").await;
    world.finds(&[]).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refund_that_failed_later_is_read_again() {
    let world = World::new().await;
    let refund = json!({"amount": {"amount": 100, "currency": "USD"}});
    world.ops.post(&format!("/v1/payments/{}/refunds", id(&world.paid)), &refund).await.expect(201);
    until("it is refunded", async || (world.payment(&world.paid).await["refunded"]["amount"] == 100).then_some(()))
        .await;
    let theirs: String =
        sqlx::query_scalar("select provider_refund_id from refunds").fetch_one(world.app.sql()).await.unwrap();
    // The event about it is lost.
    world.app.simulator(Method::POST, &format!("/refunds/{theirs}/fail"), &json!({})).await;
    world.repairs("refund_state_differs", "look_again").await;
    assert_eq!(world.payment(&world.paid).await["refunds"][0]["state"], "failed");
    world.app.assert_clean().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dispute_missing_here_is_read_again() {
    let world = World::new().await;
    let dispute = format!("/payment_intents/{}/dispute", world.intent(&world.paid).await);
    world.app.simulator(Method::POST, &dispute, &json!({})).await;
    // A dispute begins at the provider, so the audit does not count it.
    world.app.assert_clean().await;
    world.repairs("dispute_differs", "look_again").await;
    let path = format!("/v1/payments/{}/refunds", id(&world.paid));
    world.ops.post(&path, &json!({})).await.expect_problem(409, "payment_disputed");
    let review = world.ops.get("/v1/ops/reconciliation").await.expect(200)["needs_review"].clone();
    assert_eq!((&review["total"], &review["items"][0]["subject"]), (&json!(1), &world.paid["id"]), "{review:#}");
    world.stop().await;
}
