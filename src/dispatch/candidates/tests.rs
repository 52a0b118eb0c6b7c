use std::collections::HashSet;

use chrono::{DateTime, TimeDelta};
use uuid::Uuid;

use super::*;
use crate::geo::roads;
use crate::geo::streets::{Segment, Streets};
use crate::geo::{EtaSource, Router};
use crate::platform::class::VehicleClass;
use crate::supply::{PositionReport, Status};

const CLASS: VehicleClass = VehicleClass::Standard;

fn now() -> DomainTime {
    DomainTime::new(DateTime::UNIX_EPOCH)
}

fn driver(n: u128) -> DriverId {
    DriverId::from(Uuid::from_u128(n))
}

/// A position this many minutes of driving north of the pickups.
fn minutes_away(minutes: i64) -> Position {
    let degrees = roads::reach_m(60_000 * minutes) / geo::EARTH_RADIUS_M * 180.0 / std::f64::consts::PI;
    Position::new(40.0 + degrees, -74.0).expect("in range")
}

fn trips(number: u128) -> Vec<SearchingTrip> {
    let trip = |n| SearchingTrip {
        id: TripId::from(Uuid::from_u128(n)),
        pickup: minutes_away(0),
        class: CLASS,
        pickup_by: None,
        since: now(),
        authorized_at: None,
        offers_made: 0,
        excluded: HashSet::new(),
    };
    (0..number).map(trip).collect()
}

/// Drivers numbered in the order of their minutes from the pickups.
fn supply(minutes: impl IntoIterator<Item = i64>) -> Supply {
    let supply = Supply::default();
    let drivers: Vec<_> = minutes.into_iter().zip(0..).map(|(minutes, n)| (driver(n), minutes)).collect();
    supply.load(
        drivers.iter().map(|(driver, _)| (*driver, Status::Free { class: CLASS })).collect(),
        Vec::new(),
        now(),
    );
    for (driver, minutes) in drivers {
        let report = PositionReport { driver, position: minutes_away(minutes), recorded_at: now() };
        supply.report(report, now()).expect("there is a fleet");
    }
    supply
}

/// The searches of a first cycle.
fn fresh(supply: &Supply, map: &StreetMap, trips: &[SearchingTrip]) -> Vec<Search> {
    find(supply, map, &mut Places::default(), trips, now())
}

fn etas(searches: &[Search]) -> Vec<(DriverId, i64)> {
    let candidates = searches.iter().flat_map(|search| &search.candidates);
    candidates.map(|candidate| (candidate.driver, candidate.eta.ms)).collect()
}

#[test]
fn trip_has_the_nearest_drivers_within_the_longest_drive() {
    let found = fresh(&supply([14, 3, 16]), &StreetMap::default(), &trips(1));
    let candidates: Vec<_> = found[0].candidates.iter().map(|candidate| candidate.driver).collect();
    assert_eq!(candidates, [driver(1), driver(0)]);
    assert_eq!((found[0].candidates[0].eta.ms + 500) / 1_000, 180);
}

#[test]
fn driver_behind_the_nearest_of_every_trip_is_a_candidate_if_many_trips_compete() {
    let supply = supply([1; NEAREST_MAX].into_iter().chain([2]));
    let behind = driver(NEAREST_MAX as u128);
    let edges = |trips: Vec<SearchingTrip>| {
        let found = fresh(&supply, &StreetMap::default(), &trips);
        found.iter().filter(|search| search.candidates.iter().any(|candidate| candidate.driver == behind)).count()
    };
    assert_eq!(edges(trips(NEAREST_MAX as u128)), 0, "each trip can have a nearer one");
    assert_eq!(edges(trips(NEAREST_MAX as u128 + 1)), NEAREST_MAX);
}

#[test]
fn excluded_driver_is_found_beside_the_others() {
    let mut trips = trips(1);
    trips[0].excluded.insert(driver(0));
    let found = fresh(&supply([1; NEAREST_MAX + 1]), &StreetMap::default(), &trips);
    assert_eq!(found[0].candidates.len(), NEAREST_MAX + 1);
}

/// A street north from the pickups, with a junction a minute away by the estimate and one 20 minutes away, driven in seconds. The ways
/// back have these times: along the street, and from its far end around.
fn streets(from_near_ms: u32, from_far_ms: u32) -> Streets {
    let east = Position::new(40.0, -73.9).expect("in range");
    let junctions = vec![minutes_away(0), minutes_away(1), minutes_away(20), east];
    let segment = |(from, to, ms)| Segment { from, to, ms, length_m: 100.0 };
    let around = [(2, 3, from_far_ms - 1), (3, 0, 1)];
    let segments = [(0, 1, 1_000), (1, 2, 1_000), (1, 0, from_near_ms)].into_iter().chain(around).map(segment);
    Streets::new(junctions, segments.collect()).expect("connected")
}

