//! A grid over the globe, for positions that must not be exact.

use super::Position;

/// The number of rows: each is 0.001° of latitude high, about 111 m.
const ROWS: f64 = 180_000.0;

/// The maximum distance from a position to its [`cell_center`] in meters.
///
/// It is 83 m up to 89° of latitude: half of a diagonal, and up to 5.6 m for the rounding of the longitude. Cells beside a
/// pole are triangles, whose wide end is farther from the center.
pub const CELL_RADIUS_MAX_M: f64 = 150.0;

/// Returns the center of the grid cell that a position is in.
///
/// A row has as many columns as make its cells about 111 m wide, so that a cell has about the same area at every latitude. With a fixed
/// number of columns, a cell would be 55 m wide in Oslo and 23 m in Svalbard. The function depends on the cell alone: all positions in a cell
/// give the same center. O(1).
///
/// ```
/// use ridematch::geo::{Position, grid};
///
/// let exact = Position::new(40.748_44, -73.985_66)?;
/// assert_eq!(grid::cell_center(exact), Position::new(40.748_5, -73.985_5)?);
/// assert_eq!(grid::cell_center(Position::new(40.748_2, -73.985_1)?), grid::cell_center(exact));
/// # Ok::<(), ridematch::geo::InvalidPosition>(())
/// ```
pub fn cell_center(position: Position) -> Position {
    let row = ((position.lat() + 90.0) / 180.0 * ROWS).floor().clamp(0.0, ROWS - 1.0);
    let lat = (row + 0.5) / ROWS * 180.0 - 90.0;
    let columns = (2.0 * ROWS * lat.to_radians().cos()).floor().max(1.0);
    let column = ((position.lon() + 180.0) / 360.0 * columns).floor().clamp(0.0, columns - 1.0);
    let lon = (column + 0.5) / columns * 360.0 - 180.0;
    // Four decimals are 11 m, and more would suggest an accuracy that the center does not have. Latitudes of rows have them exactly.
    let rounded = |degrees: f64| (degrees * 1e4).round() / 1e4;
    Position::new(rounded(lat), rounded(lon)).unwrap_or(position)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geo::distance_m;
    use proptest::prelude::*;

    fn at(lat: f64, lon: f64) -> Position {
        Position::new(lat, lon).expect("in range")
    }

    proptest! {
        #[test]
        fn center_is_near_its_position(lat in -90.0..=90.0, lon in -180.0..=180.0) {
            let position = at(lat, lon);
            prop_assert!(distance_m(position, cell_center(position)) <= CELL_RADIUS_MAX_M);
        }

        #[test]
        fn center_is_within_83_m_except_near_the_poles(lat in -89.0..=89.0, lon in -180.0..=180.0) {
            let position = at(lat, lon);
            prop_assert!(distance_m(position, cell_center(position)) <= 83.0);
        }

        #[test]
        fn center_hides_where_in_the_cell_a_position_is(lat in -80.0..=80.0, lon in -179.0..=179.0, north in 0.0..0.45, west in 0.0..0.4) {
            let center = cell_center(at(lat, lon));
            let lon_step = 0.001 / center.lat().to_radians().cos();
            let other = at(center.lat() + north * 0.001, center.lon() - west * lon_step);
            prop_assert_eq!(cell_center(other), center);
        }
    }

    #[test]
    fn rounding_of_the_longitude_adds_to_the_diagonal() {
        let corner = at(-11.319_007_294_356_274, -3.980_941_815_550_835);
        assert!((81.5..83.0).contains(&distance_m(corner, cell_center(corner))));
    }

    #[test]
    fn center_is_near_at_the_poles_and_the_antimeridian() {
        for lat in [-90.0, -89.9999, -16.8, 0.0, 59.9, 89.9991, 90.0] {
            for lon in [-180.0, -179.9999, 0.0, 179.9999, 180.0] {
                let position = at(lat, lon);
                assert!(distance_m(position, cell_center(position)) <= CELL_RADIUS_MAX_M, "{position:?}");
            }
        }
    }
}
