//! Measures the router: its accuracy against the routes of the city's cars and against the estimate without a map, and its time per
//! answer on the streets of a scenario and on a large synthetic graph. `docs/decisions/street-graph.md` quotes the output.
//!
//! `cargo run --release --example drive_times -- DIRECTORY`: the directory has `requests.csv` and `road_network.json`.

use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use city::RoadNetwork;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use ridematch::geo::streets::{Segment, Streets, file};
use ridematch::geo::{EtaSource, Position, Router, StreetMap, distance_m, roads};
use ridematch::platform::clock::Stopwatch;

const SEED: u64 = 1;

/// The longest drive to a pickup, and the number of candidates of a trip, as in dispatch.
const ETA_MAX_MS: i64 = 900_000;
const NEAREST_MAX: usize = 16;

/// The synthetic graph: a square grid of two-way streets, 100 m apart, at 20 to 60 km/h.
const GRID_SIDE: u32 = 707;
const GRID_METERS: f64 = 100.0;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = std::env::args().nth(1).ok_or("usage: drive_times DIRECTORY")?;
    let directory = Path::new(&directory);
    let json = std::fs::read(directory.join("road_network.json"))?;
    let trips = pairs(&std::fs::read_to_string(directory.join("requests.csv"))?, [1, 2, 3, 4])?;
    // Cars stay where they were last.
    let cars: Vec<Position> = trips.iter().step_by(20).map(|(_, dropoff)| *dropoff).collect();
    let watch = Stopwatch::start();
    let streets = file::read(&json)?;
    println!("reading the file and building the indexes: {:.0} ms", ms(watch.elapsed()));
    accuracy(&Router::new(Some(streets)).map(), &RoadNetwork::read(&json)?, &trips);
    let pickups: Vec<Position> = trips.iter().map(|(pickup, _)| *pickup).collect();
    times("the scenario", file::read(&json)?, &pickups, &cars);
    let mut rng = StdRng::seed_from_u64(SEED);
    let extent = f64::from(GRID_SIDE - 1);
    let mut anywhere = |n: usize| -> Vec<Position> {
        (0..n).map(|_| grid_place(rng.random_range(0.0..extent), rng.random_range(0.0..extent))).collect()
    };
    // As many cars per area as the scenario has: 200 in 60 km².
    let (pickups, cars) = (anywhere(1_000), anywhere(16_000));
    times("the synthetic graph", grid(), &pickups, &cars);
    Ok(())
}

/// Compares the drives of the requests whose ends are on the map.
fn accuracy(map: &StreetMap, network: &RoadNetwork, trips: &[(Position, Position)]) {
    let is_on_map = |(from, to): &&(Position, Position)| map.drive(*from, *to).source == EtaSource::Streets;
    let all = trips.len();
    let trips: Vec<(Position, Position)> = trips.iter().filter(is_on_map).copied().collect();
    let place = |position: Position| city::Position { lat: position.lat(), lon: position.lon() };
    let city_s: Vec<f64> = trips.iter().map(|(from, to)| network.drive_s(place(*from), place(*to))).collect();
    let off = |drive_s: &dyn Fn(Position, Position) -> f64| -> Vec<f64> {
        trips.iter().zip(&city_s).map(|((from, to), city_s)| drive_s(*from, *to) - city_s).collect()
    };
    let along = off(&|from, to| map.eta_between(from, to).ms as f64 / 1e3);
    let estimated = off(&|from, to| roads::duration_ms(from, to) as f64 / 1e3);
    println!(
        "{} of {all} requests are on the map; drive of the city's cars: median {:.0} s",
        trips.len(),
        median(city_s.clone())
    );
    for (name, off) in [("streets", along), ("estimate", estimated)] {
        let equal = off.iter().filter(|off| off.abs() <= 0.1).count() as f64 / off.len() as f64;
        let magnitude: Vec<f64> = off.iter().map(|off| off.abs()).collect();
        println!(
            "  {name}: within 0.1 s {:.1} %; error median {:.2} s, p90 {:.2} s, p99 {:.2} s; mean {:+.2} s",
            100.0 * equal,
            quantile(magnitude.clone(), 0.5),
            quantile(magnitude.clone(), 0.9),
            quantile(magnitude, 0.99),
            off.iter().sum::<f64>() / off.len() as f64,
        );
    }
}

