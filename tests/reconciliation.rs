//! Each way in which our books and the provider's can differ is made by hand, there or here; then a run finds and names it, and
//! either a rule repairs it or a person says that it is done with.
#![allow(clippy::unwrap_used, reason = "tests")]

mod harness;
#[path = "reconciliation/runs.rs"]
mod runs;
#[path = "reconciliation/world.rs"]
mod world;

use harness::{Answer, id, until};
use reqwest::Method;
use serde_json::json;
use world::{World, uuid};

impl World {
    async fn sql(&self, sql: &str) {
        self.app.break_with(sql).await;
    }

    async fn stop(self) {
        self.app.stop().await;
    }
}

/// Harm, the kinds and subjects that are found, and how to undo it.
type Way<'a> = (String, &'a [(&'a str, &'a str)], String);

/// Breaks our books in ways that only a person can judge: `(harm, what is found, how to undo it)`; the subject `pi` is the intent
/// of the ride's payment. Undone, it is gone by itself.
async fn persons(world: &World, ways: &[Way<'_>]) {
    let intent = world.intent(&world.paid).await;
    for (harm, expected, undo) in ways {
        world.sql(harm).await;
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
async fn figures_that_differ_are_a_persons() {
    let world = World::new().await;
    let paid = uuid(&world.paid);
    persons(
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
    let gone = world.findings("resolved").await;
    assert!(gone.len() == 5 && gone.iter().all(|finding| finding["resolved_by"].is_null()), "{gone:#?}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn money_taken_there_and_not_here() {
    let world = World::new().await;
    // Our payment is over: only a person can say what it was.
    let voided = uuid(&world.voided);
    let taken = world.second_intent(&world.voided, &[("confirm", "true")]).await;
    world.finds(&[("captured_there_not_here", &taken, "none")]).await;
    let open = &world.findings("open").await[0];
    assert_eq!((&open["ours"], &open["theirs"], &open["currency"]), (&json!(0), &json!(1000), &json!("USD")));

    // We are behind: the payment was to be given up, and was taken. Its worker finds out, and gives everything back.
    world
        .sql(&format!(
            "update payments set state = 'voiding', intent = 'release', capture_amount = null, provider_intent_id = '{taken}', amount = 1000,
                    authorized_amount = 0 where id = {voided}"
        ))
        .await;
    world.run().await;
    let refunded = until("it is given back", async || {
        let payment = world.payment(&world.voided).await;
        (payment["refunded"]["amount"] == 1000).then_some(payment)
    })
    .await;
    assert_eq!(refunded["state"], "captured");
    world.repairs("captured_there_not_here", "look_again").await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn money_taken_here_and_not_there() {
    let world = World::new().await;
    let held = world.second_intent(&world.paid, &[("capture_method", "manual")]).await;
    let (paid, intent) = (uuid(&world.paid), world.intent(&world.paid).await);
    world.sql(&format!("update payments set provider_intent_id = '{held}', amount = 1000, authorized_amount = 1000, captured_amount = 1000 where id = {paid}")).await;
    let mut expected = [("captured_here_not_there", held.as_str(), "none"), ("charged_twice", intent.as_str(), "none")];
    expected.sort_unstable();
    world.finds(&expected).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_that_outlived_its_trip_is_cancelled() {
    let world = World::new().await;
    let hold = [("capture_method", "manual"), ("confirm", "true")];
    // A second intent of a payment that was captured; and one that a payment names which is over.
    let second = world.second_intent(&world.paid, &hold).await;
    let own = world.second_intent(&world.voided, &hold).await;
    world
        .sql(&format!(
            "update payments set provider_intent_id = '{own}', amount = 1000, authorized_amount = 0 where id = {}",
            uuid(&world.voided)
        ))
        .await;
    let report = world.ops.get("/v1/ops/audit").await.expect(200);
    assert_eq!(report["violations"]["provider"], 2, "{report:#}");

    let run = world.run().await;
    assert_eq!((&run["found"], &run["repairs"]), (&json!(2), &json!(2)), "{run:#}");
    assert_eq!(
        (world.status_there(&second).await, world.status_there(&own).await),
        ("canceled".into(), "canceled".into())
    );
    let run = world.finds(&[]).await;
    assert_eq!(run["ended"], 2);
    world.repairs("held_there_trip_over", "cancel_intent").await;
    world.app.assert_clean().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_that_nobody_released_is_released() {
    let world = World::new().await;
    let own = world.second_intent(&world.voided, &[("capture_method", "manual"), ("confirm", "true")]).await;
    world
        .sql(&format!(
            "update payments set state = 'authorized', intent = 'hold', provider_intent_id = '{own}', amount = 1000,
                    authorized_amount = 1000 where id = {}",
            uuid(&world.voided)
        ))
        .await;
    world.run().await;
    world.repairs("held_there_trip_over", "release").await;
    assert_eq!(world.payment(&world.voided).await["state"], "voided");
    assert_eq!(world.status_there(&own).await, "canceled");
    world.app.assert_clean().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_still_be_confirmed_is_cancelled_and_is_no_violation() {
    let world = World::new().await;
    let second = world.second_intent(&world.paid, &[("capture_method", "manual")]).await;
    let own = world.second_intent(&world.voided, &[("capture_method", "manual")]).await;
    world
        .sql(&format!(
            "update payments set provider_intent_id = '{own}', amount = 1000, authorized_amount = 0 where id = {}",
            uuid(&world.voided)
        ))
        .await;
    // No money is in it, so the books are equal all the same.
    world.app.assert_clean().await;
    world.run().await;
    assert_eq!(
        (world.status_there(&second).await, world.status_there(&own).await),
        ("canceled".into(), "canceled".into())
    );
    world.repairs("duplicate_intents_for_payment", "cancel_intent").await;
    world.repairs("open_there_over_here", "cancel_intent").await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authorisation_that_is_gone_is_looked_at() {
    let world = World::new().await;
    // The provider gave it up; nobody told us.
    world
        .sql(&format!(
            "update payments set state = 'authorized', intent = 'hold', authorized_amount = amount where id = {}",
            uuid(&world.voided)
        ))
        .await;
    world.run().await;
    until("it is looked at", async || (world.payment(&world.voided).await["state"] == "auth_expired").then_some(()))
        .await;
    world.repairs("state_differs", "look_again").await;
    world.app.assert_clean().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_intent_of_somebody_elses_is_counted_and_left_alone() {
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

    // One that is for a payment like ours, and we do not have it: of a test system on the same account, or of what a restored
    // database has forgotten.
    let other = world.second_intent(&json!({"id": "pay_01h455vb4pex5vsknk084sn02q"}), &[]).await;
    let expected = [("unknown_to_us", other.as_str(), "none")];
    world.finds(&expected).await;
    world.finds(&expected).await;
    assert_eq!(world.status_there(id(&foreign)).await, "requires_capture");
    let metrics = Answer::of(world.app.http.get(world.app.url("/metrics"))).await.text();
    let open = "ridematch_reconciliation_findings_open{kind=\"unknown_to_us\"} 1";
    assert!(metrics.contains(open), "{metrics}");
    assert!(!metrics.contains("ridematch_reconciliation_last_checked_age_seconds -1"), "{metrics}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_intent_that_its_payment_never_heard_of() {
    let world = World::new().await;
    let intent = world.intent(&world.voided).await;
    world
        .sql(&format!(
            "update payments set state = 'authorizing', intent = 'hold', provider_intent_id = null, authorized_amount = 0,
                    attention = 'broken by hand' where id = {}",
            uuid(&world.voided)
        ))
        .await;
    // The one that it had is cancelled: nothing to be said. An open one is.
    world.finds(&[]).await;
    let open = world.second_intent(&world.voided, &[("capture_method", "manual"), ("confirm", "true")]).await;
    world.finds(&[("intent_missing_here", &open, "none")]).await;
    world.sql(&format!("update payments set state = 'voided', intent = 'release', provider_intent_id = '{intent}', attention = null where id = {}", uuid(&world.voided))).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_that_was_made_there_is_written_down_here() {
    let world = World::new().await;
    let intent = world.intent(&world.paid).await;
    world.at_provider(Method::POST, "/v1/refunds", &[("payment_intent", &intent), ("amount", "150")]).await;
    world.run().await;
    let payment = until("it is in our books", async || {
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
async fn a_refund_whose_answer_never_came_is_given_its_name() {
    let world = World::new().await;
    let (intent, paid) = (world.intent(&world.paid).await, uuid(&world.paid));
    // Ours is given up: its key is too old to be used again. The provider made it all the same.
    world
        .sql(&format!(
            "insert into refunds (id, payment_id, amount, state, attention, created_at)
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
async fn refunds_that_ended_differently_are_a_persons() {
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
