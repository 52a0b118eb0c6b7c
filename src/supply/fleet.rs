//! The drivers who are online, in memory, with an index of the free ones.

use std::collections::{HashMap, HashSet, VecDeque};

use rstar::RTree;
use rstar::primitives::GeomWithData;

use crate::geo::{self, Position};
use crate::platform::class::VehicleClass;
use crate::platform::clock::DomainTime;
use crate::platform::ids::DriverId;

mod report;
#[cfg(test)]
mod tests;

pub use report::{LastKnown, MAX_CANDIDATE_AGE_S, MAX_LEAD_S, Report, Verdict};

/// Every online driver's last known position, and a tree of those who are free.
///
/// The tree (an R*-tree: Beckmann, N. et al. (1990), *The R\*-tree: An Efficient and Robust Access Method for Points and
/// Rectangles*, SIGMOD) holds points on the unit sphere and compares straight lines between them, so that it is exact
/// everywhere: there are no poles and no antimeridian in it.
///
/// A plain value: no lock, no clock, no I/O. It is bounded by the number of drivers online, some 200 bytes each.
/// Below, *n* is that number.
///
/// ```
/// use std::collections::HashSet;
///
/// use chrono::DateTime;
/// use ridematch::geo::Position;
/// use ridematch::platform::class::VehicleClass;
/// use ridematch::platform::clock::DomainTime;
/// use ridematch::platform::ids::DriverId;
/// use ridematch::supply::{Fleet, Query, Report, Status, Verdict};
/// use uuid::Uuid;
///
/// let now = DomainTime::new(DateTime::from_timestamp(1_700_000_000, 0).unwrap());
/// let driver = DriverId::from(Uuid::from_u128(1));
/// let mut fleet = Fleet::default();
///
/// fleet.set_status(driver, Status::Free { class: VehicleClass::Standard });
/// let report = Report { driver, position: Position::new(-16.8, 179.99)?, recorded_at: now };
/// assert_eq!(fleet.report(report, now), Verdict::Accepted);
///
/// let found = fleet.nearest(&Query {
///     center: Position::new(-16.8, -179.99)?,
///     radius_m: 4_000.0,
///     class: None,
///     limit: 10,
///     now,
///     exclude: &HashSet::new(),
/// });
/// assert_eq!(found[0].driver, driver);
/// assert_eq!(found[0].distance_m.round(), 2_129.0);
/// # Ok::<(), ridematch::geo::InvalidPosition>(())
/// ```
#[derive(Debug, Default)]
pub struct Fleet {
    drivers: HashMap<DriverId, Entry>,
    /// Exactly the [`Entry::leaf`] of every entry that has one.
    free: RTree<Leaf>,
    /// The drivers whose entry says `unsaved`, each once, the longest waiting first.
    unsaved: VecDeque<DriverId>,
}

/// A free driver, as the tree knows them.
type Leaf = GeomWithData<[f64; 3], DriverId>;

#[derive(Debug, Clone, Copy)]
struct Entry {
    class: VehicleClass,
    free: bool,
    last: Option<LastKnown>,
    /// `last` is newer than what [`Fleet::take_dirty`] has handed out.
    unsaved: bool,
}

impl Entry {
    /// What belongs in the tree: a driver who is free and whose place is known.
    fn leaf(&self) -> Option<Leaf> {
        let last = self.last.filter(|_| self.free)?;
        Some(Leaf::new(last.position.unit_vector(), last.driver))
    }
}

/// Whether a driver can be offered a ride.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Not working. Nothing is kept.
    Offline,
    /// Can be offered rides of this class.
    Free {
        /// The class of their car.
        class: VehicleClass,
    },
    /// Has an offer or a trip. Their position is kept, and no search finds them.
    Engaged {
        /// The class of their car.
        class: VehicleClass,
    },
}

/// A search for free drivers.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a> {
    /// Around this place.
    pub center: Position,
    /// At most this far away, in metres on the great circle, the edge included. May be infinite; nothing is within NaN.
    pub radius_m: f64,
    /// With a car of this class; of any, if none.
    pub class: Option<VehicleClass>,
    /// At most so many.
    pub limit: usize,
    /// The moment at which positions must be fresh.
    pub now: DomainTime,
    /// But none of these.
    pub exclude: &'a HashSet<DriverId>,
}

