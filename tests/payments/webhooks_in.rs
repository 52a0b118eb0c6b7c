//! The inbox of the provider's events: a signed event is stored once, answered, and causes a look-up afterwards.
#![allow(clippy::unwrap_used, reason = "tests")]

use crate::fixtures::{intent_event, post_event, post_signed_event, until_events_are_handled};
use crate::harness::breakpoint::Side;
use crate::harness::{ApiResponse, App, Options, WEBHOOK_SECRET, at_once, free_address, id, until};
use reqwest::Method;
use ridematch::platform::clock::Clock;
use serde_json::{Value, json};

fn event(event_id: &str, intent: &str) -> String {
    intent_event(event_id, "payment_intent.succeeded", intent)
}

/// Waits until every event is handled, and the payment was leased at least this often and is idle.
async fn until_looked_up(app: &App, leases: i64) {
    until_events_are_handled(app).await;
    let idle = format!(
        "select count(*) from payments where lease_token >= {leases} and due_at is null and leased_until is null"
    );
    until("the worker has looked it up", async || (app.count(&idle).await == 1).then_some(())).await;
}

/// Returns a trip with an authorized payment, and the payment's intent.
async fn authorized(app: &App) -> (Value, String) {
    let rider = app.rider().await;
    let trip = rider.request_trip().await;
    rider.until_state(id(&trip), "searching").await;
    until_events_are_handled(app).await;
    let intent = sqlx::query_scalar("select provider_intent_id from payments").fetch_one(app.sql()).await.unwrap();
    (trip, intent)
}

#[tokio::test(flavor = "multi_thread")]
async fn event_is_stored_once_and_causes_one_look_up() {
    // The provider's own events go nowhere: they would cause look-ups too.
    let app = App::with(Options { events_to: Some(free_address()), ..Options::default() }).await;
    let (_, intent) = authorized(&app).await;
    let leases = "select lease_token from payments";
    let before = app.count(leases).await;
    for _ in 0..3 {
        post_event(&app, &event("evt_twice", &intent), 0).await.expect(200);
    }
    until_looked_up(&app, before + 1).await;
    post_event(&app, &event("evt_twice", &intent), 0).await.expect(200);
    until_events_are_handled(&app).await;
    assert_eq!(app.count("select count(*) from provider_events where event_id = 'evt_twice'").await, 1);
    let stored = "select count(*) from provider_events where event_id = 'evt_twice' and handled_at is not null";
    assert_eq!(app.count(stored).await, 1);
    // A wrong look-up would have ended by the time of the next event's.
    until_looked_up(&app, before + 1).await;
    post_event(&app, &event("evt_next", &intent), 0).await.expect(200);
    until_looked_up(&app, before + 2).await;
    assert_eq!(app.count(leases).await, before + 2, "a second delivery causes no look-up");
    app.stop().await;
}

