//! The street graph of a map that was published as lines to draw, with the drive along each of their segments.

use std::collections::HashMap;

use super::{InvalidStreets, Junction, Segment, Streets};
use crate::geo::{Position, distance_m};

/// A straight piece of a line between two of its positions, and the drives along it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Piece {
    /// Its ends, in the order of the line.
    pub ends: [Position; 2],
    /// The driving time in the order of the line, in milliseconds; `None` if it must not be driven.
    pub forward_ms: Option<u32>,
    /// The driving time against the order of the line, in milliseconds; `None` if it must not be driven.
    pub backward_ms: Option<u32>,
    /// The length in meters; the great-circle distance if `None`.
    pub length_m: Option<f64>,
}

/// Builds the graph. Equal positions are one junction.
///
/// # Errors
/// As [`Streets::new`].
pub fn graph(pieces: impl IntoIterator<Item = Piece>) -> Result<Streets, InvalidStreets> {
    let mut numbers: HashMap<[u64; 2], Junction> = HashMap::new();
    let (mut junctions, mut segments) = (Vec::new(), Vec::new());
    // A piece that is only drawn has no junctions that would have to be connected.
    for piece in pieces.into_iter().filter(|piece| piece.forward_ms.or(piece.backward_ms).is_some()) {
        let [a, b] = piece.ends.map(|place| {
            *numbers.entry([place.lat().to_bits(), place.lon().to_bits()]).or_insert_with(|| {
                junctions.push(place);
                junctions.len() as Junction - 1
            })
        });
        let length_m = piece.length_m.unwrap_or_else(|| distance_m(piece.ends[0], piece.ends[1]));
        let segment = |from, to, ms: Option<u32>| ms.map(|ms| Segment { from, to, ms: ms.max(1), length_m });
        segments.extend(segment(a, b, piece.forward_ms));
        segments.extend(segment(b, a, piece.backward_ms));
    }
    Streets::new(junctions, segments)
}
