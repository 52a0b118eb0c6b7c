//! The position of a car.

use std::sync::Mutex;

use chrono::{DateTime, Utc};

use crate::clock::as_seconds;
use crate::position::Position;
use crate::streets::Route;
use crate::sync::lock;

/// A car, parked or driving.
#[derive(Debug)]
pub(super) struct Car(Mutex<CarState>);

#[derive(Debug)]
enum CarState {
    Parked(Position),
    Driving(Leg),
}

#[derive(Debug)]
struct Leg {
    route: Route,
    set_off: DateTime<Utc>,
    /// The factor by which the drive takes longer than on the map.
    slowness: f64,
}

impl Leg {
    fn elapsed_s(&self, now: DateTime<Utc>) -> f64 {
        as_seconds(now - self.set_off) / self.slowness
    }
}

impl Car {
    pub fn parked_at(place: Position) -> Self {
        Self(Mutex::new(CarState::Parked(place)))
    }

    pub fn park_at(&self, place: Position) {
        *lock(&self.0) = CarState::Parked(place);
    }

    pub fn position(&self, now: DateTime<Utc>) -> Position {
        match &*lock(&self.0) {
            CarState::Parked(place) => *place,
            CarState::Driving(leg) => leg.route.position_at(leg.elapsed_s(now)),
        }
    }

    pub fn set_off(&self, route: Route, now: DateTime<Utc>, slowness: f64) {
        *lock(&self.0) = CarState::Driving(Leg { route, set_off: now, slowness });
    }

    /// Stops the car, and returns the driven meters.
    pub fn stop(&self, now: DateTime<Utc>) -> f64 {
        let mut state = lock(&self.0);
        let CarState::Driving(leg) = &*state else {
            return 0.0;
        };
        let elapsed_s = leg.elapsed_s(now);
        let (place, driven_m) = (leg.route.position_at(elapsed_s), leg.route.meters_at(elapsed_s));
        *state = CarState::Parked(place);
        driven_m
    }

    pub fn is_driving(&self) -> bool {
        matches!(&*lock(&self.0), CarState::Driving(_))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::streets::Streets;
    use chrono::TimeDelta;

    #[test]
    fn stopped_car_returns_its_driven_meters() {
        let home = Position::new(10.0, 20.0).unwrap();
        let car = Car::parked_at(home);
        let start = DateTime::from_timestamp(0, 0).unwrap();
        // 1,000 m at 25 km/h take 144 s, and twice that in traffic.
        car.set_off(Route::plan(&Streets::none(), home, home.offset(1_000.0, 0.0)), start, 2.0);
        assert_eq!(car.position(start), home);
        let half_way = start + TimeDelta::seconds(144);
        assert!((car.stop(half_way) - 500.0).abs() < 2.0);
        assert!((car.position(half_way + TimeDelta::hours(1)).meters_to(home) - 500.0).abs() < 2.0);
        assert!(!car.is_driving() && car.stop(half_way) < f64::EPSILON);
    }
}
