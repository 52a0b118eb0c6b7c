//! The land that the city is built on: coast, river, parks and districts.

use rand::RngExt;
use rand::rngs::StdRng;

use super::names;
use super::plane::{Point, at, contains, nearer_part, simplified, smooth, to_segment};

/// The center of the city's outline, and its half axes.
const MIDDLE: Point = at(-600.0, -1_300.0);
const HALF: Point = at(3_900.0, 4_500.0);
/// The outline is a superellipse with this exponent: between an ellipse and a rectangle.
const ROUNDNESS: f64 = 2.6;
/// Its ends are cut off at this share.
const FLAT: f64 = 0.99;
/// The distance of points along coast and outline, north to south.
const STEP_M: f64 = 40.0;
/// The promenade along the coast, and the embankments along the river, are at this distance from the water.
pub(super) const BANK_M: f64 = 45.0;
/// Streets along an edge may be this far beyond it: their lines are simplified.
const EDGE_M: f64 = 12.0;
const EDGE: f64 = 1.008;
/// How far the water is drawn beyond the city.
const BEYOND_M: f64 = 30_000.0;
/// Where the river comes from, through the city to the sea.
const RIVER: [Point; 12] = [
    at(-42_000.0, 16_000.0),
    at(-30_000.0, 9_000.0),
    at(-14_000.0, 4_600.0),
    at(-7_000.0, 2_000.0),
    at(-4_300.0, 950.0),
    at(-2_900.0, -100.0),
    at(-1_700.0, -350.0),
    at(-500.0, -1_150.0),
    at(700.0, -1_250.0),
    at(1_700.0, -1_800.0),
    at(3_600.0, -2_500.0),
    at(5_600.0, -3_000.0),
];
/// The points of the river that the seed moves.
const BENDS: std::ops::RangeInclusive<usize> = 4..=9;
const HALF_WIDTH_M: [f64; 2] = [48.0, 120.0];
/// Middle, half length and half width of each park.
const PARKS: [(Point, f64, f64); 6] = [
    (at(-1_750.0, 1_250.0), 620.0, 360.0),
    (at(800.0, -2_350.0), 300.0, 190.0),
    (at(-2_750.0, -4_150.0), 230.0, 170.0),
    (at(-3_300.0, -2_000.0), 420.0, 300.0),
    (at(1_750.0, 1_500.0), 260.0, 180.0),
    (at(420.0, 420.0), 110.0, 80.0),
];
/// Where the districts are. The names are in the same order.
pub(super) const DISTRICTS: [Point; 10] = [
    at(100.0, 50.0),
    at(-1_950.0, -4_600.0),
    at(-1_500.0, 2_300.0),
    at(1_400.0, 1_900.0),
    at(-3_300.0, 1_700.0),
    at(2_100.0, -300.0),
    at(-600.0, -2_600.0),
    at(1_100.0, -3_000.0),
    at(-3_300.0, -1_300.0),
    at(-3_200.0, -3_500.0),
];

/// An area of the map.
#[derive(Debug, Clone)]
pub(super) struct NamedRing {
    pub name: &'static str,
    pub ring: Vec<Point>,
}

/// A park, and the name of the street around it.
#[derive(Debug, Clone)]
pub(super) struct Park {
    pub name: &'static str,
    pub border: &'static str,
    middle: Point,
    pub ring: Vec<Point>,
}

impl Park {
    /// Whether a place is inside, and not on the border.
    fn has_inside(&self, p: Point) -> bool {
        // As far from the middle as on a ring that is smaller by 4 %.
        contains(&self.ring, self.middle.plus(self.middle.to(p), 1.04))
    }
}

/// The land of a city.
#[derive(Debug)]
pub(super) struct Land {
    phases: [f64; 3],
    /// The middle of the river, from its source to the sea.
    river: Vec<Point>,
    /// The part of it in the city, with few points.
    course: Vec<Point>,
    pub parks: Vec<Park>,
    /// A pond in the largest park.
    pub pond: NamedRing,
}

