//! Killed processes: nothing is lost, nothing happens twice, and another process takes over.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use crate::harness::process::{Launch, Process, program};
use crate::harness::{HERE, PSP_SECRET, THERE, database, free_address, id, until, within};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The most time that a takeover may take.
const TAKEOVER_MAX: Duration = Duration::from_secs(5);

/// The most time in which a stopped matcher is replaced: the database waits five seconds for it.
const PAUSED_TAKEOVER_MAX: Duration = Duration::from_secs(9);

/// The database and the provider of a service that runs as a process.
struct World {
    database: embedded_postgres::Database,
    provider: psp_sim::Running,
    dir: TempDir,
}

impl World {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let provider = psp_sim::start(psp_sim::Settings::new(dir.path(), PSP_SECRET)).await.unwrap();
        Self { database: database().await, provider, dir }
    }

    async fn started(&self, listen: SocketAddr) -> Process {
        let launch = Launch {
            database_url: self.database.url(),
            provider: self.provider.address(),
            listen,
            log: ("info", self.dir.path().join("service.log")),
        };
        launch.start().await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_process_takes_over_within_five_seconds_and_finishes_the_ride() {
    let world = World::new().await;
    let first = world.started(free_address()).await;
    until("the first is the matcher", async || first.is_matcher().await.then_some(())).await;
    let second = world.started(free_address()).await;
    let (rider, driver) = (first.actor("rider").await, first.driver_at(HERE).await);

    // The second serves everything but positions.
    let trip = rider.at(&second).request_trip().await;
    let refused = driver.at(&second).put_position(&second, HERE).await;
    assert_eq!(refused.header("retry-after"), Some("1"));
    refused.expect_problem(503, "not_the_matcher");
    let offer = driver.at(&second).until_offered().await;
    let accept = format!("/v1/offers/{}/accept", id(&offer));
    let accepted = driver.post_with("the-accept", &accept, &json!({})).await;
    assert_eq!(accepted.status, 200);

    first.kill().await;
    tokio::time::timeout(TAKEOVER_MAX, async {
        while !second.is_matcher().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("taken over in time");

    // The second process repeats the stored response of the first, byte for byte.
    let driver = driver.at(&second);
    let again = driver.post_with("the-accept", &accept, &json!({})).await;
    assert_eq!((again.header("idempotent-replayed"), &again.bytes), (Some("true"), &accepted.bytes));

    assert_eq!(driver.put_position(&second, HERE).await.expect(200)["verdict"], "accepted");
    driver.command(id(&trip), "arrive").await.expect(200);
    driver.post(&format!("/v1/trips/{}/start", id(&trip)), &json!({"pin": trip["pin"]})).await.expect(200);
    driver.command(id(&trip), "complete").await.expect(200);
    // The second process matches: the driver is free again and gets the next offer.
    let rider = second.actor("rider").await;
    rider.request_trip().await;
    until("the new matcher offers", async || {
        driver.put_position(&second, HERE).await;
        let me = driver.get("/v1/drivers/me").await.expect(200);
        me["offer"].is_object().then_some(())
    })
    .await;
    let report = second.audit().await;
    assert_eq!(report["clean"], true, "{report:#}");
}

/// A stopped process answers nothing, but its machine still acknowledges packets: the database has to notice that the checks are missing.
#[tokio::test(flavor = "multi_thread")]
async fn paused_matcher_is_replaced_and_steps_down_when_it_continues() {
    let world = World::new().await;
    let first = world.started(free_address()).await;
    until("the first is the matcher", async || first.is_matcher().await.then_some(())).await;
    let second = world.started(free_address()).await;
    let paused = first.pause().await;
    within(PAUSED_TAKEOVER_MAX, "the second is the matcher", async || second.is_matcher().await.then_some(())).await;
    drop(paused);
    until("the first has stepped down", async || {
        first.readyz().await.is_some_and(|ready| ready["matcher"] == false).then_some(())
    })
    .await;
    assert!(second.is_matcher().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn service_killed_repeatedly_during_a_replay_loses_nothing() {
    let world = World::new().await;
    let listen = free_address();
    let mut service = world.started(listen).await;
    service.clock(json!({"scale": 10})).await;
    let scenario = tempfile::tempdir().unwrap();
    write_scenario(scenario.path());
    let report_file = scenario.path().join("report.json");
    let mut city = program(&["city", "replay", "--base-url", &service.base_url, "--scenario"])
        .arg(scenario.path())
        .arg("--report")
        .arg(&report_file)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    for _ in 0..4 {
        // Not a synchronization: any moment will do.
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        assert!(city.try_wait().unwrap().is_none(), "the replay ended before the service was killed four times");
        service.kill().await;
        service = world.started(listen).await;
    }
    let output = tokio::time::timeout(Duration::from_secs(240), city.wait_with_output()).await.unwrap().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&std::fs::read(&report_file).unwrap_or_default()).unwrap_or_default();
    assert!(output.status.success(), "{said}\n{report:#}");
    assert_eq!(report["unaccounted"], 0, "{report:#}");
    assert!(report["served"].as_i64().unwrap() > 0, "{report:#}");
    let audit = service.audit().await;
    assert_eq!(audit["clean"], true, "{audit:#}");
}

/// Writes a scenario of sixty requests within five minutes and thirty vehicles, without streets.
fn write_scenario(dir: &Path) {
    let mut requests = "request_id,o_lat,o_lon,d_lat,d_lon,departure_time,passengers\n".to_owned();
    for n in 0..60 {
        let (row, column) = (f64::from(n % 8), f64::from(n / 8));
        let from = (HERE.0 + row * 0.001, HERE.1 + column * 0.001);
        let to = (THERE.0 - row * 0.001, THERE.1 - column * 0.001);
        writeln!(requests, "{n},{},{},{},{},{},1", from.0, from.1, to.0, to.1, n * 5).unwrap();
    }
    let mut vehicles = "vehicle_id,lat,lon\n".to_owned();
    for n in 0..30 {
        writeln!(vehicles, "v{n},{},{}", HERE.0 + f64::from(n % 6) * 0.0015, HERE.1 + f64::from(n / 6) * 0.0015)
            .unwrap();
    }
    std::fs::write(dir.join("requests.csv"), requests).unwrap();
    std::fs::write(dir.join("vehicles.csv"), vehicles).unwrap();
}
