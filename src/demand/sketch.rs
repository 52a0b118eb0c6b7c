//! Time-decayed counts per cell in bounded memory: the most frequent cells, each with an upper bound of its error. Pure.
//!
//! Space-Saving (Metwally, A., Agrawal, D., El Abbadi, A. (2005), *Efficient Computation of Frequent and Top-k Elements in Data Streams*,
//! ICDT) with forward decay (Cormode, G. et al. (2009), *Forward Decay*, ICDE): an event weighs more the later it comes, relative to a
//! landmark, so that time passing changes no counter. Sketches merge as in Agarwal, P. K. et al. (2012), *Mergeable Summaries*, PODS.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta};

use crate::geo::cells::Cell;
use crate::platform::clock::DomainTime;

/// The time after which a request counts half (domain time). Five minutes: a car that is free now can serve what the next five bring.
pub const HALF_LIFE: TimeDelta = TimeDelta::minutes(5);

/// The number of counters. A busy city has a few hundred cells of resolution 8; 1,024 take 40 kB.
pub const CAPACITY: usize = 1_024;

/// Estimates below this are dropped when a sketch is compacted: a single request after half an hour.
const NEGLIGIBLE: f64 = 1.0 / 64.0;

/// The number of events below which a sketch without counters is empty again.
const NOTHING: f64 = 1e-9;

/// The half-lives after which the landmark moves. 2^64 is far from the largest `f64`.
const LANDMARK_HALF_LIVES_MAX: f64 = 64.0;

/// The count of one cell, relative to the sketch's landmark.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Counter {
    /// The estimate; never too low.
    pub count: f64,
    /// How much too high the estimate is at most.
    pub error: f64,
}

/// The decayed count of one cell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The cell.
    pub cell: Cell,
    /// The decayed number of events; never too low.
    pub count: f64,
    /// How much too high `count` is at most.
    pub error: f64,
}

/// Decayed counts of at most [`Sketch::capacity`] cells.
///
/// Invariants, for the exact decayed counts and at every time: `count − error ≤ exact ≤ count` for a cell with a counter, `exact ≤ floor`
/// for any other, `error ≤ floor`, and `floor ≤ total / capacity + 1/64`. They also hold after merges: the counts of any number of processes
/// are too high by a 1,024th of the decayed number of all events at most, plus what was negligible when it was dropped.
#[derive(Debug, Clone, PartialEq)]
pub struct Sketch {
    capacity: usize,
    /// The time at which an event weighs one.
    landmark: DomainTime,
    total: f64,
    floor: f64,
    counters: HashMap<Cell, Counter>,
}

impl Default for Sketch {
    fn default() -> Self {
        Self::new(CAPACITY)
    }
}

impl Sketch {
    /// Creates an empty sketch of `capacity` counters, at least one.
    pub fn new(capacity: usize) -> Self {
        let landmark = DomainTime::new(DateTime::UNIX_EPOCH);
        Self { capacity: capacity.max(1), landmark, total: 0.0, floor: 0.0, counters: HashMap::new() }
    }

    /// Restores a sketch from its parts. Those that are not finite or are negative count as zero; the least counters above the capacity
    /// are dropped.
    pub fn from_parts(
        landmark: DomainTime,
        (total, floor): (f64, f64),
        counters: impl IntoIterator<Item = (Cell, Counter)>,
    ) -> Self {
        let sound = |value: f64| if value.is_finite() { value.max(0.0) } else { 0.0 };
        let counters = counters
            .into_iter()
            .map(|(cell, counter)| (cell, Counter { count: sound(counter.count), error: sound(counter.error) }));
        let counters = counters.collect();
        let mut sketch = Self { landmark, total: sound(total), floor: sound(floor), counters, ..Self::default() };
        sketch.keep_largest();
        sketch
    }

    /// Returns the landmark, the time at which [`Sketch::counters`] hold.
    pub fn landmark(&self) -> DomainTime {
        self.landmark
    }

    /// Returns the number of counters at most.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Returns the counters, relative to the landmark, by cell.
    pub fn counters(&self) -> Vec<(Cell, Counter)> {
        let mut counters: Vec<_> = self.counters.iter().map(|(cell, counter)| (*cell, *counter)).collect();
        counters.sort_unstable_by_key(|(cell, _)| *cell);
        counters
    }

    /// Returns the decayed number of all events, and the bound for cells without a counter, relative to the landmark.
    pub fn total_and_floor(&self) -> (f64, f64) {
        (self.total, self.floor)
    }

    /// Returns whether no event was recorded.
    pub fn is_empty(&self) -> bool {
        self.counters.is_empty() && self.total == 0.0
    }

