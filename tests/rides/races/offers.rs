//! Races for an offer: an accept against another request or the clock.

use chrono::TimeDelta;
use rand::RngExt;
use ridematch::platform::wake::Wake;
use serde_json::{Value, json};

use crate::harness::{Actor, App, at_once, id, new_key, until};
use crate::races::race_harness::{Lane, accept, cancel, cancel_if_match, effective_key, race, request, uuid};

/// The time left of an offer when its race begins, in addition to the head start of the accept.
const REMAINING: TimeDelta = TimeDelta::milliseconds(8);

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_accepts_of_a_driver_return_one_trip() {
    let app = App::start().await;
    race("accept/accept, one driver", &app, 1, &["first key", "second key"], async |lane| {
        let (trip, offer) = lane.offered().await;
        let (rider, driver) = (lane.rider.clone(), lane.driver().clone());
        let path = format!("/v1/offers/{}/accept", id(&offer));
        let (keys, body) = ([new_key(), new_key()], json!({}));
        let (first, second) =
            lane.start(driver.post_with(&keys[0], &path, &body), driver.post_with(&keys[1], &path, &body)).await;
        assert_eq!(first.expect(200)["trip"], second.expect(200)["trip"]);
        let won = effective_key(&app, &trip, "accept").await == keys[0];
        lane.record_winner(won);
        assert_eq!(cancel(&rider, &trip).await.expect(200)["driver_id"], driver.id);
        if won { "first key" } else { "second key" }
    })
    .await;
    app.stop().await;
}

/// With `If-Match`, the cancel wins or is a 412. Without it, the cancel always succeeds: before the accept, or after it.
#[tokio::test(flavor = "multi_thread")]
async fn accept_against_cancel_has_one_winner() {
    let app = App::start().await;
    let ends = ["accept", "cancel", "accept, then cancel", "cancel without a version"];
    race("accept/cancel", &app, 1, &ends, async |lane| {
        let (trip, offer) = lane.offered().await;
        let seen = lane.rider.get(&format!("/v1/trips/{}", id(&trip))).await.expect(200);
        assert_eq!(seen["state"], "offered");
        let (rider, driver) = (lane.rider.clone(), lane.driver().clone());
        let with_version = lane.random.random_bool(0.5);
        let cancels =
            async { if with_version { cancel_if_match(&rider, &seen).await } else { cancel(&rider, &seen).await } };
        let (accepted, cancelled) = lane.start(accept(&driver, &offer), cancels).await;
        let won = accepted.status == 200;
        lane.record_winner(won);
        if !won {
            accepted.expect_problem(410, "offer_withdrawn");
            assert_eq!(cancelled.expect(200)["driver_id"], Value::Null);
            return if with_version { "cancel" } else { "cancel without a version" };
        }
        let cancelled = if with_version {
            cancelled.expect_problem(412, "version_mismatch");
            cancel(&rider, &trip).await
        } else {
            cancelled
        };
        assert_eq!(cancelled.expect(200)["driver_id"], driver.id);
        if with_version { "accept" } else { "accept, then cancel" }
    })
    .await;
    app.stop().await;
}

/// Moves the deadline of an offer to a few milliseconds from now. The later an accept comes on a busy machine, the later is the deadline.
async fn move_deadline_near(app: &App, lane: &Lane, offer: &Value) {
    let platform = app.service().platform();
    let moved = sqlx::query(
        "with edge as (update offers set expires_at = $2 where id = $1 and status = 'pending' returning trip_id)
         update trips set due_at = $2 from edge where trips.id = edge.trip_id",
    );
    let deadline = platform.clock.domain() + REMAINING + lane.head_start();
    let moved = moved.bind(uuid(offer)).bind(deadline.utc()).execute(app.sql()).await.unwrap();
    assert_eq!(moved.rows_affected(), 1);
    // The worker must not sleep until the old deadline.
    platform.db.wake_hub().wake(&[Wake::Deadlines]);
}

#[tokio::test(flavor = "multi_thread")]
async fn accept_against_expiry_is_200_or_410() {
    let app = App::start().await;
    race("accept/expire", &app, 1, &["accept", "too late by clock", "too late by state"], async |lane| {
        let (trip, offer) = lane.offered().await;
        let (rider, driver) = (lane.rider.clone(), lane.driver().clone());
        move_deadline_near(&app, lane, &offer).await;
        let (accepted, ()) = lane.start(accept(&driver, &offer), async {}).await;
        let won = accepted.status == 200;
        lane.record_winner(won);
        let end = if won {
            "accept"
        } else {
            let problem = accepted.expect_problem(410, "offer_expired");
            if problem["state"] == "pending" { "too late by clock" } else { "too late by state" }
        };
        let trip = cancel(&rider, &trip).await.expect(200);
        assert_eq!(trip["driver_id"].as_str(), won.then_some(driver.id.as_str()));
        end
    })
    .await;
    app.stop().await;
}

