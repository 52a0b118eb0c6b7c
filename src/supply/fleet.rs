//! The online drivers in memory, with a spatial index of the free ones.

use std::collections::{BTreeMap, HashMap};

use rstar::RTree;
use rstar::primitives::GeomWithData;

use crate::geo::{self, Position};
use crate::platform::class::VehicleClass;
use crate::platform::clock::DomainTime;
use crate::platform::ids::DriverId;

mod differences;
mod position_report;
#[cfg(test)]
mod tests;

pub use differences::{IndexDifference, differing};
pub use position_report::{LastKnown, MAX_CANDIDATE_AGE_S, MAX_LEAD_S, PositionReport, PositionVerdict};

/// The last known position of every online driver, and an R-tree of the free ones.
///
/// The tree (an R*-tree: Beckmann, N. et al. (1990), *The R\*-tree: An Efficient and Robust Access Method for Points and
/// Rectangles*, SIGMOD) holds points on the unit sphere and compares the chords between them. So it is exact everywhere, at the
/// poles and across the antimeridian too.
///
/// A plain value without lock, clock or I/O. Its size is about 200 bytes per online driver; below, *n* is their number.
///
/// ```
/// use chrono::DateTime;
/// use ridematch::geo::Position;
/// use ridematch::platform::class::VehicleClass;
/// use ridematch::platform::clock::DomainTime;
/// use ridematch::platform::ids::DriverId;
/// use ridematch::supply::{Fleet, Query, PositionReport, Status, PositionVerdict};
/// use uuid::Uuid;
///
/// let now = DomainTime::new(DateTime::from_timestamp(1_700_000_000, 0).unwrap());
/// let driver = DriverId::from(Uuid::from_u128(1));
/// let mut fleet = Fleet::default();
///
/// fleet.set_status(driver, Status::Free { class: VehicleClass::Standard });
/// let report = PositionReport { driver, position: Position::new(-16.8, 179.99)?, recorded_at: now };
/// assert_eq!(fleet.report(report, now), PositionVerdict::Accepted);
///
/// let found = fleet.nearest(&Query {
///     center: Position::new(-16.8, -179.99)?,
///     radius_m: 4_000.0,
///     class: None,
///     limit: 10,
///     now,
/// });
/// assert_eq!(found[0].driver, driver);
/// assert_eq!(found[0].distance_m.round(), 2_129.0);
/// # Ok::<(), ridematch::geo::InvalidPosition>(())
/// ```
#[derive(Debug, Default)]
pub struct Fleet {
    drivers: HashMap<DriverId, Entry>,
    /// Invariant: exactly the [`Entry::leaf`] of every entry that has one.
    free: RTree<Leaf>,
    /// Counts the drivers that came into the tree.
    gained: u64,
}

/// A free driver in the tree: the position as a unit vector, and the id.
type Leaf = GeomWithData<[f64; 3], DriverId>;

#[derive(Debug, Clone, Copy)]
struct Entry {
    class: VehicleClass,
    free: bool,
    last: Option<LastKnown>,
}

impl Entry {
    fn status(&self) -> Status {
        let class = self.class;
        if self.free { Status::Free { class } } else { Status::Busy { class } }
    }

    /// Returns the leaf of a driver who is free and has a position.
    fn leaf(&self) -> Option<Leaf> {
        let last = self.last.filter(|_| self.free)?;
        Some(Leaf::new(last.position.unit_vector(), last.driver))
    }
}

/// The availability of a driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Offline. No position is kept.
    Offline,
    /// Can be offered a trip.
    Free {
        /// The vehicle class.
        class: VehicleClass,
    },
    /// Has an offer or a trip. The position is kept, but searches skip the driver.
    Busy {
        /// The vehicle class.
        class: VehicleClass,
    },
}

/// A search for the nearest free drivers.
#[derive(Debug, Clone, Copy)]
pub struct Query {
    /// The center of the search.
    pub center: Position,
    /// The maximum great-circle distance in meters, inclusive. May be infinite; NaN finds nothing.
    pub radius_m: f64,
    /// The vehicle class; any class if `None`.
    pub class: Option<VehicleClass>,
    /// The maximum number of results.
    pub limit: usize,
    /// The time at which positions must be fresh.
    pub now: DomainTime,
}

/// A free driver found by a [`Query`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// The driver.
    pub driver: DriverId,
    /// The vehicle class.
    pub class: VehicleClass,
    /// The last known position.
    pub position: Position,
    /// The great-circle distance to the center in meters, by [`geo::distance_m`].
    pub distance_m: f64,
    /// The position's age in milliseconds, by [`LastKnown::age`]: 0 to 30,000.
    pub age_ms: i64,
}

