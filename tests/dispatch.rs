//! Dispatch, where a whole ride does not show it.
#![allow(clippy::unwrap_used, reason = "tests")]

mod harness;

use harness::{App, id};
use ridematch::dispatch::store::searching;

/// More trips may search than a round takes. Those who have been waiting longest may be the ones for whom nobody is near; if they came
/// first every time, the others would never have their turn.
#[tokio::test(flavor = "multi_thread")]
async fn a_trip_that_was_just_looked_at_lets_the_others_go_first() {
    let app = App::start().await;
    let (first, second) = (app.rider().await, app.rider().await);
    let (old, young) = (first.request_trip().await, second.request_trip().await);
    first.until_state(id(&old), "searching").await;
    second.until_state(id(&young), "searching").await;
    let service = app.service().platform().clone();
    service.shutdown.cancel();
    app.break_with("update trips set search_at = requested_at + interval '1 hour' where requested_at = (select min(requested_at) from trips)")
        .await;
    app.break_with(
        "update trips set search_at = requested_at where requested_at = (select max(requested_at) from trips)",
    )
    .await;
    let later = service.clock.domain() + chrono::TimeDelta::hours(2);
    let mut conn = app.sql().acquire().await.unwrap();
    let due = searching(&mut conn, later, 1).await.unwrap();
    assert_eq!(due.iter().map(|search| search.trip.to_string()).collect::<Vec<_>>(), [id(&young)]);
    drop(conn);
    app.stop().await;
}
