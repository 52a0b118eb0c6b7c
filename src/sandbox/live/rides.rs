//! The active trips at one moment, and the world as clients see it.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use utoipa::ToSchema;

use super::{Area, DriverActivity, Drivers};
use crate::geo::Position;
use crate::platform::clock::DomainTime;
use crate::platform::ids::{DriverId, OfferId, RiderId, TripId};
use crate::sandbox::store::Ride;
use crate::trips::State;

/// The most trips in one message: the newest.
const SHOWN_MAX: usize = 400;

/// The active trips, and what their drivers are doing.
#[derive(Debug, Default)]
pub struct Rides {
    /// Ordered by id.
    rides: Vec<Ride>,
    at: Option<DomainTime>,
    activities: HashMap<DriverId, DriverActivity>,
}

impl Rides {
    /// The trips as read at `at`.
    pub fn new(rides: Vec<Ride>, at: DomainTime) -> Self {
        let activities = rides.iter().filter_map(|ride| match (ride.state.has_driver(), ride.state.rider_in_car()) {
            (true, true) => Some((ride.driver?, DriverActivity::OnTrip)),
            (true, false) => Some((ride.driver?, DriverActivity::ToPickup)),
            (false, _) => Some((ride.offer?.driver, DriverActivity::Offered)),
        });
        Self { activities: activities.collect(), rides, at: Some(at) }
    }

    /// Returns the activity of a busy driver.
    pub fn activity(&self, driver: DriverId) -> Option<DriverActivity> {
        self.activities.get(&driver).copied()
    }

    /// Counts the drivers with a pending offer.
    pub fn offered(&self) -> usize {
        self.activities.values().filter(|activity| **activity == DriverActivity::Offered).count()
    }

    /// Returns the world: the trips that touch `area`, or all, and counts of everything.
    pub fn body(&self, drivers: &Drivers, area: Option<&Area>) -> WorldBody {
        let touches = |ride: &&Ride| {
            area.is_none_or(|area| [ride.pickup, ride.dropoff].into_iter().any(|position| area.contains(position)))
        };
        let mut shown: Vec<_> =
            self.rides.iter().rev().filter(touches).map(|ride| LiveRideBody::new(ride, drivers)).collect();
        let hidden = shown.len().saturating_sub(SHOWN_MAX);
        shown.truncate(SHOWN_MAX);
        WorldBody {
            r#type: "world",
            at: self.at,
            matcher: drivers.is_matcher,
            drivers: DriverActivity::ALL
                .into_iter()
                .map(|activity| (activity.as_str(), drivers.count(activity)))
                .collect(),
            trips: State::ALL.iter().filter(|s| !s.is_over()).map(|s| (s.as_str(), self.count(*s))).collect(),
            waiting: self.waiting(),
            hidden,
            rides: shown,
        }
    }

    fn count(&self, state: State) -> usize {
        self.rides.iter().filter(|ride| ride.state == state).count()
    }

    fn waiting(&self) -> WaitingBody {
        let is_waiting = |ride: &&Ride| ride.state != State::Arrived && !ride.state.rider_in_car();
        let since = self.rides.iter().filter(is_waiting).map(|ride| ride.requested_at);
        let mut waits: Vec<i64> =
            self.at.into_iter().flat_map(|at| since.clone().map(move |s| at.seconds_since(s))).collect();
        waits.sort_unstable();
        WaitingBody { count: waits.len(), p50_s: waits.get(waits.len() / 2).copied(), max_s: waits.last().copied() }
    }
}

/// The world at one moment, as the console's map shows it.
#[derive(Debug, Serialize, ToSchema)]
pub struct WorldBody {
    /// The type of the message: `world`.
    #[schema(value_type = String, pattern = "^world$", example = "world")]
    r#type: &'static str,
    /// When the trips were read (domain time); null before the first time.
    at: Option<DomainTime>,
    /// Whether this process is the matcher; others know no positions.
    matcher: bool,
    /// Drivers by activity, in all areas: `free`, `offered`, `to_pickup`, `on_trip`, `stale`.
    #[schema(value_type = BTreeMap<String, usize>)]
    drivers: BTreeMap<&'static str, usize>,
    /// Active trips by state, in all areas; at most 5,000 are counted.
    #[schema(value_type = BTreeMap<String, usize>)]
    trips: BTreeMap<&'static str, usize>,
    /// Riders whose driver has not arrived.
    waiting: WaitingBody,
    /// Trips in the area missing from `rides` because of its limit: the oldest.
    #[schema(minimum = 0)]
    hidden: usize,
    /// Active trips, the newest first, at most 400.
    #[schema(max_items = 400)]
    rides: Vec<LiveRideBody>,
}

/// How long riders have been waiting since their request, domain seconds.
#[derive(Debug, Serialize, ToSchema)]
struct WaitingBody {
    /// Riders who wait.
    #[schema(minimum = 0)]
    count: usize,
    /// The median wait; null if no rider waits.
    #[schema(minimum = 0)]
    p50_s: Option<i64>,
    /// The longest wait; null if no rider waits.
    #[schema(minimum = 0)]
    max_s: Option<i64>,
}

/// An active trip on the map.
#[derive(Debug, Serialize, ToSchema)]
struct LiveRideBody {
    /// The trip's id.
    id: TripId,
    /// The rider.
    rider_id: RiderId,
    /// Its state, as in `GET /v1/trips/{trip_id}`.
    state: State,
    /// The pickup.
    pickup: Position,
    /// The drop-off.
    dropoff: Position,
    /// When the rider requested it (domain time).
    requested_at: DomainTime,
    /// The driver, if assigned.
    driver_id: Option<DriverId>,
    /// The driver's handle in binary frames.
    #[schema(minimum = 0)]
    handle: Option<u32>,
    /// The pending offer.
    offer: Option<PendingOfferBody>,
}

/// A pending offer on the map.
#[derive(Debug, Serialize, ToSchema)]
struct PendingOfferBody {
    /// The offer's id.
    id: OfferId,
    /// The driver who has the offer.
    driver_id: DriverId,
    /// The driver's handle in binary frames.
    #[schema(minimum = 0)]
    handle: Option<u32>,
    /// When it expires (domain time).
    expires_at: DomainTime,
}

impl LiveRideBody {
    fn new(ride: &Ride, drivers: &Drivers) -> Self {
        let driver_id = ride.driver.filter(|_| ride.state.has_driver());
        Self {
            id: ride.trip,
            rider_id: ride.rider,
            state: ride.state,
            pickup: ride.pickup,
            dropoff: ride.dropoff,
            requested_at: ride.requested_at,
            driver_id,
            handle: driver_id.and_then(|driver| drivers.handle(driver)),
            offer: ride.offer.map(|offer| PendingOfferBody {
                id: offer.id,
                driver_id: offer.driver,
                handle: drivers.handle(offer.driver),
                expires_at: offer.expires_at,
            }),
        }
    }
}
