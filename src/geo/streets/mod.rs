//! The street graph: junctions and directed segments, and the fastest drives along them.
//!
//! A drive goes straight from its start to the nearest junction, along the fastest path, and straight to its end; off the streets at
//! [`URBAN_SPEED_KMH`]. A car on a street may also start along its street. `docs/decisions/street-graph.md` has the figures.

mod components;
pub mod file;
mod graph;
pub mod lines;
#[cfg(test)]
mod tests;
mod trees;

use rstar::primitives::{GeomWithData, Line};
use rstar::{PointDistance as _, RTree};

use self::graph::Graph;
pub use self::graph::{Junction, Segment};
use self::trees::{SharedTree, Trees};
use super::roads::{Leg, URBAN_SPEED_KMH};
use super::{Position, arc_m, chord_2, chord_2_between, distance_m};

/// The longest distance from a position to a junction in meters. A position farther away is not on the map.
///
/// No place of Manhattan is farther from a junction, not even in Central Park.
pub const OFF_MAP_M: f64 = 1_000.0;

/// The longest distance to the middle of a street in meters for a car on it: half a wide avenue, and the error of a receiver.
const ON_STREET_M: f64 = 20.0;

/// The longest straight drive between two positions of one block, in meters.
const BLOCK_M: f64 = 150.0;

/// The highest speed in meters per millisecond, 120 km/h, that counts for [`Streets::reach_m`]. Files have single short segments with
/// impossible speeds, and one of them must not make every driver a candidate.
const REACH_METERS_PER_MS_MAX: f64 = 120.0 / 3_600.0;

/// The most segments that a car may be on: both directions of a street, and those that meet at a crossing.
const SEGMENTS_MAX: usize = 8;

/// The share of the junctions, in percent, that must be able to reach each other.
pub const CONNECTED_PERCENT_MIN: usize = 90;

/// A directed street graph with its indexes. Answers are computed on demand. What is kept of them is bounded; beside it each [`Arrival`]
/// holds the search toward its junction while it exists.
#[derive(Debug)]
pub struct Streets {
    junctions: Vec<Position>,
    graph: Graph,
    /// The junctions that can reach each other, by unit vector.
    by_junction: RTree<GeomWithData<[f64; 3], Junction>>,
    /// The segments between them, as chords of the unit sphere.
    by_segment: RTree<GeomWithData<Line<[f64; 3]>, u32>>,
    trees: Trees,
    /// The highest straight-line speed of a segment.
    top_meters_per_ms: f64,
}

/// Why streets are no usable map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidStreets {
    /// There is no street.
    #[error("there are no streets")]
    Empty,
    /// Too many junctions cannot reach the others.
    #[error(
        "the streets are not connected: at most {connected} of {all} junctions can reach each other, and {CONNECTED_PERCENT_MIN} % must"
    )]
    Disconnected {
        /// The size of the largest part whose junctions can reach each other.
        connected: usize,
        /// The number of junctions.
        all: usize,
    },
}

/// Where a drive can start: how each way to the streets begins.
#[derive(Debug, Clone)]
pub struct Departure {
    position: Position,
    /// The unit vector of the position.
    here: [f64; 3],
    /// The distance to the nearest junction, meters.
    straight_m: f64,
    starts: Vec<Start>,
}

/// A way from a position to a junction.
#[derive(Debug, Clone, Copy)]
struct Start {
    junction: Junction,
    ms: u32,
    meters: f64,
}

/// Where a drive ends. It shares the times of all drives to the same junction.
#[derive(Debug, Clone)]
pub struct Arrival {
    position: Position,
    /// The unit vector of the position.
    here: [f64; 3],
    /// The distance from the nearest junction, meters.
    straight_m: f64,
    tree: SharedTree,
}