fn street(from_near_ms: u32, from_far_ms: u32) -> StreetMap {
    Router::new(Some(streets(from_near_ms, from_far_ms))).map()
}

#[test]
fn candidates_are_ranked_by_their_drive_along_the_streets() {
    let supply = supply([1, 20]);
    let found = fresh(&supply, &street(300_000, 100_000), &trips(1));
    let candidates = found[0].candidates.iter().map(|candidate| (candidate.driver, candidate.eta.ms));
    // The near driver is faster over the far junction.
    assert_eq!(candidates.collect::<Vec<_>>(), [(driver(1), 100_000), (driver(0), 101_000)]);
    assert!(found[0].candidates.iter().all(|candidate| candidate.eta.source == EtaSource::Streets));
}

#[test]
fn driver_behind_many_who_are_too_far_to_drive_is_a_candidate() {
    let limit = u32::try_from(ETA_MAX_MS).expect("small");
    // Sixteen drivers a minute away have to drive around for too long; the one farther away does not.
    let supply = supply([1; NEAREST_MAX].into_iter().chain([20]));
    let map = street(2 * limit, limit);
    let found = fresh(&supply, &map, &trips(1));
    let candidates: Vec<_> = found[0].candidates.iter().map(|candidate| candidate.driver).collect();
    assert_eq!(candidates, [driver(NEAREST_MAX as u128)]);
}

#[test]
fn driver_who_would_come_after_the_rider_has_left_is_no_candidate() {
    let supply = supply([0, 1, 4]);
    let map = StreetMap::default();
    let found_after = |waited_s: i64| {
        let mut trips = trips(1);
        trips[0].pickup_by = Some(now() + TimeDelta::seconds(600 - waited_s));
        let found = fresh(&supply, &map, &trips);
        found[0].candidates.iter().map(|candidate| candidate.driver).collect::<Vec<_>>()
    };
    assert_eq!(found_after(300), [driver(0), driver(1), driver(2)]);
    assert_eq!(found_after(400), [driver(0), driver(1)], "the third needs four of the minutes that are left");
    assert!(found_after(601).is_empty(), "also the driver at the pickup comes too late");
}

#[test]
fn trips_of_a_driver_are_those_whose_riders_are_still_there() {
    // The nearest drivers of each trip are sixteen others; the far one's nearest trips are added.
    let mut trips = trips(200);
    for trip in &mut trips[..100] {
        trip.pickup_by = Some(now() + TimeDelta::seconds(100));
    }
    let supply = supply([1; NEAREST_MAX].into_iter().chain([4]));
    let found = fresh(&supply, &StreetMap::default(), &trips);
    let has_far = |search: &&Search| search.candidates.iter().any(|one| one.driver == driver(NEAREST_MAX as u128));
    assert_eq!(found[..100].iter().filter(has_far).count(), 0, "they leave before the driver comes");
    assert_eq!(found[100..].iter().filter(has_far).count(), NEAREST_MAX);
}

#[test]
fn driver_with_a_longer_drive_than_the_longest_is_no_candidate() {
    let limit = u32::try_from(ETA_MAX_MS).expect("small");
    let found = fresh(&supply([1, 20]), &street(2 * limit, limit), &trips(1));
    let candidates: Vec<_> = found[0].candidates.iter().map(|candidate| candidate.driver).collect();
    assert_eq!(candidates, [driver(1)]);
}

#[test]
fn later_cycle_looks_up_what_has_changed() {
    let (supply, mut trips, mut places) = (supply([1, 20]), trips(2), Places::default());
    let drivers = |etas: &[(DriverId, i64)]| etas.iter().map(|(driver, _)| driver).collect::<HashSet<_>>().len();
    let mut seen = Vec::new();
    let mut cycle = |supply: &Supply, map: &StreetMap, trips: &[SearchingTrip]| {
        let etas = etas(&find(supply, map, &mut places, trips, now()));
        assert_eq!(etas, self::etas(&fresh(supply, map, trips)));
        assert!(!seen.contains(&etas), "{etas:?} again");
        // Nothing of an earlier cycle is left.
        assert_eq!((places.departures.len(), places.arrivals.len()), (drivers(&etas), trips.len()));
        seen.push(etas);
    };
    let router = Router::new(Some(streets(300_000, 100_000)));
    let map = router.map();
    cycle(&supply, &map, &trips);
    let report = PositionReport {
        driver: driver(0),
        position: minutes_away(10),
        recorded_at: now() + TimeDelta::milliseconds(1),
    };
    supply.report(report, now()).expect("there is a fleet");
    cycle(&supply, &map, &trips);
    trips[0].pickup = minutes_away(1);
    cycle(&supply, &map, &trips);
    cycle(&supply, &map, &trips[1..]);
    router.replace(Some(streets(300_000, 90_000)));
    cycle(&supply, &router.map(), &trips);
    router.replace(None);
    cycle(&supply, &router.map(), &trips);
}
