//! A street graph as lines to draw: each street once, in few long lines.

use std::collections::{BTreeMap, BTreeSet};

use super::{Junction, Streets};

impl Streets {
    /// The streets as lines of two or more junctions. Every pair of connected junctions is in exactly one line, and a line is of one road.
    /// At a junction it continues in the straightest direction. O(n log n).
    pub fn lines(&self) -> Vec<Vec<Junction>> {
        let mut left: BTreeMap<Junction, BTreeSet<Junction>> = BTreeMap::new();
        for segment in self.segments.iter().filter(|segment| segment.from != segment.to) {
            left.entry(segment.from).or_default().insert(segment.to);
            left.entry(segment.to).or_default().insert(segment.from);
        }
        let mut lines = Vec::new();
        while let Some(start) = left.first_key_value().map(|(start, _)| *start) {
            let mut line = vec![start];
            // Extend the line at both ends.
            for _ in 0..2 {
                while let Some(next) = self.straightest(&left, &line) {
                    take(&mut left, line[line.len() - 1], next);
                    line.push(next);
                }
                line.reverse();
            }
            lines.push(line);
        }
        lines
    }

    /// The neighbor in the straightest direction of a line.
    fn straightest(&self, left: &BTreeMap<Junction, BTreeSet<Junction>>, line: &[Junction]) -> Option<Junction> {
        let here = *line.last()?;
        let neighbors = left.get(&here)?.iter().copied();
        let Some(before) = line.len().checked_sub(2).map(|place| line[place]) else { return neighbors.min() };
        let ahead = |next: &Junction| cosine(self.step(before, here), self.step(here, *next));
        let number = |a: Junction, b: Junction| self.road_numbers.get(&(a.min(b), a.max(b)));
        let neighbors = neighbors.filter(|next| number(here, *next) == number(before, here));
        neighbors.max_by(|a, b| ahead(a).total_cmp(&ahead(b)))
    }

    /// The vector from one junction to another.
    fn step(&self, from: Junction, to: Junction) -> [f64; 3] {
        let (from, to) = (self.junctions[from as usize].unit_vector(), self.junctions[to as usize].unit_vector());
        [to[0] - from[0], to[1] - from[1], to[2] - from[2]]
    }
}

fn take(left: &mut BTreeMap<Junction, BTreeSet<Junction>>, a: Junction, b: Junction) {
    for (from, to) in [(a, b), (b, a)] {
        if let Some(neighbors) = left.get_mut(&from) {
            neighbors.remove(&to);
            if neighbors.is_empty() {
                left.remove(&from);
            }
        }
    }
}

/// The cosine of the angle between two vectors; 1 if one has no length.
fn cosine(a: [f64; 3], b: [f64; 3]) -> f64 {
    let dot = |a: [f64; 3], b: [f64; 3]| a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    if lengths > 0.0 { dot(a, b) / lengths } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use crate::streets::{Segment, Streets};

    #[test]
    fn line_continues_straight_at_a_crossing() {
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
    fn map_without_streets_has_no_lines() {
        assert!(Streets::none().lines().is_empty());
    }
}
