//! The candidates of a match cycle: for each trip the drivers near it, and for each driver the trips near them.

use std::collections::{HashMap, HashSet};

use rstar::RTree;
use rstar::primitives::GeomWithData;

use super::plan::{Candidate, ETA_MAX_MS, Search};
use super::store::SearchingTrip;
use crate::geo::{self, Arrival, Departure, Position, StreetMap};
use crate::platform::clock::DomainTime;
use crate::platform::ids::DriverId;
use crate::supply::{self, FreeDriver, Query, Supply};

/// The number of nearest drivers of each trip, and of nearest trips of each driver, that are candidates. Excluded drivers are not
/// counted.
pub const NEAREST_MAX: usize = 16;

/// How many times [`NEAREST_MAX`] are looked at if some of the nearest are too far to drive, such as across a river.
const LOOKS: usize = 4;

/// Returns the trips with their candidates: the nearest by great-circle distance whose drive is not too long, in the order of their
/// drives. No driver is a candidate whose estimated arrival is later than the trip's latest pickup: the rider has left by then. After that
/// time a trip has no candidates at all.
///
/// A trip's nearest drivers alone would do if no more than [`NEAREST_MAX`] trips compete: each can have one that no other takes.
/// With more, a driver who is in no trip's list would stay idle. So each driver's nearest trips are added.
pub fn find(supply: &Supply, map: &StreetMap, trips: &[SearchingTrip], now: DomainTime) -> Vec<Search> {
    let mut drives = Drives::new(map, trips, |trip| eta_max_ms(trip, now));
    let nearest =
        trips.iter().enumerate().map(|(index, trip)| nearest_drivers(supply, &mut drives, (index, trip), now));
    let mut searches: Vec<Search> = nearest.collect();
    if trips.len() > NEAREST_MAX {
        add_nearest_trips(&mut searches, &mut drives, (trips, &supply.free_drivers(now)), now);
    }
    for search in &mut searches {
        search.candidates.sort_unstable_by_key(|candidate| (candidate.eta.ms, candidate.driver));
    }
    searches
}

/// Returns the longest drive to the trip's pickup, in milliseconds; `None` if the rider has left.
pub(super) fn eta_max_ms(trip: &SearchingTrip, now: DomainTime) -> Option<i64> {
    let left_ms = trip.pickup_by.map_or(ETA_MAX_MS, |pickup_by| pickup_by.since(now).num_milliseconds());
    (left_ms > 0).then_some(left_ms.min(ETA_MAX_MS))
}

/// Where a trip begins, and the longest drive to it in milliseconds; `None` if the rider has left.
struct Pickup {
    arrival: Arrival,
    eta_max_ms: Option<i64>,
}

/// The drives from drivers to pickups. Each position is looked up on the map once.
pub(super) struct Drives<'a> {
    map: &'a StreetMap,
    /// By the index of the trip.
    pickups: Vec<Pickup>,
    departures: HashMap<DriverId, (Position, Departure)>,
}

/// A driver near a pickup.
#[derive(Clone, Copy)]
pub(super) struct Near {
    pub driver: DriverId,
    pub position: Position,
    pub distance_m: f64,
    pub position_age_ms: i64,
}

impl From<&supply::Candidate> for Near {
    fn from(found: &supply::Candidate) -> Self {
        Self {
            driver: found.driver,
            position: found.position,
            distance_m: found.distance_m,
            position_age_ms: found.age_ms,
        }
    }
}

impl<'a> Drives<'a> {
    /// `eta_max_ms` returns the longest drive to a trip's pickup, in milliseconds; `None` if no driver may come.
    pub(super) fn new(
        map: &'a StreetMap,
        trips: &[SearchingTrip],
        eta_max_ms: impl Fn(&SearchingTrip) -> Option<i64>,
    ) -> Self {
        let pickup = |trip: &SearchingTrip| Pickup { arrival: map.arrival(trip.pickup), eta_max_ms: eta_max_ms(trip) };
        Self { map, pickups: trips.iter().map(pickup).collect(), departures: HashMap::new() }
    }

