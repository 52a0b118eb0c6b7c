//! All drivers at one moment, each under a small number.

use std::collections::HashMap;
use std::sync::Arc;

use crate::geo::Position;
use crate::platform::clock::DomainTime;
use crate::platform::ids::DriverId;
use crate::supply::Seen;

use super::Rides;

/// What a driver is doing, as the map shows it. The numbers are what goes over the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Doing {
    /// Waits for an offer.
    Free = 0,
    /// Has an offer.
    Offered = 1,
    /// On the way to a rider, or waiting for one.
    ToPickup = 2,
    /// Drives a rider.
    OnTrip = 3,
    /// Online, and not heard of for so long that nobody offers them a ride.
    Silent = 4,
}

impl Doing {
    /// All of them, each at its number.
    pub const ALL: [Self; 5] = [Self::Free, Self::Offered, Self::ToPickup, Self::OnTrip, Self::Silent];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Offered => "offered",
            Self::ToPickup => "to_pickup",
            Self::OnTrip => "on_trip",
            Self::Silent => "silent",
        }
    }
}

/// A driver on the map.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dot {
    /// Where.
    pub place: Position,
    /// What they are doing.
    pub doing: Doing,
}

/// Everybody with a known position. A driver's *handle* is an index: small, and theirs for as long as anybody watches.
#[derive(Debug, Clone, Default)]
pub struct Drivers {
    /// By handle; none: the driver is offline now.
    pub(super) dots: Vec<Option<Dot>>,
    /// Whether this process knows the positions.
    pub(super) is_matcher: bool,
    handles: Arc<HashMap<DriverId, u32>>,
    ids: Arc<Vec<DriverId>>,
}

impl Drivers {
    /// The drivers a moment later, under the same handles. O(n) in the drivers, and the two tables are copied when somebody is new.
    #[must_use]
    pub fn next(mut self, seen: Vec<Seen>, rides: &Rides, now: DomainTime, is_matcher: bool) -> Self {
        self.dots.iter_mut().for_each(|dot| *dot = None);
        self.is_matcher = is_matcher;
        for Seen { last, is_free } in seen {
            let Some(handle) = self.handle_or_new(last.driver) else { continue };
            let doing = match rides.doing(last.driver) {
                _ if !last.is_fresh(now) => Doing::Silent,
                _ if is_free => Doing::Free,
                Some(doing) => doing,
                // Engaged since the trips were read: that begins with an offer.
                None => Doing::Offered,
            };
            if let Some(dot) = self.dots.get_mut(handle) {
                *dot = Some(Dot { place: last.position, doing });
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

    /// A driver's handle.
    pub fn handle(&self, driver: DriverId) -> Option<u32> {
        self.handles.get(&driver).copied()
    }

    /// A driver's handle, and where they are; none if they are not online, or have never said where.
    pub fn find(&self, driver: DriverId) -> Option<(u32, Dot)> {
        let handle = self.handle(driver)?;
        Some((handle, (*self.dots.get(usize::try_from(handle).ok()?)?)?))
    }

    /// Whose handle this is.
    pub fn driver(&self, handle: u32) -> Option<DriverId> {
        self.ids.get(usize::try_from(handle).ok()?).copied()
    }

    /// How many do what.
    pub fn count(&self, doing: Doing) -> usize {
        self.dots.iter().flatten().filter(|dot| dot.doing == doing).count()
    }
}
