//! The street graph: junctions and directed segments, and the fastest path.

mod lines;
mod osmnx;
mod road_network;
mod roads;
mod route;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use rstar::RTree;
use rstar::primitives::GeomWithData;

use crate::position::Position;

pub(crate) use osmnx::read as read_road_network;
pub use road_network::RoadNetwork;
pub(crate) use roads::{Road, RoadClass};
pub(crate) use route::Route;

/// The speed off the streets, and between unconnected parts of the map.
pub(crate) const OFF_STREET_METERS_PER_S: f64 = 25.0 / 3.6;

/// The number of a junction in its [`Streets`].
pub(crate) type Junction = u32;

/// One direction of a street between two junctions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Segment {
    pub from: Junction,
    pub to: Junction,
    /// The length along the street. May be below the straight distance in an incorrect map.
    pub length_m: f64,
    pub travel_s: f64,
}

/// A directed street graph. Empty for a scenario without a map: then every route is a straight line.
///
/// Searches are not cached: one in Manhattan (4,197 junctions) takes 0.2 ms, and a day needs 20,000.
#[derive(Debug)]
pub(crate) struct Streets {
    junctions: Vec<Position>,
    /// Sorted by `from`: those from junction `j` are `segments[first[j]..first[j + 1]]`.
    segments: Vec<Segment>,
    first: Vec<usize>,
    /// The junctions by unit vector: the nearest by chord is the nearest on the ground.
    index: RTree<GeomWithData<[f64; 3], Junction>>,
    /// The highest straight-line speed of a segment.
    top_meters_per_ms: f64,
    /// Empty if the map has no roads.
    roads: Vec<Road>,
    /// The number of the road by the two ends of its segments, the smaller one first.
    road_numbers: BTreeMap<(Junction, Junction), usize>,
}

impl Streets {
    /// Builds the graph. Segments must have existing junctions, and finite, non-negative numbers.
    pub fn new(junctions: Vec<Position>, mut segments: Vec<Segment>) -> Self {
        segments.sort_by_key(|segment| segment.from);
        let first = (0..=junctions.len()).map(|j| segments.partition_point(|s| (s.from as usize) < j)).collect();
        let points = junctions.iter().zip(0..).map(|(place, j)| GeomWithData::new(place.unit_vector(), j)).collect();
        let straight_m = |s: &Segment| junctions[s.from as usize].meters_to(junctions[s.to as usize]);
        let top_meters_per_ms =
            segments.iter().map(|s| straight_m(s) / f64::from(s.cost_ms())).fold(f64::MIN_POSITIVE, f64::max);
        Self {
            junctions,
            segments,
            first,
            index: RTree::bulk_load(points),
            top_meters_per_ms,
            roads: Vec::new(),
            road_numbers: BTreeMap::new(),
        }
    }

    /// The same streets with roads: their numbers by the two ends of segments, the smaller one first.
    pub fn with_roads(self, roads: Vec<Road>, road_numbers: BTreeMap<(Junction, Junction), usize>) -> Self {
        Self { roads, road_numbers, ..self }
    }

    /// The road between two neighboring junctions.
    pub fn road(&self, a: Junction, b: Junction) -> Option<&Road> {
        self.roads.get(*self.road_numbers.get(&(a.min(b), a.max(b)))?)
    }

    /// A map without streets.
    pub fn none() -> Self {
        Self::new(Vec::new(), Vec::new())
    }

    pub fn junctions(&self) -> &[Position] {
        &self.junctions
    }

    #[cfg(test)]
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The junction nearest to a position; `None` only without streets.
    pub fn nearest(&self, place: Position) -> Option<Junction> {
        self.index.nearest_neighbor(place.unit_vector()).map(|point| point.data)
    }

    /// The fastest segment from one junction straight to another.
    pub fn between(&self, from: Junction, to: Junction) -> Option<&Segment> {
        self.leaving(from).iter().filter(|segment| segment.to == to).min_by_key(|segment| segment.cost_ms())
    }

    pub fn leaving(&self, junction: Junction) -> &[Segment] {
        let junction = junction as usize;
        &self.segments[self.first[junction]..self.first[junction + 1]]
    }

