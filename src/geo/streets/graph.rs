//! The directed graph in compressed rows, in both directions.

/// The number of a junction in its graph.
pub type Junction = u32;

/// One direction of a street between two junctions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Segment {
    /// The junction at its start.
    pub from: Junction,
    /// The junction at its end.
    pub to: Junction,
    /// The driving time in milliseconds, at least 1.
    pub ms: u32,
    /// The length along the street in meters.
    pub length_m: f64,
}

/// The segments by the junction that they leave, and by the one that they enter.
#[derive(Debug)]
pub struct Graph {
    leaving: Rows,
    entering: Rows,
}

/// Segments sorted by a junction. Those of junction `j` are `segments[first[j]..first[j + 1]]`.
#[derive(Debug)]
struct Rows {
    segments: Vec<Segment>,
    first: Vec<usize>,
}

impl Graph {
    /// Sorts the segments.
    pub fn new(junctions: usize, segments: Vec<Segment>) -> Self {
        let leaving = Rows::new(junctions, segments.clone(), |segment| segment.from);
        Self { leaving, entering: Rows::new(junctions, segments, |segment| segment.to) }
    }

    /// Returns all segments, by the junction that they leave.
    pub fn segments(&self) -> &[Segment] {
        &self.leaving.segments
    }

    /// Returns the number of junctions.
    pub fn junctions(&self) -> usize {
        self.leaving.first.len() - 1
    }

    /// Returns the segments from a junction.
    pub fn leaving(&self, junction: Junction) -> &[Segment] {
        self.leaving.of(junction)
    }

    /// Returns the segments to a junction.
    pub fn entering(&self, junction: Junction) -> &[Segment] {
        self.entering.of(junction)
    }
}

impl Rows {
    fn new(junctions: usize, mut segments: Vec<Segment>, key: impl Fn(&Segment) -> Junction) -> Self {
        segments.sort_by_key(&key);
        let mut first = vec![0; junctions + 1];
        for segment in &segments {
            first[key(segment) as usize + 1] += 1;
        }
        for junction in 0..junctions {
            first[junction + 1] += first[junction];
        }
        Self { segments, first }
    }

    fn of(&self, junction: Junction) -> &[Segment] {
        let junction = junction as usize;
        &self.segments[self.first[junction]..self.first[junction + 1]]
    }
}