/// A free driver near the place of a [`Query`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// Who.
    pub driver: DriverId,
    /// The class of their car.
    pub class: VehicleClass,
    /// Their last known position.
    pub position: Position,
    /// Great-circle distance to the centre, by [`geo::distance_m`].
    pub distance_m: f64,
    /// The position's age in milliseconds, by [`LastKnown::age`]: 0 to 30,000.
    pub age_ms: i64,
}

/// A driver who is online, as [`Fleet::everybody`] shows them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Seen {
    /// Who and where.
    pub last: LastKnown,
    /// Whether they can be offered a ride, as far as the index knows.
    pub is_free: bool,
}

impl Fleet {
    /// Takes note that a driver went on or off line, or became free or engaged.
    ///
    /// Who goes offline is forgotten; who comes online is found from their next position on. O(log n), and O(n) for
    /// going offline.
    pub fn set_status(&mut self, driver: DriverId, status: Status) {
        let (class, free) = match status {
            Status::Offline => return self.forget(driver),
            Status::Free { class } => (class, true),
            Status::Engaged { class } => (class, false),
        };
        let entry = self.drivers.entry(driver).or_insert(Entry { class, free, last: None, unsaved: false });
        let before = entry.leaf();
        (entry.class, entry.free) = (class, free);
        let after = entry.leaf();
        self.reindex(before, after);
    }

    /// Takes a driver out of the tree until their next status, if they are online.
    ///
    /// For the case that the database refused a candidate: it knows better, and its news is on the way. O(log n).
    pub fn evict(&mut self, driver: DriverId) {
        if let Some(&Entry { class, .. }) = self.drivers.get(&driver) {
            self.set_status(driver, Status::Engaged { class });
        }
    }

    /// Takes in a position that reached us at `received_at`, and says what became of it.
    ///
    /// The last known position is the same in whatever order reports come: see [`Verdict`]. O(log n).
    pub fn report(&mut self, report: Report, received_at: DomainTime) -> Verdict {
        let Report { driver, position, recorded_at } = report;
        let Some(entry) = self.drivers.get_mut(&driver) else { return Verdict::Offline };
        let new = LastKnown { driver, position, recorded_at, received_at };

        let verdict = Verdict::on(&new, entry.last.as_ref());
        let counts = matches!(verdict, Verdict::Accepted | Verdict::Duplicate);
        if !counts || entry.last.is_some_and(|last| !new.outranks(&last)) {
            return verdict;
        }
        let before = entry.leaf();
        entry.last = Some(new);
        if !entry.unsaved {
            entry.unsaved = true;
            self.unsaved.push_back(driver);
        }
        let after = entry.leaf();
        self.reindex(before, after);
        verdict
    }

