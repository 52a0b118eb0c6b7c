//! Measures what a match cycle computes, as the worker does it: the edges along the streets, and the plan. The first cycle searches the
//! streets; the later ones find what it has kept, while the drivers have moved on. `docs/decisions/batched-assignment.md` quotes the output.
//!
//! `cargo run --release --example match_cycle -- DIRECTORY`: the directory has `requests.csv` and `road_network.json`.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use ridematch::dispatch::candidates::{self, Places};
use ridematch::dispatch::plan::plan;
use ridematch::dispatch::store::SearchingTrip;
use ridematch::geo::streets::file;
use ridematch::geo::{Position, Router};
use ridematch::platform::class::VehicleClass;
use ridematch::platform::clock::{DomainTime, Stopwatch};
use ridematch::platform::ids::{DriverId, TripId};
use ridematch::platform::match_policy::MatchPolicy;
use ridematch::supply::{PositionReport, Status, Supply};
use uuid::Uuid;

const SEED: u64 = 1;

/// Waiting times are uniform below it, seconds.
const WAITED_MAX_S: i64 = 600;

/// The side of a place with a stadium, degrees.
const PLACE_DEGREES: f64 = 0.004;

/// Cycles after the first one; their median is printed.
const CYCLES: usize = 9;

/// Seconds between two cycles.
const CYCLE_EVERY_S: i64 = 1;

/// Cycles between two positions of a car, and how far it comes in that time, degrees.
const REPORT_EVERY: usize = 4;
const MOVES_DEGREES: f64 = 0.0004;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = std::env::args().nth(1).ok_or("usage: match_cycle DIRECTORY")?;
    let directory = Path::new(&directory);
    let json = std::fs::read(directory.join("road_network.json"))?;
    let places = pickups(&std::fs::read_to_string(directory.join("requests.csv"))?)?;
    println!(
        "| trips × drivers | pickups | edges | first: edges, ms | plan, ms | later: edges, ms | plan, ms | both, ms |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    for (trips, drivers) in [(500, 500), (10_000, 500), (500, 10_000)] {
        for is_stadium in [false, true] {
            measure(&Router::new(Some(file::read(&json)?)), &places, (trips, drivers), is_stadium)?;
        }
    }
    Ok(())
}

/// The pickups of the scenario.
fn pickups(csv: &str) -> Result<Vec<Position>, Box<dyn std::error::Error>> {
    let place = |line: &str| -> Result<Position, Box<dyn std::error::Error>> {
        let mut fields = line.split(',').skip(1).map(str::parse::<f64>);
        let (lat, lon) = (fields.next().ok_or("no latitude")??, fields.next().ok_or("no longitude")??);
        Ok(Position::new(lat, lon)?)
    };
    csv.lines().skip(1).map(place).collect()
}

fn near(rng: &mut StdRng, place: Position, degrees: f64) -> Position {
    let mut off = || rng.random_range(-degrees / 2.0..degrees / 2.0);
    let (lat, lon) = (place.lat() + off(), place.lon() + off());
    Position::new(lat, lon).unwrap_or(place)
}

fn measure(
    router: &Router,
    places: &[Position],
    (trips, drivers): (usize, usize),
    is_stadium: bool,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut rng = StdRng::seed_from_u64(SEED);
    let start = DomainTime::new(DateTime::UNIX_EPOCH);
    let trip = |n: usize, rng: &mut StdRng| {
        let waited = TimeDelta::seconds(rng.random_range(0..WAITED_MAX_S));
        let pickup =
            if is_stadium { near(rng, places[0], PLACE_DEGREES) } else { places[rng.random_range(0..places.len())] };
        SearchingTrip {
            id: TripId::from(Uuid::from_u128(n as u128)),
            pickup,
            class: VehicleClass::Standard,
            since: start - waited,
            authorized_at: None,
            pickup_by: None,
            offers_made: 0,
            excluded: HashSet::new(),
        }
    };
    let trips: Vec<SearchingTrip> = (0..trips).map(|n| trip(n, &mut rng)).collect();
    let supply = Supply::default();
    let driver = |n: usize| DriverId::from(Uuid::from_u128(n as u128));
    let free = Status::Free { class: VehicleClass::Standard };
    supply.load((0..drivers).map(|n| (driver(n), free)).collect(), Vec::new(), start);
    let mut cars: Vec<Position> = (0..drivers).map(|_| places[rng.random_range(0..places.len())]).collect();
    let (mut cycles, mut kept, mut edges) = (Vec::new(), Places::default(), 0);
    for number in 0..=CYCLES {
        let now = start + TimeDelta::seconds(CYCLE_EVERY_S * i64::try_from(number)?);
        for (n, car) in
            cars.iter_mut().enumerate().filter(|(n, _)| number == 0 || n % REPORT_EVERY == number % REPORT_EVERY)
        {
            *car = near(&mut rng, *car, MOVES_DEGREES);
            supply
                .report(PositionReport { driver: driver(n), position: *car, recorded_at: now }, now)
                .ok_or("there is no fleet")?;
        }
        let watch = Stopwatch::start();
        let searches = candidates::find(&supply, &router.map(), &mut kept, &trips, now);
        let found = watch.elapsed();
        edges = searches.iter().map(|search| search.candidates.len()).sum();
        let planned = plan(MatchPolicy::Batched, searches, now);
        cycles.push((found, watch.elapsed().saturating_sub(found)));
        drop(planned);
    }
    let (first, later) = (cycles[0], &cycles[1..]);
    let (found, planned) = (median(later.iter().map(|cycle| cycle.0)), median(later.iter().map(|cycle| cycle.1)));
    println!(
        "| {} × {drivers} | {} | {edges} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} |",
        trips.len(),
        if is_stadium { "at one place" } else { "as requested" },
        ms(first.0),
        ms(first.1),
        ms(found),
        ms(planned),
        ms(median(later.iter().map(|cycle| cycle.0 + cycle.1))),
    );
    Ok(())
}

fn median(times: impl Iterator<Item = Duration>) -> Duration {
    let mut times: Vec<Duration> = times.collect();
    times.sort_unstable();
    times[times.len() / 2]
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
