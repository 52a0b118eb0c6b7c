//! A ride, from quote to receipt, and the ways in which it can end otherwise.
#![allow(clippy::unwrap_used, reason = "tests")]

mod harness;

use harness::{App, HERE, id, in_progress};

#[tokio::test(flavor = "multi_thread")]
async fn a_ride_from_quote_to_receipt() {
    let app = App::start().await;
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = in_progress(&app, &rider, &driver).await;
    driver.act(id(&trip), "complete").await.expect(200);
    app.assert_clean().await;
    let receipt = rider.get(&format!("/v1/trips/{}/receipt", id(&trip))).await.expect(200);
    assert_eq!(receipt["total"], trip["price"]);
    assert_eq!(receipt["captured"], trip["price"]);
    assert_eq!(receipt["due"]["amount"], 0);
    app.stop().await;
}
