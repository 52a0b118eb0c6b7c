//! Where one car is.

use std::sync::Mutex;

use chrono::{DateTime, Utc};

use crate::clock::as_seconds;
use crate::position::Position;
use crate::streets::Drive;
use crate::sync::lock;

/// A car, parked or on its way. Its driver moves it, its beacon looks.
#[derive(Debug)]
pub(super) struct Car(Mutex<Whereabouts>);

#[derive(Debug)]
enum Whereabouts {
    Parked(Position),
    Driving(Leg),
}

#[derive(Debug)]
struct Leg {
    drive: Drive,
    set_off: DateTime<Utc>,
    /// By how much the drive takes longer than the map says.
    slowness: f64,
}

impl Leg {
    fn elapsed_s(&self, now: DateTime<Utc>) -> f64 {
        as_seconds(now - self.set_off) / self.slowness
    }
}

impl Car {
    pub fn parked_at(place: Position) -> Self {
        Self(Mutex::new(Whereabouts::Parked(place)))
    }

    pub fn park_at(&self, place: Position) {
        *lock(&self.0) = Whereabouts::Parked(place);
    }

    pub fn position(&self, now: DateTime<Utc>) -> Position {
        match &*lock(&self.0) {
            Whereabouts::Parked(place) => *place,
            Whereabouts::Driving(leg) => leg.drive.position_at(leg.elapsed_s(now)),
        }
    }

    pub fn set_off(&self, drive: Drive, now: DateTime<Utc>, slowness: f64) {
        *lock(&self.0) = Whereabouts::Driving(Leg { drive, set_off: now, slowness });
    }

    /// Stops where the car is, and says how many metres the drive was until here.
    pub fn stop(&self, now: DateTime<Utc>) -> f64 {
        let mut whereabouts = lock(&self.0);
        let Whereabouts::Driving(leg) = &*whereabouts else {
            return 0.0;
        };
        let elapsed_s = leg.elapsed_s(now);
        let (place, driven_m) = (leg.drive.position_at(elapsed_s), leg.drive.metres_at(elapsed_s));
        *whereabouts = Whereabouts::Parked(place);
        driven_m
    }

    pub fn is_driving(&self) -> bool {
        matches!(&*lock(&self.0), Whereabouts::Driving(_))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::streets::Streets;
    use chrono::TimeDelta;

    #[test]
    fn a_car_stops_where_it_is_and_counts_what_it_drove() {
        let home = Position::new(10.0, 20.0).unwrap();
        let car = Car::parked_at(home);
        let start = DateTime::from_timestamp(0, 0).unwrap();
        // 1,000 m at 25 km/h take 144 s, and twice that in traffic.
        car.set_off(Drive::plan(&Streets::none(), home, home.offset(1_000.0, 0.0)), start, 2.0);
        assert_eq!(car.position(start), home);
        let half_way = start + TimeDelta::seconds(144);
        assert!((car.stop(half_way) - 500.0).abs() < 2.0);
        assert!((car.position(half_way + TimeDelta::hours(1)).metres_to(home) - 500.0).abs() < 2.0);
        assert!(!car.is_driving() && car.stop(half_way) < f64::EPSILON);
    }
}
