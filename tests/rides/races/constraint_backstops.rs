//! Constraints under load. Each backs up another check: a read, a lock, or the index in memory. SQL that runs before the service
//! starts removes that check, and each race runs twice: with the constraint, which holds, and without it, which does not.

use futures_util::stream::{self, StreamExt};
use ridematch::platform::config::Config;
use ridematch::platform::ids::OfferId;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::audit_fixture::{broken, paid};
use crate::harness::{
    Actor, ApiResponse, App, HERE, Options, at_once, free_address, id, in_progress, new_key, start_service, until,
};
use crate::races::race_harness::{assert_no_deadlocks, cancel, request};

/// The most concurrent requests: each needs two sockets of this process.
const CONCURRENT_MAX: usize = 200;

/// Accepts all of `offers` concurrently, each with its own key. The service runs four commands of one caller at once and refuses the
/// others, which are retried.
async fn accept_all(driver: &Actor, offers: Vec<String>) -> Vec<ApiResponse> {
    let accept = async |offer: String| {
        let answer = driver.post(&format!("/v1/offers/{offer}/accept"), &json!({})).await;
        if answer.status == 429 { Err((offer, answer)) } else { Ok(answer) }
    };
    let (mut answers, mut waiting) = (Vec::new(), offers);
    while !waiting.is_empty() {
        let concurrent = if answers.is_empty() { CONCURRENT_MAX } else { 4 };
        for end in stream::iter(std::mem::take(&mut waiting))
            .map(&accept)
            .buffer_unordered(concurrent)
            .collect::<Vec<_>>()
            .await
        {
            match end {
                Ok(answer) => answers.push(answer),
                Err((offer, refused)) => {
                    refused.expect_problem(429, "too_many_commands");
                    waiting.push(offer);
                }
            }
        }
    }
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn thousand_accepts_of_one_offer_have_one_effect() {
    let app = App::start().await;
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = rider.request_trip().await;
    let offer = driver.until_offered().await;
    for answer in accept_all(&driver, vec![id(&offer).to_owned(); 1_000]).await {
        assert_eq!(answer.expect(200)["trip"]["id"], trip["id"]);
    }
    assert_eq!(app.count("select count(*) from trip_events where command = 'accept'").await, 1);
    app.assert_clean().await;
    app.stop().await;
}

/// Removes the constraints that keep a driver from having several offers. The test inserts the offers itself, because the insert of
/// dispatch needs the primary key of engagements.
const NO_ENGAGEMENT_LIMITS: &str = "
    alter table driver_engagements drop constraint one_engagement_per_driver;
    drop index one_pending_offer_per_driver;";

/// Copies the existing trip, and offers each copy to the driver who is online. Returns the offers.
async fn offer_many(app: &App, trips: usize) -> Vec<String> {
    let sql = "
        create table clones as
            select gen_random_uuid() as trip, gen_random_uuid() as rider, gen_random_uuid() as quote,
                   gen_random_uuid() as payment, gen_random_uuid() as offer
            from generate_series(1, $trips);
        insert into quotes select (jsonb_populate_record(quotes, jsonb_build_object('id', quote, 'rider_id', rider))).*
            from quotes, clones;
        insert into payments select (jsonb_populate_record(payments, jsonb_build_object(
                'id', payment, 'rider_id', rider, 'trip_id', trip, 'provider_intent_id', null, 'last_event', 1))).*
            from payments, clones;
        insert into payment_events (payment_id, seq, kind, state, at, made_at)
            select id, 1, 'recorded', state, created_at, created_at from payments join clones on id = payment;
        insert into trips select (jsonb_populate_record(trips, jsonb_build_object(
                'id', trip, 'rider_id', rider, 'quote_id', quote, 'payment_id', payment, 'request_key_id', null,
                'state', 'offered', 'version', version + 1, 'offers_made', 1, 'due_at', '2099-01-01'))).*
            from trips, clones;
        insert into trip_events select (jsonb_populate_record(trip_events, jsonb_build_object('trip_id', trip, 'key_id', null))).*
            from trip_events, clones;
        insert into trip_events (trip_id, seq, command, from_state, to_state, actor, data, at)
            select trip, trips.version, 'offer', 'searching', 'offered', 'system', '{}', requested_at
            from trips join clones on trip = id;
        insert into offers (id, trip_id, driver_id, status, pickup_distance_m, matcher_epoch, created_at, expires_at)
            select offer, trip, drivers.id, 'pending', 1, 1, '2020-01-01', '2099-01-01' from clones, drivers;
        insert into driver_engagements (driver_id, trip_id, offer_id, kind)
            select drivers.id, trip, offer, 'offer' from clones, drivers";
    app.break_with(&sql.replace("$trips", &trips.to_string())).await;
    let offers: Vec<Uuid> = sqlx::query_scalar("select offer from clones").fetch_all(app.sql()).await.unwrap();
    offers.into_iter().map(|offer| OfferId::from(offer).to_string()).collect()
}

/// Starts a service with one online driver and pending offers for `trips` trips of different riders.
async fn driver_with_offers(trips: usize, without: &str) -> (App, Actor, Vec<String>) {
    let app = App::with(Options { sql: NO_ENGAGEMENT_LIMITS, ..Options::default() }).await;
    app.break_with(without).await;
    let (rider, driver) = (app.rider().await, app.actor("driver").await);
    let vehicle = json!({"available": true, "name": "Dora", "class": "standard", "plate": "RM 1"});
    driver.put("/v1/drivers/me/availability", &vehicle).await.expect(200);
    rider.until_state(id(&rider.request_trip().await), "searching").await;
    let offers = offer_many(&app, trips).await;
    (app, driver, offers)
}

const ACTIVE_TRIPS: &str = "select count(*) from trips where state = 'assigned'";

#[tokio::test(flavor = "multi_thread")]
async fn of_thousand_concurrent_accepts_one_succeeds() {
    let (app, driver, offers) = driver_with_offers(1_000, "").await;
    let answers = accept_all(&driver, offers).await;
    let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
    assert_eq!((won.len(), lost.len()), (1, 999));
    for answer in lost {
        answer.expect_problem(409, "driver_on_trip");
    }
    assert_eq!(app.count(ACTIVE_TRIPS).await, 1);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_one_active_trip_per_driver_all_accepts_succeed() {
    let (app, driver, offers) = driver_with_offers(20, "drop index one_active_trip_per_driver").await;
    for answer in accept_all(&driver, offers).await {
        answer.expect(200);
    }
    assert_eq!(app.count(ACTIVE_TRIPS).await, 20);
    let report = app.audit().await;
    assert_eq!(broken(&report), ["engagements"], "{report:#}");
    app.stop().await;
}

/// No check comes before this constraint. The race with it is `concurrent_requests_of_a_rider_make_one_trip`.
#[tokio::test(flavor = "multi_thread")]
async fn without_one_active_trip_per_rider_both_requests_succeed() {
    let app = App::with(Options { sql: "drop index one_active_trip_per_rider", ..Options::default() }).await;
    let rider = app.rider().await;
    let quotes = at_once([rider.quote(HERE, HERE), rider.quote(HERE, HERE)]).await;
    for answer in at_once(quotes.iter().map(|quote| request(&rider, quote))).await {
        answer.expect(201);
    }
    let report = app.audit().await;
    assert_eq!(broken(&report), ["engagements"], "{report:#}");
    app.stop().await;
}

/// Resets `used_at`, so that the guard in the `where` of the update never matches.
const LOSE_USED_AT: &str = "
    create function lose_used_at() returns trigger language plpgsql as $$ begin new.used_at = null; return new; end $$;
    create trigger lose_used_at before update on quotes for each row execute function lose_used_at();";

/// Requests a trip, cancels it, and requests another one with the same quote.
async fn request_twice_with_one_quote(app: &App) -> ApiResponse {
    let rider = app.rider().await;
    let quote = rider.quote(HERE, HERE).await;
    let trip = request(&rider, &quote).await.expect(201);
    cancel(&rider, &trip).await.expect(200);
    request(&rider, &quote).await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_trip_per_quote_holds_when_used_at_is_lost() {
    let app = App::with(Options { sql: LOSE_USED_AT, ..Options::default() }).await;
    request_twice_with_one_quote(&app).await.expect_problem(409, "quote_used");
    app.break_with("alter table trips drop constraint one_trip_per_quote").await;
    request_twice_with_one_quote(&app).await.expect(201);
    app.stop().await;
}

/// Hides declined and expired offers from the service, so that dispatch does not exclude their drivers.
const HIDE_OLD_OFFERS: &str = "
    create schema shadow;
    create view shadow.offers as select * from public.offers where status not in ('declined', 'expired');
    do $$ begin execute format('alter database %I set search_path = shadow, public', current_database()); end $$;";

async fn decline(app: &App) -> (Value, Actor) {
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = rider.request_trip().await;
    let offer = driver.until_offered().await;
    driver.post(&format!("/v1/offers/{}/decline", id(&offer)), &json!({})).await.expect(200);
    (trip, driver)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_offer_per_trip_and_driver_holds_when_dispatch_misses_old_offers() {
    let app = App::with(Options { sql: HIDE_OLD_OFFERS, ..Options::default() }).await;
    let (_trip, _driver) = decline(&app).await;
    // Dispatch chooses the driver again, is refused by the constraint, and leaves the trip for later.
    until("the driver was chosen again, and refused", async || {
        let metrics = app.http.get(app.url("/metrics")).send().await.unwrap().text().await.unwrap();
        let refused = r#"ridematch_rows_postponed_total{reason="failed",worker="dispatch"}"#;
        metrics.lines().any(|line| line.starts_with(refused)).then_some(())
    })
    .await;
    assert_eq!(app.count("select count(*) from public.offers").await, 1);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_one_offer_per_trip_and_driver_a_second_offer_is_made() {
    let app = App::with(Options { sql: HIDE_OLD_OFFERS, ..Options::default() }).await;
    app.break_with("drop index one_offer_per_trip_and_driver").await;
    let (trip, driver) = decline(&app).await;
    assert_eq!(driver.until_offered().await["trip_id"], trip["id"]);
    app.stop().await;
}

/// Makes the advisory lock that separates two processes with one key always free.
const NO_ADVISORY_LOCK: &str = "
    create schema shadow;
    create function shadow.pg_try_advisory_xact_lock(bigint) returns boolean language sql as 'select true';
    do $$ begin execute format('alter database %I set search_path = shadow, pg_catalog, public', current_database()); end $$;";

/// Sends 100 refunds of one cent, each with one key to two processes at once. Returns the number of refunds.
async fn refund_at_two_processes(app: &App) -> i64 {
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = in_progress(app, &rider, &driver).await;
    driver.command(id(&trip), "complete").await.expect(200);
    let ops = app.ops().await;
    let payment = paid(&ops, &trip).await;
    let config = Config { listen: free_address(), ..app.config.clone() };
    let other = start_service(&config).await;
    let callers = [ops.clone(), Actor { base_url: format!("http://{}", other.address), ..ops }];

    let path = format!("/v1/payments/{}/refunds", id(&payment));
    let body = json!({"amount": {"amount": 1, "currency": "USD"}});
    for _ in 0..100 {
        let key = new_key();
        for answer in at_once(callers.iter().map(|caller| caller.post_with(&key, &path, &body))).await {
            answer.expect(201);
        }
    }
    other.stop().await;
    app.count("select count(*) from refunds").await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_effect_per_key_holds_without_the_advisory_lock() {
    let app = App::with(Options { sql: NO_ADVISORY_LOCK, ..Options::default() }).await;
    assert_eq!(refund_at_two_processes(&app).await, 100);
    app.assert_clean().await;
    assert_no_deadlocks(&app).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_idempotency_keys_scope_a_key_has_two_effects() {
    let app = App::with(Options { sql: NO_ADVISORY_LOCK, ..Options::default() }).await;
    app.break_with("alter table idempotency_keys drop constraint idempotency_keys_scope").await;
    let refunds = refund_at_two_processes(&app).await;
    println!("{refunds} refunds under 100 keys");
    assert!(refunds > 100, "the requests never overlapped");
    assert_no_deadlocks(&app).await;
    app.stop().await;
}
