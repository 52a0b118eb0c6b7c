//! Greedy against optimal: how far cars drive to a round of riders if each rider in turn takes the nearest, as `dispatch::plan`
//! does, and if the sum of all drives is made as small as it can be. `docs/decisions/greedy-plan.md` quotes what this prints.
//!
//! `cargo run --release --example assignment`

use std::collections::HashSet;
use std::time::Duration;

use chrono::DateTime;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use ridematch::dispatch::plan::{CANDIDATES_MAX, Search, plan};
use ridematch::geo::{Position, distance_m};
use ridematch::platform::class::VehicleClass;
use ridematch::platform::clock::{DomainTime, Stopwatch};
use ridematch::platform::ids::{DriverId, TripId};
use ridematch::supply::{Fleet, Query, Report, Status};
use uuid::Uuid;

const SEED: u64 = 1;
const ROUNDS: usize = 200;

/// Manhattan, roughly: metres are what counts here, not the shore.
const SOUTH_WEST: (f64, f64) = (40.70, -74.02);
const NORTH_EAST: (f64, f64) = (40.80, -73.93);

fn somewhere(rng: &mut StdRng) -> Position {
    let lat = rng.random_range(SOUTH_WEST.0..NORTH_EAST.0);
    let lon = rng.random_range(SOUTH_WEST.1..NORTH_EAST.1);
    Position::new(lat, lon).unwrap_or_else(|error| panic!("Manhattan is on the map: {error}"))
}

fn now() -> DomainTime {
    DomainTime::new(DateTime::UNIX_EPOCH)
}

/// The drives of the first choices of the house's own plan, metres, and the time it took.
fn greedy(riders: &[Position], cars: &[Position]) -> (Vec<f64>, Duration) {
    let mut fleet = Fleet::default();
    for (n, car) in cars.iter().enumerate() {
        let driver = DriverId::from(Uuid::from_u128(n as u128));
        fleet.set_status(driver, Status::Free { class: VehicleClass::Standard });
        fleet.report(Report { driver, position: *car, recorded_at: now() }, now());
    }
    let nobody = HashSet::new();
    let watch = Stopwatch::start();
    let search = |(n, pickup): (usize, &Position)| Search {
        trip: TripId::from(Uuid::from_u128(n as u128)),
        pickup: *pickup,
        since: now(),
        asked: HashSet::new(),
        candidates: fleet.nearest(&Query {
            center: *pickup,
            radius_m: f64::INFINITY,
            class: None,
            limit: CANDIDATES_MAX,
            now: now(),
            exclude: &nobody,
        }),
    };
    let plans = plan(riders.iter().enumerate().map(search).collect());
    let took = watch.elapsed();
    let drives = plans.iter().filter_map(|plan| plan.order.first()).map(|first| first.distance_m);
    (drives.collect(), took)
}

/// The drives that have the smallest sum, metres, and the time it took to find them.
fn optimal(riders: &[Position], cars: &[Position]) -> (Vec<f64>, Duration) {
    let watch = Stopwatch::start();
    let cost: Vec<Vec<f64>> =
        riders.iter().map(|rider| cars.iter().map(|car| distance_m(*rider, *car)).collect()).collect();
    let chosen = assign(&cost);
    (chosen.iter().enumerate().map(|(rider, car)| cost[rider][*car]).collect(), watch.elapsed())
}

/// For each row a column, no two the same, with the smallest sum; there are at least as many columns as rows.
///
/// The Hungarian method with potentials, each row added by a shortest augmenting path: O(rows² · columns). Kuhn, H. W. (1955),
/// *The Hungarian Method for the Assignment Problem*, Naval Research Logistics Quarterly 2.
fn assign(cost: &[Vec<f64>]) -> Vec<usize> {
    let columns = cost.first().map_or(0, Vec::len);
    let mut of_row = vec![0.0; cost.len()];
    let mut of_column = vec![0.0; columns];
    let mut row_of: Vec<Option<usize>> = vec![None; columns];
    for new in 0..cost.len() {
        let mut slack = vec![f64::INFINITY; columns];
        let mut reached_from: Vec<Option<usize>> = vec![None; columns];
        let mut done = vec![false; columns];
        let (mut row, mut last) = (new, None);
        let end = loop {
            for column in (0..columns).filter(|column| !done[*column]) {
                let left = cost[row][column] - of_row[row] - of_column[column];
                if left < slack[column] {
                    (slack[column], reached_from[column]) = (left, last);
                }
            }
            let open = (0..columns).filter(|column| !done[*column]);
            let Some(next) = open.min_by(|a, b| slack[*a].total_cmp(&slack[*b])) else {
                unreachable!("there are at least as many columns as rows")
            };
            let step = slack[next];
            of_row[new] += step;
            for column in 0..columns {
                match row_of[column].filter(|_| done[column]) {
                    Some(row) => (of_row[row], of_column[column]) = (of_row[row] + step, of_column[column] - step),
                    None => slack[column] -= step,
                }
            }
            done[next] = true;
            match row_of[next] {
                Some(taken_by) => (row, last) = (taken_by, Some(next)),
                None => break next,
            }
        };
        // Each column on the path passes to the row from which it was reached; the first of them to the new row.
        let mut column = end;
        while let Some(before) = reached_from[column] {
            row_of[column] = row_of[before];
            column = before;
        }
        row_of[column] = Some(new);
    }
    let mut column_of = vec![0; cost.len()];
    for (column, row) in row_of.into_iter().enumerate() {
        row.into_iter().for_each(|row| column_of[row] = column);
    }
    column_of
}

/// Mean and 95th percentile of the drives, metres.
fn summary(mut drives: Vec<f64>) -> (f64, f64) {
    drives.sort_unstable_by(f64::total_cmp);
    (drives.iter().sum::<f64>() / drives.len() as f64, drives[drives.len() * 95 / 100])
}

fn main() {
    println!(
        "riders   cars   greedy: mean    p95     took   optimal: mean    p95     took   saved   (metres; took: µs a round)"
    );
    for (riders, cars) in [(1, 100), (4, 100), (16, 100), (64, 100), (16, 20), (64, 1_000)] {
        let mut rng = StdRng::seed_from_u64(SEED);
        let (mut by_greedy, mut by_optimal) = (Vec::new(), Vec::new());
        let (mut greedy_took, mut optimal_took) = (Duration::ZERO, Duration::ZERO);
        for _ in 0..ROUNDS {
            let at: Vec<_> = (0..riders).map(|_| somewhere(&mut rng)).collect();
            let free: Vec<_> = (0..cars).map(|_| somewhere(&mut rng)).collect();
            let (drives, took) = greedy(&at, &free);
            by_greedy.extend(drives);
            greedy_took += took;
            let (drives, took) = optimal(&at, &free);
            by_optimal.extend(drives);
            optimal_took += took;
        }
        let unserved = by_optimal.len() - by_greedy.len();
        let ((greedy_m, greedy_p95), (optimal_m, optimal_p95)) = (summary(by_greedy), summary(by_optimal));
        let saved = 100.0 * (1.0 - optimal_m / greedy_m);
        println!(
            "{riders:>6} {cars:>6} {greedy_m:>14.0} {greedy_p95:>6.0} {:>8.0} {optimal_m:>15.0} {optimal_p95:>6.0} {:>8.0} {saved:>5.1} %{}",
            greedy_took.as_secs_f64() * 1e6 / ROUNDS as f64,
            optimal_took.as_secs_f64() * 1e6 / ROUNDS as f64,
            if unserved > 0 { format!("   {unserved} riders had to wait for another round") } else { String::new() },
        );
    }
}
