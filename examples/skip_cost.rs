//! Simulates two hours of a scenario with different skip costs: riders served, deadhead distance, and waits.
//! `docs/decisions/batched-assignment.md` quotes the output.
//!
//! `cargo run --release --example skip_cost -- DIRECTORY`: the directory has `requests.csv` and `vehicles.csv`.
//!
//! Every driver accepts and stays at the last drop-off. Riders leave 600 s after the request, also with a driver on the way; with a pickup
//! limit no driver is sent who would come later. Drives are straight, at a speed that makes the loaded rides as long as on the streets. A
//! match cycle runs each second.

use std::collections::BTreeSet;

use ridematch::dispatch::assignment::{Edge, assign};
use ridematch::geo::{Position, distance_m};

const FROM_S: i64 = 20 * 3_600;
const TO_S: i64 = 22 * 3_600;
const PATIENCE_S: i64 = 600;

/// The largest ETA of an edge, and the skip cost of a new trip.
const ETA_MAX_S: i64 = 900;

/// The number of nearest drivers of each trip, and of nearest trips of each driver, that have an edge.
const NEAREST_MAX: usize = 16;

/// The duration of all loaded rides on the streets.
const LOADED_S: f64 = 197.0 * 3_600.0;

#[derive(Debug, Clone, Copy)]
enum Policy {
    /// Each trip in turn, the longest waiting first, takes the nearest driver.
    LongestWaitingFirst,
    ClosestPairFirst,
    /// The skip cost grows by so many milliseconds per second waited.
    Batched {
        ms_per_s_waited: i64,
        pickup_limit: bool,
    },
}

struct Request {
    at_s: i64,
    from: Position,
    to: Position,
}

/// A drive of a car. It is free at the end of the drive, unless that is a pickup.
#[derive(Clone, Copy)]
struct Drive {
    from: Position,
    to: Position,
    left_s: f64,
    arrives_s: f64,
    pickup_of: Option<usize>,
}

#[derive(Default)]
struct Report {
    waits_s: Vec<f64>,
    deadhead_s: f64,
    /// The longest time by which an unmatched trip had waited longer than a trip that one of its drivers served instead.
    passed_over_max_s: i64,
}

struct Simulation<'a> {
    requests: &'a [Request],
    speed: f64,
    policy: Policy,
    cars: Vec<Drive>,
    /// Indexes into the requests, the oldest first.
    waiting: Vec<usize>,
    report: Report,
}

fn position(lat: f64, lon: f64) -> Position {
    Position::new(lat, lon).unwrap_or_else(|error| panic!("invalid position: {error}"))
}

impl Drive {
    fn parked(at: Position, now_s: f64) -> Self {
        Self { from: at, to: at, left_s: now_s, arrives_s: now_s, pickup_of: None }
    }

    fn position(&self, now_s: f64) -> Position {
        let duration = self.arrives_s - self.left_s;
        let part = if duration > 0.0 { ((now_s - self.left_s) / duration).clamp(0.0, 1.0) } else { 1.0 };
        let between = |a: f64, b: f64| a + (b - a) * part;
        position(between(self.from.lat(), self.to.lat()), between(self.from.lon(), self.to.lon()))
    }
}

/// The nearest by ETA in milliseconds, at most [`NEAREST_MAX`].
fn nearest(eta_ms: impl Iterator<Item = i64>) -> Vec<(i64, u32)> {
    let mut all: Vec<_> = eta_ms.zip(0..).collect();
    if all.len() > NEAREST_MAX {
        all.select_nth_unstable(NEAREST_MAX);
        all.truncate(NEAREST_MAX);
    }
    all
}

