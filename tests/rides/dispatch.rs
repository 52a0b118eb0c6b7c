//! Dispatch behavior that a single ride does not show.
#![allow(clippy::unwrap_used, reason = "tests")]

use crate::harness::{App, id};
use ridematch::dispatch::store::due_trips;

/// More trips may be searching than a match cycle takes. If the longest waiting trips, perhaps without drivers nearby, always came first,
/// the others would starve.
#[tokio::test(flavor = "multi_thread")]
async fn trip_that_was_just_considered_comes_after_the_others() {
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
    let due = due_trips(&mut conn, later, &[], 1).await.unwrap();
    assert_eq!(due.into_iter().map(|search| search.unwrap().trip.to_string()).collect::<Vec<_>>(), [id(&young)]);
    drop(conn);
    app.stop().await;
}
