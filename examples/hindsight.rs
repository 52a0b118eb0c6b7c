//! The limit of matching: what a fleet could do in two hours of a scenario if all requests were known in advance.
//! `docs/operations/dispatch-quality.md` quotes the output.
//!
//! `cargo run --release --example hindsight -- DIRECTORY [FROM_H UNTIL_H]`: the directory has `requests.csv`, `vehicles.csv` and
//! `road_network.json`; by default from 20 to 22 o'clock.
//!
//! A car is at its first position when the window opens, and drives along the fastest path. A plan is a set of paths through the requests,
//! one for each car: a min-cost flow of one unit per car. It is solved as an assignment of each request to what its car does before: a
//! car's start, an earlier request, or the request itself, which stands for not serving it and costs more than any drive.
//!
//! Riders of NREL HIVE give up 600 s after the request. When a car has to have finished one request to serve another one:
//!
//! - *bound*: it could finish the first if it picked it up at once, and the second is picked up after 600 s at the latest. A rider may wait
//!   differently for the step before and for the step after, so no plan that serves requests in their order does better.
//! - *reachable*: every rider waits for exactly 600 s. This is a timetable that the cars can follow.
//!
//! Both are given for drives between the nearest junctions, as NREL HIVE counts them, and for the drives of `crates/city`, which also take
//! time between a place and its junction.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use ridematch::dispatch::assignment::{Edge, assign};
use ridematch::geo::{Position, distance_m};
use serde_json::Value;

/// The longest time from the request to the pickup.
const WAIT_MAX_S: i64 = 600;

/// The longest drive to a pickup.
const DRIVE_MAX_MS: i64 = 1_200_000;

/// The cost of a request that is not served: more than any drive.
const NOT_SERVED_MS: i64 = 1_000_000_000;

/// The speed between a place and the nearest junction, as in `crates/city`.
const OFF_STREET_METERS_PER_S: f64 = 25.0 / 3.6;

struct Request {
    at_s: i64,
    from: Position,
    to: Position,
}

/// A drive from a junction: its end and duration.
struct Segment {
    to: usize,
    ms: i64,
}

struct Streets {
    junctions: Vec<Position>,
    leaving: Vec<Vec<Segment>>,
    /// Whether the way between a place and its junction takes time.
    has_access: bool,
}

/// A place, with the nearest junction and the drive to it.
#[derive(Clone, Copy)]
struct Place {
    position: Position,
    junction: usize,
    access_ms: i64,
}

fn position(lat: f64, lon: f64) -> Position {
    Position::new(lat, lon).unwrap_or_else(|error| panic!("invalid position: {error}"))
}

fn off_street_ms(from: Position, to: Position) -> i64 {
    (distance_m(from, to) / OFF_STREET_METERS_PER_S * 1e3) as i64
}

impl Streets {
    fn read(path: &str) -> Self {
        let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let graph: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"));
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let number = |value: &Value| value.as_f64().unwrap_or_else(|| panic!("{path}: {value} is not a number"));
        let nodes = list(&graph["nodes"]);
        let index: HashMap<String, usize> =
            nodes.iter().zip(0..).map(|(node, at)| (node["id"].to_string(), at)).collect();
        let junctions = nodes.iter().map(|node| position(number(&node["y"]), number(&node["x"]))).collect();
        let mut leaving: Vec<Vec<Segment>> = nodes.iter().map(|_| Vec::new()).collect();
        // NetworkX 3.4 renamed `links` to `edges`.
        for link in list(&graph["links"]).iter().chain(&list(&graph["edges"])) {
            let end = |name: &str| index[&link[name].to_string()];
            let ms = ((number(&link["travel_time"]) * 1e3).ceil() as i64).max(1);
            leaving[end("source")].push(Segment { to: end("target"), ms });
        }
        Self { junctions, leaving, has_access: false }
    }

    fn place(&self, position: Position) -> Place {
        let distance = |junction: &usize| distance_m(position, self.junctions[*junction]);
        let nearest = (0..self.junctions.len()).min_by(|a, b| distance(a).total_cmp(&distance(b)));
        let junction = nearest.unwrap_or_else(|| panic!("a map without junctions"));
        let access_ms = if self.has_access { off_street_ms(position, self.junctions[junction]) } else { 0 };
        Place { position, junction, access_ms }
    }

    /// Returns the drive times from a place to each junction, by Dijkstra's algorithm.
    fn from(&self, place: Place) -> Vec<Option<i64>> {
        let mut best = vec![None; self.junctions.len()];
        let mut open = BinaryHeap::from([Reverse((place.access_ms, place.junction))]);
        while let Some(Reverse((ms, junction))) = open.pop() {
            if best[junction].is_some() {
                continue;
            }
            best[junction] = Some(ms);
            open.extend(self.leaving[junction].iter().map(|segment| Reverse((ms + segment.ms, segment.to))));
        }
        best
    }
}

/// The drive from one place to another, given the drive times from the first: along the streets, or directly within a block.
fn drive_ms(times: &[Option<i64>], from: Place, to: Place) -> i64 {
    let direct = off_street_ms(from.position, to.position);
    let access_ms = from.access_ms + to.access_ms;
    let is_within_a_block = access_ms > 0 && direct <= access_ms;
    times[to.junction].filter(|_| !is_within_a_block).map_or(direct, |ms| ms + to.access_ms)
}

