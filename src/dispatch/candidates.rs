//! The candidates of a match cycle: for each trip the drivers near it, and for each driver the trips near them.

use std::collections::HashMap;

use rstar::RTree;
use rstar::primitives::GeomWithData;

use super::plan::{Candidate, ETA_MAX_MS, Search};
use super::store::SearchingTrip;
use crate::geo::{self, Arrival, Departure, Position, StreetMap};
use crate::platform::clock::DomainTime;
use crate::platform::ids::{DriverId, TripId};
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
///
/// `places` are those of the cycle before.
pub fn find(
    supply: &Supply,
    map: &StreetMap,
    places: &mut Places,
    trips: &[SearchingTrip],
    now: DomainTime,
) -> Vec<Search> {
    let mut drives = Drives::new(map, places, trips, |trip| eta_max_ms(trip, now));
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

/// Where the drives of a cycle begin and end on the map. The next cycle looks up only what has moved.
#[derive(Debug, Default)]
pub struct Places {
    map_version: u64,
    departures: HashMap<DriverId, (Position, Departure)>,
    arrivals: HashMap<TripId, Arrival>,
}

/// The drives from drivers to pickups. Each position is looked up on the map once.
pub(super) struct Drives<'a> {
    map: &'a StreetMap,
    places: &'a mut Places,
    /// The departures of the cycle before.
    earlier: HashMap<DriverId, (Position, Departure)>,
    /// By the index of the trip.
    pickups: Vec<Pickup>,
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
        places: &'a mut Places,
        trips: &[SearchingTrip],
        eta_max_ms: impl Fn(&SearchingTrip) -> Option<i64>,
    ) -> Self {
        let Places { map_version, departures: earlier, arrivals } = std::mem::take(places);
        let (earlier, mut arrivals) =
            if map_version == map.version() { (earlier, arrivals) } else { Default::default() };
        let pickup = |trip: &SearchingTrip| {
            let known = arrivals.remove(&trip.id).filter(|known| known.position() == trip.pickup);
            Pickup { arrival: known.unwrap_or_else(|| map.arrival(trip.pickup)), eta_max_ms: eta_max_ms(trip) }
        };
        let pickups: Vec<Pickup> = trips.iter().map(pickup).collect();
        places.map_version = map.version();
        places.arrivals = trips.iter().zip(&pickups).map(|(trip, pickup)| (trip.id, pickup.arrival.clone())).collect();
        Self { map, places, earlier, pickups }
    }

    /// Returns the driver as a candidate for the trip with this index; `None` if the drive is too long.
    pub(super) fn candidate(&mut self, trip: usize, near: Near) -> Option<Candidate> {
        let Near { driver, position, distance_m, position_age_ms } = near;
        let Pickup { arrival, eta_max_ms } = &self.pickups[trip];
        let eta_max_ms = (*eta_max_ms)?;
        let look_up = || (position, self.map.departure(position));
        let known = self.places.departures.entry(driver);
        let known = known.or_insert_with(|| self.earlier.remove(&driver).unwrap_or_else(look_up));
        if known.0 != position {
            *known = look_up();
        }
        let (_, departure) = known;
        let eta = self.map.eta(departure, arrival, eta_max_ms)?;
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
    // How many of a trip's candidates are its own nearest drivers; those of other drivers come behind.
    let own: Vec<usize> = searches.iter().map(|search| search.candidates.len()).collect();
    let farthest_2 = geo::chord_2(drives.map.reach_m(ETA_MAX_MS));
    for FreeDriver { last, class } in free {
        let here = last.position.unit_vector();
        let near = pickups
            .nearest_neighbor_iter_with_distance_2(here)
            .take_while(|(_, chord_2)| *chord_2 <= farthest_2)
            .filter(|(leaf, chord_2)| reach_2[leaf.data].is_some_and(|reach_2| *chord_2 <= reach_2))
            .map(|(leaf, _)| leaf)
            .filter(|leaf| trips[leaf.data].class == *class && !trips[leaf.data].excluded.contains(&last.driver));
        let mut edges = 0;
        for leaf in near.take(LOOKS * NEAREST_MAX) {
            if edges == NEAREST_MAX {
                break;
            }
            let index = leaf.data;
            if searches[index].candidates[..own[index]].iter().any(|candidate| candidate.driver == last.driver) {
                edges += 1;
                continue;
            }
            let near = Near {
                driver: last.driver,
                position: last.position,
                distance_m: geo::arc_m(leaf.geom(), &here),
                position_age_ms: last.age(now).num_milliseconds(),
            };
            let candidate = drives.candidate(index, near);
            edges += usize::from(candidate.is_some());
            searches[index].candidates.extend(candidate);
        }
    }
}

#[cfg(test)]
mod tests;