    /// Returns the driver as a candidate for the trip with this index; `None` if the drive is too long.
    pub(super) fn candidate(&mut self, trip: usize, near: Near) -> Option<Candidate> {
        let Near { driver, position, distance_m, position_age_ms } = near;
        let known = self.departures.get(&driver).is_some_and(|(known, _)| *known == position);
        if !known {
            self.departures.insert(driver, (position, self.map.departure(position)));
        }
        let (_, departure) = self.departures.get(&driver)?;
        let Pickup { arrival, eta_max_ms } = &self.pickups[trip];
        let eta = self.map.eta(departure, arrival, (*eta_max_ms)?)?;
        Some(Candidate { driver, distance_m: distance_m.round() as i64, eta, position_age_ms })
    }

    /// Returns those of the found drivers whose drive to the trip with this index is not too long.
    fn candidates(&mut self, trip: usize, found: &[supply::Candidate]) -> Vec<Candidate> {
        found.iter().filter_map(|found| self.candidate(trip, Near::from(found))).collect()
    }
}

fn nearest_drivers(
    supply: &Supply,
    drives: &mut Drives<'_>,
    (index, trip): (usize, &SearchingTrip),
    now: DomainTime,
) -> Search {
    let search = |candidates| Search { trip: trip.id, since: trip.since, excluded: trip.excluded.clone(), candidates };
    let Some(eta_max_ms) = drives.pickups[index].eta_max_ms else { return search(Vec::new()) };
    let radius_m = drives.map.reach_m(eta_max_ms);
    let nearest = |limit| {
        supply.nearest(&Query {
            center: trip.pickup,
            radius_m,
            class: Some(trip.class),
            // Excluded drivers are found too, so that `explain` shows them.
            limit: limit + trip.excluded.len(),
            now,
        })
    };
    let mut found = nearest(NEAREST_MAX);
    let is_full = found.len() == NEAREST_MAX + trip.excluded.len();
    let mut candidates = drives.candidates(index, &found);
    if is_full && candidates.len() < found.len() {
        found = nearest(LOOKS * NEAREST_MAX);
        candidates = drives.candidates(index, &found);
        candidates.truncate(NEAREST_MAX + trip.excluded.len());
    }
    search(candidates)
}

