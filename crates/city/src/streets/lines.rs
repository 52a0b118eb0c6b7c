//! A street graph as lines to draw: each street once, whichever way it runs, and few long lines in place of many short ones.

use std::collections::{BTreeMap, BTreeSet};

use super::{Junction, Streets};
use crate::position::Position;

impl Streets {
    /// The streets as lines of two or more positions. Every pair of junctions with a segment between them is drawn exactly once,
    /// and at a junction a line goes straight on where it can. O(n log n).
    pub fn lines(&self) -> Vec<Vec<Position>> {
        let mut left: BTreeMap<Junction, BTreeSet<Junction>> = BTreeMap::new();
        for segment in self.segments.iter().filter(|segment| segment.from != segment.to) {
            left.entry(segment.from).or_default().insert(segment.to);
            left.entry(segment.to).or_default().insert(segment.from);
        }
        let mut lines = Vec::new();
        while let Some(start) = left.first_key_value().map(|(start, _)| *start) {
            let mut line = vec![start];
            // It may have begun in the middle: once it is at one end, it is drawn on from the other.
            for _ in 0..2 {
                while let Some(next) = self.straightest(&left, &line) {
                    take(&mut left, line[line.len() - 1], next);
                    line.push(next);
                }
                line.reverse();
            }
            lines.push(line.into_iter().map(|junction| self.junctions[junction as usize]).collect());
        }
        lines
    }

    /// Where a line goes on: to the neighbour that is most nearly ahead.
    fn straightest(&self, left: &BTreeMap<Junction, BTreeSet<Junction>>, line: &[Junction]) -> Option<Junction> {
        let here = *line.last()?;
        let neighbours = left.get(&here)?.iter().copied();
        let Some(before) = line.len().checked_sub(2).map(|place| line[place]) else { return neighbours.min() };
        let ahead = |next: &Junction| cosine(self.step(before, here), self.step(here, *next));
        neighbours.max_by(|a, b| ahead(a).total_cmp(&ahead(b)))
    }

    /// The way from one junction to another in space.
    fn step(&self, from: Junction, to: Junction) -> [f64; 3] {
        let (from, to) = (self.junctions[from as usize].unit_vector(), self.junctions[to as usize].unit_vector());
        [to[0] - from[0], to[1] - from[1], to[2] - from[2]]
    }
}

fn take(left: &mut BTreeMap<Junction, BTreeSet<Junction>>, a: Junction, b: Junction) {
    for (from, to) in [(a, b), (b, a)] {
        if let Some(neighbours) = left.get_mut(&from) {
            neighbours.remove(&to);
            if neighbours.is_empty() {
                left.remove(&from);
            }
        }
    }
}

/// The cosine of the angle between two steps; of no length: as if they went straight on, to get them over with.
fn cosine(a: [f64; 3], b: [f64; 3]) -> f64 {
    let dot = |a: [f64; 3], b: [f64; 3]| a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    if lengths > 0.0 { dot(a, b) / lengths } else { 1.0 }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::collections::BTreeSet;

    use crate::source::procedural::city;
    use crate::streets::{Segment, Streets};

    #[test]
    fn every_street_is_drawn_once() {
        let streets = city(1, 0).streets;
        let name = |p: &crate::position::Position| format!("{:?}", (p.lat, p.lon));
        let pair = |a: String, b: String| if a < b { (a, b) } else { (b, a) };
        let junctions = streets.junctions();
        let there: BTreeSet<_> = (streets.segments().iter())
            .map(|s| pair(name(&junctions[s.from as usize]), name(&junctions[s.to as usize])))
            .collect();
        let lines = streets.lines();
        let drawn: Vec<_> =
            lines.iter().flat_map(|line| line.windows(2).map(|two| pair(name(&two[0]), name(&two[1])))).collect();
        assert_eq!(drawn.len(), there.len());
        assert_eq!(drawn.into_iter().collect::<BTreeSet<_>>(), there);
        assert!(lines.len() * 8 < there.len(), "{} lines for {} streets", lines.len(), there.len());
    }

    #[test]
    fn a_line_goes_straight_on_at_a_crossing() {
        use crate::position::Position;
        // A cross: 0 - 1 - 2 from west to east, 3 - 1 - 4 from south to north.
        let at = [(0.0, 0.0), (0.0, 0.01), (0.0, 0.02), (-0.01, 0.01), (0.01, 0.01)];
        let junctions = at.iter().map(|(lat, lon)| Position { lat: *lat, lon: *lon }).collect();
        let segment = |(from, to)| Segment { from, to, length_m: 1.0, travel_s: 1.0 };
        let streets = Streets::new(junctions, [(0, 1), (1, 2), (2, 1), (3, 1), (1, 4)].map(segment).to_vec());
        let lines = streets.lines();
        assert_eq!(lines.len(), 2);
        assert!(lines.iter().all(|line| line.len() == 3), "{lines:?}");
    }

    #[test]
    fn no_streets_are_no_lines() {
        assert!(Streets::none().lines().is_empty());
    }
}
