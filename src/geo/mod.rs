//! Geometry on the sphere: positions, distances and drive estimates. Pure.
//!
//! [`distance_m`] is the only definition of distance. A [`Router`] answers how long a drive takes: along the [`streets`] of a map, or by
//! the estimate of [`roads`]. No distance is computed with degrees, which give wrong results near the poles and the antimeridian.

pub mod cells;
pub mod grid;
mod position;
pub mod roads;
mod router;
pub mod streets;

pub use position::{InvalidPosition, Position};
pub use router::{Arrival, Departure, Drive, Eta, EtaSource, Router, StreetMap};

/// The Earth's mean radius R₁ in meters.
///
/// Great-circle distances differ from those on the WGS 84 ellipsoid by at most 0.6 %, far less than the length of streets differs from
/// great circles.
///
/// Moritz, H. (2000). *Geodetic Reference System 1980*. Journal of Geodesy 74 (1), 128–133. doi:10.1007/s001900050278
pub const EARTH_RADIUS_M: f64 = ::geo::HaversineMeasure::GRS80_MEAN_RADIUS.radius();

/// Returns the great-circle distance from `a` to `b` in meters.
///
/// Symmetric, exactly zero between equal positions, and accurate to a micrometer everywhere: for short distances, across the antimeridian,
/// at the poles, and between antipodes, where the haversine formula loses decimeters. O(1).
///
/// ```
/// use ridematch::geo::{Position, distance_m};
///
/// // In Fiji, on both sides of the antimeridian.
/// let west = Position::new(-16.8, 179.99)?;
/// let east = Position::new(-16.8, -179.99)?;
/// assert_eq!(distance_m(west, east).round(), 2_129.0);
/// # Ok::<(), ridematch::geo::InvalidPosition>(())
/// ```
pub fn distance_m(a: Position, b: Position) -> f64 {
    arc_m(&a.unit_vector(), &b.unit_vector())
}

/// Returns [`distance_m`] for two unit vectors.
///
/// For vectors a and b it is 2 R atan2(|a − b|, |a + b|), after Kahan, W. (2006), *How Futile are Mindless Assessments of
/// Roundoff in Floating-Point Computation?*, section 12.
pub(crate) fn arc_m(a: &[f64; 3], b: &[f64; 3]) -> f64 {
    let together_2 = chord_2_between(a, &b.map(|x| -x));
    2.0 * EARTH_RADIUS_M * chord_2_between(a, b).sqrt().atan2(together_2.sqrt())
}

/// Returns the squared chord between two unit vectors.
pub(crate) fn chord_2_between(a: &[f64; 3], b: &[f64; 3]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

/// Returns the squared chord of the unit sphere for a great-circle distance of `arc_m` meters.
///
/// From half the circumference on it is 4, the squared diameter.
pub(crate) fn chord_2(arc_m: f64) -> f64 {
    let half_angle = (arc_m / EARTH_RADIUS_M).min(std::f64::consts::PI) / 2.0;
    4.0 * half_angle.sin().powi(2)
}

#[cfg(test)]
mod tests {
    use ::geo::{Distance, Haversine};
    use proptest::prelude::*;

    use super::*;

    fn position() -> impl Strategy<Value = Position> {
        (-90.0..=90.0, -180.0..=180.0).prop_map(|(lat, lon)| Position::new(lat, lon).expect("in range"))
    }

    fn at(lat: f64, lon: f64) -> Position {
        Position::new(lat, lon).expect("in range")
    }

    #[track_caller]
    fn assert_near(left_m: f64, right_m: f64) {
        assert!((left_m - right_m).abs() < 1e-3, "{left_m} m and {right_m} m differ by more than a millimeter");
    }

    proptest! {
        #[test]
        fn distance_agrees_with_haversine_except_near_antipodes(a in position(), b in position()) {
            let expected_m = Haversine.distance(::geo::Point::from(a), ::geo::Point::from(b));
            prop_assume!(expected_m < 20_000_000.0);
            prop_assert!((distance_m(a, b) - expected_m).abs() < 1e-3);
        }

        #[test]
        fn distance_is_symmetric_and_zero_between_equal_positions(a in position(), b in position()) {
            prop_assert_eq!(distance_m(a, b).to_bits(), distance_m(b, a).to_bits());
            prop_assert_eq!(distance_m(a, a).to_bits(), 0_f64.to_bits());
        }

        #[test]
        fn chord_of_a_distance_equals_the_chord_of_its_end_points(a in position(), b in position()) {
            let (a_vec, b_vec) = (a.unit_vector(), b.unit_vector());
            let expected: f64 = a_vec.iter().zip(&b_vec).map(|(a, b)| (a - b).powi(2)).sum();
            prop_assert!((chord_2(distance_m(a, b)) - expected).abs() < 1e-14);
        }
    }

    #[test]
    fn distances_of_a_quarter_and_a_half_circumference_are_exact() {
        let quarter_m = EARTH_RADIUS_M * std::f64::consts::FRAC_PI_2;
        assert_near(distance_m(at(0.0, 0.0), at(0.0, 90.0)), quarter_m);
        assert_near(distance_m(at(0.0, 17.0), at(90.0, -80.0)), quarter_m);
        assert_near(distance_m(at(52.5, 13.4), at(-52.5, -166.6)), 2.0 * quarter_m);
    }

    #[test]
    fn distance_between_near_antipodes_is_exact_to_a_millimeter() {
        // 1e-7° of latitude is about a centimeter.
        let centimeter_m = 1e-7_f64.to_radians() * EARTH_RADIUS_M;
        let half_m = EARTH_RADIUS_M * std::f64::consts::PI;
        assert_near(distance_m(at(0.0, 0.0), at(1e-7, 180.0)), half_m - centimeter_m);
    }

    #[test]
    fn distance_is_zero_for_all_longitudes_of_a_pole_and_across_180_degrees() {
        for pole in [90.0, -90.0] {
            assert_eq!(distance_m(at(pole, 12.3), at(pole, -167.0)).to_bits(), 0_f64.to_bits());
        }
        for lat in [-90.0, -16.8, 0.0, 59.9, 90.0] {
            assert_eq!(distance_m(at(lat, 180.0), at(lat, -180.0)).to_bits(), 0_f64.to_bits());
        }
    }

    #[test]
    fn chord_is_limited_to_the_diameter() {
        for arc_m in [EARTH_RADIUS_M * std::f64::consts::PI, 1e9, f64::INFINITY] {
            assert!((chord_2(arc_m) - 4.0).abs() < 1e-15);
        }
    }
}
