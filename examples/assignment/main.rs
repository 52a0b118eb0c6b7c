//! Compares methods for the assignment of a match cycle: time on one core, matched trips, and total cost.
//! `docs/decisions/batched-assignment.md` quotes the output.
//!
//! `cargo run --release --example assignment`

mod methods;

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use ridematch::dispatch::assignment::{Edge, assign};
use ridematch::geo::{Position, roads};
use ridematch::platform::clock::Stopwatch;

const SEED: u64 = 1;

/// The number of nearest drivers of each trip, and of nearest trips of each driver, that have an edge.
const NEAREST_MAX: usize = 16;

/// The skip cost of a new trip, and its growth per millisecond waited.
const SKIP_START_MS: i64 = 1_800_000;
const SKIP_PER_MS_WAITED: i64 = 10;

/// The longest time waited; waiting times are uniform below it.
const WAITED_MAX_MS: i64 = 600_000;

/// A rectangle around Manhattan, including some water.
const MANHATTAN: Rectangle = Rectangle { south_west: (40.70, -74.02), north_east: (40.80, -73.93) };

/// 400 m by 400 m around Madison Square Garden.
const STADIUM: Rectangle = Rectangle { south_west: (40.7487, -73.9958), north_east: (40.7523, -73.9910) };

/// The methods that are measured, and whether they are too slow for 5,000 trips and 5,000 drivers.
const METHODS: [(&str, Method, bool); 7] = [
    ("greedy, longest waiting first", methods::longest_waiting_first, false),
    ("greedy, closest pair first", methods::closest_pair_first, false),
    ("augmenting paths, sparse", exact, false),
    ("auction, epsilon 10 s", |cycle| methods::auction(cycle, 10_000), false),
    ("auction, epsilon 100 ms", |cycle| methods::auction(cycle, 100), true),
    ("min-cost flow, Bellman-Ford", methods::flow, true),
    ("Hungarian, full matrix", methods::hungarian, true),
];

/// The time of a method is the shortest of so many runs, or of as many as start within that time.
const RUNS_MAX: usize = 9;
const RUNS_DURATION_MAX: Duration = Duration::from_secs(1);

/// Returns the driver of each trip.
type Method = fn(&Cycle) -> Vec<Option<u32>>;

struct Rectangle {
    south_west: (f64, f64),
    north_east: (f64, f64),
}

/// The input of a match cycle.
pub struct Cycle {
    /// The skip cost of each trip. The longest waiting is first.
    pub skip_ms: Vec<i64>,
    /// The number of drivers.
    pub drivers: usize,
    /// The pairs to choose from.
    pub edges: Vec<Edge>,
}

/// Where trips and drivers are.
struct Map {
    pickups: Vec<Position>,
    cars: Vec<Position>,
    skip_ms: Vec<i64>,
}

/// The result of a method.
struct Outcome {
    took: Duration,
    matched: usize,
    mean_eta_s: f64,
    cost_s: f64,
}

fn random_position(rng: &mut StdRng, within: &Rectangle) -> Position {
    let lat = rng.random_range(within.south_west.0..within.north_east.0);
    let lon = rng.random_range(within.south_west.1..within.north_east.1);
    Position::new(lat, lon).unwrap_or_else(|error| panic!("invalid position: {error}"))
}

/// The ETAs of the nearest of the other side, at most `limit`.
fn nearest(from: Position, others: &[Position], limit: usize) -> Vec<(i64, u32)> {
    let eta_ms = |(n, other): (u32, &Position)| (roads::estimate(from, *other).duration_s * 1_000, n);
    let mut all: Vec<_> = (0..).zip(others).map(eta_ms).collect();
    if all.len() > limit {
        all.select_nth_unstable(limit);
        all.truncate(limit);
    }
    all
}

impl Map {
    fn random(trips: usize, drivers: usize, pickups: &Rectangle) -> Self {
        let mut rng = StdRng::seed_from_u64(SEED);
        let mut waited_ms: Vec<i64> = (0..trips).map(|_| rng.random_range(0..WAITED_MAX_MS)).collect();
        waited_ms.sort_unstable_by(|a, b| b.cmp(a));
        Self {
            pickups: (0..trips).map(|_| random_position(&mut rng, pickups)).collect(),
            cars: (0..drivers).map(|_| random_position(&mut rng, &MANHATTAN)).collect(),
            skip_ms: waited_ms.iter().map(|waited_ms| SKIP_START_MS + SKIP_PER_MS_WAITED * waited_ms).collect(),
        }
    }

    fn cycle(&self, nearest_max: usize) -> Cycle {
        let mut edges = BTreeSet::new();
        for (trip, pickup) in (0..).zip(&self.pickups) {
            edges
                .extend(nearest(*pickup, &self.cars, nearest_max).into_iter().map(|(eta, driver)| (trip, driver, eta)));
        }
        for (driver, car) in (0..).zip(&self.cars) {
            edges.extend(nearest(*car, &self.pickups, nearest_max).into_iter().map(|(eta, trip)| (trip, driver, eta)));
        }
        let edges = edges.into_iter().map(|(trip, driver, eta_ms)| Edge { trip, driver, eta_ms }).collect();
        Cycle { skip_ms: self.skip_ms.clone(), drivers: self.cars.len(), edges }
    }

