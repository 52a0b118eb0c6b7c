//! The directions of the streets, and lines along them.
//!
//! At each place two directions cross: one along the water, or as the district has it, and one across. Streets are lines that follow one
//! of the two, at a distance from the others of their kind. After G. Chen et al. (2008), *Interactive procedural street modeling*,
//! ACM Transactions on Graphics 27, and B. Jobard and W. Lefer (1997), *Creating evenly-spaced streamlines of arbitrary density*.

use std::collections::{HashMap, VecDeque};

use super::land::Land;
use super::plane::{Point, at, to_segment};

/// The length of a step along a street.
const STEP_M: f64 = 20.0;
/// A street ends where another one of its direction is nearer than this share of their distance.
const ENDS_AT: f64 = 0.55;
/// The longest street in steps, in each direction. The city is smaller.
const STEPS_MAX: usize = 700;
/// From there it goes on for this share of the distance, to meet the next one across.
const GOES_ON: f64 = 1.4;
/// A line that comes this near to its start after this number of steps is a ring.
const RING_GAP_M: f64 = 50.0;
const RING_STEPS_MIN: usize = 12;
/// How far a large road turns the streets.
const AXIS_M: f64 = 260.0;
/// The side of a cell of the index of lines.
const CELL_M: f64 = 100.0;

/// A district's direction: `angle` around `middle`, or away from it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Influence {
    pub middle: Point,
    pub radius_m: f64,
    /// Radians; `None`: rings and spokes around the middle.
    pub angle: Option<f64>,
}

/// Along the first direction, or across.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Along,
    Across,
}

impl Family {
    pub const BOTH: [Self; 2] = [Self::Along, Self::Across];
}

/// The directions of all places, computed on a grid: a place has those of the four grid points around it, by their distance.
#[derive(Debug)]
pub(super) struct Field {
    /// Sums of unit vectors of double angles.
    grid: Vec<Point>,
}

/// The grid: its south-western corner, the side of its cells, and their number in each direction.
const CORNER: Point = at(-5_200.0, -6_600.0);
const GRID_M: f64 = 80.0;
const GRID_CELLS: usize = 132;

impl Field {
    /// The field of a land with influences, and along `axes`: the large roads.
    pub fn new(land: &Land, influences: &[Influence], axes: &[Vec<Point>]) -> Self {
        let place = |number: usize| {
            let (row, column) = (number / GRID_CELLS, number % GRID_CELLS);
            CORNER.plus(at(column as f64, row as f64), GRID_M)
        };
        let mut grid: Vec<Point> =
            (0..GRID_CELLS * GRID_CELLS).map(|number| double_direction(land, influences, place(number))).collect();
        for ends in axes.iter().flat_map(|axis| axis.windows(2)) {
            let along = doubled(ends[0].to(ends[1]));
            for number in near(ends) {
                let away_m = to_segment(place(number), ends[0], ends[1]);
                if away_m < AXIS_M {
                    // A quarter turn reverses the vector: an axis that is nearly across counts as along.
                    let sign = if along.dot(grid[number]) < 0.0 { -1.0 } else { 1.0 };
                    grid[number] = grid[number].plus(along, sign * 0.5 * (1.0 - away_m / AXIS_M));
                }
            }
        }
        Self { grid }
    }

    /// The direction at a place: a unit vector, whose sign has no meaning.
    pub fn direction(&self, p: Point, family: Family) -> Point {
        let ((column, east), (row, north)) = (cell_of(p.x - CORNER.x), cell_of(p.y - CORNER.y));
        let corner =
            |row: usize, column: usize, share: f64| at(0.0, 0.0).plus(self.grid[row * GRID_CELLS + column], share);
        let sum = corner(row, column, (1.0 - north) * (1.0 - east))
            .plus(corner(row, column + 1, (1.0 - north) * east), 1.0)
            .plus(corner(row + 1, column, north * (1.0 - east)), 1.0)
            .plus(corner(row + 1, column + 1, north * east), 1.0);
        let along = Point::toward(sum.y.atan2(sum.x) / 2.0);
        if family == Family::Along { along } else { along.left() }
    }

    /// The family whose direction a vector is nearer to.
    fn family_of(&self, p: Point, direction: Point) -> Family {
        let along = self.direction(p, Family::Along).dot(direction).abs();
        if along > std::f64::consts::FRAC_1_SQRT_2 { Family::Along } else { Family::Across }
    }
}

/// The cell of a coordinate, relative to the grid's corner, and the share of the cell before it.
fn cell_of(meters: f64) -> (usize, f64) {
    let cells = (meters / GRID_M).clamp(0.0, GRID_CELLS as f64 - 1.001);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the grid")]
    (cells as usize, cells.fract())
}

/// The grid points that an axis may turn.
fn near(ends: &[Point]) -> impl Iterator<Item = usize> {
    let range = |a: f64, b: f64| cell_of(a.min(b) - AXIS_M).0..=cell_of(a.max(b) + AXIS_M).0;
    let columns = range(ends[0].x - CORNER.x, ends[1].x - CORNER.x);
    let rows = range(ends[0].y - CORNER.y, ends[1].y - CORNER.y);
    rows.flat_map(move |row| columns.clone().map(move |column| row * GRID_CELLS + column))
}

/// The unit vector of the double angle of a direction, which is the same for both signs.
fn doubled(direction: Point) -> Point {
    Point::toward(2.0 * direction.y.atan2(direction.x))
}