    /// Counts an event in a cell. O(1), and O(capacity) if all counters are taken.
    pub fn record(&mut self, cell: Cell, at: DomainTime) {
        if self.is_empty() || half_lives(self.landmark, at) > LANDMARK_HALF_LIVES_MAX {
            self.move_landmark(at);
        }
        let weight = half_lives(self.landmark, at).exp2();
        self.total += weight;
        if let Some(counter) = self.counters.get_mut(&cell) {
            counter.count += weight;
            return;
        }
        if self.counters.len() >= self.capacity {
            self.drop_least();
        }
        self.counters.insert(cell, Counter { count: self.floor + weight, error: self.floor });
    }

    /// Adds the events of another sketch. The order of merges changes nothing but rounding.
    pub fn merge(&mut self, other: &Self) {
        if other.is_empty() {
            return;
        }
        let mut other = other.clone();
        if self.is_empty() || self.landmark < other.landmark {
            self.move_landmark(other.landmark);
        } else {
            other.move_landmark(self.landmark);
        }
        for (cell, counter) in &mut self.counters {
            let added = other.counters.remove(cell).unwrap_or(Counter { count: other.floor, error: other.floor });
            counter.count += added.count;
            counter.error += added.error;
        }
        let floor = self.floor;
        self.counters.extend(
            other
                .counters
                .into_iter()
                .map(|(cell, Counter { count, error })| (cell, Counter { count: count + floor, error: error + floor })),
        );
        self.total += other.total;
        self.floor += other.floor;
        self.keep_largest();
    }

    /// Moves the landmark to `now`, and drops what has decayed to nearly nothing.
    pub fn compact(&mut self, now: DomainTime) {
        if now > self.landmark {
            self.move_landmark(now);
        }
        let is_least = |counter: &Counter| counter.count < NEGLIGIBLE;
        let dropped = self.counters.values().filter(|counter| is_least(counter)).map(|counter| counter.count);
        self.floor = dropped.fold(self.floor, f64::max);
        self.counters.retain(|_, counter| !is_least(counter));
        if self.counters.is_empty() && self.total < NOTHING {
            (self.total, self.floor) = (0.0, 0.0);
        }
    }

    /// Returns the cells with the highest counts at `now`, the highest first, at the same count by cell.
    pub fn top(&self, limit: usize, now: DomainTime) -> Vec<Estimate> {
        let mut all = self.estimates(now);
        all.truncate(limit);
        all
    }

    /// Returns all cells with a counter, as [`Sketch::top`].
    pub fn estimates(&self, now: DomainTime) -> Vec<Estimate> {
        let factor = self.factor(now);
        let estimate = |(cell, counter): (&Cell, &Counter)| Estimate {
            cell: *cell,
            count: counter.count * factor,
            error: counter.error * factor,
        };
        let mut all: Vec<_> = self.counters.iter().map(estimate).collect();
        all.sort_unstable_by(|a, b| b.count.total_cmp(&a.count).then(a.cell.cmp(&b.cell)));
        all
    }

    /// Returns the highest count that a cell without a counter can have at `now`.
    pub fn floor(&self, now: DomainTime) -> f64 {
        self.floor * self.factor(now)
    }

    /// Returns the decayed number of all events at `now`.
    pub fn total(&self, now: DomainTime) -> f64 {
        self.total * self.factor(now)
    }

    /// Returns what is left of a counter at `now`: at most all of it. The clock of a process can be behind that of the one that moved the
    /// landmark, and must not multiply requests.
    fn factor(&self, now: DomainTime) -> f64 {
        (-half_lives(self.landmark, now).max(0.0)).exp2()
    }

    fn move_landmark(&mut self, to: DomainTime) {
        let factor = (-half_lives(self.landmark, to)).exp2();
        self.landmark = to;
        self.total *= factor;
        self.floor *= factor;
        for counter in self.counters.values_mut() {
            counter.count *= factor;
            counter.error *= factor;
        }
    }

    /// Drops the least counter, of equal ones that of the last cell.
    fn drop_least(&mut self) {
        let by_count =
            |(a, x): &(&Cell, &Counter), (b, y): &(&Cell, &Counter)| x.count.total_cmp(&y.count).then(b.cmp(a));
        let Some((cell, counter)) = self.counters.iter().min_by(by_count).map(|(cell, counter)| (*cell, *counter))
        else {
            return;
        };
        self.counters.remove(&cell);
        self.floor = self.floor.max(counter.count);
    }

    fn keep_largest(&mut self) {
        if self.counters.len() <= self.capacity {
            return;
        }
        let mut all: Vec<_> = self.counters.drain().collect();
        all.sort_unstable_by(|(a, x), (b, y)| y.count.total_cmp(&x.count).then(a.cmp(b)));
        self.floor = self.floor.max(all[self.capacity].1.count);
        all.truncate(self.capacity);
        self.counters = all.into_iter().collect();
    }
}

/// Returns the half-lives from `from` to `to`, negative if `to` is earlier.
fn half_lives(from: DomainTime, to: DomainTime) -> f64 {
    let milliseconds = (to.utc() - from.utc()).num_milliseconds();
    milliseconds as f64 / HALF_LIFE.num_milliseconds() as f64
}

#[cfg(test)]
#[path = "sketch_tests.rs"]
mod tests;
