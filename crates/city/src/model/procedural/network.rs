//! Roads become a network: they are cut where they cross, and dead ends are removed.

use std::collections::{BTreeMap, HashMap};

use super::plane::{Point, crossing};
use crate::streets::RoadClass;

/// Crossings nearer than this are one junction.
const MERGE_M: f64 = 16.0;
/// The side of a cell of the index.
const CELL_M: f64 = 120.0;

/// A road before it is cut.
#[derive(Debug, Clone)]
pub(super) struct PlannedRoad {
    pub class: RoadClass,
    pub line: Vec<Point>,
    /// Whether it crosses the river.
    pub has_bridges: bool,
    pub name: Option<&'static str>,
}

/// Junctions, and the pieces of roads between them.
#[derive(Debug, Default)]
pub(super) struct Network {
    pub junctions: Vec<Point>,
    /// By the two ends, the smaller one first.
    pub pieces: BTreeMap<(u32, u32), Piece>,
}

/// A piece of a road.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece {
    /// The number of its road.
    pub road: usize,
    /// Whether the road goes from the smaller to the larger junction.
    pub is_forward: bool,
}

/// A cell of a square grid.
type Cell = (i32, i32);

#[allow(clippy::cast_possible_truncation, reason = "cities are smaller than 2^31 cells")]
fn cell(p: Point, side_m: f64) -> Cell {
    ((p.x / side_m).floor() as i32, (p.y / side_m).floor() as i32)
}

/// Gives equal numbers to places that are near each other.
#[derive(Debug, Default)]
struct Places {
    places: Vec<Point>,
    by_cell: HashMap<Cell, Vec<u32>>,
}

impl Places {
    fn number(&mut self, p: Point) -> u32 {
        let (x, y) = cell(p, MERGE_M);
        let around = (x - 1..=x + 1).flat_map(|x| (y - 1..=y + 1).map(move |y| (x, y)));
        let near = around.filter_map(|cell| self.by_cell.get(&cell)).flatten();
        let away = |number: &&u32| self.places[**number as usize].distance(p);
        let nearest = near.min_by(|a, b| away(a).total_cmp(&away(b))).filter(|number| away(number) < MERGE_M);
        if let Some(number) = nearest {
            return *number;
        }
        let number = u32::try_from(self.places.len()).unwrap_or(u32::MAX);
        self.places.push(p);
        self.by_cell.entry((x, y)).or_default().push(number);
        number
    }
}

/// The straight pieces of all roads, by the cells that they touch.
struct Pieces {
    /// The ends, and the road.
    all: Vec<([Point; 2], usize)>,
    by_cell: HashMap<Cell, Vec<usize>>,
}

impl Pieces {
    fn of(roads: &[PlannedRoad]) -> Self {
        let ends = |road: &PlannedRoad| road.line.windows(2).map(|ends| [ends[0], ends[1]]).collect::<Vec<_>>();
        let all: Vec<_> =
            roads.iter().zip(0..).flat_map(|(road, r)| ends(road).into_iter().map(move |e| (e, r))).collect();
        let mut by_cell: HashMap<Cell, Vec<usize>> = HashMap::new();
        for ((ends, _), number) in all.iter().zip(0..) {
            for cell in touched(*ends) {
                by_cell.entry(cell).or_default().push(number);
            }
        }
        Self { all, by_cell }
    }

    /// Where other pieces cross this one, as sorted shares, with both ends.
    fn cuts(&self, number: usize) -> Vec<f64> {
        let (ends, _) = self.all[number];
        let near = touched(ends).filter_map(|cell| self.by_cell.get(&cell)).flatten();
        let others = near.filter(|other| **other != number);
        let mut shares: Vec<f64> = others.filter_map(|other| Some(crossing(ends, self.all[*other].0)?[0])).collect();
        shares.extend([0.0, 1.0]);
        shares.sort_by(f64::total_cmp);
        shares.dedup();
        shares
    }
}

fn touched(ends: [Point; 2]) -> impl Iterator<Item = Cell> {
    let [a, b] = ends.map(|p| cell(p, CELL_M));
    let (columns, rows) = (a.0.min(b.0)..=a.0.max(b.0), a.1.min(b.1)..=a.1.max(b.1));
    columns.flat_map(move |x| rows.clone().map(move |y| (x, y)))
}

