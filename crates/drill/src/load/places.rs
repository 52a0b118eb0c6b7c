//! Places, and random numbers from the seed.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::model::Area;

/// Meters per degree of latitude.
const DEGREE_M: f64 = 111_195.0;

/// Returns the generator of one actor. The same seed and name give the same numbers, whatever other actors draw.
pub(super) fn random(seed: u64, actor: &str) -> StdRng {
    let mut hash = Sha256::new();
    hash.update(seed.to_le_bytes());
    hash.update(actor.as_bytes());
    StdRng::from_seed(hash.finalize().into())
}

/// A position, degrees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Place {
    pub lat: f64,
    pub lon: f64,
}

impl Place {
    /// A random place in an area, evenly distributed.
    pub fn within(area: &Area, random: &mut StdRng) -> Self {
        let (direction, share) = (random.random_range(0.0..std::f64::consts::TAU), random.random_range(0.0_f64..1.0));
        Self { lat: area.lat, lon: area.lon }.moved(direction, area.radius_m * share.sqrt())
    }

    /// The place at a distance in meters, in a direction in radians.
    pub fn moved(self, direction: f64, distance_m: f64) -> Self {
        let north = distance_m * direction.cos() / DEGREE_M;
        let east = distance_m * direction.sin() / (DEGREE_M * self.lat.to_radians().cos());
        Self { lat: self.lat + north, lon: self.lon + east }
    }

    /// The distance in meters, exact enough within a city.
    pub fn distance_m(self, other: Self) -> f64 {
        let north = (other.lat - self.lat) * DEGREE_M;
        let east = (other.lon - self.lon) * DEGREE_M * self.lat.to_radians().cos();
        north.hypot(east)
    }

    /// The place after driving at most `distance_m` towards another one.
    pub fn toward(self, other: Self, distance_m: f64) -> Self {
        let whole = self.distance_m(other);
        if whole <= distance_m {
            return other;
        }
        let share = distance_m / whole;
        Self { lat: self.lat + (other.lat - self.lat) * share, lon: self.lon + (other.lon - self.lon) * share }
    }

    pub fn json(self) -> Value {
        json!({ "lat": self.lat, "lon": self.lon })
    }

    pub fn read(value: &Value) -> Option<Self> {
        Some(Self { lat: value["lat"].as_f64()?, lon: value["lon"].as_f64()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moves_and_distances_agree() {
        let center = Place { lat: 40.75, lon: -73.99 };
        for direction in [0.0, 1.0, 2.5, 5.0] {
            let moved = center.moved(direction, 700.0);
            assert!((center.distance_m(moved) - 700.0).abs() < 1.0, "{moved:?}");
            let back = moved.toward(center, 300.0);
            assert!((center.distance_m(back) - 400.0).abs() < 1.0, "{back:?}");
        }
        assert_eq!(center.toward(center.moved(1.0, 5.0), 10.0), center.moved(1.0, 5.0));
    }

    #[test]
    fn same_seed_gives_the_same_places() {
        let area = Area::default();
        let of = |seed| Place::within(&area, &mut random(seed, "a"));
        assert_eq!(of(3), of(3));
        assert_ne!(of(3), of(4));
    }
}
