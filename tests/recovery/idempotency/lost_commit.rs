//! The connection to the database is lost at COMMIT: the outcome is unknown, and a repeat resolves it.

use super::{assert_replayed, trip_request, trips};
use crate::harness::App;
use crate::harness::breakpoint::Side;
use crate::harness::breakpoint::database::DatabaseProxy;

async fn lose(lost: Side) {
    let app = App::start().await;
    let proxy = DatabaseProxy::start(&app.database.url()).await;
    let service = app.second_process(|config| config.database_url = proxy.url()).await;
    let rider = app.rider().await.at(&service);
    let body = trip_request(&rider).await;

    proxy.lose_commit(lost, "insert into idempotency_keys");
    let unknown = rider.post_with("k", "/v1/trips", &body).await;
    assert!(proxy.has_lost());
    assert_eq!(unknown.header("retry-after"), Some("1"));
    unknown.expect_problem(503, "outcome_unknown");

    let repeat = rider.post_with("k", "/v1/trips", &body).await;
    let was_committed = lost == Side::After;
    assert_eq!(repeat.header("idempotent-replayed").is_some(), was_committed);
    assert_eq!(repeat.status, 201, "{:#}", repeat.json());
    assert_replayed(&repeat, &rider.post_with("k", "/v1/trips", &body).await);
    assert_eq!(trips(&app).await, 1);
    app.assert_clean().await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn repeat_after_a_lost_commit_response_is_replayed() {
    lose(Side::After).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn repeat_after_a_lost_commit_request_runs() {
    lose(Side::Before).await;
}