/// Returns the fields of each line but the first.
fn read(path: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    text.lines().skip(1).map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

fn number(field: &str) -> f64 {
    field.parse().unwrap_or_else(|error| panic!("{field}: {error}"))
}

fn requests(directory: &str, window_s: std::ops::Range<i64>) -> Vec<Request> {
    let request = |fields: Vec<String>| {
        let time: Vec<i64> = fields[5][11..].split(':').map(|part| number(part) as i64).collect();
        Request {
            at_s: time[0] * 3_600 + time[1] * 60 + time[2],
            from: position(number(&fields[1]), number(&fields[2])),
            to: position(number(&fields[3]), number(&fields[4])),
        }
    };
    let all = read(&format!("{directory}/requests.csv")).into_iter().map(request);
    let mut requests: Vec<_> = all.filter(|request| window_s.contains(&request.at_s)).collect();
    requests.sort_by_key(|request| request.at_s);
    requests
}

/// When and where a car is free: first at its start, and then after each request.
struct Free {
    from_ms: i64,
    place: Place,
}

/// A window of a scenario on its streets.
struct Window<'a> {
    opens_s: i64,
    requests: &'a [Request],
    cars: &'a [Position],
}

/// Plans the window, and prints what the plan reaches. A car is free again as if it picked riders up `wait_min_s` after the request.
fn plan(window: &Window<'_>, streets: &Streets, wait_min_s: i64) {
    let Window { opens_s, requests, cars } = window;
    let pickups: Vec<Place> = requests.iter().map(|request| streets.place(request.from)).collect();
    let start = |car: &Position| Free { from_ms: opens_s * 1_000, place: streets.place(*car) };
    let mut free: Vec<Free> = cars.iter().map(start).collect();
    let mut loaded_ms = 0;
    for (request, pickup) in requests.iter().zip(&pickups) {
        let place = streets.place(request.to);
        let ride_ms = drive_ms(&streets.from(*pickup), *pickup, place);
        loaded_ms += ride_ms;
        free.push(Free { from_ms: (request.at_s + wait_min_s) * 1_000 + ride_ms, place });
    }
    let (mut edges, first_after) = (Vec::new(), u32::try_from(cars.len()).unwrap_or(u32::MAX));
    for (driver, Free { from_ms, place }) in (0..).zip(&free) {
        let times = streets.from(*place);
        for (trip, (request, pickup)) in (0..).zip(requests.iter().zip(&pickups)) {
            if driver >= first_after + trip {
                continue;
            }
            let left_ms = (request.at_s + WAIT_MAX_S) * 1_000 - from_ms;
            let eta_ms = drive_ms(&times, *place, *pickup);
            if eta_ms <= left_ms.min(DRIVE_MAX_MS) {
                edges.push(Edge { trip, driver, eta_ms });
            }
        }
    }
    // Not serving a request uses up what its car would do after it.
    let itself = |trip: u32| Edge { trip, driver: first_after + trip, eta_ms: NOT_SERVED_MS };
    edges.extend((0..).zip(*requests).map(|(trip, _)| itself(trip)));
    let assigned = assign(&vec![2 * NOT_SERVED_MS; requests.len()], free.len(), &edges);

    let cost_ms: HashMap<(u32, u32), i64> = edges.iter().map(|edge| ((edge.trip, edge.driver), edge.eta_ms)).collect();
    let drives_ms = (0..).zip(&assigned).filter_map(|(trip, driver)| cost_ms.get(&(trip, (*driver)?)).copied());
    let drives_ms: Vec<i64> = drives_ms.filter(|ms| *ms < NOT_SERVED_MS).collect();
    let used = assigned.iter().flatten().filter(|driver| **driver < first_after).count();
    let served = drives_ms.len();
    let percent = 100.0 * served as f64 / requests.len() as f64;
    let empty_s = drives_ms.iter().sum::<i64>() as f64 / 1e3 / served as f64;
    println!(
        "  {served} of {} served ({percent:.1} %), by {used} cars; {empty_s:.0} s of drive to each; {:.0} car-hours loaded",
        requests.len(),
        loaded_ms as f64 / 3.6e6
    );
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().unwrap_or_else(|| panic!("usage: hindsight DIRECTORY [FROM_H UNTIL_H]"));
    let hours: Vec<i64> = arguments.map(|hour| number(&hour) as i64).collect();
    let (from_h, until_h) = if let [from, until] = hours[..] { (from, until) } else { (20, 22) };
    let mut streets = Streets::read(&format!("{directory}/road_network.json"));
    let requests = requests(&directory, from_h * 3_600..until_h * 3_600);
    let cars: Vec<Position> = read(&format!("{directory}/vehicles.csv"))
        .iter()
        .map(|fields| position(number(&fields[1]), number(&fields[2])))
        .collect();
    println!("{from_h}:00 to {until_h}:00, {} cars, {} car-hours", cars.len(), cars.len() as i64 * (until_h - from_h));
    let window = Window { opens_s: from_h * 3_600, requests: &requests, cars: &cars };
    for has_access in [false, true] {
        streets.has_access = has_access;
        println!("{}", if has_access { "with the ways to and from the junctions:" } else { "between junctions:" });
        for (name, wait_min_s) in [("bound", 0), ("reachable", WAIT_MAX_S)] {
            print!("  {name:<9}");
            plan(&window, &streets, wait_min_s);
        }
    }
}