/// The look-up has read the intent before the change that the event is about, and its answer arrives after the event.
#[tokio::test(flavor = "multi_thread")]
async fn event_during_a_look_up_causes_another_look_up() {
    // The provider's own events go nowhere.
    let app = App::with(Options { events_to: Some(free_address()), ..Options::default() }).await;
    let (_, intent) = authorized(&app).await;
    let answer = app.calls.break_at("read", Side::After);
    post_event(&app, &event("evt_first", &intent), 0).await.expect(200);
    let answer = answer.reached().await;
    app.simulator(Method::POST, &format!("/payment_intents/{intent}/expire"), &json!({})).await;
    post_event(&app, &event("evt_second", &intent), 0).await.expect(200);
    until_events_are_handled(&app).await;
    answer.resume();
    let unfinished = "select count(*) from payments where due_at is not null or leased_until is not null";
    until("the look-ups have ended", async || (app.count(unfinished).await == 0).then_some(())).await;
    let expired = "select count(*) from payments where state = 'auth_expired'";
    assert_eq!(app.count(expired).await, 1, "the last look-up is later than the event");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_concurrent_deliveries_of_an_event_are_stored_once() {
    let app = App::start().await;
    let body = event("evt_storm", "pi_unknown");
    let sent = at_once((0..10).map(|_| post_event(&app, &body, 0))).await;
    assert!(sent.iter().all(|answer| answer.status == 200));
    assert_eq!(app.count("select count(*) from provider_events").await, 1);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn event_before_its_intent_is_retried() {
    let app = App::start().await;
    let (_, intent) = authorized(&app).await;
    // As before the commit of the answer to the create.
    app.break_with("update payments set provider_intent_id = 'pi_later'").await;
    post_event(&app, &event("evt_early", &intent), 0).await.expect(200);
    let attempts = "select attempts::bigint from provider_events where event_id = 'evt_early'";
    until("it was retried", async || (app.count(attempts).await > 0).then_some(())).await;
    app.break_with(&format!("update payments set provider_intent_id = '{intent}'")).await;
    until_events_are_handled(&app).await;
    let handled = "select count(*) from provider_events where event_id = 'evt_early' and handled_at is not null";
    assert_eq!(app.count(handled).await, 1);
    app.stop().await;
}

/// A provider repeats an event that is refused for days, and then disables the address.
#[tokio::test(flavor = "multi_thread")]
async fn event_about_another_object_is_received_and_done() {
    let app = App::start().await;
    for (number, object) in [
        json!({"id": "cus_1", "object": "customer"}),
        json!({"object": "balance", "livemode": false}),
        json!({"id": "ch_1", "object": "charge", "payment_intent": null}),
        json!({"id": "cus_2", "object": "customer", "description": "a \u{0} b"}),
    ]
    .into_iter()
    .enumerate()
    {
        let event =
            json!({"id": format!("evt_{number}"), "object": "event", "type": "any.type", "data": {"object": object}});
        post_event(&app, &event.to_string(), 0).await.expect(200);
    }
    until_events_are_handled(&app).await;
    app.assert_clean().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn event_of_an_unknown_intent_is_set_aside_for_review() {
    let app = App::start().await;
    post_event(&app, &event("evt_unknown", "pi_of_another_system"), 0).await.expect(200);
    // The last retry is after five minutes: they are skipped.
    until("it was retried", async || {
        (app.count("select attempts::bigint from provider_events").await > 0).then_some(())
    })
    .await;
    app.break_with("update provider_events set attempts = 4, due_at = received_at").await;
    until_events_are_handled(&app).await;
    let review = app.ops().await.get("/v1/ops/reconciliation").await.expect(200)["needs_review"].clone();
    assert_eq!(review["total"], 1, "{review:#}");
    assert!(review["items"][0].to_string().contains("evt_unknown"), "{review:#}");
    until("the gauges show the event", async || {
        let metrics = ApiResponse::of(app.http.get(app.url("/metrics"))).await.text();
        metrics.contains(r#"ridematch_provider_events{state="set_aside"} 1"#).then_some(())
    })
    .await;
    app.assert_clean().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn overdue_event_fails_the_audit() {
    let app = App::start().await;
    // The worker cannot handle it.
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
async fn refusal_names_the_header_or_the_field() {
    let app = App::start().await;
    let body = event("evt_1", "pi_1");
    let now = Clock::system().machine().utc().timestamp();
    let old = psp_sim::signature(WEBHOOK_SECRET, now - 301, &body);
    let early = psp_sim::signature(WEBHOOK_SECRET, now + 330, &body);
    let wrong_secret = psp_sim::signature("whsec_other", now, &body);
    for (signature, reason) in [
        (old.as_str(), "300 s off"),
        (&early, "300 s off"),
        (&wrong_secret, "no signature"),
        ("t=soon,v1=00", "must be `t="),
        ("", "must be `t="),
    ] {
        let problem = post_signed_event(&app, &body, Some(signature)).await.expect_problem(400, "signature_invalid");
        assert_eq!(problem["errors"][0]["pointer"], "Stripe-Signature", "{problem:#}");
        assert!(problem["detail"].as_str().unwrap().contains(reason), "{problem:#}");
    }
    for (body, pointer) in [("{", ""), (r#"{"id": "evt_1"}"#, "/data"), (r#"{"data": {"object": {}}}"#, "/id")] {
        let problem = post_event(&app, body, 0).await.expect_problem(400, "malformed");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem:#}");
    }
    assert_eq!(app.count("select count(*) from provider_events").await, 0);
    app.stop().await;
}