impl Land {
    /// The land of a seed.
    pub fn new(random: &mut StdRng) -> Self {
        let phases = [0; 3].map(|_| random.random_range(0.0..std::f64::consts::TAU));
        let mut bends = RIVER;
        for bend in &mut bends[BENDS] {
            *bend = bend.plus(at(random.random_range(-1.0..1.0), random.random_range(-1.0..1.0)), 160.0);
        }
        let mut parks = Vec::new();
        for ((middle, half_length, half_width), (name, border)) in PARKS.into_iter().zip(names::PARKS) {
            let middle = middle.plus(at(random.random_range(-1.0..1.0), random.random_range(-1.0..1.0)), 90.0);
            let turn = random.random_range(-0.35..0.35);
            parks.push(Park { name, border, middle, ring: blob(middle, [half_length, half_width], turn, 3.4, random) });
        }
        let middle = mean(&parks[0].ring);
        let pond = NamedRing { name: names::POND, ring: blob(middle, [170.0, 95.0], 0.5, 2.0, random) };
        let river = smooth(&bends, 20);
        let near: Vec<Point> = river.iter().filter(|p| p.distance(MIDDLE) < 2.0 * HALF.y).copied().collect();
        Self { phases, course: simplified(&near, 3.0), river, parks, pond }
    }

    /// How far to the east the coast is at a latitude.
    fn coast_x(&self, y: f64) -> f64 {
        let south = ((-1_200.0 - y) / 4_600.0).clamp(0.0, 1.0);
        let bend = south * south * (3.0 - 2.0 * south);
        let [a, b, c] = self.phases;
        3_050.0 - 4_800.0 * bend
            + 170.0 * (y / 1_050.0 + a).sin()
            + 60.0 * (y / 390.0 + b).sin()
            + 22.0 * (y / 130.0 + c).sin()
    }

    /// The direction of the coast, northward.
    pub fn coast_direction(&self, y: f64) -> Point {
        at(self.coast_x(y + 30.0) - self.coast_x(y - 30.0), 60.0).unit()
    }

    /// The distance to the sea; negative in it. Exact near the coast.
    pub fn inland_m(&self, p: Point) -> f64 {
        (self.coast_x(p.y) - p.x) * self.coast_direction(p.y).y
    }

    /// The distance to the water of the river, negative in it, and the river's direction.
    pub fn river_m(&self, p: Point) -> (f64, Point) {
        let mut nearest = (f64::MAX, at(1.0, 0.0));
        for ends in self.course.windows(2) {
            let away_m = to_segment(p, ends[0], ends[1]);
            if away_m < nearest.0 {
                nearest = (away_m, ends[0].to(ends[1]));
            }
        }
        (nearest.0 - half_width(p.x), nearest.1.unit())
    }

    /// The line at a distance from the river's water, on its left (1) or right (-1) side.
    pub fn bank(&self, side: f64, away_m: f64) -> Vec<Point> {
        let direction = |i: usize| {
            let (before, after) = (i.saturating_sub(1), (i + 1).min(self.river.len() - 1));
            self.river[before].to(self.river[after]).unit()
        };
        let shifted = |(i, p): (usize, &Point)| p.plus(direction(i).left(), side * (half_width(p.x) + away_m));
        self.river.iter().enumerate().map(shifted).collect()
    }

    /// The water of the river.
    pub fn river(&self) -> NamedRing {
        let mut ring = self.bank(1.0, 0.0);
        ring.extend(self.bank(-1.0, 0.0).into_iter().rev());
        NamedRing { name: names::RIVER, ring }
    }

    /// The sea.
    pub fn sea(&self) -> NamedRing {
        let coast = |y| at(self.coast_x(y), y);
        let mut ring = vec![at(BEYOND_M, BEYOND_M), coast(BEYOND_M)];
        ring.extend(southward(MIDDLE.y + 2.0 * HALF.y, MIDDLE.y - 2.0 * HALF.y).map(coast));
        ring.extend([coast(-BEYOND_M), at(BEYOND_M, -BEYOND_M)]);
        NamedRing { name: names::SEA, ring }
    }

