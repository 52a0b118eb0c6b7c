//! The cells of the H3 grid, in which demand is counted.
//!
//! Brodsky, I. (2018). *H3: Uber's Hexagonal Hierarchical Spatial Index*. A hexagon's neighbors are all at the same distance, so that a
//! cell and its ring are nearly a circle.

use std::fmt;

use h3o::{CellIndex, LatLng, Resolution};
use serde::{Serialize, Serializer};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};

use super::Position;

/// The resolution of all cells. A cell has edges of about 530 m and covers 0.74 km²: a few minutes on foot, one minute by car.
pub const RESOLUTION: u8 = 8;

/// A cell of [`RESOLUTION`]. Written as H3 writes it: 15 hexadecimal digits.
///
/// ```
/// use ridematch::geo::{Position, cells::Cell};
///
/// let cell = Cell::at(Position::new(40.7484, -73.9857)?);
/// assert_eq!(cell.to_string(), "882a100d2dfffff");
/// assert_eq!(Cell::parse("882a100d2dfffff"), Some(cell));
/// assert_eq!(Cell::at(cell.center()), cell);
/// # Ok::<(), ridematch::geo::InvalidPosition>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cell(CellIndex);

impl Cell {
    /// Returns the cell that a position is in. O(1).
    pub fn at(position: Position) -> Self {
        let place = LatLng::new(position.lat(), position.lon());
        let place = place.unwrap_or_else(|_| unreachable!("a position has finite coordinates"));
        Self(place.to_cell(Resolution::Eight))
    }

    /// Returns the cell with this name: exactly 15 hexadecimal digits in lower case.
    pub fn parse(text: &str) -> Option<Self> {
        let is_name = text.len() == 15 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let index = is_name.then(|| u64::from_str_radix(text, 16).ok()).flatten()?;
        Self::from_index(index)
    }

    /// Returns the cell with this index, as the database stores it.
    pub fn from_stored(index: i64) -> Option<Self> {
        Self::from_index(u64::try_from(index).ok()?)
    }

    /// Returns the index, as the database stores it. H3 leaves the highest bit zero.
    pub fn stored(self) -> i64 {
        i64::try_from(u64::from(self.0)).unwrap_or(i64::MAX)
    }

    fn from_index(index: u64) -> Option<Self> {
        CellIndex::try_from(index).ok().filter(|cell| cell.resolution() == Resolution::Eight).map(Self)
    }

    /// Returns the center.
    pub fn center(self) -> Position {
        position(LatLng::from(self.0))
    }

    /// Returns the corners, counterclockwise: six, or five at the twelve pentagons, and more where an edge of the icosahedron crosses.
    pub fn boundary(self) -> Vec<Position> {
        self.0.boundary().iter().copied().map(position).collect()
    }

    /// Returns the cell and its neighbors: seven cells, six at a pentagon.
    pub fn with_ring(self) -> Vec<Self> {
        self.0.grid_disk::<Vec<_>>(1).into_iter().map(Self).collect()
    }
}

/// Returns a place of H3 as a position, rounded to 1e-6° (11 cm), so that it is equal on every machine.
fn position(place: LatLng) -> Position {
    let rounded = |degrees: f64, limit: f64| ((degrees * 1e6).round() / 1e6).clamp(-limit, limit);
    let position = Position::new(rounded(place.lat(), 90.0), rounded(place.lng(), 180.0));
    position.unwrap_or_else(|_| unreachable!("H3 has finite coordinates"))
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", u64::from(self.0))
    }
}

impl fmt::Debug for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl utoipa::PartialSchema for Cell {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some("^88[0-9a-f]{13}$"))
            .description(Some("An H3 cell of resolution 8."))
            .examples(["882a100d2dfffff"])
            .into()
    }
}

impl utoipa::ToSchema for Cell {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::geo::distance_m;

    proptest! {
        #[test]
        fn cell_is_near_its_position_and_keeps_its_name(lat in -90.0..=90.0, lon in -180.0..=180.0) {
            let position = Position::new(lat, lon).expect("in range");
            let cell = Cell::at(position);
            prop_assert!(distance_m(cell.center(), position) < 900.0);
            prop_assert_eq!(Cell::parse(&cell.to_string()), Some(cell));
            prop_assert_eq!(Cell::from_stored(cell.stored()), Some(cell));
            prop_assert!((5..=10).contains(&cell.boundary().len()));
            let ring = cell.with_ring();
            prop_assert!(ring.contains(&cell) && (6..=7).contains(&ring.len()));
        }
    }

    #[test]
    fn text_that_is_no_cell_of_the_resolution_is_none() {
        let finer = "8a2a100d62c7fff";
        for text in
            ["", "882a100d2dffff", "882A100D2DFFFFF", "+82a100d2dfffff", "zzzzzzzzzzzzzzz", "fffffffffffffff", finer]
        {
            assert_eq!(Cell::parse(text), None, "{text}");
        }
        assert_eq!(Cell::from_stored(-1), None);
        assert_eq!(Cell::from_stored(0), None);
    }
}
