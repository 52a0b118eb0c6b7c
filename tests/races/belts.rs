//! Constraints under load. Each is the last belt behind something else: a look before, a lock, an index in memory. So the belts
//! in front are cut, by SQL that runs before the service starts, and the race is run twice: with the constraint, which holds,
//! and without it, which shows that nothing else would have.

use futures_util::stream::{self, StreamExt};
use ridematch::platform::config::Config;
use ridematch::platform::ids::OfferId;
use ridematch::sandbox::Recorder;
use ridematch::startup;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::course::{assert_no_deadlocks, cancel, request};
use crate::harness::{Actor, Answer, App, HERE, Options, at_once, free_address, id, in_progress, new_key, until};
use crate::world::{broken, paid};

/// Requests on their way at the same time: connections of their own, both ends of them in this process.
const CROWD: usize = 200;

/// Accepts all of `offers` at the same time, each under a key of its own. Four commands of one caller run at once and the others
/// are sent away; they come back one by one.
async fn accept_all(driver: &Actor, offers: Vec<String>) -> Vec<Answer> {
    let accept = async |offer: String| {
        let answer = driver.post(&format!("/v1/offers/{offer}/accept"), &json!({})).await;
        if answer.status == 429 { Err((offer, answer)) } else { Ok(answer) }
    };
    let (mut answers, mut waiting) = (Vec::new(), offers);
    while !waiting.is_empty() {
        let crowd = if answers.is_empty() { CROWD } else { 4 };
        for end in
            stream::iter(std::mem::take(&mut waiting)).map(&accept).buffer_unordered(crowd).collect::<Vec<_>>().await
        {
            match end {
                Ok(answer) => answers.push(answer),
                Err((offer, sent_away)) => {
                    sent_away.expect_problem(429, "too_many_commands");
                    waiting.push(offer);
                }
            }
        }
    }
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_accepts_of_one_offer_are_one() {
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

/// Nothing keeps a driver from being offered many trips: no engagement and no index of pending offers. What dispatch would then
/// do is written by hand, because its own insert leans on the engagement's key and fails without it.
const OFFERED_TO_EVERYBODY: &str = "
    alter table driver_engagements drop constraint one_engagement_per_driver;
    drop index one_pending_offer_per_driver;";

/// As many trips like the one there is, each offered to the driver who is online.
async fn offer_many(app: &App, trips: usize) -> Vec<String> {
    let sql = "
        create table clones as
            select gen_random_uuid() as trip, gen_random_uuid() as rider, gen_random_uuid() as quote,
                   gen_random_uuid() as payment, gen_random_uuid() as offer
            from generate_series(1, $trips);
        insert into quotes select (jsonb_populate_record(quotes, jsonb_build_object('id', quote, 'rider_id', rider))).*
            from quotes, clones;
        insert into payments select (jsonb_populate_record(payments, jsonb_build_object(
                'id', payment, 'rider_id', rider, 'trip_id', trip, 'provider_intent_id', null))).*
            from payments, clones;
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

/// A driver who is online, and so many trips that he is offered, of riders who are not there.
async fn offered_to_everybody(trips: usize, without: &str) -> (App, Actor, Vec<String>) {
    let app = App::with(Options { sql: OFFERED_TO_EVERYBODY, ..Options::default() }).await;
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
async fn of_a_thousand_trips_a_driver_gets_one() {
    let (app, driver, offers) = offered_to_everybody(1_000, "").await;
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
async fn without_one_active_trip_per_driver_he_gets_them_all() {
    let (app, driver, offers) = offered_to_everybody(20, "drop index one_active_trip_per_driver").await;
    for answer in accept_all(&driver, offers).await {
        answer.expect(200);
    }
    assert_eq!(app.count(ACTIVE_TRIPS).await, 20);
    let report = app.audit().await;
    assert_eq!(broken(&report), ["engagements"], "{report:#}");
    app.stop().await;
}

/// This one stands alone: there is no look before it. The race with it is `a_rider_asks_for_two_trips`.
#[tokio::test(flavor = "multi_thread")]
async fn without_one_active_trip_per_rider_there_are_two() {
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

/// Quotes forget that they were used, so that the guard in the `where` of their update lets everybody pass.
const FORGETFUL_QUOTES: &str = "
    create function forget() returns trigger language plpgsql as $$ begin new.used_at = null; return new; end $$;
    create trigger forget before update on quotes for each row execute function forget();";

/// A rider takes a trip, cancels it, and asks for another one with the same quote.
async fn use_quote_twice(app: &App) -> Answer {
    let rider = app.rider().await;
    let quote = rider.quote(HERE, HERE).await;
    let trip = request(&rider, &quote).await.expect(201);
    cancel(&rider, &trip).await.expect(200);
    request(&rider, &quote).await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_trip_per_quote_holds_when_quotes_forget() {
    let app = App::with(Options { sql: FORGETFUL_QUOTES, ..Options::default() }).await;
    use_quote_twice(&app).await.expect_problem(409, "quote_used");
    app.break_with("alter table trips drop constraint one_trip_per_quote").await;
    use_quote_twice(&app).await.expect(201);
    app.stop().await;
}

/// A driver's no is hidden from the service, and so is an offer that ran out: dispatch does not know whom it has asked.
const FORGETFUL_DISPATCH: &str = "
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
async fn never_asked_twice_holds_when_dispatch_forgets() {
    let app = App::with(Options { sql: FORGETFUL_DISPATCH, ..Options::default() }).await;
    let (trip, _driver) = decline(&app).await;
    // It chooses him again, is refused, and puts the search off: that round has no offer.
    let ops = app.ops().await;
    until("he was chosen again, and refused", async || {
        let explained = ops.get(&format!("/v1/trips/{}/explain", id(&trip))).await.expect(200);
        let again = explained["rounds"].as_array().unwrap().get(1)?;
        (again["candidates"][0]["verdict"] == "chosen" && again["offer_id"].is_null()).then_some(())
    })
    .await;
    assert_eq!(app.count("select count(*) from public.offers").await, 1);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_never_asked_twice_he_is_asked_again() {
    let app = App::with(Options { sql: FORGETFUL_DISPATCH, ..Options::default() }).await;
    app.break_with("drop index never_asked_twice").await;
    let (trip, driver) = decline(&app).await;
    assert_eq!(driver.until_offered().await["trip_id"], trip["id"]);
    app.stop().await;
}

/// Requests under one key that reach two processes are kept apart by an advisory lock. This one is always free.
const LOCK_THAT_HOLDS_NOBODY: &str = "
    create schema shadow;
    create function shadow.pg_try_advisory_xact_lock(bigint) returns boolean language sql as 'select true';
    do $$ begin execute format('alter database %I set search_path = shadow, pg_catalog, public', current_database()); end $$;";

/// Asks two processes for a refund of one cent under one key, a hundred times, and counts the refunds.
async fn refund_at_two_processes(app: &App) -> i64 {
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = in_progress(app, &rider, &driver).await;
    driver.act(id(&trip), "complete").await.expect(200);
    let ops = app.ops().await;
    let payment = paid(&ops, &trip).await;
    let config = Config { listen: free_address(), ..app.config.clone() };
    let other = startup::start(&config, Recorder::default()).await.expect("a second process");
    let doors = [ops.clone(), Actor { base_url: format!("http://{}", other.address), ..ops }];

    let path = format!("/v1/payments/{}/refunds", id(&payment));
    let body = json!({"amount": {"amount": 1, "currency": "USD"}});
    for _ in 0..100 {
        let key = new_key();
        for answer in at_once(doors.iter().map(|door| door.post_with(&key, &path, &body))).await {
            answer.expect(201);
        }
    }
    other.stop().await;
    app.count("select count(*) from refunds").await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_effect_per_key_holds_when_the_lock_does_not() {
    let app = App::with(Options { sql: LOCK_THAT_HOLDS_NOBODY, ..Options::default() }).await;
    assert_eq!(refund_at_two_processes(&app).await, 100);
    app.assert_clean().await;
    assert_no_deadlocks(&app).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_scope_of_a_key_it_has_two_effects() {
    let app = App::with(Options { sql: LOCK_THAT_HOLDS_NOBODY, ..Options::default() }).await;
    app.break_with("alter table idempotency_keys drop constraint idempotency_keys_scope").await;
    let refunds = refund_at_two_processes(&app).await;
    println!("{refunds} refunds under 100 keys");
    assert!(refunds > 100, "the two never met");
    assert_no_deadlocks(&app).await;
    app.stop().await;
}