/// A free driver with a fresh position.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FreeDriver {
    /// The driver and the position.
    pub last: LastKnown,
    /// The vehicle class.
    pub class: VehicleClass,
}

/// An online driver with a position.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OnlineDriver {
    /// The driver and the position.
    pub last: LastKnown,
    /// The vehicle class.
    pub class: VehicleClass,
    /// Whether the driver is free, according to the index.
    pub is_free: bool,
}

impl Fleet {
    /// Sets the status of a driver.
    ///
    /// An offline driver is removed. A driver who comes online is found after their next position. O(log n).
    pub fn set_status(&mut self, driver: DriverId, status: Status) {
        let (class, free) = match status {
            Status::Offline => return self.forget(driver),
            Status::Free { class } => (class, true),
            Status::Busy { class } => (class, false),
        };
        let entry = self.drivers.entry(driver).or_insert(Entry { class, free, last: None });
        let before = entry.leaf();
        (entry.class, entry.free) = (class, free);
        let after = entry.leaf();
        self.reindex(before, after);
    }

    /// Makes an online driver busy until the next status.
    ///
    /// For a candidate that the database refused: the status that explains the refusal has not arrived yet. O(log n).
    pub fn evict(&mut self, driver: DriverId) {
        if let Some(&Entry { class, .. }) = self.drivers.get(&driver) {
            self.set_status(driver, Status::Busy { class });
        }
    }

    /// Applies a position received at `received_at`.
    ///
    /// The last known position does not depend on the order of reports: see [`PositionVerdict`]. O(log n).
    pub fn report(&mut self, report: PositionReport, received_at: DomainTime) -> PositionVerdict {
        let PositionReport { driver, position, recorded_at } = report;
        let Some(entry) = self.drivers.get_mut(&driver) else { return PositionVerdict::Offline };
        let new = LastKnown { driver, position, recorded_at, received_at };

        let verdict = PositionVerdict::on(&new, entry.last.as_ref());
        let counts = matches!(verdict, PositionVerdict::Accepted | PositionVerdict::Duplicate);
        if !counts || entry.last.is_some_and(|last| !new.outranks(&last)) {
            return verdict;
        }
        let before = entry.leaf();
        entry.last = Some(new);
        let after = entry.leaf();
        self.reindex(before, after);
        verdict
    }

    /// Returns the nearest free drivers, nearest first, at the same distance by id.
    ///
    /// Exact, also at the limit and at the edge of the radius. Skips positions older than [`MAX_CANDIDATE_AGE_S`], so an unresponsive
    /// driver disappears without an update.
    ///
    /// O(log n + k) usually, where k counts the drivers found or skipped before the limit. All drivers at the distance of the last one
    /// are compared: O(n) if all are in one place.
    pub fn nearest(&self, query: &Query) -> Vec<Candidate> {
        let center = query.center.unit_vector();
        let mut found = Vec::new();
        if query.limit == 0 {
            return found;
        }
        let mut reach_2 = with_slack(geo::chord_2(query.radius_m));
        for (leaf, chord_2) in self.free.nearest_neighbor_iter_with_distance_2(center) {
            if chord_2 > reach_2 {
                break;
            }
            found.extend(self.candidate(leaf, &center, query));
            if found.len() == query.limit {
                reach_2 = reach_2.min(with_slack(chord_2));
            }
        }
        found.sort_unstable_by(|a, b| a.distance_m.total_cmp(&b.distance_m).then(a.driver.cmp(&b.driver)));
        found.truncate(query.limit);
        found
    }

    /// Returns the driver at a leaf if the query matches.
    fn candidate(&self, leaf: &Leaf, center: &[f64; 3], query: &Query) -> Option<Candidate> {
        let driver = leaf.data;
        let &Entry { class, last: Some(last), .. } = self.drivers.get(&driver)? else { return None };
        let distance_m = geo::arc_m(leaf.geom(), center);
        let wanted = distance_m <= query.radius_m
            && query.class.is_none_or(|wanted| wanted == class)
            && last.is_fresh(query.now);
        let age_ms = last.age(query.now).num_milliseconds();
        wanted.then_some(Candidate { driver, class, position: last.position, distance_m, age_ms })
    }

    /// Returns the last known position of a driver, of any age; `None` if offline or without a position since coming online. O(1).
    pub fn position(&self, driver: DriverId) -> Option<LastKnown> {
        self.drivers.get(&driver)?.last
    }