impl Streets {
    /// Builds the graph and its indexes. The junctions of segments must exist. O(n log n).
    ///
    /// # Errors
    /// If there is no street, or if too few junctions can reach each other.
    pub fn new(junctions: Vec<Position>, segments: Vec<Segment>) -> Result<Self, InvalidStreets> {
        if segments.is_empty() {
            return Err(InvalidStreets::Empty);
        }
        let graph = Graph::new(junctions.len(), segments);
        let is_connected = components::largest(&graph);
        let connected = is_connected.iter().filter(|is_connected| **is_connected).count();
        if connected * 100 < junctions.len() * CONNECTED_PERCENT_MIN {
            return Err(InvalidStreets::Disconnected { connected, all: junctions.len() });
        }
        let vectors: Vec<[f64; 3]> = junctions.iter().map(|place| place.unit_vector()).collect();
        let points = vectors.iter().zip(0..).filter(|(_, junction)| is_connected[*junction as usize]);
        let points = points.map(|(vector, junction)| GeomWithData::new(*vector, junction)).collect();
        let inner = graph.segments().iter().zip(0..);
        let inner = inner.filter(|(s, _)| is_connected[s.from as usize] && is_connected[s.to as usize]);
        let chord = |s: &Segment| Line::new(vectors[s.from as usize], vectors[s.to as usize]);
        let chords = inner.map(|(segment, number)| GeomWithData::new(chord(segment), number)).collect();
        let straight_m = |s: &Segment| distance_m(junctions[s.from as usize], junctions[s.to as usize]);
        let speeds = graph.segments().iter().map(|segment| straight_m(segment) / f64::from(segment.ms));
        Ok(Self {
            top_meters_per_ms: speeds.fold(0.0, f64::max),
            by_junction: RTree::bulk_load(points),
            by_segment: RTree::bulk_load(chords),
            trees: Trees::new(junctions.len()),
            junctions,
            graph,
        })
    }

    /// Returns the number of junctions and of directed segments.
    pub fn size(&self) -> (usize, usize) {
        (self.junctions.len(), self.graph.segments().len())
    }

