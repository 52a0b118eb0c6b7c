//! How many position reports and searches the service's index of drivers takes on one thread, with identities, verdicts, classes and ages.
//! And how often degrees find the wrong driver. `docs/decisions/unit-vectors-in-an-r-tree.md` quotes what this prints.
//!
//! `cargo run --release --example nearest`; the lab `nearest-driver` compares a tree with a scan.

use std::f64::consts::PI;

use chrono::{DateTime, TimeDelta};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use ridematch::geo::{EARTH_RADIUS_M, Position, distance_m};
use ridematch::platform::class::VehicleClass;
use ridematch::platform::clock::{DomainTime, Stopwatch};
use ridematch::platform::ids::DriverId;
use ridematch::supply::{Fleet, PositionReport, Query, Status};
use rstar::RTree;
use rstar::primitives::GeomWithData;
use uuid::Uuid;

const SEED: u64 = 1;
const RUNS: usize = 5;
const REPORTS_MIN: usize = 50_000;
const QUERIES: usize = 1_000;

/// The query of dispatch: the number of candidates and the radius.
const LIMIT: usize = 16;
const RADIUS_M: f64 = 8_000.0;

/// The side of the square city.
const CITY_M: f64 = 25_000.0;

/// The distance between two position reports: 4 s at 36 km/h.
const STEP_M: f64 = 40.0;

fn id(driver: usize) -> DriverId {
    DriverId::from(Uuid::from_u128(driver as u128))
}

/// An R-tree of degrees on a plane, with longitudes scaled by `scale`.
struct Degrees {
    scale: f64,
    tree: RTree<GeomWithData<[f64; 2], usize>>,
}

impl Degrees {
    fn new(scale: f64, cars: &[Position]) -> Self {
        let leaf = |(driver, car): (usize, &Position)| GeomWithData::new([car.lon() * scale, car.lat()], driver);
        Self { scale, tree: RTree::bulk_load(cars.iter().enumerate().map(leaf).collect()) }
    }

    fn first(&self, center: Position) -> Option<usize> {
        self.tree.nearest_neighbor([center.lon() * self.scale, center.lat()]).map(|leaf| leaf.data)
    }
}

/// A random position in the city around `(lat, lon)`.
fn random_position(rng: &mut StdRng, (lat, lon): (f64, f64)) -> Position {
    let degrees = (CITY_M / EARTH_RADIUS_M).to_degrees() / 2.0;
    let wide = degrees / (lat * PI / 180.0).cos();
    off(at(lat, lon), rng.random_range(-degrees..degrees), rng.random_range(-wide..wide))
}

fn off(position: Position, lat: f64, lon: f64) -> Position {
    at(position.lat() + lat, (position.lon() + lon + 540.0).rem_euclid(360.0) - 180.0)
}

fn at(lat: f64, lon: f64) -> Position {
    Position::new(lat, lon).unwrap_or_else(|error| panic!("invalid position: {error}"))
}

fn at_ms(ms: i64) -> DomainTime {
    DomainTime::new(DateTime::UNIX_EPOCH) + TimeDelta::milliseconds(ms)
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_unstable_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// Prints reports and searches per second on one thread.
fn speeds(count: usize) {
    let new_york = (40.75, -73.98);
    let mut rng = StdRng::seed_from_u64(SEED);
    let mut cars: Vec<_> = (0..count).map(|_| random_position(&mut rng, new_york)).collect();
    let mut fleet = Fleet::default();
    let class = VehicleClass::Standard;
    for (driver, position) in cars.iter().enumerate() {
        fleet.set_status(id(driver), Status::Free { class });
        fleet.report(PositionReport { driver: id(driver), position: *position, recorded_at: at_ms(0) }, at_ms(0));
    }
    let (mut reports, mut queries) = (Vec::new(), Vec::new());
    let step = (STEP_M / EARTH_RADIUS_M).to_degrees();
    // In a tick each driver reports once: 4 s.
    let ticks = REPORTS_MIN.div_ceil(count);
    let mut now = at_ms(0);
    for _ in 0..RUNS {
        let mut moved = Vec::with_capacity(ticks * count);
        for _ in 0..ticks {
            now = now + TimeDelta::seconds(4);
            for (driver, car) in cars.iter_mut().enumerate() {
                *car = off(*car, rng.random_range(-step..step), rng.random_range(-step..step));
                moved.push(PositionReport { driver: id(driver), position: *car, recorded_at: now });
            }
        }
        let centers: Vec<_> = (0..QUERIES).map(|_| random_position(&mut rng, new_york)).collect();
        let watch = Stopwatch::start();
        for report in &moved {
            fleet.report(*report, report.recorded_at);
        }
        reports.push(moved.len() as f64 / watch.elapsed().as_secs_f64());
        let watch = Stopwatch::start();
        let query =
            |center: &Position| Query { center: *center, radius_m: RADIUS_M, class: Some(class), limit: LIMIT, now };
        // Every result is used, so that no search is skipped.
        let found: usize = centers.iter().map(|center| fleet.nearest(&query(center)).len()).sum();
        queries.push(QUERIES as f64 / watch.elapsed().as_secs_f64());
        assert!(found > 0, "no driver found");
    }
    println!("{count:>7} {:>12.0} {:>12.0}", median(reports), median(queries));
}

/// Prints how often the nearest driver by degrees is not the nearest, and how much farther away they are on average.
fn errors(city: &str, place: (f64, f64)) {
    let mut rng = StdRng::seed_from_u64(SEED);
    let cars: Vec<_> = (0..1_000).map(|_| random_position(&mut rng, place)).collect();
    let scale = (place.0 * PI / 180.0).cos();
    let indexes = [("degrees", Degrees::new(1.0, &cars)), ("degrees, scaled", Degrees::new(scale, &cars))];
    for (name, index) in indexes {
        let (mut wrong, mut farther_m) = (0, 0.0);
        for _ in 0..QUERIES {
            let center = random_position(&mut rng, place);
            let nearest_m = cars.iter().map(|car| distance_m(center, *car)).fold(f64::INFINITY, f64::min);
            let chosen_m = index.first(center).map_or(f64::INFINITY, |driver| distance_m(center, cars[driver]));
            if chosen_m > nearest_m + 0.001 {
                wrong += 1;
                farther_m += chosen_m - nearest_m;
            }
        }
        let share = 100.0 * f64::from(wrong) / QUERIES as f64;
        println!("{city:<10} {name:<16} {share:>7.1} % {:>10.0} m", farther_m / f64::from(wrong.max(1)));
    }
}

fn main() {
    println!("drivers    reports/s   searches/s");
    [1_000, 10_000, 100_000].into_iter().for_each(speeds);
    println!("\ncity       index               wrong    farther by");
    errors("New York", (40.75, -73.98));
    errors("Oslo", (59.91, 10.75));
    errors("Taveuni", (-16.8, 180.0));
}