impl Simulation<'_> {
    fn drive(&self, from: Position, to: Position, left_s: f64, pickup_of: Option<usize>) -> Drive {
        let arrives_s = left_s + distance_m(from, to) / self.speed;
        Drive { from, to, left_s, arrives_s, pickup_of }
    }

    fn run(mut self) -> Report {
        let mut next = 0;
        for now in FROM_S..TO_S + PATIENCE_S {
            self.advance(now);
            while self.requests.get(next).is_some_and(|request| request.at_s <= now) {
                self.waiting.push(next);
                next += 1;
            }
            self.match_cycle(now);
        }
        self.report.waits_s.sort_unstable_by(f64::total_cmp);
        self.report
    }

    /// Picks riders up, and lets those whose patience has ended leave.
    fn advance(&mut self, now: i64) {
        for car in 0..self.cars.len() {
            let drive = self.cars[car];
            let Some(trip) = drive.pickup_of else { continue };
            let Request { at_s, from, to } = self.requests[trip];
            if drive.arrives_s <= now as f64 {
                self.report.waits_s.push(drive.arrives_s - at_s as f64);
                self.report.deadhead_s += drive.arrives_s - drive.left_s;
                self.cars[car] = self.drive(from, to, drive.arrives_s, None);
            } else if now - at_s >= PATIENCE_S {
                self.report.deadhead_s += now as f64 - drive.left_s;
                self.cars[car] = Drive::parked(drive.position(now as f64), now as f64);
            }
        }
        self.waiting.retain(|trip| now - self.requests[*trip].at_s < PATIENCE_S);
    }

    fn match_cycle(&mut self, now: i64) {
        let is_free = |car: &usize| self.cars[*car].pickup_of.is_none() && self.cars[*car].arrives_s <= now as f64;
        let free: Vec<usize> = (0..self.cars.len()).filter(is_free).collect();
        let edges = self.edges(now, &free);
        let driver_of = self.assign(now, free.len(), edges.clone());
        self.record_passed_over(&edges, &driver_of);
        for (trip, driver) in driver_of.iter().enumerate() {
            let Some(driver) = driver else { continue };
            let (trip, car) = (self.waiting[trip], free[*driver as usize]);
            self.cars[car] = self.drive(self.cars[car].to, self.requests[trip].from, now as f64, Some(trip));
        }
        let mut drivers = driver_of.iter();
        self.waiting.retain(|_| drivers.next() == Some(&None));
    }

    fn edges(&self, now: i64, free: &[usize]) -> Vec<Edge> {
        let eta_ms = |trip: usize, car: usize| {
            (distance_m(self.cars[car].to, self.requests[trip].from) / self.speed * 1e3) as i64
        };
        let mut edges = BTreeSet::new();
        for (trip, request) in (0..).zip(&self.waiting) {
            let near = nearest(free.iter().map(|car| eta_ms(*request, *car)));
            edges.extend(near.into_iter().map(|(eta_ms, driver)| (trip, driver, eta_ms)));
        }
        for (driver, car) in (0..).zip(free) {
            let near = nearest(self.waiting.iter().map(|request| eta_ms(*request, *car)));
            edges.extend(near.into_iter().map(|(eta_ms, trip)| (trip, driver, eta_ms)));
        }
        let edges = edges.into_iter().map(|(trip, driver, eta_ms)| Edge { trip, driver, eta_ms });
        edges.filter(|edge| edge.eta_ms < self.eta_max_s(now, edge.trip) * 1_000).collect()
    }

    /// The longest drive to the pickup of a trip.
    fn eta_max_s(&self, now: i64, trip: u32) -> i64 {
        let leaves_after_s = self.requests[self.waiting[trip as usize]].at_s + PATIENCE_S - now;
        match self.policy {
            Policy::Batched { pickup_limit: true, .. } => leaves_after_s.min(ETA_MAX_S),
            _ => ETA_MAX_S,
        }
    }

    fn assign(&self, now: i64, drivers: usize, mut edges: Vec<Edge>) -> Vec<Option<u32>> {
        match self.policy {
            Policy::LongestWaitingFirst => edges.sort_by_key(|edge| (edge.trip, edge.eta_ms)),
            Policy::ClosestPairFirst => edges.sort_by_key(|edge| edge.eta_ms),
            Policy::Batched { ms_per_s_waited, .. } => {
                let waited_s = |trip: &usize| now - self.requests[*trip].at_s;
                let skip_ms = |trip| ETA_MAX_S * 1_000 + ms_per_s_waited * waited_s(trip);
                return assign(&self.waiting.iter().map(skip_ms).collect::<Vec<_>>(), drivers, &edges);
            }
        }
        let (mut driver_of, mut is_taken) = (vec![None; self.waiting.len()], vec![false; drivers]);
        for edge in edges {
            if driver_of[edge.trip as usize].is_none() && !is_taken[edge.driver as usize] {
                driver_of[edge.trip as usize] = Some(edge.driver);
                is_taken[edge.driver as usize] = true;
            }
        }
        driver_of
    }

    fn record_passed_over(&mut self, edges: &[Edge], driver_of: &[Option<u32>]) {
        let at_s = |trip: usize| self.requests[self.waiting[trip]].at_s;
        for edge in edges.iter().filter(|edge| driver_of[edge.trip as usize].is_none()) {
            if let Some(served) = driver_of.iter().position(|driver| *driver == Some(edge.driver)) {
                let longer_s = at_s(served) - at_s(edge.trip as usize);
                self.report.passed_over_max_s = self.report.passed_over_max_s.max(longer_s);
            }
        }
    }
}

