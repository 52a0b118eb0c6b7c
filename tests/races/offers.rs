//! Races for an offer.

use crate::course::{accept, cancel, cancel_at, race};
use crate::harness::{App, id};

#[tokio::test(flavor = "multi_thread")]
async fn accept_and_cancel() {
    let app = App::start().await;
    race("accept/cancel", &app, 1, &["accept", "cancel"], async |_, lane| {
        let (trip, offer) = lane.offered().await;
        let version = lane.rider.get(&format!("/v1/trips/{}", id(&trip))).await.expect(200)["version"].clone();
        let (rider, driver) = (lane.rider.clone(), lane.driver().clone());
        let (accepted, cancelled) = lane.start(accept(&driver, &offer), cancel_at(&rider, &trip, &version)).await;
        let driver_won = accepted.status == 200;
        lane.won(driver_won);
        if driver_won {
            cancelled.expect_problem(412, "version_mismatch");
            cancel(&rider, &trip).await.expect(200);
            "accept"
        } else {
            accepted.expect_problem(410, "offer_withdrawn");
            cancelled.expect(200);
            "cancel"
        }
    })
    .await;
    app.stop().await;
}
