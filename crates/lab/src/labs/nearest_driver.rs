//! Lab 7: an R-tree against a scan, with drivers that stand still and with drivers that move.

use std::hint::black_box;

use launcher::clock::Stopwatch;
use rand::RngExt;
use rand::rngs::StdRng;
use rstar::RTree;
use rstar::primitives::GeomWithData;

use super::{BetQuestion, Kind, Lab};
use crate::context::Context;
use crate::geometry::{self, EARTH_RADIUS_M, Place};
use crate::outcome::{Column, LabResult, Measurements, Table};
use crate::plot::{Axis, Plot};
use crate::{Result, numbers, statistics};

/// The lab.
pub(super) const LAB: Lab = Lab {
    number: 7,
    name: "nearest-driver",
    title: "Nearest driver: tree or scan",
    question: "A rider is matched with the 16 nearest free drivers within 8 km. Above how many drivers is an R-tree \
               faster than a scan over all of them, and what if 1,000 positions a second arrive as well?",
    bet: BetQuestion { ask: "above how many drivers is a search in the tree faster than a scan?", unit: "drivers" },
    kind: Kind::Memory,
    held_fixed: "One thread; a city of 25 km by 25 km; drivers and riders at random places. The tree is the \
                 service's (rstar, points on the unit sphere, as in src/supply/fleet.rs), without its checks of \
                 class and age; the scan reads one array and keeps the 16 best. With moves, ten positions of 40 m \
                 each arrive before a search: 1,000 positions and 100 searches a second.",
    would_change: "A scan that has to chase pointers, check ages or compare classes is slower. Ten times as many \
                   searches for one position favor the tree, ten times as many positions the scan. A grid of cells \
                   has cheaper moves than a tree, and needs care at the edges of its cells (lab 8).",
    run: |context| Box::pin(async move { measure(context, &FULL) }),
};

/// Results and radius of a search, as in dispatch.
const LIMIT: usize = 16;
const RADIUS_M: f64 = 8_000.0;

/// The side of the city, and how far a driver gets between two positions: 4 s at 36 km/h.
const CITY_M: f64 = 25_000.0;
const STEP_M: f64 = 40.0;

/// Positions that arrive before a search.
const MOVES_PER_SEARCH: usize = 10;

/// The columns of the table.
const SCAN: usize = 0;
const TREE: usize = 1;
const SCAN_MOVING: usize = 2;
const TREE_MOVING: usize = 3;

/// The sizes of a measurement.
struct Sizes {
    drivers: &'static [usize],
    searches: usize,
}

const FULL: Sizes = Sizes { drivers: &[16, 32, 64, 128, 256, 512, 1_024, 2_048, 4_096, 16_384], searches: 4_000 };

type Leaf = GeomWithData<[f64; 3], usize>;

/// The drivers in both forms.
struct Fleet {
    places: Vec<Place>,
    scan: Vec<[f64; 3]>,
    tree: RTree<Leaf>,
}

impl Fleet {
    fn random(rng: &mut StdRng, drivers: usize) -> Self {
        let places: Vec<Place> = (0..drivers).map(|_| geometry::random_place(rng, CITY_M)).collect();
        let scan: Vec<[f64; 3]> = places.iter().map(|place| geometry::unit_vector(*place)).collect();
        let leaves = scan.iter().enumerate().map(|(driver, point)| Leaf::new(*point, driver)).collect();
        Self { places, scan, tree: RTree::bulk_load(leaves) }
    }

    /// Returns the next moves: driver and new point. Drivers stay in the city.
    fn moves(&mut self, rng: &mut StdRng, count: usize) -> Vec<(usize, [f64; 3])> {
        let mut moved = Vec::with_capacity(count);
        for _ in 0..count {
            let driver = rng.random_range(0..self.places.len());
            let angle = rng.random_range(0.0..std::f64::consts::TAU);
            let place = &mut self.places[driver];
            let step = |from: f64, by: f64| (from + by * STEP_M).clamp(0.0, CITY_M);
            *place = [step(place[0], angle.cos()), step(place[1], angle.sin())];
            moved.push((driver, geometry::unit_vector(*place)));
        }
        moved
    }
}

