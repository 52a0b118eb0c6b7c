//! Benchmark of three nearest-driver searches: the fleet's R-tree of unit vectors, a linear scan, and an R-tree of degrees.
//! `docs/decisions/unit-vectors-in-an-r-tree.md` quotes what this prints.
//!
//! `cargo run --release --example nearest`

use std::f64::consts::PI;

use chrono::{DateTime, TimeDelta};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use ridematch::geo::{EARTH_RADIUS_M, Position, distance_m};
use ridematch::platform::class::VehicleClass;
use ridematch::platform::clock::{DomainTime, Stopwatch};
use ridematch::platform::ids::DriverId;
use ridematch::supply::{Fleet, PositionReport, Query, Status};
use rstar::primitives::GeomWithData;
use rstar::{PointDistance, RTree};
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

/// An index of driver positions.
trait Index {
    fn report(&mut self, driver: usize, position: Position, recorded_at: DomainTime);

    /// Returns the number of drivers found, at most [`LIMIT`]. Every result is computed, so that no index skips work.
    fn nearest(&self, center: Position, now: DomainTime) -> usize;
}

fn id(driver: usize) -> DriverId {
    DriverId::from(Uuid::from_u128(driver as u128))
}

impl Index for Fleet {
    fn report(&mut self, driver: usize, position: Position, recorded_at: DomainTime) {
        Fleet::report(self, PositionReport { driver: id(driver), position, recorded_at }, recorded_at);
    }

    fn nearest(&self, center: Position, now: DomainTime) -> usize {
        let class = Some(VehicleClass::Standard);
        Fleet::nearest(self, &Query { center, radius_m: RADIUS_M, class, limit: LIMIT, now }).len()
    }
}

/// A linear scan in its cheapest form: no ids, stored unit vectors, one pass and a selection.
struct Scan(Vec<([f64; 3], DomainTime)>);

impl Index for Scan {
    fn report(&mut self, driver: usize, position: Position, recorded_at: DomainTime) {
        self.0[driver] = (position.unit_vector(), recorded_at);
    }

    fn nearest(&self, center: Position, now: DomainTime) -> usize {
        let center = center.unit_vector();
        let chord = 2.0 * (RADIUS_M / EARTH_RADIUS_M / 2.0).sin();
        let chord_2 = |point: &[f64; 3]| point.iter().zip(center).map(|(a, b)| (a - b) * (a - b)).sum::<f64>();
        let fresh = self.0.iter().filter(|(_, at)| now.since(*at) <= TimeDelta::seconds(30));
        let mut near: Vec<f64> = fresh.map(|(point, _)| chord_2(point)).filter(|near| *near <= chord * chord).collect();
        if near.len() > LIMIT {
            near.select_nth_unstable_by(LIMIT, f64::total_cmp);
            near.truncate(LIMIT);
        }
        near.sort_unstable_by(f64::total_cmp);
        near.len()
    }
}

/// An R-tree of degrees on a plane, with longitudes scaled by `scale`.
struct Degrees {
    scale: f64,
    tree: RTree<GeomWithData<[f64; 2], usize>>,
    points: Vec<[f64; 2]>,
}

impl Degrees {
    fn new(scale: f64, cars: &[Position]) -> Self {
        let points: Vec<_> = cars.iter().map(|car| [car.lon() * scale, car.lat()]).collect();
        let leaves = points.iter().enumerate().map(|(driver, point)| GeomWithData::new(*point, driver)).collect();
        Self { scale, tree: RTree::bulk_load(leaves), points }
    }

    fn first(&self, center: Position) -> Option<usize> {
        self.tree.nearest_neighbor([center.lon() * self.scale, center.lat()]).map(|leaf| leaf.data)
    }
}

impl Index for Degrees {
    fn report(&mut self, driver: usize, position: Position, _: DomainTime) {
        let point = [position.lon() * self.scale, position.lat()];
        self.tree.remove(&GeomWithData::new(self.points[driver], driver));
        self.tree.insert(GeomWithData::new(point, driver));
        self.points[driver] = point;
    }

    fn nearest(&self, center: Position, _: DomainTime) -> usize {
        let center = [center.lon() * self.scale, center.lat()];
        self.tree.nearest_neighbor_iter(center).take(LIMIT).filter(|leaf| leaf.distance_2(&center) < 1.0).count()
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

/// Prints reports and searches per second on one thread. The indexes alternate, run by run.
fn speeds(count: usize) {
    let new_york = (40.75, -73.98);
    let mut rng = StdRng::seed_from_u64(SEED);
    let mut cars: Vec<_> = (0..count).map(|_| random_position(&mut rng, new_york)).collect();
    let mut fleet = Fleet::default();
    for (driver, car) in cars.iter().enumerate() {
        fleet.set_status(id(driver), Status::Free { class: VehicleClass::Standard });
        Index::report(&mut fleet, driver, *car, at_ms(0));
    }
    let scan = Scan(cars.iter().map(|car| (car.unit_vector(), at_ms(0))).collect());
    let mut indexes: [(&str, Box<dyn Index>); 3] =
        [("unit vectors", Box::new(fleet)), ("scan", Box::new(scan)), ("degrees", Box::new(Degrees::new(1.0, &cars)))];
    let mut figures = [const { (Vec::new(), Vec::new()) }; 3];
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
                moved.push((driver, *car, now));
            }
        }
        let centers: Vec<_> = (0..QUERIES).map(|_| random_position(&mut rng, new_york)).collect();
        for ((_, index), (reports, queries)) in indexes.iter_mut().zip(&mut figures) {
            let watch = Stopwatch::start();
            moved.iter().for_each(|(driver, position, at)| index.report(*driver, *position, *at));
            reports.push(moved.len() as f64 / watch.elapsed().as_secs_f64());
            let watch = Stopwatch::start();
            let found: usize = centers.iter().map(|center| index.nearest(*center, now)).sum();
            queries.push(QUERIES as f64 / watch.elapsed().as_secs_f64());
            assert!(found > 0, "no driver found");
        }
    }
    for ((name, _), (reports, queries)) in indexes.iter().zip(figures) {
        println!("{count:>7}  {name:<13} {:>12.0} {:>12.0}", median(reports), median(queries));
    }
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
    println!("drivers  index            reports/s    searches/s");
    [1_000, 10_000, 100_000].into_iter().for_each(speeds);
    println!("\ncity       index               wrong    farther by");
    errors("New York", (40.75, -73.98));
    errors("Oslo", (59.91, 10.75));
    errors("Taveuni", (-16.8, 180.0));
}