    /// Returns the online drivers with a position of any age. O(n).
    pub fn online_drivers(&self) -> impl Iterator<Item = OnlineDriver> {
        let online = |entry: &Entry| Some(OnlineDriver { last: entry.last?, class: entry.class, is_free: entry.free });
        self.drivers.values().filter_map(online)
    }

    /// Returns the free drivers whose position is fresh at `now`. O(n).
    pub fn free_drivers(&self, now: DomainTime) -> impl Iterator<Item = FreeDriver> {
        let is_candidate = move |entry: &&Entry| entry.free && entry.last.is_some_and(|last| last.is_fresh(now));
        self.drivers
            .values()
            .filter(is_candidate)
            .filter_map(|entry| Some(FreeDriver { last: entry.last?, class: entry.class }))
    }

    /// Returns how many times a driver became one that searches find. O(1).
    pub fn gained(&self) -> u64 {
        self.gained
    }

    /// Returns the number of online drivers. O(1).
    pub fn online(&self) -> usize {
        self.drivers.len()
    }

    /// Returns the number of free drivers with a position of any age. O(1).
    pub fn free(&self) -> usize {
        self.free.size()
    }

    /// Returns the status of a driver. O(1).
    pub fn status(&self, driver: DriverId) -> Status {
        self.drivers.get(&driver).map_or(Status::Offline, Entry::status)
    }

    /// Returns the status of every online driver. O(n log n).
    pub fn statuses(&self) -> BTreeMap<DriverId, Status> {
        self.drivers.iter().map(|(driver, entry)| (*driver, entry.status())).collect()
    }

    /// Returns the online drivers that sent no position since `before`, with their status. O(n).
    pub fn without_position_since(&self, before: DomainTime) -> impl Iterator<Item = (DriverId, Status)> {
        let is_without = move |entry: &Entry| entry.last.is_none_or(|last| last.received_at < before);
        self.drivers.iter().filter(move |(_, entry)| is_without(entry)).map(|(driver, entry)| (*driver, entry.status()))
    }

    /// Restores positions saved before a restart. Returns the number of positions kept.
    ///
    /// Each is treated as received at `now`: it is kept if it is fresh, the driver is online (set the status first), and no newer one has
    /// arrived. Rebuilds the tree, which also balances it. O(n log n).
    pub fn restore(&mut self, rows: impl IntoIterator<Item = LastKnown>, now: DomainTime) -> usize {
        let mut kept = 0;
        for row in rows {
            let Some(entry) = self.drivers.get_mut(&row.driver) else { continue };
            if PositionVerdict::on(&LastKnown { received_at: now, ..row }, entry.last.as_ref())
                == PositionVerdict::Accepted
            {
                entry.last = Some(row);
                kept += 1;
            }
        }
        self.free = RTree::bulk_load(self.drivers.values().filter_map(Entry::leaf).collect());
        kept
    }

    /// Checks the invariants, for tests. O(n log n).
    ///
    /// # Errors
    /// The first violated invariant.
    pub fn check_invariants(&self) -> Result<(), String> {
        let mut leaves = 0;
        for (driver, entry) in &self.drivers {
            if let Some(leaf) = entry.leaf() {
                leaves += 1;
                if !self.free.contains(&leaf) {
                    return Err(format!("{driver} is free, but not in the tree at their position"));
                }
            }
            if entry.last.is_some_and(|last| last.driver != *driver) {
                return Err(format!("{driver} has the position of another driver"));
            }
        }
        if (self.free.size(), self.free.iter().count()) != (leaves, leaves) {
            return Err(format!("{leaves} drivers are free and {} are in the tree", self.free.iter().count()));
        }
        Ok(())
    }

    fn forget(&mut self, driver: DriverId) {
        let Some(entry) = self.drivers.remove(&driver) else { return };
        self.reindex(entry.leaf(), None);
    }

    /// Replaces a leaf. All changes of the tree pass here, with an entry's leaf before and after, so no stale leaf remains.
    fn reindex(&mut self, before: Option<Leaf>, after: Option<Leaf>) {
        if before == after {
            return;
        }
        if let Some(leaf) = before {
            self.free.remove(&leaf);
        }
        if let Some(leaf) = after {
            self.free.insert(leaf);
            self.gained += u64::from(before.is_none());
        }
    }
}

/// Returns a squared chord plus the maximum rounding error.
///
/// The tree computes squared chords to a few units in the last place (2.2e-16); near the antipode that is decimeters. Leaves within the
/// slack are compared by exact distance.
fn with_slack(chord_2: f64) -> f64 {
    chord_2 * (1.0 + 1e-14)
}
