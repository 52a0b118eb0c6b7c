//! The connection to the database is lost at COMMIT: it is done, or it is not, and the repeat tells.

use super::{assert_replayed, trips, wish};
use crate::harness::App;
use crate::harness::proxy::{Lost, Proxy};

async fn lose(lost: Lost) {
    let app = App::start().await;
    let proxy = Proxy::start(&app.database.url()).await;
    let service = app.another(|config| config.database_url = proxy.url()).await;
    let rider = app.rider().await.at(&service);
    let body = wish(&rider).await;

    proxy.lose_commit(lost, "insert into idempotency_keys");
    let unknown = rider.post_with("k", "/v1/trips", &body).await;
    assert!(proxy.has_lost());
    assert_eq!(unknown.header("retry-after"), Some("1"));
    unknown.expect_problem(503, "outcome_unknown");

    let told = rider.post_with("k", "/v1/trips", &body).await;
    let was_done = lost == Lost::Answer;
    assert_eq!(told.header("idempotent-replayed").is_some(), was_done);
    assert_eq!(told.status, 201, "{:#}", told.json());
    assert_replayed(&told, &rider.post_with("k", "/v1/trips", &body).await);
    assert_eq!(trips(&app).await, 1);
    app.assert_clean().await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_was_done_unheard_is_replayed() {
    lose(Lost::Answer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_never_arrived_is_done_by_the_repeat() {
    lose(Lost::Statement).await;
}
