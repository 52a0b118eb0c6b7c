//! A position on the globe.

use geo::{Distance, Haversine, InterpolatePoint, Point};
use serde::{Deserialize, Serialize};

/// A position in WGS 84 degrees; as JSON `{"lat": …, "lon": …}`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// Degrees north, -90 to 90.
    pub lat: f64,
    /// Degrees east, -180 to 180.
    pub lon: f64,
}

impl Position {
    /// Checks that both coordinates are finite and in range.
    ///
    /// # Errors
    /// A message with the invalid coordinate.
    pub fn new(lat: f64, lon: f64) -> Result<Self, String> {
        // NaN is in no range, so that it is rejected too.
        if !(-90.0..=90.0).contains(&lat) {
            return Err(format!("latitude {lat} is not between -90 and 90"));
        }
        if !(-180.0..=180.0).contains(&lon) {
            return Err(format!("longitude {lon} is not between -180 and 180"));
        }
        Ok(Self { lat, lon })
    }

    /// Great-circle distance in meters.
    pub(crate) fn meters_to(self, other: Self) -> f64 {
        Haversine.distance(self.point(), other.point())
    }

    /// The point at `share` (0 to 1) of the great circle from here to `other`.
    pub(crate) fn toward(self, other: Self, share: f64) -> Self {
        let point = Haversine.point_at_ratio_between(self.point(), other.point(), share);
        Self { lat: point.y(), lon: point.x() }
    }

    /// The point at an offset in meters. Valid for distances within a city: treats the ground as flat.
    pub(crate) fn offset(self, north_m: f64, east_m: f64) -> Self {
        const METERS_PER_DEGREE: f64 = 111_195.0;
        Self {
            lat: self.lat + north_m / METERS_PER_DEGREE,
            lon: self.lon + east_m / (METERS_PER_DEGREE * self.lat.to_radians().cos()),
        }
    }

    /// The position on the unit sphere, which has no special cases at the poles and the antimeridian.
    pub(crate) fn unit_vector(self) -> [f64; 3] {
        let (lat, lon) = (self.lat.to_radians(), self.lon.to_radians());
        [lat.cos() * lon.cos(), lat.cos() * lon.sin(), lat.sin()]
    }

    fn point(self) -> Point<f64> {
        Point::new(self.lon, self.lat)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn coordinate_out_of_range_is_rejected() {
        assert!(Position::new(90.0, -180.0).is_ok());
        for (lat, lon) in [(90.1, 0.0), (f64::NAN, 0.0), (0.0, f64::INFINITY), (0.0, 180.5), (-91.0, 0.0)] {
            assert!(Position::new(lat, lon).is_err(), "{lat} {lon}");
        }
    }

    #[test]
    fn midpoint_has_half_the_distance_also_across_the_antimeridian() {
        let (a, b) = (Position::new(-17.0, 179.9).unwrap(), Position::new(-17.0, -179.9).unwrap());
        let middle = a.toward(b, 0.5);
        assert!((a.meters_to(middle) - a.meters_to(b) / 2.0).abs() < 0.01);
        assert!(a.meters_to(b) < 22_000.0);
    }

    #[test]
    fn offset_has_its_length() {
        let here = Position::new(47.0, 8.0).unwrap();
        assert!((here.meters_to(here.offset(300.0, 400.0)) - 500.0).abs() < 1.0);
    }
}
