//! The plan of the roads, from the large ones to the small ones.

use rand::RngExt;
use rand::rngs::StdRng;

use super::field::{Family, Field, Influence, Lines, fill};
use super::land::{BANK_M, DISTRICTS, Land};
use super::network::PlannedRoad;
use super::plane::{Point, at, simplified, smooth};
use crate::streets::RoadClass;

/// The distance of avenues.
const AVENUES_APART_M: f64 = 520.0;
/// The width of the smallest and the largest blocks.
const BLOCK_M: [f64; 2] = [84.0, 190.0];
/// Blocks are longer than wide.
const BLOCK_SHAPE: f64 = 1.55;
/// The middle of each dense part of the city, and where it ends.
const DENSE: [(Point, f64); 3] =
    [(at(0.0, 0.0), 3_000.0), (at(-1_990.0, -4_750.0), 1_900.0), (at(-600.0, -2_500.0), 1_700.0)];
/// The old town has lanes between its streets.
const OLD_TOWN_M: f64 = 950.0;
/// Points within this distance of a straight line are left out.
const TOLERANCE_M: f64 = 2.5;
/// Straight roads that cross the pattern of the streets, and whether they cross river and parks.
const DIAGONALS: [(&str, [Point; 2], bool); 3] = [
    ("Grand Diagonal", [at(-5_000.0, -4_590.0), at(3_600.0, 3_460.0)], true),
    ("Republic Avenue", [at(60.0, 140.0), at(-4_800.0, 3_010.0)], false),
    ("Lighthouse Road", [at(-3_000.0, -6_090.0), at(900.0, -2_050.0)], false),
];
/// The large roads through the city, as points of smooth lines. The first and the last point of each only give a direction.
const AXES: [(&str, [Point; 9]); 5] = [
    (
        "Abbey Boulevard",
        [
            at(-2_700.0, 6_000.0),
            at(-2_750.0, 4_000.0),
            at(-2_650.0, 2_500.0),
            at(-2_800.0, 1_000.0),
            at(-2_350.0, -250.0),
            at(-2_250.0, -1_700.0),
            at(-2_600.0, -3_300.0),
            at(-2_700.0, -6_200.0),
            at(-2_700.0, -8_000.0),
        ],
    ),
    (
        "Cathedral Avenue",
        [
            at(1_300.0, 6_000.0),
            at(1_000.0, 4_000.0),
            at(650.0, 2_400.0),
            at(520.0, 900.0),
            at(280.0, -500.0),
            at(60.0, -1_500.0),
            at(-500.0, -3_000.0),
            at(-1_500.0, -5_900.0),
            at(-2_000.0, -8_000.0),
        ],
    ),
    (
        "Harbor Boulevard",
        [
            at(3_400.0, 4_600.0),
            at(2_900.0, 3_300.0),
            at(2_150.0, 1_900.0),
            at(1_850.0, 500.0),
            at(1_300.0, -900.0),
            at(1_050.0, -1_900.0),
            at(700.0, -3_000.0),
            at(500.0, -4_800.0),
            at(400.0, -7_000.0),
        ],
    ),
    (
        "Northern Boulevard",
        [
            at(-6_500.0, 1_900.0),
            at(-4_900.0, 1_900.0),
            at(-3_400.0, 2_100.0),
            at(-1_700.0, 1_750.0),
            at(-300.0, 1_750.0),
            at(1_000.0, 1_250.0),
            at(2_200.0, 1_250.0),
            at(3_700.0, 800.0),
            at(6_000.0, 600.0),
        ],
    ),
    (
        "Southern Boulevard",
        [
            at(-6_500.0, -2_500.0),
            at(-4_900.0, -2_650.0),
            at(-3_600.0, -2_550.0),
            at(-2_300.0, -2_750.0),
            at(-1_000.0, -3_200.0),
            at(100.0, -2_950.0),
            at(1_000.0, -2_800.0),
            at(2_600.0, -3_000.0),
            at(4_000.0, -3_600.0),
        ],
    ),
];
/// How far the seed moves the points of the axes.
const AXIS_SHIFT_M: f64 = 110.0;

/// The roads while they are planned.
struct Plan {
    field: Field,
    lines: Lines,
    roads: Vec<PlannedRoad>,
}

impl Plan {
    /// Adds a road with a name.
    fn add(&mut self, name: Option<&'static str>, class: RoadClass, line: &[Point], has_bridges: bool) {
        self.lines.add_free(&self.field, line);
        self.roads.push(PlannedRoad { class, line: simplified(line, TOLERANCE_M), has_bridges, name });
    }

