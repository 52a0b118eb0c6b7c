//! A route through the city, with times.

use crate::position::Position;

use super::{OFF_STREET_METERS_PER_S, Streets};

/// A point of a route, with its distance and time from the start.
#[derive(Debug, Clone, Copy)]
struct Waypoint {
    place: Position,
    meters: f64,
    seconds: f64,
}

/// A route with a time for each of its points. It starts and ends at the exact positions, not at the nearest junctions.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    /// Never empty; meters and seconds do not decrease.
    waypoints: Vec<Waypoint>,
    /// Whether the map has a connection.
    pub on_streets: bool,
}

impl Route {
    /// Plans a route: straight to the nearest junction, along the fastest path, and straight to the destination. Without a
    /// connection, the great circle at 25 km/h.
    pub fn plan(streets: &Streets, from: Position, to: Position) -> Self {
        let mut route = Self::starting(from);
        let ends = streets.nearest(from).zip(streets.nearest(to));
        let Some((first, last)) = ends else {
            route.straight_to(to);
            route.on_streets = false;
            return route;
        };
        let (entry, exit) = (streets.junctions()[first as usize], streets.junctions()[last as usize]);
        // Within a block the direct line is shorter than the detour to a corner.
        if from.meters_to(to) <= from.meters_to(entry) + exit.meters_to(to) {
            route.straight_to(to);
            return route;
        }
        match streets.fastest(first, last) {
            Some(path) => {
                route.straight_to(entry);
                for segment in path {
                    route.go(streets.junctions()[segment.to as usize], segment.length_m, segment.travel_s);
                }
            }
            None => route.on_streets = false,
        }
        route.straight_to(to);
        route
    }

    fn starting(from: Position) -> Self {
        Self { waypoints: vec![Waypoint { place: from, meters: 0.0, seconds: 0.0 }], on_streets: true }
    }

    fn straight_to(&mut self, place: Position) {
        let length_m = self.end().place.meters_to(place);
        self.go(place, length_m, length_m / OFF_STREET_METERS_PER_S);
    }

    fn go(&mut self, place: Position, length_m: f64, travel_s: f64) {
        let end = self.end();
        self.waypoints.push(Waypoint { place, meters: end.meters + length_m, seconds: end.seconds + travel_s });
    }

    fn end(&self) -> Waypoint {
        self.waypoints[self.waypoints.len() - 1]
    }

    /// The duration in seconds.
    pub fn duration_s(&self) -> f64 {
        self.end().seconds
    }

    /// The position `elapsed_s` seconds after the start, clamped to the ends of the route.
    pub fn position_at(&self, elapsed_s: f64) -> Position {
        let (from, to, share) = self.between(elapsed_s);
        from.place.toward(to.place, share)
    }

    /// The meters driven `elapsed_s` seconds after the start.
    pub fn meters_at(&self, elapsed_s: f64) -> f64 {
        let (from, to, share) = self.between(elapsed_s);
        from.meters + (to.meters - from.meters) * share
    }

    /// The waypoints before and after this time, and the share of the distance between them.
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

    /// A one-way street to the north, with `n` junctions 100 m apart.
    fn one_way(n: u32) -> Streets {
        let junctions = (0..n).map(|j| HERE.offset(f64::from(j) * 100.0, 0.0)).collect();
        let segment = |from| Segment { from, to: from + 1, length_m: 100.0, travel_s: 10.0 };
        Streets::new(junctions, (0..n - 1).map(segment).collect())
    }

    #[test]
    fn route_follows_the_street_between_exact_positions() {
        let (from, to) = (HERE.offset(0.0, 30.0), HERE.offset(1_000.0, -40.0));
        let route = Route::plan(&one_way(20), from, to);
        assert!(route.on_streets);
        assert!((route.meters_at(f64::MAX) - 1_070.0).abs() < 2.0);
        assert!((route.duration_s() - (100.0 + 70.0 / OFF_STREET_METERS_PER_S)).abs() < 1.0);
        assert_eq!((route.position_at(-1.0), route.position_at(f64::MAX)), (from, to));
    }

    #[test]
    fn without_a_connection_the_route_is_straight_at_25_km_per_h() {
        for streets in [one_way(20), Streets::none()] {
            let route = Route::plan(&streets, HERE.offset(1_000.0, 0.0), HERE);
            assert!(!route.on_streets);
            assert!((route.duration_s() - 144.0).abs() < 1.0, "{}", route.duration_s());
        }
    }

    #[test]
    fn route_to_the_same_position_takes_no_time() {
        let route = Route::plan(&one_way(3), HERE, HERE);
        assert!(route.duration_s().abs() < 1e-6 && route.meters_at(1.0).abs() < 1e-6);
    }

    proptest! {
        #[test]
        fn position_is_continuous(north in -500.0..2_500.0_f64, east in -900.0..900.0_f64, back in any::<bool>()) {
            let (a, b) = (HERE.offset(north, east), HERE.offset(1_234.0, 56.0));
            let (from, to) = if back { (b, a) } else { (a, b) };
            let route = Route::plan(&one_way(20), from, to);
            let mut last = from;
            let steps = 1_000;
            for step in 0..=steps {
                let at_s = route.duration_s() * f64::from(step) / f64::from(steps);
                let here = route.position_at(at_s);
                // The top speed of this map is 36 km/h.
                let reach_m = route.duration_s() / f64::from(steps) * 10.2 + 0.01;
                prop_assert!(last.meters_to(here) <= reach_m, "{} m at {at_s} s", last.meters_to(here));
                last = here;
            }
            prop_assert!(last.meters_to(to) < 0.01);
        }
    }
}
