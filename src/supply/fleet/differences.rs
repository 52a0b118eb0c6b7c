//! The comparison of the index with the database.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use super::Status;
use crate::platform::ids::DriverId;
use crate::platform::names::string_enum;

string_enum! {
    /// How the index differed from the database for one driver.
    pub enum IndexDifference {
        /// The driver is online, and was not in the index.
        Missing = "missing",
        /// The driver is offline, and was in the index.
        Surplus = "surplus",
        /// The driver was free instead of busy, busy instead of free, or had another class.
        Status = "status",
    }
}

impl IndexDifference {
    /// Returns the difference between a driver's status in the index and in the database; `None` if they are equal.
    pub fn between(index: Status, stored: Status) -> Option<Self> {
        match (index, stored) {
            _ if index == stored => None,
            (Status::Offline, _) => Some(Self::Missing),
            (_, Status::Offline) => Some(Self::Surplus),
            _ => Some(Self::Status),
        }
    }
}

/// Returns the drivers in `range` whose status in the index differs from the database.
///
/// `stored` has the online drivers of the range in the database; all others are offline.
pub fn differing(
    index: &BTreeMap<DriverId, Status>,
    stored: &[(DriverId, Status)],
    range: RangeInclusive<DriverId>,
) -> Vec<DriverId> {
    let stored: BTreeMap<DriverId, Status> = stored.iter().copied().collect();
    let drivers: BTreeSet<DriverId> =
        index.range(range).map(|(driver, _)| *driver).chain(stored.keys().copied()).collect();
    let of = |statuses: &BTreeMap<_, _>, driver: &DriverId| statuses.get(driver).copied().unwrap_or(Status::Offline);
    let differs = |driver: &DriverId| IndexDifference::between(of(index, driver), of(&stored, driver)).is_some();
    drivers.into_iter().filter(differs).collect()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::platform::class::VehicleClass;

    const FREE: Status = Status::Free { class: VehicleClass::Standard };
    const BUSY: Status = Status::Busy { class: VehicleClass::Standard };
    const LARGE: Status = Status::Free { class: VehicleClass::Xl };

    fn driver(number: u128) -> DriverId {
        DriverId::from(Uuid::from_u128(number))
    }

    #[test]
    fn drivers_differ_in_both_directions_within_the_range() {
        let index = [(1, FREE), (2, FREE), (3, FREE), (5, FREE), (9, FREE)];
        let index = index.map(|(number, status)| (driver(number), status)).into_iter().collect();
        let stored = [(1, FREE), (2, BUSY), (3, LARGE), (4, FREE)].map(|(number, status)| (driver(number), status));
        // Driver 9 is on the next page.
        assert_eq!(differing(&index, &stored, driver(0)..=driver(5)), [2, 3, 4, 5].map(driver));
    }

    #[test]
    fn difference_is_named_by_what_the_index_lacked() {
        use IndexDifference::{Missing, Status as Other, Surplus};
        for (index, stored, difference) in [
            (FREE, FREE, None),
            (Status::Offline, Status::Offline, None),
            (Status::Offline, BUSY, Some(Missing)),
            (FREE, Status::Offline, Some(Surplus)),
            (FREE, BUSY, Some(Other)),
            (FREE, LARGE, Some(Other)),
        ] {
            assert_eq!(IndexDifference::between(index, stored), difference);
        }
    }
}