/// Returns the squared chord of the radius.
fn reach_2() -> f64 {
    let chord = 2.0 * (RADIUS_M / EARTH_RADIUS_M / 2.0).sin();
    chord * chord
}

/// Returns the nearest drivers by a scan: one pass, a selection and a sort.
fn search_scan(points: &[[f64; 3]], center: [f64; 3]) -> Vec<usize> {
    let reach_2 = reach_2();
    let chord_2 = |point: &[f64; 3]| point.iter().zip(center).map(|(a, b)| (a - b) * (a - b)).sum::<f64>();
    let mut near: Vec<(f64, usize)> = points
        .iter()
        .enumerate()
        .map(|(driver, point)| (chord_2(point), driver))
        .filter(|near| near.0 <= reach_2)
        .collect();
    let order = |a: &(f64, usize), b: &(f64, usize)| a.0.total_cmp(&b.0);
    if near.len() > LIMIT {
        near.select_nth_unstable_by(LIMIT, order);
        near.truncate(LIMIT);
    }
    near.sort_unstable_by(order);
    near.into_iter().map(|(_, driver)| driver).collect()
}

/// Returns the nearest drivers by the tree.
fn search_tree(tree: &RTree<Leaf>, center: [f64; 3]) -> Vec<usize> {
    let reach_2 = reach_2();
    let nearest = tree.nearest_neighbor_iter_with_distance_2(center);
    nearest.take_while(|(_, chord_2)| *chord_2 <= reach_2).take(LIMIT).map(|(leaf, _)| leaf.data).collect()
}

fn move_in_tree(tree: &mut RTree<Leaf>, points: &mut [[f64; 3]], (driver, point): (usize, [f64; 3])) {
    tree.remove(&Leaf::new(points[driver], driver));
    tree.insert(Leaf::new(point, driver));
    points[driver] = point;
}

fn measure(context: &Context, sizes: &Sizes) -> Result<LabResult> {
    let mut measured = Measurements::new(vec![
        Column::new("scan", "µs a search", 2),
        Column::new("tree", "µs a search", 2),
        Column::new("scan, with moves", "µs a search", 2),
        Column::new("tree, with moves", "µs a search", 2),
    ]);
    for run in 0..context.runs {
        for drivers in sizes.drivers {
            context.step(run, &format!("{drivers} drivers"))?;
            let mut rng = context.random(&format!("{drivers} drivers"), run);
            measured.record(&numbers::grouped(*drivers as f64, 0), &time(&mut rng, *drivers, sizes.searches));
        }
    }
    Ok(result(measured, sizes))
}

/// Returns microseconds a search: scan, tree, and both with moves before each search.
fn time(rng: &mut StdRng, drivers: usize, searches: usize) -> [f64; 4] {
    let mut fleet = Fleet::random(rng, drivers);
    let centers: Vec<[f64; 3]> =
        (0..searches).map(|_| geometry::unit_vector(geometry::random_place(rng, CITY_M))).collect();
    let moves = fleet.moves(rng, searches * MOVES_PER_SEARCH);
    let mut tree_points = fleet.scan.clone();
    let per_search = |watch: Stopwatch| watch.seconds() * 1e6 / searches as f64;

    let watch = Stopwatch::start();
    centers.iter().for_each(|center| drop(black_box(search_scan(&fleet.scan, *center))));
    let scan = per_search(watch);
    let watch = Stopwatch::start();
    centers.iter().for_each(|center| drop(black_box(search_tree(&fleet.tree, *center))));
    let tree = per_search(watch);
    let watch = Stopwatch::start();
    for (center, moved) in centers.iter().zip(moves.chunks(MOVES_PER_SEARCH)) {
        moved.iter().for_each(|(driver, point)| fleet.scan[*driver] = *point);
        black_box(search_scan(&fleet.scan, *center));
    }
    let scan_moving = per_search(watch);
    let watch = Stopwatch::start();
    for (center, moved) in centers.iter().zip(moves.chunks(MOVES_PER_SEARCH)) {
        moved.iter().for_each(|moved| move_in_tree(&mut fleet.tree, &mut tree_points, *moved));
        black_box(search_tree(&fleet.tree, *center));
    }
    [scan, tree, scan_moving, per_search(watch)]
}