/// Returns the fields of each line but the first.
fn read(path: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    text.lines().skip(1).map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

fn number(field: &str) -> f64 {
    field.parse().unwrap_or_else(|error| panic!("{field}: {error}"))
}

fn requests(directory: &str) -> Vec<Request> {
    let request = |fields: Vec<String>| {
        let time: Vec<i64> = fields[5][11..].split(':').map(|part| number(part) as i64).collect();
        Request {
            at_s: time[0] * 3_600 + time[1] * 60 + time[2],
            from: position(number(&fields[1]), number(&fields[2])),
            to: position(number(&fields[3]), number(&fields[4])),
        }
    };
    let all = read(&format!("{directory}/requests.csv")).into_iter().map(request);
    let mut requests: Vec<_> = all.filter(|request| (FROM_S..TO_S).contains(&request.at_s)).collect();
    requests.sort_by_key(|request| request.at_s);
    requests
}

fn main() {
    let directory = std::env::args().nth(1).unwrap_or_else(|| panic!("usage: skip_cost DIRECTORY"));
    let requests = requests(&directory);
    let park = |fields: Vec<String>| Drive::parked(position(number(&fields[1]), number(&fields[2])), 0.0);
    let cars: Vec<Drive> = read(&format!("{directory}/vehicles.csv")).into_iter().map(park).collect();
    // Great-circle meters per second, so that circuity is part of it.
    let speed = requests.iter().map(|request| distance_m(request.from, request.to)).sum::<f64>() / LOADED_S;
    let batched = [false, true].into_iter().flat_map(|pickup_limit| {
        [0, 250, 1_000, 2_500, 5_000, 10_000].map(|ms_per_s_waited| Policy::Batched { ms_per_s_waited, pickup_limit })
    });
    println!(
        "{:<56} {:>8} {:>26} {:>21} {:>15}",
        "policy", "served", "deadhead, s per ride", "wait p50, p90, s", "passed over, s"
    );
    for policy in [Policy::LongestWaitingFirst, Policy::ClosestPairFirst].into_iter().chain(batched) {
        let simulation = Simulation {
            requests: &requests,
            speed,
            policy,
            cars: cars.clone(),
            waiting: Vec::new(),
            report: Report::default(),
        };
        let report = simulation.run();
        let served = report.waits_s.len();
        let percentile = |percent: usize| report.waits_s[served * percent / 100];
        println!(
            "{:<56} {:>6.1} % {:>26.0} {:>14.0}, {:>5.0} {:>15}",
            format!("{policy:?}"),
            100.0 * served as f64 / requests.len() as f64,
            report.deadhead_s / served as f64,
            percentile(50),
            percentile(90),
            report.passed_over_max_s,
        );
    }
}