    /// The fastest path between two junctions, by travel time; `None` if there is none.
    ///
    /// A* with the straight line at the top speed as its heuristic. Costs are whole milliseconds, which have a total order.
    /// O(n log n) in the segments.
    pub fn fastest(&self, from: Junction, to: Junction) -> Option<Vec<Segment>> {
        const UNSEEN: u64 = u64::MAX;
        let goal = self.junctions[to as usize];
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "rounded down on purpose; not negative"
        )]
        let left_ms = |j: Junction| (self.junctions[j as usize].meters_to(goal) / self.top_meters_per_ms) as u64;

        let mut best_ms = vec![UNSEEN; self.junctions.len()];
        let mut arrived_by: Vec<Option<Segment>> = vec![None; self.junctions.len()];
        let mut open = BinaryHeap::from([Reverse((left_ms(from), 0_u64, from))]);
        best_ms[from as usize] = 0;
        while let Some(Reverse((_, spent_ms, here))) = open.pop() {
            if here == to {
                return Some(trace(&arrived_by, from, to));
            }
            if spent_ms > best_ms[here as usize] {
                continue;
            }
            for segment in self.leaving(here) {
                let there_ms = spent_ms + u64::from(segment.cost_ms());
                let known_ms = &mut best_ms[segment.to as usize];
                if there_ms < *known_ms {
                    *known_ms = there_ms;
                    arrived_by[segment.to as usize] = Some(*segment);
                    open.push(Reverse((there_ms + left_ms(segment.to), there_ms, segment.to)));
                }
            }
        }
        None
    }
}

impl Segment {
    /// The travel time in whole milliseconds, rounded up and never zero, so that the heuristic stays below it.
    pub fn cost_ms(&self) -> u32 {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast from float saturates")]
        ((self.travel_s * 1000.0).ceil() as u32).max(1)
    }
}

/// The path that the search has found, in driving order.
fn trace(arrived_by: &[Option<Segment>], from: Junction, to: Junction) -> Vec<Segment> {
    let back = |junction: Junction| arrived_by[junction as usize].filter(|_| junction != from);
    let mut path: Vec<Segment> = std::iter::successors(back(to), |segment| back(segment.from)).collect();
    path.reverse();
    path
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    /// A small map with random segments and travel times.
    fn small_map() -> impl Strategy<Value = Streets> {
        (2_u32..12).prop_flat_map(|n| {
            let places = prop::collection::vec((-0.01..0.01_f64, -0.01..0.01_f64), n as usize);
            let segments = prop::collection::vec((0..n, 0..n, 0.0..300.0_f64), 0..40);
            (places, segments).prop_map(|(places, segments)| {
                let junctions = places.into_iter().map(|(lat, lon)| Position { lat, lon }).collect();
                let segment = |(from, to, travel_s)| Segment { from, to, length_m: 100.0, travel_s };
                Streets::new(junctions, segments.into_iter().map(segment).collect())
            })
        })
    }

    /// The least costs from a junction, by the Bellman-Ford algorithm.
    fn least_ms(streets: &Streets, from: Junction) -> Vec<Option<u64>> {
        let mut least = vec![None; streets.junctions().len()];
        least[from as usize] = Some(0);
        for _ in streets.junctions() {
            for segment in streets.segments() {
                if let Some(spent) = least[segment.from as usize] {
                    let there = spent + u64::from(segment.cost_ms());
                    let known = &mut least[segment.to as usize];
                    *known = Some(known.map_or(there, |k: u64| k.min(there)));
                }
            }
        }
        least
    }

    proptest! {
        #[test]
        fn fastest_path_has_the_least_cost(streets in small_map()) {
            let n = u32::try_from(streets.junctions().len()).unwrap();
            for from in 0..n {
                let least = least_ms(&streets, from);
                for to in 0..n {
                    let path = streets.fastest(from, to);
                    let cost = path.as_ref().map(|path| path.iter().map(|s| u64::from(s.cost_ms())).sum::<u64>());
                    prop_assert_eq!(cost, least[to as usize]);
                    let mut here = from;
                    for segment in path.unwrap_or_default() {
                        prop_assert_eq!(segment.from, here);
                        here = segment.to;
                    }
                }
            }
        }

        #[test]
        fn nearest_junction_has_the_least_distance(streets in small_map(), lat in -0.02..0.02_f64, lon in -0.02..0.02_f64) {
            let place = Position { lat, lon };
            let found = streets.junctions()[streets.nearest(place).unwrap() as usize].meters_to(place);
            let least = streets.junctions().iter().map(|j| j.meters_to(place)).fold(f64::MAX, f64::min);
            prop_assert!((found - least).abs() < 0.001);
        }
    }
}
