//! The nearest busy drivers of trips that no free driver could serve. They explain why such a trip got no offer.

use std::cmp::Ordering;

use chrono::TimeDelta;

use super::candidates::{Drives, Near};
use super::plan::Candidate;
use super::store::SearchingTrip;
use crate::geo::{self, StreetMap};
use crate::platform::clock::DomainTime;
use crate::supply::{OnlineDriver, Supply};

/// The most busy drivers of a trip. The nearest few tell whether a driver was near at all.
pub const BUSY_MAX: usize = 3;

/// Returns for each trip the nearest busy drivers that would be candidates if they were free. O(trips × online drivers).
pub fn find(
    supply: &Supply,
    map: &StreetMap,
    trips: &[SearchingTrip],
    pickup_within: Option<TimeDelta>,
    now: DomainTime,
) -> Vec<Vec<Candidate>> {
    let mut drives = Drives::new(map, trips, pickup_within, now);
    let is_busy = |driver: &OnlineDriver| !driver.is_free && driver.last.is_fresh(now);
    let online = supply.online_drivers().into_iter().filter(is_busy);
    let busy: Vec<([f64; 3], OnlineDriver)> =
        online.map(|driver| (driver.last.position.unit_vector(), driver)).collect();
    let nearest = |(index, trip): (usize, &SearchingTrip)| {
        let center = trip.pickup.unit_vector();
        let may_serve =
            |driver: &OnlineDriver| driver.class == trip.class && !trip.excluded.contains(&driver.last.driver);
        let of_class = busy.iter().filter(|(_, driver)| may_serve(driver));
        // Chords have the order of the distances, and need no arc tangent.
        let mut near: Vec<(f64, &OnlineDriver)> =
            of_class.map(|(vector, driver)| (chord_2_between(&center, vector), driver)).collect();
        if near.len() > BUSY_MAX {
            near.select_nth_unstable_by(BUSY_MAX, by_distance);
            near.truncate(BUSY_MAX);
        }
        near.sort_unstable_by(by_distance);
        near.into_iter().filter_map(|(_, driver)| drives.candidate(index, near_to(trip, driver, now))).collect()
    };
    trips.iter().enumerate().map(nearest).collect()
}

fn chord_2_between(a: &[f64; 3], b: &[f64; 3]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

fn by_distance((one_2, one): &(f64, &OnlineDriver), (other_2, other): &(f64, &OnlineDriver)) -> Ordering {
    one_2.total_cmp(other_2).then(one.last.driver.cmp(&other.last.driver))
}

fn near_to(trip: &SearchingTrip, driver: &OnlineDriver, now: DomainTime) -> Near {
    Near {
        driver: driver.last.driver,
        position: driver.last.position,
        distance_m: geo::distance_m(driver.last.position, trip.pickup),
        position_age_ms: driver.last.age(now).num_milliseconds(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use chrono::DateTime;
    use uuid::Uuid;

    use super::*;
    use crate::geo::{Position, roads};
    use crate::platform::class::VehicleClass;
    use crate::platform::ids::{DriverId, TripId};
    use crate::supply::{MAX_CANDIDATE_AGE_S, PositionReport, Status};

    const STANDARD: VehicleClass = VehicleClass::Standard;

    fn now() -> DomainTime {
        DomainTime::new(DateTime::UNIX_EPOCH)
    }

    fn driver(n: u128) -> DriverId {
        DriverId::from(Uuid::from_u128(n))
    }

    fn minutes_away(minutes: i64) -> Position {
        let degrees = roads::reach_m(60_000 * minutes) / geo::EARTH_RADIUS_M * 180.0 / std::f64::consts::PI;
        Position::new(40.0 + degrees, -74.0).expect("in range")
    }

    /// Returns the busy drivers of a trip, among drivers with these statuses, minutes from the pickup, and ages of their positions.
    fn found(drivers: &[(Status, i64, i64)]) -> Vec<DriverId> {
        let supply = Supply::default();
        let statuses = drivers.iter().zip(0..).map(|((status, ..), n)| (driver(n), *status));
        supply.load(statuses.collect(), Vec::new(), now());
        for ((_, minutes, age_s), n) in drivers.iter().zip(0..) {
            let recorded_at = now() - TimeDelta::seconds(*age_s);
            let report = PositionReport { driver: driver(n), position: minutes_away(*minutes), recorded_at };
            supply.report(report, recorded_at).expect("there is a fleet");
        }
        let trip = SearchingTrip {
            id: TripId::from(Uuid::from_u128(1)),
            pickup: minutes_away(0),
            class: STANDARD,
            requested_at: now(),
            since: now(),
            authorized_at: None,
            offers_made: 0,
            excluded: HashSet::new(),
        };
        let found = find(&supply, &StreetMap::default(), &[trip], None, now());
        found[0].iter().map(|candidate| candidate.driver).collect()
    }

    #[test]
    fn nearest_busy_drivers_within_the_longest_drive_are_found() {
        let busy = Status::Busy { class: STANDARD };
        assert_eq!(found(&[(busy, 14, 0), (busy, 3, 0), (busy, 16, 0)]), [driver(1), driver(0)]);
        assert_eq!(found(&[(busy, 4, 0), (busy, 3, 0), (busy, 2, 0), (busy, 1, 0)]), [driver(3), driver(2), driver(1)]);
    }

    #[test]
    fn free_drivers_other_classes_and_stale_positions_are_not() {
        let (busy, free) = (Status::Busy { class: STANDARD }, Status::Free { class: STANDARD });
        let other = Status::Busy { class: VehicleClass::Xl };
        assert_eq!(
            found(&[(free, 1, 0), (other, 1, 0), (busy, 1, MAX_CANDIDATE_AGE_S + 1), (busy, 2, 0)]),
            [driver(3)]
        );
    }
}
