//! A measurement: the checkpoint of a large index. Prints a line per operation.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use ridematch::geo::Position;
use ridematch::platform::class::VehicleClass;
use ridematch::platform::clock::DomainTime;
use ridematch::platform::ids::DriverId;
use ridematch::supply::{self, LastKnown, Status, Supply};
use ridematch::trips::worker::index;
use uuid::Uuid;

use crate::harness::App;

const DRIVERS: u128 = 100_000;
const RUNS: usize = 20;

/// Durations by operation.
#[derive(Default)]
struct Times(BTreeMap<&'static str, Vec<Duration>>);

impl Times {
    async fn of<T>(&mut self, operation: &'static str, run: impl Future<Output = T>) -> T {
        let start = Instant::now();
        let end = run.await;
        self.0.entry(operation).or_default().push(start.elapsed());
        end
    }

    fn print(mut self) {
        for (operation, times) in &mut self.0 {
            times.sort();
            let (median, longest) = (times[times.len() / 2], times[times.len() - 1]);
            println!("{operation}: median {median:?}, minimum {:?}, maximum {longest:?}", times[0]);
        }
    }
}

fn driver(number: u128) -> DriverId {
    DriverId::from(Uuid::from_u128(number << 64))
}

/// A fresh position of each driver, in a square of one degree.
fn positions(now: DomainTime) -> Vec<LastKnown> {
    let mut rng = StdRng::seed_from_u64(1);
    let last_known = |number| {
        let (lat, lon) = (rng.random_range(40.0..41.0), rng.random_range(-74.0..-73.0));
        let position = Position::new(lat, lon).unwrap();
        LastKnown { driver: driver(number), position, recorded_at: now, received_at: now }
    };
    (1..=DRIVERS).map(last_known).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement: cargo test --test recovery checkpoint_of_100_000_drivers -- --ignored --nocapture"]
async fn checkpoint_of_100_000_drivers() {
    let app = App::start().await;
    let platform = app.service().platform();
    // The service's own checkpoint would compete for the tables.
    platform.shutdown.cancel();
    app.break_with(&format!(
        "insert into drivers (id, name, class, plate, available, available_since)
         select (lpad(to_hex(n), 16, '0') || repeat('0', 16))::uuid, 'Dora', 'standard', 'RM 1', true, now()
         from generate_series(1, {DRIVERS}) n"
    ))
    .await;
    app.break_with("vacuum analyze drivers").await;
    let (now, supply, mut times) = (platform.clock.domain(), Supply::default(), Times::default());
    let positions = positions(now);
    let statuses = positions.iter().map(|last| (last.driver, Status::Free { class: VehicleClass::Standard })).collect();
    assert_eq!(supply.load(statuses, positions, now) as u128, DRIVERS);

    for _ in 0..RUNS {
        let copy = times.of("copy under the read lock", async { supply.last_known().unwrap() }).await;
        let chunks = times.of("encode", async { supply::checkpoint::encode(copy) }).await;
        assert_eq!(chunks.len(), 100);
        let saved = times.of("checkpoint", supply::worker::checkpoint_once(platform, &supply)).await.unwrap();
        assert_eq!(saved as u128, DRIVERS);

        let mut conn = app.sql().acquire().await.unwrap();
        let read = times.of("one driver's position", supply::store::saved_position(&mut conn, driver(77_777))).await;
        assert!(matches!(read, Ok(Some((_, Some(_))))));
        drop(conn);
        let restored = Supply::default();
        times.of("load of the index", index::load(platform, &restored)).await.unwrap();
        assert_eq!(restored.counts().0 as u128, DRIVERS);
        let compared = times.of("comparison with the database", index::reconcile_once(platform, &supply)).await;
        assert_eq!(compared.unwrap(), 0);
    }
    times.print();
    let bytes = app.count("select pg_total_relation_size('index_checkpoint_chunks')").await;
    println!("the table after {RUNS} checkpoints: {} MB", bytes / 1_000_000);
}