impl Network {
    /// Cuts the roads where they cross. Leaves out pieces whose middle is blocked; then dead ends and what is not connected.
    pub fn new(roads: &[PlannedRoad], is_blocked: impl Fn(Point, bool) -> bool) -> Self {
        let mut places = Places::default();
        let mut pieces: BTreeMap<(u32, u32), Piece> = BTreeMap::new();
        let cut = Pieces::of(roads);
        // Junctions of large roads first: smaller ones move to them.
        for number in 0..cut.all.len() {
            let (ends, road) = cut.all[number];
            let place = |share: f64| ends[0].plus(ends[0].to(ends[1]), share);
            for shares in cut.cuts(number).windows(2) {
                if is_blocked(place(f64::midpoint(shares[0], shares[1])), roads[road].has_bridges) {
                    continue;
                }
                let [a, b] = [shares[0], shares[1]].map(|share| places.number(place(share)));
                if a != b {
                    pieces.entry((a.min(b), a.max(b))).or_insert(Piece { road, is_forward: a < b });
                }
            }
        }
        let mut network = Self { junctions: places.places, pieces };
        network.remove_dead_ends();
        network.keep_largest_part();
        network
    }

    fn degrees(&self) -> Vec<u32> {
        let mut degrees = vec![0; self.junctions.len()];
        for (a, b) in self.pieces.keys() {
            degrees[*a as usize] += 1;
            degrees[*b as usize] += 1;
        }
        degrees
    }

    fn remove_dead_ends(&mut self) {
        loop {
            let degrees = self.degrees();
            let before = self.pieces.len();
            self.pieces.retain(|(a, b), _| degrees[*a as usize] > 1 && degrees[*b as usize] > 1);
            if self.pieces.len() == before {
                return;
            }
        }
    }

    /// Keeps the junctions that most others can be reached from, along pieces in any direction.
    fn keep_largest_part(&mut self) {
        let part = largest_part(self.junctions.len(), self.pieces.keys().copied());
        let mut numbers = vec![None; self.junctions.len()];
        let mut kept = Vec::new();
        for (junction, is_kept) in part.into_iter().enumerate() {
            if is_kept {
                numbers[junction] = u32::try_from(kept.len()).ok();
                kept.push(self.junctions[junction]);
            }
        }
        // The order of the numbers stays.
        let renumbered =
            |((a, b), piece): (&(u32, u32), &Piece)| Some(((numbers[*a as usize]?, numbers[*b as usize]?), *piece));
        self.pieces = self.pieces.iter().filter_map(renumbered).collect();
        self.junctions = kept;
    }
}

/// The junctions of the largest part, if edges go both ways.
fn largest_part(junctions: usize, edges: impl Iterator<Item = (u32, u32)>) -> Vec<bool> {
    let mut next = vec![Vec::new(); junctions];
    for (a, b) in edges {
        next[a as usize].push(b);
        next[b as usize].push(a);
    }
    let mut parts = vec![0_u32; junctions];
    let mut sizes = vec![0_u32];
    for start in 0..junctions {
        if parts[start] != 0 || next[start].is_empty() {
            continue;
        }
        let part = u32::try_from(sizes.len()).unwrap_or(u32::MAX);
        sizes.push(0);
        parts[start] = part;
        let mut open = vec![start];
        while let Some(here) = open.pop() {
            sizes[part as usize] += 1;
            for &there in &next[here] {
                if parts[there as usize] == 0 {
                    parts[there as usize] = part;
                    open.push(there as usize);
                }
            }
        }
    }
    let largest = (1..sizes.len()).max_by_key(|part| sizes[*part]).unwrap_or(usize::MAX);
    parts.into_iter().map(|part| part as usize == largest).collect()
}

#[cfg(test)]
mod tests {
    use super::super::plane::at;
    use super::*;

    fn road(class: RoadClass, line: &[Point]) -> PlannedRoad {
        PlannedRoad { class, line: line.to_vec(), has_bridges: false, name: None }
    }

    #[test]
    fn roads_are_cut_where_they_cross_and_dead_ends_are_removed() {
        // A square with arms that go beyond it.
        let line = |a: (f64, f64), b: (f64, f64)| road(RoadClass::Street, &[at(a.0, a.1), at(b.0, b.1)]);
        let roads = [
            line((-90.0, 0.0), (500.0, 0.0)),
            line((-90.0, 400.0), (500.0, 400.0)),
            line((0.0, -90.0), (0.0, 500.0)),
            line((400.0, -90.0), (400.0, 500.0)),
        ];
        let network = Network::new(&roads, |_, _| false);
        assert_eq!((network.junctions.len(), network.pieces.len()), (4, 4));
        let blocked = Network::new(&roads, |p, _| p.y > 390.0);
        assert_eq!(blocked.pieces.len(), 0, "what is left has only dead ends");
    }
}
