//! The trips that are not over, at one moment, and the world as the wire says it.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use utoipa::ToSchema;

use super::{Area, Doing, Drivers};
use crate::geo::Position;
use crate::platform::clock::DomainTime;
use crate::platform::ids::{DriverId, OfferId, RiderId, TripId};
use crate::sandbox::store::Ride;
use crate::trips::State;
use crate::trips::views::TripState;

/// Trips in one message at most: those that began last.
const SHOWN_MAX: usize = 400;

/// Every trip that is not over, and who drives or is asked because of it.
#[derive(Debug, Default)]
pub struct Rides {
    /// In the order of their ids.
    rides: Vec<Ride>,
    at: Option<DomainTime>,
    engaged: HashMap<DriverId, Doing>,
}

impl Rides {
    /// The trips as they were read at `at`.
    pub fn new(rides: Vec<Ride>, at: DomainTime) -> Self {
        let engaged = rides.iter().filter_map(|ride| match ride.state {
            State::Offered => Some((ride.offer?.driver, Doing::Offered)),
            State::Assigned | State::Arrived => Some((ride.driver?, Doing::ToPickup)),
            State::InProgress => Some((ride.driver?, Doing::OnTrip)),
            _ => None,
        });
        Self { engaged: engaged.collect(), rides, at: Some(at) }
    }

    /// What a driver is engaged with.
    pub fn doing(&self, driver: DriverId) -> Option<Doing> {
        self.engaged.get(&driver).copied()
    }

    /// The world as the wire says it. Trips that touch the area, or any; and counts of everything, wherever it is.
    pub fn body(&self, drivers: &Drivers, area: Option<&Area>) -> WorldBody {
        let touches = |ride: &&Ride| {
            area.is_none_or(|area| [ride.pickup, ride.dropoff].into_iter().any(|place| area.contains(place)))
        };
        let mut shown: Vec<_> =
            self.rides.iter().rev().filter(touches).map(|ride| LiveRideBody::new(ride, drivers)).collect();
        let hidden = shown.len().saturating_sub(SHOWN_MAX);
        shown.truncate(SHOWN_MAX);
        WorldBody {
            r#type: "world",
            at: self.at,
            matcher: drivers.is_matcher,
            drivers: Doing::ALL.into_iter().map(|doing| (doing.as_str(), drivers.count(doing))).collect(),
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
        let is_waiting = |ride: &&Ride| !matches!(ride.state, State::Arrived | State::InProgress);
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
    /// What it is: `world`.
    #[schema(value_type = String, pattern = "^world$", example = "world")]
    r#type: &'static str,
    /// When the trips were read (domain time); null: not yet.
    at: Option<DomainTime>,
    /// Whether this process is the matcher. If not, it knows no positions.
    matcher: bool,
    /// How many drivers do what, everywhere: `free`, `offered`, `to_pickup`, `on_trip`, `silent`.
    #[schema(value_type = BTreeMap<String, usize>)]
    drivers: BTreeMap<&'static str, usize>,
    /// How many trips are in which state, everywhere, of those that are not over; up to 5,000 are counted.
    #[schema(value_type = BTreeMap<String, usize>)]
    trips: BTreeMap<&'static str, usize>,
    /// Riders whose car has not come yet.
    waiting: WaitingBody,
    /// Trips in view that are left out below, because there are too many: those that began first.
    #[schema(minimum = 0)]
    hidden: usize,
    /// Trips that are not over, the newest first, 400 at most.
    #[schema(max_items = 400)]
    rides: Vec<LiveRideBody>,
}

/// How long riders have been waiting, domain seconds since they asked.
#[derive(Debug, Serialize, ToSchema)]
struct WaitingBody {
    /// How many wait.
    #[schema(minimum = 0)]
    count: usize,
    /// Half of them for less than this; null: nobody waits.
    #[schema(minimum = 0)]
    p50_s: Option<i64>,
    /// Nobody for longer; null: nobody waits.
    #[schema(minimum = 0)]
    max_s: Option<i64>,
}

/// A trip on the map.
#[derive(Debug, Serialize, ToSchema)]
struct LiveRideBody {
    /// The trip.
    id: TripId,
    /// Who asked for it.
    rider_id: RiderId,
    /// Its state, as in `GET /v1/trips/{trip_id}`.
    #[schema(value_type = TripState)]
    state: &'static str,
    /// Where it starts.
    pickup: Position,
    /// Where it ends.
    dropoff: Position,
    /// When it was asked for (domain time).
    requested_at: DomainTime,
    /// Its driver, if it has one.
    driver_id: Option<DriverId>,
    /// That driver's handle on this connection's binary frames.
    #[schema(minimum = 0)]
    handle: Option<u32>,
    /// The offer that nobody has answered yet.
    offer: Option<FlyingBody>,
}

/// An offer under way.
#[derive(Debug, Serialize, ToSchema)]
struct FlyingBody {
    /// The offer.
    id: OfferId,
    /// Who is asked.
    driver_id: DriverId,
    /// That driver's handle on this connection's binary frames.
    #[schema(minimum = 0)]
    handle: Option<u32>,
    /// Too late from then on (domain time).
    expires_at: DomainTime,
}

impl LiveRideBody {
    fn new(ride: &Ride, drivers: &Drivers) -> Self {
        let driver_id = ride.driver.filter(|_| ride.state.has_driver());
        Self {
            id: ride.trip,
            rider_id: ride.rider,
            state: ride.state.as_str(),
            pickup: ride.pickup,
            dropoff: ride.dropoff,
            requested_at: ride.requested_at,
            driver_id,
            handle: driver_id.and_then(|driver| drivers.handle(driver)),
            offer: ride.offer.map(|offer| FlyingBody {
                id: offer.id,
                driver_id: offer.driver,
                handle: drivers.handle(offer.driver),
                expires_at: offer.expires_at,
            }),
        }
    }
}
