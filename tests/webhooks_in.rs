//! The provider's events: signed, stored once, answered, and handled afterwards by looking.
#![allow(clippy::unwrap_used, reason = "tests")]

mod harness;

use harness::{Answer, App, Options, WEBHOOK_SECRET, free_address, id, until};
use ridematch::platform::clock::Clock;
use serde_json::{Value, json};

/// An event about an intent, as the provider words it.
fn event(event_id: &str, intent: &str) -> String {
    json!({"id": event_id, "object": "event", "type": "payment_intent.succeeded",
           "data": {"object": {"id": intent, "object": "payment_intent"}}})
    .to_string()
}

/// Posts a body, signed with `secret`.
async fn send(app: &App, secret: &str, body: &str) -> Answer {
    let signature = psp_sim::signature(secret, Clock::system().machine().utc().timestamp(), body);
    Answer::of(app.http.post(app.url("/v1/webhooks/psp")).header("Stripe-Signature", signature).body(body.to_owned()))
        .await
}

/// Waits until the inbox is empty.
async fn handled(app: &App) {
    until("every event is handled", async || {
        (app.count("select count(*) from provider_events where due_at is not null").await == 0).then_some(())
    })
    .await;
}

/// Waits until every event is handled and the payment was leased so often at least, and no look at it is due or under way.
async fn looked(app: &App, leases: i64) {
    handled(app).await;
    let rested = format!(
        "select count(*) from payments where lease_token >= {leases} and due_at is null and leased_until is null"
    );
    until("the worker has looked", async || (app.count(&rested).await == 1).then_some(())).await;
}

/// A payment that is authorised, and its intent.
async fn authorized(app: &App) -> (Value, String) {
    let rider = app.rider().await;
    let trip = rider.request_trip().await;
    rider.until_state(id(&trip), "searching").await;
    handled(app).await;
    let intent = sqlx::query_scalar("select provider_intent_id from payments").fetch_one(app.sql()).await.unwrap();
    (trip, intent)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_stored_once_and_makes_us_look_once() {
    // The provider's own events go nowhere: they would make us look, too.
    let app = App::with(Options { events_to: Some(free_address()), ..Options::default() }).await;
    let (_, intent) = authorized(&app).await;
    let leases = "select lease_token from payments";
    let before = app.count(leases).await;
    for _ in 0..3 {
        send(&app, WEBHOOK_SECRET, &event("evt_twice", &intent)).await.expect(200);
    }
    looked(&app, before + 1).await;
    send(&app, WEBHOOK_SECRET, &event("evt_twice", &intent)).await.expect(200);
    handled(&app).await;
    assert_eq!(app.count("select count(*) from provider_events where event_id = 'evt_twice'").await, 1);
    let stored = "select count(*) from provider_events where event_id = 'evt_twice' and handled_at is not null";
    assert_eq!(app.count(stored).await, 1);
    // A look that should not have been would be over by the time of the next one's.
    looked(&app, before + 1).await;
    send(&app, WEBHOOK_SECRET, &event("evt_next", &intent)).await.expect(200);
    looked(&app, before + 2).await;
    assert_eq!(app.count(leases).await, before + 2, "a second delivery does nothing");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_deliveries_of_one_event_at_once_are_one() {
    let app = App::start().await;
    let body = event("evt_storm", "pi_nobodys");
    let sent = harness::at_once((0..10).map(|_| send(&app, WEBHOOK_SECRET, &body))).await;
    assert!(sent.iter().all(|answer| answer.status == 200));
    assert_eq!(app.count("select count(*) from provider_events").await, 1);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_comes_before_its_intent_waits_for_it() {
    let app = App::start().await;
    let (_, intent) = authorized(&app).await;
    // As if the answer to the create had not been committed yet.
    app.break_with("update payments set provider_intent_id = 'pi_later'").await;
    send(&app, WEBHOOK_SECRET, &event("evt_early", &intent)).await.expect(200);
    let attempts = "select attempts::bigint from provider_events where event_id = 'evt_early'";
    until("it was looked at in vain", async || (app.count(attempts).await > 0).then_some(())).await;
    app.break_with(&format!("update payments set provider_intent_id = '{intent}'")).await;
    handled(&app).await;
    let handled = "select count(*) from provider_events where event_id = 'evt_early' and handled_at is not null";
    assert_eq!(app.count(handled).await, 1);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_an_intent_that_nobody_knows_is_set_aside_for_a_person() {
    let app = App::start().await;
    send(&app, WEBHOOK_SECRET, &event("evt_strange", "pi_of_somebody_else")).await.expect(200);
    // Its last pause is five minutes: it has waited for them.
    until("it was looked at in vain", async || {
        (app.count("select attempts::bigint from provider_events").await > 0).then_some(())
    })
    .await;
    app.break_with("update provider_events set attempts = 4, due_at = received_at").await;
    handled(&app).await;
    let waits = app.ops().await.get("/v1/ops/reconciliation").await.expect(200)["attention"].clone();
    assert_eq!(waits["total"], 1, "{waits:#}");
    assert!(waits["items"][0].to_string().contains("evt_strange"), "{waits:#}");
    let metrics = Answer::of(app.http.get(app.url("/metrics"))).await.text();
    assert!(metrics.contains(r#"ridematch_provider_events{state="set_aside"} 1"#));
    app.assert_clean().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_waits_for_too_long_breaks_the_audit() {
    let app = App::start().await;
    // A worker that cannot handle it.
    app.break_with(
        "create trigger stuck before update on provider_events for each statement execute function refuse_change();
         insert into provider_events (event_id, type, intent_id, received_at, due_at)
         values ('evt_stuck', 'a.b', 'pi_1', '2020-01-01', '2020-01-01')",
    )
    .await;
    let report = app.audit().await;
    assert_eq!(
        (&report["clean"], report.to_string().contains("provider event evt_stuck")),
        (&json!(false), true),
        "{report:#}"
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_named_header_or_field() {
    let app = App::start().await;
    let body = event("evt_1", "pi_1");
    let now = Clock::system().machine().utc().timestamp();
    let old = psp_sim::signature(WEBHOOK_SECRET, now - 301, &body);
    let early = psp_sim::signature(WEBHOOK_SECRET, now + 330, &body);
    let forged = psp_sim::signature("whsec_other", now, &body);
    for (signature, says) in [
        (old.as_str(), "300 s off"),
        (&early, "300 s off"),
        (&forged, "no signature"),
        ("t=soon,v1=00", "must be `t="),
        ("", "must be `t="),
    ] {
        let request = app.http.post(app.url("/v1/webhooks/psp")).header("Stripe-Signature", signature);
        let problem = Answer::of(request.body(body.clone())).await.expect_problem(400, "signature_invalid");
        assert_eq!(problem["errors"][0]["pointer"], "Stripe-Signature", "{problem:#}");
        assert!(problem["detail"].as_str().unwrap().contains(says), "{problem:#}");
    }
    for (body, pointer) in [("{", ""), (r#"{"id": "evt_1"}"#, "/data"), (r#"{"data": {"object": {}}}"#, "/id")] {
        let problem = send(&app, WEBHOOK_SECRET, body).await.expect_problem(400, "malformed");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem:#}");
    }
    assert_eq!(app.count("select count(*) from provider_events").await, 0);
    app.stop().await;
}