/// The first driver's offer expires, and the next driver gets one. Only one of them gets the trip.
#[tokio::test(flavor = "multi_thread")]
async fn accept_against_the_next_driver_assigns_one() {
    let app = App::start().await;
    race("accept/accept, two drivers", &app, 2, &["first driver", "second driver"], async |lane| {
        let (trip, rider) = (lane.request().await, lane.rider.clone());
        let (offered, offer) = lane.until_any_offer().await;
        let (first, second) = (lane.drivers[offered].clone(), lane.drivers[1 - offered].clone());
        move_deadline_near(&app, lane, &offer).await;
        let (accepted, ()) = lane.start(accept(&first, &offer), async {}).await;
        let won = accepted.status == 200;
        lane.record_winner(won);
        if !won {
            accepted.expect_problem(410, "offer_expired");
            let next = second.until_offered().await;
            let (late, accepted) = lane.start(accept(&first, &offer), accept(&second, &next)).await;
            late.expect_problem(410, "offer_expired");
            accepted.expect(200);
        }
        let winner = if won { first } else { second };
        assert_eq!(cancel(&rider, &trip).await.expect(200)["driver_id"], winner.id);
        if won { "first driver" } else { "second driver" }
    })
    .await;
    app.stop().await;
}

/// A driver with two phones: one accepts, the other goes offline.
#[tokio::test(flavor = "multi_thread")]
async fn accept_against_going_offline_has_one_winner() {
    let app = App::start().await;
    race("accept/offline", &app, 1, &["accept", "offline"], async |lane| {
        let (trip, offer) = lane.offered().await;
        let (rider, driver) = (lane.rider.clone(), lane.driver().clone());
        let off = json!({"available": false});
        let (accepted, offline) =
            lane.start(accept(&driver, &offer), driver.put("/v1/drivers/me/availability", &off)).await;
        let won = accepted.status == 200;
        lane.record_winner(won);
        if won {
            offline.expect_problem(409, "driver_on_trip");
        } else {
            accepted.expect_problem(410, "offer_withdrawn");
            assert_eq!(offline.expect(200)["availability"], "offline");
        }
        let trip = cancel(&rider, &trip).await.expect(200);
        assert_eq!(trip["driver_id"].as_str(), won.then_some(driver.id.as_str()));
        if !won {
            go_online(&app, lane, &driver).await;
        }
        if won { "accept" } else { "offline" }
    })
    .await;
    app.stop().await;
}

/// Goes online again, and sends positions until one is accepted.
async fn go_online(app: &App, lane: &Lane, driver: &Actor) {
    driver.put("/v1/drivers/me/availability", &json!({"available": true})).await.expect(200);
    until("the driver is in the index", async || {
        (driver.send_position(app, lane.place).await == "accepted").then_some(())
    })
    .await;
}

/// Two riders request a ride near one driver. The second trip may be matched before the index knows that the driver is busy: then the
/// database refuses the offer.
#[tokio::test(flavor = "multi_thread")]
async fn two_trips_for_one_driver_make_one_offer() {
    let app = App::start().await;
    race("two trips, one driver", &app, 1, &["first trip", "second trip"], async |lane| {
        let riders = [lane.rider.clone(), lane.other_rider.clone()];
        let quotes = at_once(riders.iter().map(|rider| lane.quote(rider))).await;
        let (first, second) = lane.start(request(&riders[0], &quotes[0]), request(&riders[1], &quotes[1])).await;
        let trips = [first.expect(201), second.expect(201)];
        let (_, offer) = lane.until_any_offer().await;
        let winner = usize::from(offer["trip_id"] == trips[1]["id"]);
        lane.record_winner(winner == 0);
        assert_eq!(offer["trip_id"], trips[winner]["id"]);
        accept(lane.driver(), &offer).await.expect(200);
        riders[1 - winner].until_state(id(&trips[1 - winner]), "searching").await;
        let searching = cancel(&riders[1 - winner], &trips[1 - winner]).await.expect(200);
        assert_eq!(searching["offers_made"], 0, "{searching}");
        let won = cancel(&riders[winner], &trips[winner]).await.expect(200);
        assert_eq!((&won["offers_made"], won["driver_id"].as_str()), (&json!(1), Some(lane.driver().id.as_str())));
        ["first trip", "second trip"][winner]
    })
    .await;
    let metrics = app.rider().await.get("/metrics").await.bytes;
    let metrics = String::from_utf8(metrics).unwrap();
    let refused = metrics.lines().filter(|line| line.starts_with("ridematch_candidates_refused_total"));
    println!("refused by the database: {:?}", refused.collect::<Vec<_>>());
    app.stop().await;
}
