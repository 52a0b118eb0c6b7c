//! Compares the greedy assignment of `dispatch::plan` with the optimal one: the deadhead distance of a match cycle, and the time.
//! `docs/decisions/greedy-plan.md` quotes the output.
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
use ridematch::supply::{Fleet, PositionReport, Query, Status};
use uuid::Uuid;

const SEED: u64 = 1;
const CYCLES: usize = 200;

/// A rectangle around Manhattan, including some water.
const SOUTH_WEST: (f64, f64) = (40.70, -74.02);
const NORTH_EAST: (f64, f64) = (40.80, -73.93);

fn random_position(rng: &mut StdRng) -> Position {
    let lat = rng.random_range(SOUTH_WEST.0..NORTH_EAST.0);
    let lon = rng.random_range(SOUTH_WEST.1..NORTH_EAST.1);
    Position::new(lat, lon).unwrap_or_else(|error| panic!("invalid position: {error}"))
}

fn now() -> DomainTime {
    DomainTime::new(DateTime::UNIX_EPOCH)
}

/// The pickup distances of the greedy plan's first choices in meters, and the computation time.
fn greedy(riders: &[Position], cars: &[Position]) -> (Vec<f64>, Duration) {
    let mut fleet = Fleet::default();
    for (n, car) in cars.iter().enumerate() {
        let driver = DriverId::from(Uuid::from_u128(n as u128));
        fleet.set_status(driver, Status::Free { class: VehicleClass::Standard });
        fleet.report(PositionReport { driver, position: *car, recorded_at: now() }, now());
    }
    let watch = Stopwatch::start();
    let search = |(n, pickup): (usize, &Position)| Search {
        trip: TripId::from(Uuid::from_u128(n as u128)),
        pickup: *pickup,
        since: now(),
        excluded: HashSet::new(),
        candidates: fleet.nearest(&Query {
            center: *pickup,
            radius_m: f64::INFINITY,
            class: None,
            limit: CANDIDATES_MAX,
            now: now(),
        }),
    };
    let plans = plan(riders.iter().enumerate().map(search).collect());
    let took = watch.elapsed();
    let drives = plans.iter().filter_map(|plan| plan.order.first()).map(|first| first.distance_m);
    (drives.collect(), took)
}

/// The pickup distances with the smallest sum in meters, and the computation time.
fn optimal(riders: &[Position], cars: &[Position]) -> (Vec<f64>, Duration) {
    let watch = Stopwatch::start();
    let cost: Vec<Vec<f64>> =
        riders.iter().map(|rider| cars.iter().map(|car| distance_m(*rider, *car)).collect()).collect();
    let chosen = assign(&cost);
    (chosen.iter().enumerate().map(|(rider, car)| cost[rider][*car]).collect(), watch.elapsed())
}

/// Assigns a different column to each row with the smallest sum of costs. Requires at least as many columns as rows.
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
        // Reassign the columns along the augmenting path; the first one goes to the new row.
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

/// Mean and 95th percentile in meters.
fn summary(mut drives: Vec<f64>) -> (f64, f64) {
    drives.sort_unstable_by(f64::total_cmp);
    (drives.iter().sum::<f64>() / drives.len() as f64, drives[drives.len() * 95 / 100])
}

fn main() {
    println!(
        "riders   cars   greedy: mean    p95     took   optimal: mean    p95     took   saved   (meters; took: µs per match cycle)"
    );
    for (riders, cars) in [(1, 100), (4, 100), (16, 100), (64, 100), (16, 20), (64, 1_000)] {
        let mut rng = StdRng::seed_from_u64(SEED);
        let (mut by_greedy, mut by_optimal) = (Vec::new(), Vec::new());
        let (mut greedy_took, mut optimal_took) = (Duration::ZERO, Duration::ZERO);
        for _ in 0..CYCLES {
            let at: Vec<_> = (0..riders).map(|_| random_position(&mut rng)).collect();
            let free: Vec<_> = (0..cars).map(|_| random_position(&mut rng)).collect();
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
            greedy_took.as_secs_f64() * 1e6 / CYCLES as f64,
            optimal_took.as_secs_f64() * 1e6 / CYCLES as f64,
            if unserved > 0 { format!("   {unserved} riders wait for the next match cycle") } else { String::new() },
        );
    }
}
