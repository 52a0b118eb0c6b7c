//! Reported positions, and the rules that decide whether one becomes the driver's last known position.

use chrono::TimeDelta;

use crate::geo::Position;
use crate::platform::clock::DomainTime;
use crate::platform::ids::DriverId;
use crate::platform::names::string_enum;

/// The maximum age of a candidate's position, in seconds.
///
/// Devices send every 4 s, so an older position means seven lost reports, or 200 m of driving in a city.
pub const MAX_CANDIDATE_AGE_S: i64 = 30;

/// The maximum lead of a device's clock over ours, in seconds.
///
/// Clocks synchronized over the network differ by less than a second. A position from the far future would outrank all later ones.
pub const MAX_LEAD_S: i64 = 5;

const MAX_CANDIDATE_AGE: TimeDelta = TimeDelta::seconds(MAX_CANDIDATE_AGE_S);
const MAX_LEAD: TimeDelta = TimeDelta::seconds(MAX_LEAD_S);

/// One position, as a device sent it.
///
/// `recorded_at` has no default: a position without a time is refused. Taken as "now", a delayed position would move the car back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PositionReport {
    /// The driver.
    pub driver: DriverId,
    /// The position.
    pub position: Position,
    /// When the device recorded it, by the device's clock.
    pub recorded_at: DomainTime,
}

/// The last known position of a driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastKnown {
    /// The driver.
    pub driver: DriverId,
    /// The position.
    pub position: Position,
    /// When the device recorded it, by the device's clock.
    pub recorded_at: DomainTime,
    /// When the service received it, by our clock.
    pub received_at: DomainTime,
}

impl LastKnown {
    /// Returns the age at `now`: the time since the earlier of recorded and received, or zero if that is in the future.
    ///
    /// The earlier one, so that neither a fast device clock nor a slow network makes a position look newer.
    pub fn age(&self, now: DomainTime) -> TimeDelta {
        now.since(self.recorded_at.min(self.received_at))
    }

    /// Returns whether the age at `now` is at most [`MAX_CANDIDATE_AGE_S`].
    pub fn is_fresh(&self, now: DomainTime) -> bool {
        self.age(now) <= MAX_CANDIDATE_AGE
    }

    /// Returns whether this position replaces another one of the same driver.
    ///
    /// The later recorded one does; of two recorded at the same time, the greater position. This is a total order on what devices
    /// send, so the same position remains in whatever order the network delivers.
    pub(super) fn outranks(&self, other: &Self) -> bool {
        (self.recorded_at, self.position) > (other.recorded_at, other.position)
    }
}

string_enum! {
    /// What happened to a reported position.
    pub enum PositionVerdict {
        /// It is the driver's last known position now.
        Accepted = "accepted",
        /// A position with the same time exists. If the two differ, the greater one is kept.
        Duplicate = "duplicate",
        /// Dropped: recorded before the last known position.
        OutOfOrder = "out_of_order",
        /// Dropped: recorded more than 5 s after it was received.
        Future = "future",
        /// Dropped: recorded more than 30 s before it was received.
        Stale = "stale",
        /// Dropped: the driver is not online.
        Offline = "offline",
    }
}

impl PositionVerdict {
    /// Returns the verdict on a received position, given the driver's last known one.
    pub(super) fn on(new: &LastKnown, last: Option<&LastKnown>) -> Self {
        use std::cmp::Ordering::{Equal, Greater, Less};

        // The first two checks depend on the report alone, so the order of arrival cannot change them.
        if new.recorded_at.since(new.received_at) > MAX_LEAD {
            return Self::Future;
        }
        if new.received_at.since(new.recorded_at) > MAX_CANDIDATE_AGE {
            return Self::Stale;
        }
        match last.map(|last| new.recorded_at.cmp(&last.recorded_at)) {
            None | Some(Greater) => Self::Accepted,
            Some(Equal) => Self::Duplicate,
            Some(Less) => Self::OutOfOrder,
        }
    }
}