    /// Removes the matched trips and drivers. Returns the number of trips and the sum of their ETAs.
    fn remove(&mut self, cycle: &Cycle, driver_of: &[Option<u32>]) -> (usize, i64) {
        let matched = driver_of.iter().flatten().count();
        let eta_ms = eta_sum_ms(cycle, driver_of);
        let taken: BTreeSet<_> = driver_of.iter().flatten().copied().collect();
        let mut open = driver_of.iter().map(Option::is_none);
        self.pickups.retain(|_| open.next() == Some(true));
        let mut open = driver_of.iter().map(Option::is_none);
        self.skip_ms.retain(|_| open.next() == Some(true));
        let mut driver = 0..;
        self.cars.retain(|_| driver.next().is_some_and(|driver| !taken.contains(&driver)));
        (matched, eta_ms)
    }
}

fn eta_sum_ms(cycle: &Cycle, driver_of: &[Option<u32>]) -> i64 {
    let eta_ms: HashMap<_, _> = cycle.edges.iter().map(|edge| ((edge.trip, edge.driver), edge.eta_ms)).collect();
    (0..).zip(driver_of).filter_map(|(trip, driver)| driver.map(|driver| eta_ms[&(trip, driver)])).sum()
}

fn exact(cycle: &Cycle) -> Vec<Option<u32>> {
    assign(&cycle.skip_ms, cycle.drivers, &cycle.edges)
}

fn run(cycle: &Cycle, method: Method) -> Outcome {
    let started = Stopwatch::start();
    let (mut driver_of, mut took) = (Vec::new(), Duration::MAX);
    for _ in 0..RUNS_MAX {
        let watch = Stopwatch::start();
        driver_of = method(cycle);
        took = took.min(watch.elapsed());
        if started.elapsed() > RUNS_DURATION_MAX {
            break;
        }
    }
    let matched = driver_of.iter().flatten().count();
    let eta_ms = eta_sum_ms(cycle, &driver_of);
    let unmatched = driver_of.iter().zip(&cycle.skip_ms).filter(|(driver, _)| driver.is_none());
    let skip_ms: i64 = unmatched.map(|(_, skip_ms)| skip_ms).sum();
    let mean_eta_s = eta_ms as f64 / 1e3 / matched as f64;
    Outcome { took, matched, mean_eta_s, cost_s: (eta_ms + skip_ms) as f64 / 1e3 }
}

fn compare_methods() {
    println!(
        "{:>6} × {:>7}  {:<12} {:>6}  {:<30} {:>9} {:>8} {:>12} {:>20}",
        "trips", "drivers", "pickups", "edges", "method", "ms", "matched", "mean ETA, s", "above the optimum, s"
    );
    for (trips, drivers) in [(1, 100), (64, 100), (150, 20), (500, 500), (500, 10_000), (10_000, 500), (5_000, 5_000)] {
        for (pickups, within) in [("anywhere", &MANHATTAN), ("at a stadium", &STADIUM)] {
            let cycle = Map::random(trips, drivers, within).cycle(NEAREST_MAX);
            let optimum = run(&cycle, exact);
            for (name, method, _) in METHODS.iter().filter(|(_, _, is_slow)| !is_slow || trips.min(drivers) <= 500) {
                let Outcome { took, matched, mean_eta_s, cost_s } = run(&cycle, *method);
                println!(
                    "{trips:>6} × {drivers:>7}  {pickups:<12} {:>6}  {name:<30} {:>9.2} {matched:>8} {mean_eta_s:>12.0} {:>20.0}",
                    cycle.edges.len(),
                    took.as_secs_f64() * 1e3,
                    cost_s - optimum.cost_s,
                );
            }
        }
    }
}

/// Repeats the match cycle for the trips and drivers that are left, and compares with one cycle of more edges.
fn compare_edges() {
    println!("trips × drivers  nearest  matched after each cycle        ms in all  mean ETA, s");
    for (trips, drivers) in [(500, 500), (500, 10_000), (10_000, 500)] {
        for nearest_max in [16, 64, usize::MAX] {
            let mut map = Map::random(trips, drivers, &STADIUM);
            let (mut matched, mut eta_ms, mut took) = (Vec::new(), 0, Duration::ZERO);
            while !map.pickups.is_empty() && !map.cars.is_empty() {
                let cycle = map.cycle(nearest_max);
                let watch = Stopwatch::start();
                let driver_of = exact(&cycle);
                took += watch.elapsed();
                let (more, more_ms) = map.remove(&cycle, &driver_of);
                matched.push(matched.last().unwrap_or(&0) + more);
                eta_ms += more_ms;
            }
            let mean_eta_s = eta_ms as f64 / 1e3 / *matched.last().unwrap_or(&1) as f64;
            let nearest_max = if nearest_max == usize::MAX { "all".to_owned() } else { nearest_max.to_string() };
            println!(
                "{trips:>6} × {drivers:>6}  {nearest_max:>7}  {:<30} {:>10.1} {mean_eta_s:>12.0}",
                format!("{matched:?}"),
                took.as_secs_f64() * 1e3
            );
        }
    }
}

fn main() {
    compare_methods();
    println!();
    compare_edges();
}