/// Returns from how many drivers on the tree costs less than the scan, on a line between the logarithms, and whether it does.
/// If it never does, the number is the largest size.
fn crossing(table: &Table, sizes: &Sizes, (scan, tree): (usize, usize)) -> (f64, bool) {
    let ratio = |(row, drivers): (usize, &usize)| {
        let cells = &table.rows[row].cells;
        let time = |column: usize| cells[column].map_or(f64::NAN, |cell| cell.median);
        ((*drivers as f64).ln(), (time(scan) / time(tree)).ln())
    };
    let curve: Vec<(f64, f64)> = sizes.drivers.iter().enumerate().map(ratio).collect();
    let largest = sizes.drivers.last().copied().unwrap_or(0) as f64;
    statistics::crossing(&curve, 0.0).map_or((largest, false), |logarithm| (logarithm.exp().round(), true))
}

fn result(measured: Measurements, sizes: &Sizes) -> LabResult {
    let table = measured.table();
    let still = crossing(&table, sizes, (SCAN, TREE));
    let moving = crossing(&table, sizes, (SCAN_MOVING, TREE_MOVING));
    let in_words = |(drivers, is_crossed): (f64, bool)| {
        let drivers = numbers::grouped(drivers, 0);
        if is_crossed { format!("from about {drivers} drivers on") } else { format!("not up to {drivers} drivers") }
    };
    let largest = sizes.drivers.last().copied().unwrap_or(0) as f64;
    let largest = numbers::grouped(largest, 0);
    let at_largest = |column| numbers::short(table.median(&largest, column));
    let conclusions = vec![
        format!("The tree is faster for searches alone {}.", in_words(still)),
        format!(
            "With ten moves before each search it is faster {}: a move costs the tree two changes, and the array one \
             write.",
            in_words(moving)
        ),
        format!(
            "At {largest} drivers a search takes {} µs by the scan and {} µs in the tree; with its moves {} and {} \
             µs. One core is enough for a city either way.",
            at_largest(SCAN),
            at_largest(TREE),
            at_largest(SCAN_MOVING),
            at_largest(TREE_MOVING)
        ),
    ];
    let x = sizes.drivers.iter().map(|drivers| *drivers as f64).collect();
    let axes = (Axis::logarithmic("drivers", ""), Axis::logarithmic("time for a search", "µs"));
    let plot = Plot::lines(
        "One search for the 16 nearest drivers",
        axes,
        x,
        (&table, &[SCAN, TREE, SCAN_MOVING, TREE_MOVING]),
    );
    let text = format!(
        "Where the lines of scan and tree cross. With 1,000 positions and 100 searches a second: {}.",
        in_words(moving)
    );
    LabResult { answer: LAB.bet.answer(still.0, text), table, records: Vec::new(), conclusions, plot }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scan_and_tree_find_the_same_drivers_before_and_after_moves() {
        let mut rng = crate::random::generator(1, "test", 0);
        let mut fleet = Fleet::random(&mut rng, 500);
        let mut tree_points = fleet.scan.clone();
        for _ in 0..50 {
            for moved in fleet.moves(&mut rng, MOVES_PER_SEARCH) {
                fleet.scan[moved.0] = moved.1;
                move_in_tree(&mut fleet.tree, &mut tree_points, moved);
            }
            let center = geometry::unit_vector(geometry::random_place(&mut rng, CITY_M));
            let found = search_scan(&fleet.scan, center);
            assert_eq!(found, search_tree(&fleet.tree, center));
            assert!(found.len() <= LIMIT);
        }
        assert_eq!(fleet.tree.size(), 500);
    }

    #[test]
    fn lab_measures_every_size() {
        let sizes = Sizes { drivers: &[16, 256], searches: 20 };
        let result = measure(&Context::quiet(1, 2, None), &sizes).expect("a result");
        assert_eq!(result.table.rows.len(), 2);
        assert!(
            result.table.rows.iter().all(|row| row.cells.iter().all(|cell| cell.is_some_and(|cell| cell.min > 0.0)))
        );
        assert!((16.0..=256.0).contains(&result.answer.value));
    }
}