/// The direction at a place by districts and water, as the vector of its double angle.
fn double_direction(land: &Land, influences: &[Influence], p: Point) -> Point {
    let mut sum = at(0.0, 0.0);
    for influence in influences {
        let away = influence.middle.to(p);
        let weight = (-(away.length() / influence.radius_m).powi(2)).exp() + 1e-4;
        sum = sum.plus(influence.angle.map_or_else(|| doubled(away), |angle| Point::toward(2.0 * angle)), weight);
    }
    let (river_m, along_river) = land.river_m(p);
    let shore = land.coast_direction(p.y);
    sum.plus(doubled(along_river), 1.7 * (-river_m.max(0.0) / 380.0).exp())
        .plus(doubled(shore), 1.7 * (-land.inland_m(p).max(0.0) / 420.0).exp())
}

/// The lines so far, for their distances.
#[derive(Debug, Default)]
pub(super) struct Lines {
    cells: HashMap<(i32, i32), Vec<(Point, Family)>>,
}

#[allow(clippy::cast_possible_truncation, reason = "cities are smaller than 2^31 cells")]
fn cell(p: Point) -> (i32, i32) {
    ((p.x / CELL_M).floor() as i32, (p.y / CELL_M).floor() as i32)
}

impl Lines {
    /// Adds a line whose pieces belong to the families that they follow.
    pub fn add_free(&mut self, field: &Field, line: &[Point]) {
        for ends in line.windows(2) {
            let length_m = ends[0].distance(ends[1]);
            let mut done_m = 0.0;
            while done_m < length_m {
                let p = ends[0].plus(ends[0].to(ends[1]), done_m / length_m);
                let family = field.family_of(p, ends[0].to(ends[1]).unit());
                self.cells.entry(cell(p)).or_default().push((p, family));
                done_m += STEP_M;
            }
        }
    }

    fn add(&mut self, line: &[Point], family: Family) {
        for &p in line {
            self.cells.entry(cell(p)).or_default().push((p, family));
        }
    }

    /// Whether a line of the family is nearer than a distance.
    fn is_near(&self, p: Point, family: Family, distance_m: f64) -> bool {
        #[allow(clippy::cast_possible_truncation, reason = "at most some hundred meters")]
        let reach = (distance_m / CELL_M).ceil() as i32;
        let (column, row) = cell(p);
        let cells = (column - reach..=column + reach).flat_map(|x| (row - reach..=row + reach).map(move |y| (x, y)));
        let mut points = cells.filter_map(|cell| self.cells.get(&cell)).flatten();
        points.any(|(other, its)| *its == family && other.distance(p) < distance_m)
    }
}

/// Fills the city with lines of both families at the distances that `apart_m` gives, and adds them to `lines`.
pub(super) fn fill(
    field: &Field,
    lines: &mut Lines,
    first: &[Point],
    is_inside: impl Fn(Point) -> bool,
    apart_m: impl Fn(Point, Family) -> f64,
) -> Vec<Vec<Point>> {
    let mut found = Vec::new();
    for family in Family::BOTH {
        let mut open: VecDeque<Point> = first.iter().copied().collect();
        while let Some(start) = open.pop_front() {
            if !is_inside(start) || lines.is_near(start, family, 0.98 * apart_m(start, family)) {
                continue;
            }
            let left_m = |p: Point| {
                let apart = apart_m(p, family);
                lines.is_near(p, family, ENDS_AT * apart).then_some(GOES_ON * apart)
            };
            let line = trace(field, family, start, &is_inside, left_m);
            lines.add(&line, family);
            let mut since_m = f64::MAX;
            for ends in line.windows(2) {
                since_m += ends[0].distance(ends[1]);
                let apart = apart_m(ends[0], family);
                if since_m > apart {
                    since_m = 0.0;
                    let beside = ends[0].to(ends[1]).unit().left();
                    open.extend([1.0, -1.0].map(|side| ends[0].plus(beside, side * apart)));
                }
            }
            found.push(line);
        }
    }
    found
}

/// The line through a place. It ends outside the city, and `left_m` after the first place where that is known.
fn trace(
    field: &Field,
    family: Family,
    start: Point,
    is_inside: impl Fn(Point) -> bool,
    left_m: impl Fn(Point) -> Option<f64>,
) -> Vec<Point> {
    let mut line = vec![start];
    for sign in [1.0, -1.0] {
        let mut here = start;
        let mut heading = at(0.0, 0.0).plus(field.direction(start, family), sign);
        let mut left: Option<f64> = None;
        for step in 0..STEPS_MAX {
            let ahead = |p: Point, heading: Point| {
                let direction = field.direction(p, family);
                if direction.dot(heading) < 0.0 { at(-direction.x, -direction.y) } else { direction }
            };
            // The midpoint method.
            let middle = here.plus(ahead(here, heading), STEP_M / 2.0);
            heading = ahead(middle, heading);
            here = here.plus(heading, STEP_M);
            line.push(here);
            if step > RING_STEPS_MIN && here.distance(start) < RING_GAP_M {
                line.push(start);
                return line;
            }
            left = left.map(|meters| meters - STEP_M).or_else(|| left_m(here));
            if !is_inside(here) || left.is_some_and(|meters| meters < 0.0) {
                break;
            }
        }
        line.reverse();
    }
    line
}