    /// Returns the smallest and largest latitude, and the smallest and largest longitude, of the junctions.
    pub fn bounds(&self) -> [(f64, f64); 2] {
        let range = |of: fn(Position) -> f64| {
            let degrees = self.junctions.iter().map(|place| of(*place));
            degrees.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)))
        };
        [range(Position::lat), range(Position::lon)]
    }

    /// Returns a great-circle distance in meters that no drive along the streets of this duration exceeds, at 120 km/h at most.
    pub fn reach_m(&self, ms: i64) -> f64 {
        self.top_meters_per_ms.min(REACH_METERS_PER_MS_MAX).max(off_street_meters_per_ms()) * ms as f64
    }

    /// Returns how drives from a position start; `None` off the map. O(log n).
    pub fn departure(&self, position: Position) -> Option<Departure> {
        let here = position.unit_vector();
        let (junction, straight_m) = self.nearest(&here)?;
        let mut starts = vec![Start { junction, ms: off_street_ms(straight_m), meters: straight_m }];
        for (away_m, leaf) in self.streets_at(&here) {
            let segment = self.graph.segments()[leaf.data as usize];
            let left = 1.0 - share(leaf.geom(), &here);
            starts.push(Start {
                junction: segment.to,
                ms: off_street_ms(away_m).saturating_add((f64::from(segment.ms) * left).ceil() as u32),
                meters: away_m + segment.length_m * left,
            });
        }
        Some(Departure { position, here, straight_m, starts })
    }

    /// Returns how drives to a position end; `None` off the map. O(log n).
    pub fn arrival(&self, position: Position) -> Option<Arrival> {
        let here = position.unit_vector();
        let (junction, straight_m) = self.nearest(&here)?;
        Some(Arrival { position, here, straight_m, tree: self.trees.to(junction) })
    }

    /// Returns the duration of the fastest drive in milliseconds; `None` if it is longer than `max_ms`.
    ///
    /// The first drive to a junction searches backward from it, as far as the start. Later ones continue from there: O(1) for what was
    /// reached before.
    pub fn duration_ms(&self, from: &Departure, to: &Arrival, max_ms: u32) -> Option<u32> {
        self.fastest(from, to, max_ms).map(|(ms, _)| ms)
    }

    /// Returns length and duration of the fastest drive.
    pub fn leg(&self, from: &Departure, to: &Arrival) -> Option<Leg> {
        let (ms, start) = self.fastest(from, to, u32::MAX)?;
        let meters = match start {
            None => arc_m(&from.here, &to.here),
            Some(start) => start.meters + to.tree.lock().meters_from(&self.graph, start.junction) + to.straight_m,
        };
        Some(Leg { distance_m: meters.round() as i64, duration_s: i64::from(ms.div_ceil(1_000)) })
    }

    /// Returns the positions along the fastest drive, from its start to its end: at most two more than there are junctions.
    pub fn path(&self, from: &Departure, to: &Arrival) -> Option<Vec<Position>> {
        let (_, start) = self.fastest(from, to, u32::MAX)?;
        let mut path = vec![from.position];
        if let Some(start) = start {
            path.push(self.junctions[start.junction as usize]);
            let tree = to.tree.lock();
            path.extend(tree.segments_from(&self.graph, start.junction).map(|s| self.junctions[s.to as usize]));
        }
        path.push(to.position);
        Some(path)
    }

    /// Returns the duration, and the start on the streets; without one, the drive is straight.
    fn fastest(&self, from: &Departure, to: &Arrival, max_ms: u32) -> Option<(u32, Option<Start>)> {
        // Within a block the direct line is shorter than the detour to a corner. There a chord is as long as its arc, to a few nanometers.
        let direct_m = chord_2_between(&from.here, &to.here).sqrt() * super::EARTH_RADIUS_M;
        let is_within_block = direct_m <= BLOCK_M && direct_m <= from.straight_m + to.straight_m;
        let direct = is_within_block.then(|| (off_street_ms(direct_m), None));
        let last_ms = off_street_ms(to.straight_m);
        let mut tree = to.tree.lock();
        let mut best = direct.filter(|(ms, _)| *ms <= max_ms);
        for start in &from.starts {
            let longest_ms = best.map_or(max_ms, |(ms, _)| ms);
            let off_tree_ms = start.ms.saturating_add(last_ms);
            let Some(left_ms) = longest_ms.checked_sub(off_tree_ms) else { continue };
            let found = tree.ms_from(&self.graph, start.junction, left_ms);
            best = found.map(|ms| (ms.saturating_add(off_tree_ms), Some(*start))).or(best);
        }
        best
    }

    /// Returns the segments that a car at this place may be on, nearest first, with their distances in meters. The two directions of a
    /// street have equal distances.
    fn streets_at(&self, here: &[f64; 3]) -> impl Iterator<Item = (f64, &GeomWithData<Line<[f64; 3]>, u32>)> {
        let reach_2 = (ON_STREET_M / super::EARTH_RADIUS_M).powi(2);
        let near = self.by_segment.locate_within_distance(*here, reach_2);
        let mut near: Vec<_> = near.map(|leaf| (leaf.distance_2(here).sqrt() * super::EARTH_RADIUS_M, leaf)).collect();
        near.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.data.cmp(&b.1.data)));
        let nearest_m = near.first().map_or(0.0, |(away_m, _)| *away_m);
        near.into_iter().take_while(move |(away_m, _)| *away_m <= nearest_m + 0.5).take(SEGMENTS_MAX)
    }

    /// Returns the nearest junction and its distance in meters.
    fn nearest(&self, here: &[f64; 3]) -> Option<(Junction, f64)> {
        let leaf = self.by_junction.nearest_neighbor(*here)?;
        let is_near = leaf.geom().distance_2(here) <= chord_2(OFF_MAP_M);
        is_near.then(|| (leaf.data, arc_m(leaf.geom(), here)))
    }
}

fn off_street_meters_per_ms() -> f64 {
    URBAN_SPEED_KMH as f64 / 3_600.0
}

fn off_street_ms(meters: f64) -> u32 {
    (meters / off_street_meters_per_ms()).ceil() as u32
}

/// Returns the share of a chord before the point nearest to `here`, 0 to 1.
fn share(chord: &Line<[f64; 3]>, here: &[f64; 3]) -> f64 {
    let (mut along, mut length_2) = (0.0, 0.0);
    for (here, (from, to)) in here.iter().zip(chord.from.iter().zip(&chord.to)) {
        along += (here - from) * (to - from);
        length_2 += (to - from) * (to - from);
    }
    if length_2 > 0.0 { (along / length_2).clamp(0.0, 1.0) } else { 0.0 }
}
