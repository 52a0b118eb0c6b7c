//! A part of the world, and places in it as two small numbers.

use serde::Deserialize;

use crate::geo::Position;

/// Steps from one edge of an area to the other: what 16 bits can count.
const STEPS: f64 = 65_535.0;

/// How much of its height and width is added to a view on each side, so that a map that is dragged a little is not empty there.
const MARGIN: f64 = 0.25;

/// The globe once around, degrees.
const AROUND: f64 = 360.0;

/// A part of the world between two parallels and two meridians, in degrees. It may lie across the antimeridian: `east` goes on
/// past 180 then.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Area {
    /// Its southern edge.
    pub south: f64,
    /// Its western edge, -180 to 180.
    pub west: f64,
    /// Its northern edge, over the southern.
    pub north: f64,
    /// Its eastern edge, more than `west`, by 360 at most.
    pub east: f64,
}

/// An area that cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an area has -90 <= south < north <= 90, -180 <= west <= 180 and west < east <= west + 360")]
pub struct InvalidArea;

impl Area {
    /// Checks a view and puts a margin around it.
    ///
    /// # Errors
    /// When an edge is out of range, or not a number.
    pub fn around(view: Self) -> Result<Self, InvalidArea> {
        let Self { south, west, north, east } = view;
        let is_right = -90.0 <= south && south < north && north <= 90.0;
        let is_right = is_right && (-180.0..=180.0).contains(&west) && west < east && east <= west + AROUND;
        if !is_right {
            return Err(InvalidArea);
        }
        let (high, wide) = ((north - south) * MARGIN, ((east - west) * MARGIN).min((AROUND - (east - west)) / 2.0));
        Ok(Self {
            south: (south - high).max(-90.0),
            west: west - wide,
            north: (north + high).min(90.0),
            east: east + wide,
        })
    }

    /// Where a place lies in it, in steps from its western and its southern edge; none if it lies outside.
    pub fn steps_to(&self, place: Position) -> Option<(u16, u16)> {
        let x = (place.lon() - self.west).rem_euclid(AROUND) / (self.east - self.west);
        let y = (place.lat() - self.south) / (self.north - self.south);
        let is_inside = (0.0..=1.0).contains(&x) && (0.0..=1.0).contains(&y);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 65,535, rounded")]
        is_inside.then(|| ((x * STEPS).round() as u16, (y * STEPS).round() as u16))
    }

    /// Whether a place lies in it.
    pub fn contains(&self, place: Position) -> bool {
        self.steps_to(place).is_some()
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
    fn a_view_that_cannot_be_is_refused() {
        for wrong in [
            area(1.0, 0.0, 1.0, 1.0),
            area(2.0, 0.0, 1.0, 1.0),
            area(-91.0, 0.0, 1.0, 1.0),
            area(0.0, 5.0, 1.0, 5.0),
            area(0.0, -181.0, 1.0, 5.0),
            area(0.0, 0.0, 1.0, 361.0),
            area(f64::NAN, 0.0, 1.0, 1.0),
            area(0.0, 0.0, f64::INFINITY, 1.0),
        ] {
            assert_eq!(Area::around(wrong), Err(InvalidArea), "{wrong:?}");
        }
    }

    #[test]
    fn an_area_across_the_antimeridian_has_both_sides_of_it() {
        let fiji = Area::around(area(-20.0, 177.0, -15.0, 182.0)).unwrap();
        assert!(fiji.contains(Position::new(-16.8, 179.99).unwrap()));
        assert!(fiji.contains(Position::new(-16.8, -179.99).unwrap()));
        assert!(!fiji.contains(Position::new(-16.8, 0.0).unwrap()));
    }

    proptest! {
        #[test]
        fn steps_lead_back_to_the_place(lat in -60.0..60.0_f64, lon in -180.0..180.0_f64, south in -80.0..-60.5_f64) {
            let world = Area::around(area(south, -180.0, 70.0, 180.0)).unwrap();
            let (x, y) = world.steps_to(Position::new(lat, lon).unwrap()).unwrap();
            let back = |edge: f64, other: f64, steps: u16| edge + (other - edge) * f64::from(steps) / STEPS;
            prop_assert!((back(world.south, world.north, y) - lat).abs() < 0.002);
            prop_assert!((back(world.west, world.east, x) - lon).abs() < 0.004);
        }
    }
}