/// Adds each driver to the candidates of the trips nearest to them.
fn add_nearest_trips(
    searches: &mut [Search],
    drives: &mut Drives<'_>,
    (trips, free): (&[SearchingTrip], &[FreeDriver]),
    now: DomainTime,
) {
    let reach_2 = |pickup: &Pickup| Some(geo::chord_2(drives.map.reach_m(pickup.eta_max_ms?)));
    let reach_2: Vec<Option<f64>> = drives.pickups.iter().map(reach_2).collect();
    let pickup = |(index, trip): (usize, &SearchingTrip)| GeomWithData::new(trip.pickup.unit_vector(), index);
    let has_rider = |(index, _): &(usize, &SearchingTrip)| reach_2[*index].is_some();
    let pickups = RTree::bulk_load(trips.iter().enumerate().filter(has_rider).map(pickup).collect());
    let known: HashSet<(usize, DriverId)> = searches
        .iter()
        .enumerate()
        .flat_map(|(index, search)| search.candidates.iter().map(move |candidate| (index, candidate.driver)))
        .collect();
    let farthest_2 = geo::chord_2(drives.map.reach_m(ETA_MAX_MS));
    for FreeDriver { last, class } in free {
        let near = pickups
            .nearest_neighbor_iter_with_distance_2(last.position.unit_vector())
            .take_while(|(_, chord_2)| *chord_2 <= farthest_2)
            .filter(|(leaf, chord_2)| reach_2[leaf.data].is_some_and(|reach_2| *chord_2 <= reach_2))
            .map(|(leaf, _)| leaf.data)
            .filter(|index| trips[*index].class == *class && !trips[*index].excluded.contains(&last.driver));
        let mut edges = 0;
        for index in near.take(LOOKS * NEAREST_MAX) {
            if edges == NEAREST_MAX {
                break;
            }
            if known.contains(&(index, last.driver)) {
                edges += 1;
                continue;
            }
            let near = Near {
                driver: last.driver,
                position: last.position,
                distance_m: geo::distance_m(last.position, trips[index].pickup),
                position_age_ms: last.age(now).num_milliseconds(),
            };
            let candidate = drives.candidate(index, near);
            edges += usize::from(candidate.is_some());
            searches[index].candidates.extend(candidate);
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};
    use uuid::Uuid;

    use super::*;
    use crate::geo::roads;
    use crate::geo::streets::{Segment, Streets};
    use crate::geo::{EtaSource, Router};
    use crate::platform::class::VehicleClass;
    use crate::platform::ids::TripId;
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

    #[test]
    fn trip_has_the_nearest_drivers_within_the_longest_drive() {
        let found = find(&supply([14, 3, 16]), &StreetMap::default(), &trips(1), now());
        let candidates: Vec<_> = found[0].candidates.iter().map(|candidate| candidate.driver).collect();
        assert_eq!(candidates, [driver(1), driver(0)]);
        assert_eq!((found[0].candidates[0].eta.ms + 500) / 1_000, 180);
    }

    #[test]
    fn driver_behind_the_nearest_of_every_trip_is_a_candidate_if_many_trips_compete() {
        let supply = supply([1; NEAREST_MAX].into_iter().chain([2]));
        let behind = driver(NEAREST_MAX as u128);
        let edges = |trips: Vec<SearchingTrip>| {
            let found = find(&supply, &StreetMap::default(), &trips, now());
            found.iter().filter(|search| search.candidates.iter().any(|candidate| candidate.driver == behind)).count()
        };
        assert_eq!(edges(trips(NEAREST_MAX as u128)), 0, "each trip can have a nearer one");
        assert_eq!(edges(trips(NEAREST_MAX as u128 + 1)), NEAREST_MAX);
    }

    #[test]
    fn excluded_driver_is_found_beside_the_others() {
        let mut trips = trips(1);
        trips[0].excluded.insert(driver(0));
        let found = find(&supply([1; NEAREST_MAX + 1]), &StreetMap::default(), &trips, now());
        assert_eq!(found[0].candidates.len(), NEAREST_MAX + 1);
    }

    /// A street north from the pickups, with a junction a minute away by the estimate and one 20 minutes away, driven in seconds. The ways
    /// back have these times: along the street, and from its far end around.
    fn street(from_near_ms: u32, from_far_ms: u32) -> StreetMap {
        let east = Position::new(40.0, -73.9).expect("in range");
        let junctions = vec![minutes_away(0), minutes_away(1), minutes_away(20), east];
        let segment = |(from, to, ms)| Segment { from, to, ms, length_m: 100.0 };
        let around = [(2, 3, from_far_ms - 1), (3, 0, 1)];
        let segments = [(0, 1, 1_000), (1, 2, 1_000), (1, 0, from_near_ms)].into_iter().chain(around).map(segment);
        Router::new(Some(Streets::new(junctions, segments.collect()).expect("connected"))).map()
    }

    #[test]
    fn candidates_are_ranked_by_their_drive_along_the_streets() {
        let supply = supply([1, 20]);
        let found = find(&supply, &street(300_000, 100_000), &trips(1), now());
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
        let found = find(&supply, &map, &trips(1), now());
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
            let found = find(&supply, &map, &trips, now());
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
        let found = find(&supply, &StreetMap::default(), &trips, now());
        let has_far = |search: &&Search| search.candidates.iter().any(|one| one.driver == driver(NEAREST_MAX as u128));
        assert_eq!(found[..100].iter().filter(has_far).count(), 0, "they leave before the driver comes");
        assert_eq!(found[100..].iter().filter(has_far).count(), NEAREST_MAX);
    }

    #[test]
    fn driver_with_a_longer_drive_than_the_longest_is_no_candidate() {
        let limit = u32::try_from(ETA_MAX_MS).expect("small");
        let found = find(&supply([1, 20]), &street(2 * limit, limit), &trips(1), now());
        let candidates: Vec<_> = found[0].candidates.iter().map(|candidate| candidate.driver).collect();
        assert_eq!(candidates, [driver(1)]);
    }
}
