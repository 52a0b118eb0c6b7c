//! What a reported position is worth, judged by its two times alone.

use chrono::TimeDelta;

use crate::geo::Position;
use crate::platform::clock::DomainTime;
use crate::platform::ids::DriverId;

/// The age in seconds past which a position says nothing about where a car is now.
///
/// Devices send every 4 s, so this is seven positions lost in a row, and 200 m of street in town. It is the house's promise that
/// no older position is ever offered a ride.
pub const MAX_CANDIDATE_AGE_S: i64 = 30;

/// How far in seconds a device's clock may run ahead of ours before we stop believing it.
///
/// Clocks set by network time are well within a second. A position from the far future would outrank all true ones until then.
pub const MAX_LEAD_S: i64 = 5;

const MAX_CANDIDATE_AGE: TimeDelta = TimeDelta::seconds(MAX_CANDIDATE_AGE_S);
const MAX_LEAD: TimeDelta = TimeDelta::seconds(MAX_LEAD_S);

/// One position, as a device sent it.
///
/// There is no default for `recorded_at`: a position without a time is refused at the door. Read as "now", it would bring a car
/// back to where it was long ago, and keep it there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// Whose.
    pub driver: DriverId,
    /// Where.
    pub position: Position,
    /// When the device was there, by the device's clock.
    pub recorded_at: DomainTime,
}

/// The position that counts for a driver until a newer one comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastKnown {
    /// Whose.
    pub driver: DriverId,
    /// Where.
    pub position: Position,
    /// When the device was there, by the device's clock.
    pub recorded_at: DomainTime,
    /// When it reached us, by ours.
    pub received_at: DomainTime,
}

impl LastKnown {
    /// Time gone by at `now` since the earlier of recorded and received; zero if that is ahead.
    ///
    /// The earlier of the two, so that neither a device's fast clock nor a slow network makes a position younger than it is.
    pub fn age(&self, now: DomainTime) -> TimeDelta {
        now.since(self.recorded_at.min(self.received_at))
    }

    /// Whether the position is at `now` at most [`MAX_CANDIDATE_AGE_S`] old.
    pub fn is_fresh(&self, now: DomainTime) -> bool {
        self.age(now) <= MAX_CANDIDATE_AGE
    }

    /// Whether this is the one to keep, of two positions of one driver.
    ///
    /// The later recorded one; of two recorded at the same moment the greater position, for want of a better reason. Being a
    /// total order on what was sent, it leaves the same survivor whatever the order in which the network delivers.
    pub(super) fn outranks(&self, other: &Self) -> bool {
        (self.recorded_at, self.position) > (other.recorded_at, other.position)
    }
}

/// What became of a reported position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It is the driver's last known position now.
    Accepted,
    /// One with the same time is here already. If the two differ, the greater position stays.
    Duplicate,
    /// It was recorded before the last known one: dropped.
    OutOfOrder,
    /// It was recorded more than [`MAX_LEAD_S`] after it was received: dropped.
    Future,
    /// It was recorded more than [`MAX_CANDIDATE_AGE_S`] before it was received: dropped.
    Stale,
    /// The driver is not online: dropped.
    Offline,
}

impl Verdict {
    /// Every verdict, for registering a counter of each.
    pub const ALL: [Self; 6] =
        [Self::Accepted, Self::Duplicate, Self::OutOfOrder, Self::Future, Self::Stale, Self::Offline];

    /// The name on the wire and in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Duplicate => "duplicate",
            Self::OutOfOrder => "out_of_order",
            Self::Future => "future",
            Self::Stale => "stale",
            Self::Offline => "offline",
        }
    }

    /// The verdict on a position that reached us, given the driver's last known one.
    pub(super) fn on(new: &LastKnown, last: Option<&LastKnown>) -> Self {
        use std::cmp::Ordering::{Equal, Greater, Less};

        // The first two look at the report alone, so that no other report can change their minds.
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
