//! A place on the globe.

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
    /// A sentence that names the coordinate that is wrong.
    pub fn new(lat: f64, lon: f64) -> Result<Self, String> {
        // A NaN is in no range, so it is refused here too.
        if !(-90.0..=90.0).contains(&lat) {
            return Err(format!("latitude {lat} is not between -90 and 90"));
        }
        if !(-180.0..=180.0).contains(&lon) {
            return Err(format!("longitude {lon} is not between -180 and 180"));
        }
        Ok(Self { lat, lon })
    }

    /// Great-circle distance in metres.
    pub(crate) fn metres_to(self, other: Self) -> f64 {
        Haversine.distance(self.point(), other.point())
    }

    /// The point at `share` (0 to 1) of the great circle from here to `other`.
    pub(crate) fn toward(self, other: Self, share: f64) -> Self {
        let point = Haversine.point_at_ratio_between(self.point(), other.point(), share);
        Self { lat: point.y(), lon: point.x() }
    }

    /// The point that lies so many metres north and east of here. For a city's lengths: it treats the ground as flat.
    pub(crate) fn offset(self, north_m: f64, east_m: f64) -> Self {
        const METRES_PER_DEGREE: f64 = 111_195.0;
        Self {
            lat: self.lat + north_m / METRES_PER_DEGREE,
            lon: self.lon + east_m / (METRES_PER_DEGREE * self.lat.to_radians().cos()),
        }
    }

    /// The same place on the unit sphere, where poles and the antimeridian are ordinary.
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
    fn refuses_what_is_not_on_the_globe() {
        assert!(Position::new(90.0, -180.0).is_ok());
        for (lat, lon) in [(90.1, 0.0), (f64::NAN, 0.0), (0.0, f64::INFINITY), (0.0, 180.5), (-91.0, 0.0)] {
            assert!(Position::new(lat, lon).is_err(), "{lat} {lon}");
        }
    }

    #[test]
    fn half_way_is_half_the_distance_across_the_antimeridian_too() {
        let (a, b) = (Position::new(-17.0, 179.9).unwrap(), Position::new(-17.0, -179.9).unwrap());
        let middle = a.toward(b, 0.5);
        assert!((a.metres_to(middle) - a.metres_to(b) / 2.0).abs() < 0.01);
        assert!(a.metres_to(b) < 22_000.0);
    }

    #[test]
    fn an_offset_is_as_long_as_it_says() {
        let here = Position::new(47.0, 8.0).unwrap();
        assert!((here.metres_to(here.offset(300.0, 400.0)) - 500.0).abs() < 1.0);
    }
}
