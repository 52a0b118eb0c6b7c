//! The drivers on the map at one moment, each under a small number.

use std::collections::HashMap;
use std::sync::Arc;

use crate::geo::Position;
use crate::platform::clock::DomainTime;
use crate::platform::ids::DriverId;
use crate::platform::names::string_enum;
use crate::supply::OnlineDriver;

use super::Rides;

string_enum! {
    /// What a driver is doing. Binary frames send the position in this list, from 0.
    pub enum DriverActivity {
        /// Waits for an offer.
        Free = "free",
        /// Has an offer.
        Offered = "offered",
        /// Drives to the pickup, or waits there.
        ToPickup = "to_pickup",
        /// Drives a rider.
        OnTrip = "on_trip",
        /// Is online with a position too old to get offers.
        Stale = "stale",
    }
}

/// A driver on the map.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dot {
    /// The last known position.
    pub position: Position,
    /// What the driver is doing.
    pub activity: DriverActivity,
}

/// All drivers with a known position. A driver's *handle* is an index, valid as long as the map has a subscriber.
#[derive(Debug, Clone, Default)]
pub struct Drivers {
    /// By handle; `None` if the driver is offline.
    pub(super) dots: Vec<Option<Dot>>,
    /// Whether this process knows the positions.
    pub(super) is_matcher: bool,
    handles: Arc<HashMap<DriverId, u32>>,
    ids: Arc<Vec<DriverId>>,
}

impl Drivers {
    /// Returns the drivers at a later moment, under the same handles. O(n) in the drivers; copies both tables if one is new.
    #[must_use]
    pub fn next(mut self, online: Vec<OnlineDriver>, rides: &Rides, now: DomainTime, is_matcher: bool) -> Self {
        self.dots.iter_mut().for_each(|dot| *dot = None);
        self.is_matcher = is_matcher;
        for OnlineDriver { last, is_free, .. } in online {
            let Some(handle) = self.handle_or_new(last.driver) else { continue };
            let activity = match rides.activity(last.driver) {
                _ if !last.is_fresh(now) => DriverActivity::Stale,
                _ if is_free => DriverActivity::Free,
                Some(activity) => activity,
                // Busy since the trips were read, which starts with an offer.
                None => DriverActivity::Offered,
            };
            if let Some(dot) = self.dots.get_mut(handle) {
                *dot = Some(Dot { position: last.position, activity });
            }
        }
        self
    }

    fn handle_or_new(&mut self, driver: DriverId) -> Option<usize> {
        if let Some(handle) = self.handles.get(&driver) {
            return usize::try_from(*handle).ok();
        }
        let handle = u32::try_from(self.ids.len()).ok()?;
        Arc::make_mut(&mut self.handles).insert(driver, handle);
        Arc::make_mut(&mut self.ids).push(driver);
        self.dots.push(None);
        usize::try_from(handle).ok()
    }

    /// Returns a driver's handle.
    pub fn handle(&self, driver: DriverId) -> Option<u32> {
        self.handles.get(&driver).copied()
    }

    /// Returns a driver's handle and dot; `None` if the driver is offline or has no position.
    pub fn find(&self, driver: DriverId) -> Option<(u32, Dot)> {
        let handle = self.handle(driver)?;
        Some((handle, (*self.dots.get(usize::try_from(handle).ok()?)?)?))
    }

    /// Returns the driver with this handle.
    pub fn driver(&self, handle: u32) -> Option<DriverId> {
        self.ids.get(usize::try_from(handle).ok()?).copied()
    }

    /// Counts the drivers with this activity.
    pub fn count(&self, activity: DriverActivity) -> usize {
        self.dots.iter().flatten().filter(|dot| dot.activity == activity).count()
    }
}
