//! What a drive takes, guessed from the map without its streets.
//!
//! Quotes and arrival times need a number before anybody has chosen a route. A router would give a better one; it would be asked
//! here, and nowhere else.

use super::{Position, distance_m};

/// Metres on the road per metre on the great circle.
///
/// 395 taxi requests of Manhattan, routed over its street graph: 1.29, one-way streets included. It is no accident: on a square
/// grid of streets with trips in all directions it is 4/π ≈ 1.27. Newell, G. F. (1980), *Traffic Flow on Transportation Networks*,
/// has about 1.2 for cities at large.
pub const DETOUR_FACTOR: f64 = 1.3;

/// The mean speed of a drive in town, lights and traffic included.
///
/// On purpose below the 43 km/h at which the same requests would be driven on empty streets: a car that is early annoys
/// nobody.
pub const URBAN_SPEED_KMH: i64 = 25;

/// A drive from one place to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leg {
    /// Length on the road, in whole metres.
    pub distance_m: i64,
    /// Time behind the wheel, in whole seconds.
    pub duration_s: i64,
}

/// The drive between two positions: the great circle times [`DETOUR_FACTOR`], at [`URBAN_SPEED_KMH`].
///
/// Metres are rounded to the nearest, seconds up, so that a drive of a metre takes time. Neither can overflow: the longest great
/// circle gives 26,020 km and 43 days. O(1).
///
/// ```
/// use ridematch::geo::{Position, roads};
///
/// let grand_central = Position::new(40.7527, -73.9772)?;
/// let wall_street = Position::new(40.7066, -74.0090)?;
/// let leg = roads::estimate(grand_central, wall_street);
/// assert_eq!((leg.distance_m, leg.duration_s), (7_519, 1_083));
/// # Ok::<(), ridematch::geo::InvalidPosition>(())
/// ```
pub fn estimate(from: Position, to: Position) -> Leg {
    let distance_m = (distance_m(from, to) * DETOUR_FACTOR).round() as i64;
    Leg { distance_m, duration_s: duration_s(distance_m) }
}

/// ⌈distance / speed⌉, where 1 km/h is 5/18 m/s.
fn duration_s(distance_m: i64) -> i64 {
    let divisor = 5 * URBAN_SPEED_KMH;
    (distance_m * 18 + divisor - 1) / divisor
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(lat: f64, lon: f64) -> Position {
        Position::new(lat, lon).expect("in range")
    }

    #[test]
    fn staying_takes_nothing() {
        let home = at(40.75, -73.98);
        assert_eq!(estimate(home, home), Leg { distance_m: 0, duration_s: 0 });
    }

    #[test]
    fn seconds_are_rounded_up() {
        assert_eq!([0, 1, 6, 7, 125, 126].map(duration_s), [0, 1, 1, 2, 18, 19]);
    }

    #[test]
    fn the_far_side_of_the_earth_is_still_a_number() {
        let leg = estimate(at(0.0, 0.0), at(0.0, 180.0));
        assert_eq!(leg, Leg { distance_m: 26_019_649, duration_s: 3_746_830 });
    }
}
