//! Races for a trip: its request, its payment, its end.

use rand::RngExt;
use serde_json::json;

use crate::harness::{App, at_once, id, new_key};
use crate::races::race_harness::{LANES, accept, cancel, effective_key, race, request, rounds};

/// With two quotes, or with one quote twice.
#[tokio::test(flavor = "multi_thread")]
async fn concurrent_requests_of_a_rider_make_one_trip() {
    let app = App::start().await;
    let ends = ["first quote", "second quote", "one quote, first", "one quote, second"];
    race("request/request", &app, 0, &ends, async |lane| {
        let rider = lane.rider.clone();
        let mut quotes = at_once([lane.quote(&rider), lane.quote(&rider)]).await;
        let same = lane.random.random_bool(0.5);
        if same {
            quotes[1] = quotes[0].clone();
        }
        let (first, second) = lane.start(request(&rider, &quotes[0]), request(&rider, &quotes[1])).await;
        let won = first.status == 201;
        lane.record_winner(won);
        let (winner, loser) = if won { (first, second) } else { (second, first) };
        loser.expect_problem(409, if same { "quote_used" } else { "active_trip_exists" });
        cancel(&rider, &winner.expect(201)).await.expect(200);
        ends[usize::from(!won) + 2 * usize::from(same)]
    })
    .await;
    app.stop().await;
}

/// The driver completes the ride twice, and an operator completes it too.
#[tokio::test(flavor = "multi_thread")]
async fn concurrent_completes_charge_once() {
    let app = App::start().await;
    let operators = at_once((0..LANES).map(|_| app.ops())).await;
    race("complete/complete", &app, 1, &["driver", "driver's repeat", "operator"], async |lane| {
        let (trip, offer) = lane.offered().await;
        let driver = lane.driver().clone();
        accept(&driver, &offer).await.expect(200);
        driver.command(id(&trip), "arrive").await.expect(200);
        driver.post(&format!("/v1/trips/{}/start", id(&trip)), &json!({"pin": trip["pin"]})).await.expect(200);

        let complete = format!("/v1/trips/{}/complete", id(&trip));
        let (keys, body) = ([new_key(), new_key()], json!({}));
        let twice = at_once(keys.iter().map(|key| driver.post_with(key, &complete, &body)));
        let (by_driver, by_operator) = lane.start(twice, operators[lane.number].post(&complete, &body)).await;
        let won = by_driver[0].status == 200;
        lane.record_winner(won);
        for answer in by_driver {
            if won {
                assert_eq!(answer.expect(200)["fare"], trip["price"]);
            } else {
                assert_eq!(answer.expect_problem(409, "invalid_transition")["state"], "completed");
            }
        }
        if !won {
            by_operator.expect(200);
            return "operator";
        }
        by_operator.expect_problem(409, "invalid_transition");
        if effective_key(&app, &trip, "complete").await == keys[0] { "driver" } else { "driver's repeat" }
    })
    .await;
    assert_eq!(app.count("select count(*) from ledger_postings where kind = 'charge'").await, rounds() as i64);
    app.stop().await;
}

/// A cancel while the payment is being authorized: no authorization may remain, whichever calls reached the provider.
#[tokio::test(flavor = "multi_thread")]
async fn cancel_against_authorization_voids_the_payment() {
    let app = App::start().await;
    race("cancel/authorized", &app, 0, &["cancelled unauthorized", "authorized"], async |lane| {
        let rider = lane.rider.clone();
        let trip = lane.request().await;
        let (cancelled, ()) = lane.start(cancel(&rider, &trip), async {}).await;
        // The version counts the events: requested, perhaps searching, cancelled.
        let version = cancelled.expect(200)["version"].clone();
        lane.record_winner(version == 2);
        if version == 2 { "cancelled unauthorized" } else { "authorized" }
    })
    .await;
    assert_eq!(app.count("select count(*) from payments where state = 'voided'").await, rounds() as i64);
    let calls: Vec<(String, i64)> = sqlx::query_as(
        "select calls, count(*) from (
             select coalesce(string_agg(operation, ', ' order by started_at), 'none') as calls
             from payments left join payment_attempts on payment_id = payments.id group by payments.id) as each
         group by calls order by calls",
    )
    .fetch_all(app.sql())
    .await
    .unwrap();
    println!("asked of the provider: {calls:?}");
    app.stop().await;
}
