//! Positions in a square city, on a plane and on the sphere.

use rand::RngExt;
use rand::rngs::StdRng;

/// The Earth's mean radius in meters (GRS 80), as in `src/geo/mod.rs`.
pub(crate) const EARTH_RADIUS_M: f64 = 6_371_008.8;

/// The center of the city: latitude and longitude in degrees.
const CENTER: (f64, f64) = (40.75, -73.98);

/// A place in the city, in meters from its south-west corner: east, north.
pub(crate) type Place = [f64; 2];

/// Returns a random place in a square city with sides of `side_m`.
pub(crate) fn random_place(rng: &mut StdRng, side_m: f64) -> Place {
    [rng.random_range(0.0..side_m), rng.random_range(0.0..side_m)]
}

/// Returns the straight distance in meters.
pub(crate) fn distance_m(a: Place, b: Place) -> f64 {
    (a[0] - b[0]).hypot(a[1] - b[1])
}

/// Returns latitude and longitude in degrees.
pub(crate) fn degrees(place: Place) -> (f64, f64) {
    let lat = CENTER.0 + (place[1] / EARTH_RADIUS_M).to_degrees();
    let lon = CENTER.1 + (place[0] / EARTH_RADIUS_M).to_degrees() / CENTER.0.to_radians().cos();
    (lat, lon)
}

/// Returns the place as a point on the unit sphere, as the service's index holds it.
pub(crate) fn unit_vector(place: Place) -> [f64; 3] {
    let (lat, lon) = degrees(place);
    let (sin_lat, cos_lat) = lat.to_radians().sin_cos();
    let (sin_lon, cos_lon) = lon.to_radians().sin_cos();
    [cos_lat * cos_lon, cos_lat * sin_lon, sin_lat]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chord_between_unit_vectors_is_the_distance() {
        let (a, b) = ([1_000.0, 2_000.0], [4_000.0, 6_000.0]);
        let (u, v) = (unit_vector(a), unit_vector(b));
        let chord = u.iter().zip(v).map(|(p, q)| (p - q) * (p - q)).sum::<f64>().sqrt();
        assert!((chord * EARTH_RADIUS_M - distance_m(a, b)).abs() < 5.0);
    }
}