    /// Fills the land with roads of a class.
    fn fill(&mut self, class: RoadClass, is_land: impl Fn(Point) -> bool, apart_m: impl Fn(Point, Family) -> f64) {
        let first: Vec<Point> = DISTRICTS.into_iter().chain(everywhere()).collect();
        for line in fill(&self.field, &mut self.lines, &first, is_land, apart_m) {
            let line = simplified(&line, TOLERANCE_M);
            self.roads.push(PlannedRoad { class, line, has_bridges: false, name: None });
        }
    }
}

/// Plans all roads of a land. Larger ones come first.
pub(super) fn roads(land: &Land, random: &mut StdRng) -> Vec<PlannedRoad> {
    let influences = influences(random);
    let axes = AXES.map(|(name, points)| (name, smooth(&points.map(|p| shifted(p, random)), 16)));
    let lines: Vec<Vec<Point>> = axes.iter().map(|(_, line)| simplified(line, TOLERANCE_M)).collect();
    let field = Field::new(land, &influences, &lines);
    let mut plan = Plan { field, lines: Lines::default(), roads: Vec::new() };

    let [around, coastal] = land.outline(BANK_M);
    plan.add(Some("Ring Road"), RoadClass::Arterial, &around, true);
    plan.add(Some("Marine Drive"), RoadClass::Arterial, &coastal, false);
    for (name, line) in &axes {
        plan.add(Some(name), RoadClass::Arterial, line, true);
    }
    for (name, ends, has_bridges) in DIAGONALS {
        plan.add(Some(name), RoadClass::Arterial, &ends, has_bridges);
    }
    for (name, side) in [("North Embankment", 1.0), ("South Embankment", -1.0)] {
        plan.add(Some(name), RoadClass::Avenue, &land.bank(side, BANK_M), false);
    }
    for park in &land.parks {
        let border: Vec<Point> = park.ring.iter().chain(park.ring.first()).copied().collect();
        plan.add(Some(park.border), RoadClass::Street, &border, false);
    }

    let is_land = |p: Point| !land.is_blocked(p, false);
    plan.fill(RoadClass::Avenue, is_land, |p, _| AVENUES_APART_M * (0.7 + 0.3 * block_m(p) / BLOCK_M[1]));
    plan.fill(RoadClass::Street, is_land, |p, family| match family {
        Family::Along => block_m(p),
        Family::Across => block_m(p) * BLOCK_SHAPE,
    });
    let is_old = |p: Point| p.distance(DISTRICTS[1]) < OLD_TOWN_M && is_land(p);
    plan.fill(RoadClass::Lane, is_old, |p, family| match family {
        // None in this direction.
        Family::Along => 2.0 * OLD_TOWN_M,
        Family::Across => block_m(p) * BLOCK_SHAPE / 2.0,
    });
    plan.roads.sort_by_key(|road| road.class);
    plan.roads
}

fn shifted(p: Point, random: &mut StdRng) -> Point {
    p.plus(at(random.random_range(-1.0..1.0), random.random_range(-1.0..1.0)), AXIS_SHIFT_M)
}

/// The width of blocks at a place: small in the dense parts.
fn block_m(p: Point) -> f64 {
    let sparseness = |(middle, radius_m): (Point, f64)| (p.distance(middle) / radius_m).min(1.0);
    let sparseness = DENSE.into_iter().map(sparseness).fold(1.0, f64::min);
    BLOCK_M[0] + (BLOCK_M[1] - BLOCK_M[0]) * sparseness * sparseness.sqrt()
}

/// The directions of the districts.
fn influences(random: &mut StdRng) -> Vec<Influence> {
    DISTRICTS
        .into_iter()
        .zip(0_u32..)
        .map(|(middle, number)| {
            let angle = match number {
                0 => random.random_range(0.1..0.3),
                _ => random.random_range(-0.7..0.8),
            };
            // One district has rings and spokes.
            let angle = (number != 2).then_some(angle);
            Influence { middle, radius_m: if number == 0 { 1_300.0 } else { 1_150.0 }, angle }
        })
        .collect()
}

/// Places all over the city, in case that a part has no street yet.
fn everywhere() -> impl Iterator<Item = Point> {
    (-12..=12)
        .flat_map(|row| (-12..=10).map(move |column| at(f64::from(column) * 390.0, f64::from(row) * 430.0 - 1_300.0)))
}
