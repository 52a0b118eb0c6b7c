//! The nearby drivers as a caller may see them.
//!
//! Operators see every driver's id and exact position, and a driver sees their own. Everyone else is shown cars, not people: under a handle
//! that changes, and at the center of a grid cell. Distances, order, radius and limit follow from what is shown, so that no number of
//! searches reveals more than the cell.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::{Candidate, Query, Supply};
use crate::geo::{self, Position, grid};
use crate::platform::auth::{Caller, Role};
use crate::platform::class::VehicleClass;
use crate::platform::clock::MachineTime;
use crate::platform::ids::DriverId;

/// How long a car keeps its handle: long enough to follow it on a map until a ride is requested, short enough that no one can follow a
/// driver home.
const HANDLE_LASTS_S: i64 = 600;

/// The length of a handle in bytes: 128 bits do not collide by chance.
const HANDLE_BYTES: usize = 16;

/// The unit of a coarse age, in milliseconds. Exact ages would link the positions of a driver across two handles.
const COARSE_AGE_MS: i64 = 1_000;

/// Makes the handles of cars: a keyed hash of the driver, the caller and the time window.
///
/// Two callers see different handles, so they cannot combine what they saw. The key is made at the start of the process and never stored.
#[derive(Clone)]
pub struct CarHandles([u8; 32]);

impl fmt::Debug for CarHandles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CarHandles(…)")
    }
}

impl CarHandles {
    /// Creates the handles of a key of 256 random bits.
    pub fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// Returns a driver's handle for a caller in the time window of `now`.
    fn handle(&self, driver: DriverId, caller: Caller, now: MachineTime) -> String {
        let window = now.utc().timestamp().div_euclid(HANDLE_LASTS_S);
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.0).unwrap_or_else(|_| unreachable!("HMAC takes keys of any length"));
        mac.update(format!("{driver} {caller} {window}").as_bytes());
        hex::encode(&mac.finalize().into_bytes()[..HANDLE_BYTES])
    }
}

/// The viewer of a search.
#[derive(Debug, Clone, Copy)]
pub(super) struct NearbyViewer<'a> {
    /// The caller.
    pub caller: Caller,
    /// The handles.
    pub handles: &'a CarHandles,
    /// The time that decides the handles.
    pub now: MachineTime,
}

/// A nearby car, as one viewer sees it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct NearbyCar {
    /// The handle.
    pub handle: String,
    /// The driver, if the viewer may know.
    pub driver: Option<DriverId>,
    /// The vehicle class.
    pub class: VehicleClass,
    /// The position: exact, or the center of its cell.
    pub position: Position,
    /// The great-circle distance from the center of the search to that position, in meters.
    pub distance_m: f64,
    /// The age of the position in milliseconds: exact, or in whole seconds.
    pub age_ms: i64,
}

impl NearbyViewer<'_> {
    fn sees_exactly(&self, driver: DriverId) -> bool {
        self.caller.role == Role::Ops || self.caller.driver() == Some(driver)
    }

    fn car(&self, candidate: &Candidate, center: Position) -> NearbyCar {
        let &Candidate { driver, class, position, distance_m, age_ms } = candidate;
        let handle = self.handles.handle(driver, self.caller, self.now);
        if self.sees_exactly(driver) {
            return NearbyCar { handle, driver: Some(driver), class, position, distance_m, age_ms };
        }
        let position = grid::cell_center(position);
        let distance_m = geo::distance_m(center, position);
        NearbyCar { handle, driver: None, class, position, distance_m, age_ms: age_ms - age_ms % COARSE_AGE_MS }
    }

    /// Returns the cars that are nearest as the viewer sees them, nearest first, at the same distance by handle.
    ///
    /// Two searches of the index: the nearest by exact position give a distance within which the nearest by shown position must be; the
    /// second finds all drivers within it. O(log n + k), where k counts the drivers within 300 m of the farthest result.
    pub fn search(&self, supply: &Supply, query: &Query) -> Vec<NearbyCar> {
        let cars = |query: &Query| supply.nearest(query).iter().map(|found| self.car(found, query.center)).collect();
        let widened = Query { radius_m: query.radius_m + grid::CELL_RADIUS_MAX_M, ..*query };
        let mut found: Vec<NearbyCar> = cars(&widened);
        if found.len() == query.limit {
            let farthest_m = found.iter().map(|car| car.distance_m).fold(0.0, f64::max);
            let radius_m = widened.radius_m.min(farthest_m + grid::CELL_RADIUS_MAX_M);
            found = cars(&Query { radius_m, limit: usize::MAX, ..*query });
        }
        found.retain(|car| car.distance_m <= query.radius_m);
        found.sort_unstable_by(|a, b| a.distance_m.total_cmp(&b.distance_m).then_with(|| a.handle.cmp(&b.handle)));
        found.truncate(query.limit);
        found
    }
}

#[cfg(test)]
#[path = "nearby_tests.rs"]
mod tests;