    /// The outline of the city, counterclockwise from its northern end: inland first, then along the coast at a distance.
    pub fn outline(&self, from_coast_m: f64) -> [Vec<Point>; 2] {
        let half = |y: f64| {
            let share = ((y - MIDDLE.y) / HALF.y).abs().min(1.0);
            HALF.x * (1.0 - share.powf(ROUNDNESS)).powf(ROUNDNESS.recip())
        };
        let shore = |y: f64| self.coast_x(y) - from_coast_m / self.coast_direction(y).y;
        // At the southern end the whole width is sea.
        let rows: Vec<f64> = southward(MIDDLE.y + FLAT * HALF.y, MIDDLE.y - FLAT * HALF.y)
            .filter(|y| MIDDLE.x - half(*y) < shore(*y))
            .collect();
        let west = rows.iter().map(|y| at(MIDDLE.x - half(*y), *y));
        let (mut inland, mut coastal) = (Vec::new(), Vec::new());
        for &y in rows.iter().rev() {
            let x = MIDDLE.x + half(y);
            if shore(y) < x { coastal.push(at(shore(y), y)) } else { inland.push(at(x, y)) }
        }
        let (southern, northern): (Vec<Point>, Vec<Point>) = inland.into_iter().partition(|p| p.y < MIDDLE.y);
        // From the coast in the north, around the west, to the coast in the south.
        let mut around = coastal.last().copied().into_iter().collect::<Vec<_>>();
        around.extend(northern);
        around.extend(west);
        around.extend(southern);
        around.extend(coastal.first());
        [around, coastal]
    }

    /// The outline up to the water, as one ring.
    pub fn ring(&self) -> Vec<Point> {
        let [mut ring, coastal] = self.outline(0.0);
        ring.extend(coastal);
        ring
    }

    /// Whether a place is within the outline, up to the promenade.
    pub fn is_inside(&self, p: Point) -> bool {
        let share = |away: f64, half: f64| (away / half).abs().powf(ROUNDNESS);
        share(p.x - MIDDLE.x, HALF.x) + share(p.y - MIDDLE.y, HALF.y) < EDGE
            && (p.y - MIDDLE.y).abs() < FLAT * HALF.y + EDGE_M
            && self.inland_m(p) > BANK_M - EDGE_M
    }

    /// Where no street is: outside the city and in the sea; only large roads cross the river and parks.
    pub fn is_blocked(&self, p: Point, is_bridge: bool) -> bool {
        !self.is_inside(p)
            || (!is_bridge && (self.river_m(p).0 < BANK_M - EDGE_M || self.parks.iter().any(|park| park.has_inside(p))))
    }

    /// The districts: each has the part of the city that is nearest to its middle.
    pub fn districts(&self) -> Vec<NamedRing> {
        let ring = self.ring();
        let others = |middle: Point| DISTRICTS.into_iter().filter(move |other| *other != middle);
        let part = |middle: Point| others(middle).fold(ring.clone(), |part, other| nearer_part(&part, middle, other));
        DISTRICTS
            .into_iter()
            .zip(names::DISTRICTS)
            .map(|(middle, name)| NamedRing { name, ring: part(middle) })
            .collect()
    }
}

/// Half the width of the river: it widens toward the sea.
fn half_width(x: f64) -> f64 {
    let share = ((x - MIDDLE.x + HALF.x) / (2.0 * HALF.x)).clamp(0.0, 1.2);
    HALF_WIDTH_M[0] + (HALF_WIDTH_M[1] - HALF_WIDTH_M[0]) * share * share
}

/// From one latitude to a more southern one.
fn southward(north: f64, south: f64) -> impl Iterator<Item = f64> {
    let steps = ((north - south) / STEP_M).ceil();
    std::iter::successors(Some(0.0), |step| Some(step + 1.0))
        .take_while(move |step| *step <= steps)
        .map(move |step| north + (south - north) * step / steps)
}

/// A rounded shape with a slightly irregular edge.
fn blob(middle: Point, half: [f64; 2], turn: f64, exponent: f64, random: &mut StdRng) -> Vec<Point> {
    let (along, across) = (Point::toward(turn), Point::toward(turn).left());
    let phase = random.random_range(0.0..std::f64::consts::TAU);
    let corners = 36;
    let corner = |number: u32| {
        let angle = f64::from(number) / f64::from(corners) * std::f64::consts::TAU;
        let rounded = |part: f64| part.signum() * part.abs().powf(2.0 / exponent);
        let uneven = 1.0 + 0.05 * (2.0 * angle + phase).sin() + 0.03 * (5.0 * angle + phase).sin();
        let [x, y] = [rounded(angle.cos()) * half[0] * uneven, rounded(angle.sin()) * half[1] * uneven];
        middle.plus(along, x).plus(across, y)
    };
    (0..corners).map(corner).collect()
}

/// The mean of points.
pub(super) fn mean(points: &[Point]) -> Point {
    let sum = points.iter().fold(at(0.0, 0.0), |sum, p| sum.plus(*p, 1.0));
    at(sum.x / points.len() as f64, sum.y / points.len() as f64)
}
