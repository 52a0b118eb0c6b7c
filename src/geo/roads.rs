//! Estimates of drives without a street graph.
//!
//! [`Router`](super::Router) falls back to them where there is no map.

use super::{Position, distance_m};

/// The circuity factor: meters on the road per great-circle meter.
///
/// 395 taxi requests in Manhattan, routed over its street graph with one-way streets, give 1.29. On a square grid with trips in all
/// directions it is 4/π ≈ 1.27. Newell, G. F. (1980), *Traffic Flow on Transportation Networks*, has about 1.2 for cities.
pub const CIRCUITY_FACTOR: f64 = 1.3;

/// The mean speed of a drive in a city, including lights and traffic.
///
/// Below the 43 km/h of the same requests on empty streets: arriving early is better than arriving late.
pub const URBAN_SPEED_KMH: i64 = 25;

/// An estimated drive between two positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leg {
    /// Length on the road in whole meters.
    pub distance_m: i64,
    /// Driving time in whole seconds.
    pub duration_s: i64,
}

/// Estimates the drive between two positions: the great-circle distance times [`CIRCUITY_FACTOR`], at [`URBAN_SPEED_KMH`].
///
/// Meters are rounded to the nearest, seconds up, so that a drive of a meter takes time. Neither can overflow: half the circumference
/// gives 26,020 km and 43 days. O(1).
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
    let distance_m = (distance_m(from, to) * CIRCUITY_FACTOR).round() as i64;
    Leg { distance_m, duration_s: duration_s(distance_m) }
}

/// Estimates the driving time between two positions in milliseconds, for comparisons. [`estimate`] is what people are shown.
pub fn duration_ms(from: Position, to: Position) -> i64 {
    (distance_m(from, to) * MS_PER_M).round() as i64
}

/// Estimates the driving time of a great-circle distance: seconds for meters, rounded up.
pub fn drive_s(distance_m: i64) -> i64 {
    (distance_m as f64 * MS_PER_M / 1_000.0).ceil() as i64
}

/// Returns the great-circle distance in meters that is driven in a time, by the same estimate.
pub fn reach_m(duration_ms: i64) -> f64 {
    duration_ms as f64 / MS_PER_M
}

/// The driving time for a great-circle meter, in milliseconds.
const MS_PER_M: f64 = CIRCUITY_FACTOR * 3_600.0 / URBAN_SPEED_KMH as f64;

/// Returns ⌈distance / speed⌉, where 1 km/h is 5/18 m/s.
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
    fn drive_between_equal_positions_is_zero() {
        let home = at(40.75, -73.98);
        assert_eq!(estimate(home, home), Leg { distance_m: 0, duration_s: 0 });
    }

    #[test]
    fn seconds_are_rounded_up() {
        assert_eq!([0, 1, 6, 7, 125, 126].map(duration_s), [0, 1, 1, 2, 18, 19]);
    }

    #[test]
    fn milliseconds_agree_with_the_estimate_and_with_the_reach() {
        let (here, there) = (at(40.75, -73.98), at(40.70, -74.01));
        let ms = duration_ms(here, there);
        assert_eq!((ms + 999) / 1_000, estimate(here, there).duration_s);
        assert!((reach_m(ms) - distance_m(here, there)).abs() < 0.01);
    }

    #[test]
    fn longest_drive_does_not_overflow() {
        let leg = estimate(at(0.0, 0.0), at(0.0, 180.0));
        assert_eq!(leg, Leg { distance_m: 26_019_649, duration_s: 3_746_830 });
    }
}
