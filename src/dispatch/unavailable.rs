//! The nearest drivers whom a trip without a free driver could not have: busy ones, and free ones who would come too late. They explain
//! why such a trip got no offer.

use std::cmp::Ordering;

use super::candidates::{Drives, Near, Places, eta_max_ms};
use super::plan::{Candidate, ETA_MAX_MS};
use super::store::SearchingTrip;
use crate::geo::{self, StreetMap};
use crate::platform::clock::DomainTime;
use crate::supply::{OnlineDriver, Query, Supply};

/// The most busy drivers of a trip, and the most who would come too late. The nearest few tell whether a driver was near at all.
pub const NAMED_MAX: usize = 3;

/// The nearest drivers whom a trip could not have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unavailable {
    /// Drivers who would be candidates if they were free.
    pub busy: Vec<Candidate>,
    /// Free drivers who would be candidates if the rider waited longer.
    pub too_late: Vec<Candidate>,
}

/// Returns for each trip the nearest drivers whom it could not have. O(trips × online drivers).
pub fn find(supply: &Supply, map: &StreetMap, trips: &[SearchingTrip], now: DomainTime) -> Vec<Unavailable> {
    let busy = busy(supply, map, trips, now);
    let too_late = too_late(supply, map, trips, now);
    busy.into_iter().zip(too_late).map(|(busy, too_late)| Unavailable { busy, too_late }).collect()
}

fn busy(supply: &Supply, map: &StreetMap, trips: &[SearchingTrip], now: DomainTime) -> Vec<Vec<Candidate>> {
    let mut places = Places::default();
    let mut drives = Drives::new(map, &mut places, trips, |trip| eta_max_ms(trip, now));
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
            of_class.map(|(vector, driver)| (geo::chord_2_between(&center, vector), driver)).collect();
        if near.len() > NAMED_MAX {
            near.select_nth_unstable_by(NAMED_MAX, by_distance);
            near.truncate(NAMED_MAX);
        }
        near.sort_unstable_by(by_distance);
        near.into_iter().filter_map(|(_, driver)| drives.candidate(index, near_to(trip, driver, now))).collect()
    };
    trips.iter().enumerate().map(nearest).collect()
}

/// Returns for each trip with a latest pickup the nearest free drivers who cannot be there by then.
fn too_late(supply: &Supply, map: &StreetMap, trips: &[SearchingTrip], now: DomainTime) -> Vec<Vec<Candidate>> {
    let mut places = Places::default();
    let mut drives = Drives::new(map, &mut places, trips, |_| Some(ETA_MAX_MS));
    let radius_m = map.reach_m(ETA_MAX_MS);
    let nearest = |(index, trip): (usize, &SearchingTrip)| {
        if trip.pickup_by.is_none() {
            return Vec::new();
        }
        let query = Query {
            center: trip.pickup,
            radius_m,
            class: Some(trip.class),
            limit: NAMED_MAX + trip.excluded.len(),
            now,
        };
        let is_late = |candidate: &Candidate| eta_max_ms(trip, now).is_none_or(|max_ms| candidate.eta.ms > max_ms);
        let near = supply.nearest(&query).into_iter().filter(|found| !trip.excluded.contains(&found.driver));
        let late = near.filter_map(|found| drives.candidate(index, Near::from(&found))).filter(is_late);
        late.take(NAMED_MAX).collect()
    };
    trips.iter().enumerate().map(nearest).collect()
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

    use chrono::{DateTime, TimeDelta};
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

    /// Drivers with these statuses, minutes from the pickup, and ages of their positions.
    fn supply(drivers: &[(Status, i64, i64)]) -> Supply {
        let supply = Supply::default();
        let statuses = drivers.iter().zip(0..).map(|((status, ..), n)| (driver(n), *status));
        supply.load(statuses.collect(), Vec::new(), now());
        for ((_, minutes, age_s), n) in drivers.iter().zip(0..) {
            let recorded_at = now() - TimeDelta::seconds(*age_s);
            let report = PositionReport { driver: driver(n), position: minutes_away(*minutes), recorded_at };
            supply.report(report, recorded_at).expect("there is a fleet");
        }
        supply
    }

    /// Returns the busy ones of these drivers.
    fn found(drivers: &[(Status, i64, i64)]) -> Vec<DriverId> {
        let found = find(&supply(drivers), &StreetMap::default(), &[trip()], now());
        found[0].busy.iter().map(|candidate| candidate.driver).collect()
    }

    fn trip() -> SearchingTrip {
        SearchingTrip {
            id: TripId::from(Uuid::from_u128(1)),
            pickup: minutes_away(0),
            class: STANDARD,
            pickup_by: None,
            since: now(),
            authorized_at: None,
            offers_made: 0,
            excluded: HashSet::new(),
        }
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

    #[test]
    fn free_drivers_who_would_come_after_the_latest_pickup_are_too_late() {
        let (free, busy) = (Status::Free { class: STANDARD }, Status::Busy { class: STANDARD });
        let drivers = [(free, 14, 0), (free, 6, 0), (busy, 6, 0), (free, 4, 0), (free, 16, 0), (free, 2, 0)];
        let supply = supply(&drivers);
        let too_late = |pickup_by: Option<i64>, excluded: &[u128]| {
            let excluded = excluded.iter().map(|n| driver(*n)).collect();
            let pickup_by = pickup_by.map(|seconds| now() + TimeDelta::seconds(seconds));
            let trip = SearchingTrip { pickup_by, excluded, ..trip() };
            let found = find(&supply, &StreetMap::default(), &[trip], now());
            found[0].too_late.iter().map(|candidate| candidate.driver).collect::<Vec<_>>()
        };
        assert_eq!(too_late(Some(60), &[]), [driver(5), driver(3), driver(1)], "the nearest three");
        assert_eq!(too_late(Some(60), &[3]), [driver(5), driver(1), driver(0)], "an excluded one is not late");
        assert_eq!(too_late(Some(0), &[]), [driver(5), driver(3), driver(1)], "no driver can come any more");
        assert_eq!(too_late(Some(900), &[]), [], "the one 16 minutes away is too far for any trip");
        assert_eq!(too_late(None, &[]), []);
    }
}