    /// The free drivers nearest to a place: nearest first, those at the same distance by id.
    ///
    /// Exact, at the limit and at the edge of the radius too. A position older than [`MAX_CANDIDATE_AGE_S`] is passed over, so
    /// that a driver who fell silent is gone from the answer without anybody's doing.
    ///
    /// O(log n + k) in the usual case, where k is how many are found or passed over before the limit is reached. Drivers at one
    /// and the same distance as the last of them all have to be looked at: O(n) when everybody stands in one place.
    pub fn nearest(&self, query: &Query<'_>) -> Vec<Candidate> {
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

    /// The free driver at a leaf, if they are what the query asks for.
    fn candidate(&self, leaf: &Leaf, center: &[f64; 3], query: &Query<'_>) -> Option<Candidate> {
        let driver = leaf.data;
        let &Entry { class, last: Some(last), .. } = self.drivers.get(&driver)? else { return None };
        let distance_m = geo::arc_m(leaf.geom(), center);
        let wanted = distance_m <= query.radius_m
            && query.class.is_none_or(|wanted| wanted == class)
            && last.is_fresh(query.now)
            && !query.exclude.contains(&driver);
        let age_ms = last.age(query.now).num_milliseconds();
        wanted.then_some(Candidate { driver, class, position: last.position, distance_m, age_ms })
    }

    /// A driver's last known position, however old; none if they are offline or have sent none since they came online. O(1).
    pub fn position(&self, driver: DriverId) -> Option<LastKnown> {
        self.drivers.get(&driver)?.last
    }

    /// Everybody online whose position is known, however old. O(n).
    pub fn everybody(&self) -> impl Iterator<Item = Seen> {
        self.drivers.values().filter_map(|entry| Some(Seen { last: entry.last?, is_free: entry.free }))
    }

    /// How many drivers are online. O(1).
    pub fn online(&self) -> usize {
        self.drivers.len()
    }

    /// How many of them are free and have sent a position, fresh or not: the size of the tree. O(1).
    pub fn free(&self) -> usize {
        self.free.size()
    }

    /// Hands out up to `max` positions that changed since they were last handed out, the longest waiting first.
    ///
    /// One per driver, the last known. The caller writes them down; if that fails, nothing is lost that the next position
    /// doesn't replace. O(max).
    pub fn take_dirty(&mut self, max: usize) -> Vec<LastKnown> {
        let due = self.unsaved.len().min(max);
        let mut rows = Vec::with_capacity(due);
        for driver in self.unsaved.drain(..due) {
            let Some(entry) = self.drivers.get_mut(&driver) else { continue };
            entry.unsaved = false;
            rows.extend(entry.last);
        }
        rows
    }

    /// Takes back positions that were written down before a restart, and returns how many it kept.
    ///
    /// They are judged as if they came at `now`, so that only fresh ones are kept, of drivers who are online (set their status
    /// first), and none that is older than what has come since. The tree is built anew, O(n log n), and better balanced for it.
    pub fn restore(&mut self, rows: impl IntoIterator<Item = LastKnown>, now: DomainTime) -> usize {
        let mut kept = 0;
        for row in rows {
            let Some(entry) = self.drivers.get_mut(&row.driver) else { continue };
            if Verdict::on(&LastKnown { received_at: now, ..row }, entry.last.as_ref()) == Verdict::Accepted {
                entry.last = Some(row);
                kept += 1;
            }
        }
        self.free = RTree::bulk_load(self.drivers.values().filter_map(Entry::leaf).collect());
        kept
    }

    /// Looks for a contradiction between the parts. For tests: O(n log n).
    ///
    /// # Errors
    ///
    /// The first contradiction found, in words.
    pub fn check(&self) -> Result<(), String> {
        let mut leaves = 0;
        let mut unsaved = HashSet::new();
        for (driver, entry) in &self.drivers {
            if let Some(leaf) = entry.leaf() {
                leaves += 1;
                if !self.free.contains(&leaf) {
                    return Err(format!("{driver} is free and not in the tree where they are"));
                }
            }
            if entry.last.is_some_and(|last| last.driver != *driver) {
                return Err(format!("{driver} has somebody else's position"));
            }
            if entry.unsaved {
                unsaved.insert(*driver);
            }
        }
        if (self.free.size(), self.free.iter().count()) != (leaves, leaves) {
            return Err(format!("{leaves} drivers are free and {} are in the tree", self.free.iter().count()));
        }
        if self.unsaved.len() != unsaved.len() || !self.unsaved.iter().all(|driver| unsaved.contains(driver)) {
            return Err(format!("{} drivers are unsaved and {} are queued", unsaved.len(), self.unsaved.len()));
        }
        Ok(())
    }

    fn forget(&mut self, driver: DriverId) {
        let Some(entry) = self.drivers.remove(&driver) else { return };
        self.reindex(entry.leaf(), None);
        if entry.unsaved {
            self.unsaved.retain(|waiting| *waiting != driver);
        }
    }

    /// Puts `after` in the place of `before`. The only place that moves anybody in the tree: whoever changes an entry passes its
    /// leaf before and after, and so no old point stays behind.
    fn reindex(&mut self, before: Option<Leaf>, after: Option<Leaf>) {
        if before == after {
            return;
        }
        if let Some(leaf) = before {
            self.free.remove(&leaf);
        }
        if let Some(leaf) = after {
            self.free.insert(leaf);
        }
    }
}

/// A squared chord, and as much more as rounding can have taken from an equal distance.
///
/// The tree computes squared chords to a few units in the last place (2.2e-16), and close to the antipode it can tell no more
/// than decimetres. What lies within the slack is let in and judged by its exact distance.
fn with_slack(chord_2: f64) -> f64 {
    chord_2 * (1.0 + 1e-14)
}
