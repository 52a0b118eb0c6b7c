//! A process is stopped (SIGSTOP) inside a transaction: the database ends the transaction within seconds, and the other process
//! does not wait for it.

use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use crate::harness::breakpoint::Side;
use crate::harness::breakpoint::database::DatabaseProxy;
use crate::harness::process::Launch;
use crate::harness::{HERE, PSP_SECRET, database, free_address, id, until, within};

/// How long the trip of the frozen transaction may take: the database ends the transaction after five seconds.
const RELEASED_WITHIN: Duration = Duration::from_secs(9);

/// How long the other trip may take.
const PROMPTLY: Duration = Duration::from_secs(4);

#[tokio::test(flavor = "multi_thread")]
async fn process_frozen_in_a_transaction_delays_one_trip_for_seconds_and_no_other() {
    let dir = TempDir::new().unwrap();
    let provider = psp_sim::start(psp_sim::Settings::new(dir.path(), PSP_SECRET)).await.unwrap();
    let database = database().await;
    let proxy = DatabaseProxy::start(&database.url()).await;
    let launch = |database_url: String, name: &str| Launch {
        database_url,
        provider: provider.address(),
        listen: free_address(),
        log: ("info", dir.path().join(name)),
    };
    let service = launch(database.url(), "service.log").start().await;
    until("it is the matcher", async || service.is_matcher().await.then_some(())).await;
    let frozen = launch(proxy.url(), "frozen.log").start().await;

    let (rider, driver) = (service.actor("rider").await, service.driver_at(HERE).await);
    let trip = rider.request_trip().await;
    let accept = format!("/v1/offers/{}/accept", id(&driver.until_offered().await));
    let commit = proxy.break_at_commit_of("update driver_engagements set kind = 'ride'", Side::Before);
    let accepting = {
        let (driver, accept) = (driver.at(&frozen), accept.clone());
        tokio::spawn(async move { driver.post(&accept, &json!({})).await })
    };
    let commit = commit.reached().await;
    let paused = frozen.pause().await;

    // Another trip, from request to accept.
    let (other_rider, other_driver) = (service.actor("rider").await, service.driver_at(HERE).await);
    let other = within(PROMPTLY, "the other trip is assigned", async || {
        let trip = other_rider.request_trip().await;
        let offer = other_driver.until_offered().await;
        let accept = format!("/v1/offers/{}/accept", id(&offer));
        let accepted = other_driver.post(&accept, &json!({})).await.expect(200);
        assert_eq!(accepted["trip"]["id"], trip["id"]);
        Some(accepted)
    })
    .await;
    assert_eq!(other["trip"]["state"], "assigned");

    within(RELEASED_WITHIN, "the transaction has ended, and the driver accepts elsewhere", async || {
        let response = driver.post(&accept, &json!({})).await;
        match response.status.as_u16() {
            200 => Some(()),
            _ => {
                response.expect_problem(503, "unavailable");
                None
            }
        }
    })
    .await;

    // The frozen transaction had no effect, and its client learns that the outcome is unknown.
    commit.cut();
    drop(paused);
    let status = accepting.await.unwrap().status;
    assert_eq!(status, 503);
    assert_eq!(rider.get(&format!("/v1/trips/{}", id(&trip))).await.expect(200)["state"], "assigned");
    let report = service.audit().await;
    assert_eq!(report["clean"], true, "{report:#}");
}