/// Measures the answers that matching and quotes need.
fn times(name: &str, streets: Streets, pickups: &[Position], cars: &[Position]) {
    let (junctions, segments) = streets.size();
    println!("{name}: {junctions} junctions, {segments} segments");
    let router = Router::new(Some(streets));
    let map = router.map();
    let watch = Stopwatch::start();
    for car in cars {
        black_box(map.departure(*car));
    }
    println!("  position on the map: {:.2} µs", us(watch.elapsed(), cars.len()));
    let nearest: Vec<Vec<usize>> = pickups.iter().map(|pickup| nearest(cars, *pickup)).collect();
    for round in ["first", "again"] {
        let watch = Stopwatch::start();
        let departures: Vec<_> = cars.iter().map(|car| map.departure(*car)).collect();
        for (pickup, cars) in pickups.iter().zip(&nearest) {
            let arrival = map.arrival(*pickup);
            for car in cars {
                black_box(map.eta(&departures[*car], &arrival, ETA_MAX_MS));
            }
        }
        let took = watch.elapsed();
        println!(
            "  drives of a match cycle, {} trips, {} cars, the {NEAREST_MAX} nearest, {round}: {:.0} ms, {:.1} µs per trip",
            pickups.len(),
            cars.len(),
            ms(took),
            us(took, pickups.len()),
        );
    }
    let whole = pickups.iter().take(100);
    let watch = Stopwatch::start();
    for (index, pickup) in whole.clone().enumerate() {
        black_box(map.drive(pickups[pickups.len() - 1 - index], *pickup));
    }
    println!("  quote across the map: {:.0} µs", us(watch.elapsed(), whole.len()));
}

fn nearest(cars: &[Position], pickup: Position) -> Vec<usize> {
    let mut near: Vec<(f64, usize)> =
        cars.iter().enumerate().map(|(index, car)| (distance_m(*car, pickup), index)).collect();
    near.sort_by(|a, b| a.0.total_cmp(&b.0));
    near.into_iter().take(NEAREST_MAX).map(|(_, index)| index).collect()
}

fn grid_place(north: f64, east: f64) -> Position {
    let degrees = GRID_METERS / ridematch::geo::EARTH_RADIUS_M * 180.0 / std::f64::consts::PI;
    Position::new(north * degrees, east * degrees).expect("near 0° 0°")
}

fn grid() -> Streets {
    let mut rng = StdRng::seed_from_u64(SEED);
    let number = |row: u32, column: u32| row * GRID_SIDE + column;
    let places = (0..GRID_SIDE).flat_map(|row| (0..GRID_SIDE).map(move |column| (row, column)));
    let junctions = places.clone().map(|(row, column)| grid_place(f64::from(row), f64::from(column))).collect();
    let mut segments = Vec::new();
    for (row, column) in places {
        let neighbors = [(row + 1, column), (row, column + 1)];
        for (next_row, next_column) in neighbors.into_iter().filter(|(row, column)| row.max(column) < &GRID_SIDE) {
            let ms = (GRID_METERS / rng.random_range(20.0..60.0) * 3_600.0) as u32;
            let (from, to) = (number(row, column), number(next_row, next_column));
            segments.push(Segment { from, to, ms, length_m: GRID_METERS });
            segments.push(Segment { from: to, to: from, ms, length_m: GRID_METERS });
        }
    }
    Streets::new(junctions, segments).expect("a grid is connected")
}

/// Reads two positions from columns of each row.
fn pairs(csv: &str, columns: [usize; 4]) -> Result<Vec<(Position, Position)>, Box<dyn std::error::Error>> {
    let row = |line: &str| -> Result<_, Box<dyn std::error::Error>> {
        let cells: Vec<&str> = line.split(',').collect();
        let degrees = |column: usize| -> Result<f64, Box<dyn std::error::Error>> {
            Ok(cells.get(column).ok_or("a column is missing")?.parse()?)
        };
        let [a, b, c, d] = columns.map(degrees);
        Ok((Position::new(a?, b?)?, Position::new(c?, d?)?))
    };
    csv.lines().skip(1).map(row).collect()
}

fn median(values: Vec<f64>) -> f64 {
    quantile(values, 0.5)
}

fn quantile(mut values: Vec<f64>, share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * share) as usize]
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn us(duration: Duration, n: usize) -> f64 {
    duration.as_secs_f64() * 1e6 / n as f64
}
