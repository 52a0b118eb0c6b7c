//! Positions, metres and great circles: pure geometry, no state.
//!
//! The house has one definition of distance, [`distance_m`], and one model of the roads, [`roads::estimate`]. Nothing here
//! knows of drivers or trips, and nothing computes with degrees: near a pole or the antimeridian they mislead.

mod position;
pub mod roads;

pub use position::{InvalidPosition, Position};

/// The Earth's mean radius R₁ in metres: the sphere on which all distances are measured.
///
/// Great-circle distances on it differ from those on the WGS 84 ellipsoid by at most 0.6 %, far less than streets differ from
/// great circles.
///
/// Moritz, H. (2000). *Geodetic Reference System 1980*. Journal of Geodesy 74 (1), 128–133. doi:10.1007/s001900050278
pub const EARTH_RADIUS_M: f64 = ::geo::HaversineMeasure::GRS80_MEAN_RADIUS.radius();

/// The length in metres of the shortest way from `a` to `b` over the sphere.
///
/// Symmetric, exactly zero between equal positions, and good to a micrometre everywhere: next door, across the antimeridian, at
/// the poles and between antipodes, where the haversine formula loses decimetres. O(1).
///
/// ```
/// use ridematch::geo::{Position, distance_m};
///
/// // In Fiji, on either side of the antimeridian.
/// let west = Position::new(-16.8, 179.99)?;
/// let east = Position::new(-16.8, -179.99)?;
/// assert_eq!(distance_m(west, east).round(), 2_129.0);
/// # Ok::<(), ridematch::geo::InvalidPosition>(())
/// ```
pub fn distance_m(a: Position, b: Position) -> f64 {
    arc_m(&a.unit_vector(), &b.unit_vector())
}

/// [`distance_m`] for those who already have the unit vectors.
///
/// With the vectors a and b it is 2 R atan2(|a − b|, |a + b|), after Kahan, W. (2006), *How Futile are Mindless Assessments of
/// Roundoff in Floating-Point Computation?*, section 12.
pub(crate) fn arc_m(a: &[f64; 3], b: &[f64; 3]) -> f64 {
    let [mut apart_2, mut together_2] = [0.0; 2];
    for (a, b) in a.iter().zip(b) {
        apart_2 += (a - b) * (a - b);
        together_2 += (a + b) * (a + b);
    }
    2.0 * EARTH_RADIUS_M * apart_2.sqrt().atan2(together_2.sqrt())
}

/// The square of the straight line through the unit sphere between two points that are `arc_m` metres apart on the Earth.
///
/// From half the circumference upwards it is 4, the square of the diameter.
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
        assert!((left_m - right_m).abs() < 1e-3, "{left_m} m and {right_m} m are more than a millimetre apart");
    }

    proptest! {
        #[test]
        fn agrees_with_the_haversine_formula_wherever_that_is_good(a in position(), b in position()) {
            let expected_m = Haversine.distance(::geo::Point::from(a), ::geo::Point::from(b));
            prop_assume!(expected_m < 20_000_000.0);
            prop_assert!((distance_m(a, b) - expected_m).abs() < 1e-3);
        }

        #[test]
        fn is_symmetric_and_zero_only_at_home(a in position(), b in position()) {
            prop_assert_eq!(distance_m(a, b).to_bits(), distance_m(b, a).to_bits());
            prop_assert_eq!(distance_m(a, a).to_bits(), 0_f64.to_bits());
        }

        #[test]
        fn the_chord_of_a_distance_is_the_chord_of_its_ends(a in position(), b in position()) {
            let (a_vec, b_vec) = (a.unit_vector(), b.unit_vector());
            let expected: f64 = a_vec.iter().zip(&b_vec).map(|(a, b)| (a - b).powi(2)).sum();
            prop_assert!((chord_2(distance_m(a, b)) - expected).abs() < 1e-14);
        }
    }

    #[test]
    fn a_quarter_and_a_half_of_the_circumference() {
        let quarter_m = EARTH_RADIUS_M * std::f64::consts::FRAC_PI_2;
        assert_near(distance_m(at(0.0, 0.0), at(0.0, 90.0)), quarter_m);
        assert_near(distance_m(at(0.0, 17.0), at(90.0, -80.0)), quarter_m);
        assert_near(distance_m(at(52.5, 13.4), at(-52.5, -166.6)), 2.0 * quarter_m);
    }

    #[test]
    fn almost_antipodal_positions_keep_their_millimetres() {
        // 1e-7° of latitude is a centimetre, and one centimetre short of the antipode is that far from half the circumference.
        let centimetre_m = 1e-7_f64.to_radians() * EARTH_RADIUS_M;
        let half_m = EARTH_RADIUS_M * std::f64::consts::PI;
        assert_near(distance_m(at(0.0, 0.0), at(1e-7, 180.0)), half_m - centimetre_m);
    }

    #[test]
    fn a_pole_is_one_point_and_the_antimeridian_one_line() {
        for pole in [90.0, -90.0] {
            assert_eq!(distance_m(at(pole, 12.3), at(pole, -167.0)).to_bits(), 0_f64.to_bits());
        }
        for lat in [-90.0, -16.8, 0.0, 59.9, 90.0] {
            assert_eq!(distance_m(at(lat, 180.0), at(lat, -180.0)).to_bits(), 0_f64.to_bits());
        }
    }

    #[test]
    fn chords_end_at_the_diameter() {
        for arc_m in [EARTH_RADIUS_M * std::f64::consts::PI, 1e9, f64::INFINITY] {
            assert!((chord_2(arc_m) - 4.0).abs() < 1e-15);
        }
    }
}
