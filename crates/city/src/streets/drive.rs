//! One car's way from here to there, with its times.

use crate::position::Position;

use super::{OFF_STREET_METRES_PER_S, Streets};

/// A point of the way, how far it is from the start, and when the car is there.
#[derive(Debug, Clone, Copy)]
struct Waypoint {
    place: Position,
    metres: f64,
    seconds: f64,
}

/// A line through the city with a time for each of its points. It starts and ends exactly where it was asked to, so a car
/// that has driven it stands at the rider's door and not at the next crossing.
#[derive(Debug, Clone)]
pub(crate) struct Drive {
    /// Never empty; metres and seconds never fall.
    waypoints: Vec<Waypoint>,
    /// Whether the streets led all the way, or the map has no connection and the car flew.
    pub on_streets: bool,
}

impl Drive {
    /// Plans a drive: straight to the nearest junction, along the fastest streets, and straight to the door. Without a
    /// connection it is the great circle at 25 km/h.
    pub fn plan(streets: &Streets, from: Position, to: Position) -> Self {
        let mut drive = Self::starting(from);
        let ends = streets.nearest(from).zip(streets.nearest(to));
        let Some((first, last)) = ends else {
            drive.straight_to(to);
            drive.on_streets = false;
            return drive;
        };
        let (entry, exit) = (streets.junctions()[first as usize], streets.junctions()[last as usize]);
        // Two doors of one block: nobody drives to the corner and back.
        if from.metres_to(to) <= from.metres_to(entry) + exit.metres_to(to) {
            drive.straight_to(to);
            return drive;
        }
        match streets.fastest(first, last) {
            Some(way) => {
                drive.straight_to(entry);
                for segment in way {
                    drive.go(streets.junctions()[segment.to as usize], segment.length_m, segment.travel_s);
                }
            }
            None => drive.on_streets = false,
        }
        drive.straight_to(to);
        drive
    }

    fn starting(from: Position) -> Self {
        Self { waypoints: vec![Waypoint { place: from, metres: 0.0, seconds: 0.0 }], on_streets: true }
    }

    fn straight_to(&mut self, place: Position) {
        let length_m = self.end().place.metres_to(place);
        self.go(place, length_m, length_m / OFF_STREET_METRES_PER_S);
    }

    fn go(&mut self, place: Position, length_m: f64, travel_s: f64) {
        let end = self.end();
        self.waypoints.push(Waypoint { place, metres: end.metres + length_m, seconds: end.seconds + travel_s });
    }

    fn end(&self) -> Waypoint {
        self.waypoints[self.waypoints.len() - 1]
    }

    /// How long the whole drive takes, in seconds.
    pub fn duration_s(&self) -> f64 {
        self.end().seconds
    }

    /// Where the car is `elapsed_s` seconds after it set off; the ends of the way before and after that.
    pub fn position_at(&self, elapsed_s: f64) -> Position {
        let (from, to, share) = self.between(elapsed_s);
        from.place.toward(to.place, share)
    }

    /// How far the car has come `elapsed_s` seconds after it set off, in metres.
    pub fn metres_at(&self, elapsed_s: f64) -> f64 {
        let (from, to, share) = self.between(elapsed_s);
        from.metres + (to.metres - from.metres) * share
    }

    /// The waypoints before and after a moment, and the share of the way between them.
    fn between(&self, elapsed_s: f64) -> (Waypoint, Waypoint, f64) {
        let passed = self.waypoints.partition_point(|waypoint| waypoint.seconds <= elapsed_s);
        let from = self.waypoints[passed.saturating_sub(1)];
        let to = self.waypoints[passed.min(self.waypoints.len() - 1)];
        let step_s = to.seconds - from.seconds;
        let share = if step_s > 0.0 { ((elapsed_s - from.seconds) / step_s).clamp(0.0, 1.0) } else { 0.0 };
        (from, to, share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::streets::Segment;
    use proptest::prelude::*;

    const HERE: Position = Position { lat: 40.70, lon: -74.00 };

    /// A street of `n` junctions, 100 m apart, one way to the north.
    fn one_way(n: u32) -> Streets {
        let junctions = (0..n).map(|j| HERE.offset(f64::from(j) * 100.0, 0.0)).collect();
        let segment = |from| Segment { from, to: from + 1, length_m: 100.0, travel_s: 10.0 };
        Streets::new(junctions, (0..n - 1).map(segment).collect())
    }

    #[test]
    fn a_drive_goes_from_door_to_door_along_the_street() {
        let (from, to) = (HERE.offset(0.0, 30.0), HERE.offset(1_000.0, -40.0));
        let drive = Drive::plan(&one_way(20), from, to);
        assert!(drive.on_streets);
        assert!((drive.metres_at(f64::MAX) - 1_070.0).abs() < 2.0);
        assert!((drive.duration_s() - (100.0 + 70.0 / OFF_STREET_METRES_PER_S)).abs() < 1.0);
        assert_eq!((drive.position_at(-1.0), drive.position_at(f64::MAX)), (from, to));
    }

    #[test]
    fn without_a_way_the_car_flies_at_25_km_per_h() {
        for streets in [one_way(20), Streets::none()] {
            let drive = Drive::plan(&streets, HERE.offset(1_000.0, 0.0), HERE);
            assert!(!drive.on_streets);
            assert!((drive.duration_s() - 144.0).abs() < 1.0, "{}", drive.duration_s());
        }
    }

    #[test]
    fn a_drive_to_where_the_car_stands_takes_no_time() {
        let drive = Drive::plan(&one_way(3), HERE, HERE);
        assert!(drive.duration_s().abs() < 1e-6 && drive.metres_at(1.0).abs() < 1e-6);
    }

    proptest! {
        #[test]
        fn a_car_never_jumps(north in -500.0..2_500.0_f64, east in -900.0..900.0_f64, back in any::<bool>()) {
            let (a, b) = (HERE.offset(north, east), HERE.offset(1_234.0, 56.0));
            let (from, to) = if back { (b, a) } else { (a, b) };
            let drive = Drive::plan(&one_way(20), from, to);
            let mut last = from;
            let steps = 1_000;
            for step in 0..=steps {
                let at_s = drive.duration_s() * f64::from(step) / f64::from(steps);
                let here = drive.position_at(at_s);
                // Nothing on this map is faster than 36 km/h.
                let reach_m = drive.duration_s() / f64::from(steps) * 10.2 + 0.01;
                prop_assert!(last.metres_to(here) <= reach_m, "{} m at {at_s} s", last.metres_to(here));
                last = here;
            }
            prop_assert!(last.metres_to(to) < 0.01);
        }
    }
}
