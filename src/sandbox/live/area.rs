//! The area of a map, and positions in it as two 16-bit numbers.

use serde::Deserialize;

use crate::geo::Position;

/// Steps from one edge of an area to the other: the range of 16 bits.
const STEPS: f64 = 65_535.0;

/// The share of its height and width added to a view on each side, so that a map dragged a little is not empty.
const MARGIN: f64 = 0.25;

/// Degrees around the globe.
const FULL_CIRCLE: f64 = 360.0;

/// An area between two parallels and two meridians, degrees. Across the antimeridian, `east` exceeds 180.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Area {
    /// Southern edge.
    pub south: f64,
    /// Western edge, -180 to 180.
    pub west: f64,
    /// Northern edge, greater than `south`.
    pub north: f64,
    /// Eastern edge, greater than `west`, by at most 360.
    pub east: f64,
}

/// An area with an edge out of range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an area has -90 <= south < north <= 90, -180 <= west <= 180 and west < east <= west + 360")]
pub struct InvalidArea;

impl Area {
    /// Validates a view and adds a margin.
    ///
    /// # Errors
    /// If an edge is out of range or not a number.
    pub fn around(view: Self) -> Result<Self, InvalidArea> {
        let Self { south, west, north, east } = view;
        let is_valid = -90.0 <= south && south < north && north <= 90.0;
        let is_valid = is_valid && (-180.0..=180.0).contains(&west) && west < east && east <= west + FULL_CIRCLE;
        if !is_valid {
            return Err(InvalidArea);
        }
        let (high, wide) =
            ((north - south) * MARGIN, ((east - west) * MARGIN).min((FULL_CIRCLE - (east - west)) / 2.0));
        Ok(Self {
            south: (south - high).max(-90.0),
            west: west - wide,
            north: (north + high).min(90.0),
            east: east + wide,
        })
    }

    /// Returns a position in steps from the western and southern edges; `None` outside of the area.
    pub fn steps_to(&self, position: Position) -> Option<(u16, u16)> {
        let x = (position.lon() - self.west).rem_euclid(FULL_CIRCLE) / (self.east - self.west);
        let y = (position.lat() - self.south) / (self.north - self.south);
        let is_inside = (0.0..=1.0).contains(&x) && (0.0..=1.0).contains(&y);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 65,535, rounded")]
        is_inside.then(|| ((x * STEPS).round() as u16, (y * STEPS).round() as u16))
    }

    /// Whether a position lies in the area.
    pub fn contains(&self, position: Position) -> bool {
        self.steps_to(position).is_some()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    fn area(south: f64, west: f64, north: f64, east: f64) -> Area {
        Area { south, west, north, east }
    }

    #[test]
    fn invalid_view_is_refused() {
        for invalid in [
            area(1.0, 0.0, 1.0, 1.0),
            area(2.0, 0.0, 1.0, 1.0),
            area(-91.0, 0.0, 1.0, 1.0),
            area(0.0, 5.0, 1.0, 5.0),
            area(0.0, -181.0, 1.0, 5.0),
            area(0.0, 0.0, 1.0, 361.0),
            area(f64::NAN, 0.0, 1.0, 1.0),
            area(0.0, 0.0, f64::INFINITY, 1.0),
        ] {
            assert_eq!(Area::around(invalid), Err(InvalidArea), "{invalid:?}");
        }
    }

    #[test]
    fn area_across_the_antimeridian_contains_both_sides() {
        let fiji = Area::around(area(-20.0, 177.0, -15.0, 182.0)).unwrap();
        assert!(fiji.contains(Position::new(-16.8, 179.99).unwrap()));
        assert!(fiji.contains(Position::new(-16.8, -179.99).unwrap()));
        assert!(!fiji.contains(Position::new(-16.8, 0.0).unwrap()));
    }

    proptest! {
        #[test]
        fn steps_round_trip_within_0_004_degrees(lat in -60.0..60.0_f64, lon in -180.0..180.0_f64, south in -80.0..-60.5_f64) {
            let world = Area::around(area(south, -180.0, 70.0, 180.0)).unwrap();
            let (x, y) = world.steps_to(Position::new(lat, lon).unwrap()).unwrap();
            let back = |edge: f64, other: f64, steps: u16| edge + (other - edge) * f64::from(steps) / STEPS;
            prop_assert!((back(world.south, world.north, y) - lat).abs() < 0.002);
            prop_assert!((back(world.west, world.east, x) - lon).abs() < 0.004);
        }
    }
}
