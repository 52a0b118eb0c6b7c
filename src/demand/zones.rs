//! The zones: each cell with its balance of demand and supply, and its surge multiplier. Pure.

use std::collections::HashMap;

use super::sketch::Sketch;
use super::surge::{self, Balance, NO_SURGE_BP};
use crate::geo::cells::Cell;
use crate::platform::clock::{DomainTime, MachineTime};

/// The number of zones that are kept at most. Those with the highest multipliers and most requests stay.
pub const ZONES_MAX: usize = 4_096;

/// Of a number of decayed requests, those that come within the next half-life if they keep coming: ln 2.
const EXPECTED_OF_DECAYED: f64 = std::f64::consts::LN_2;

/// One cell, as the matcher found it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Zone {
    /// The cell.
    pub cell: Cell,
    /// The published multiplier, basis points.
    pub multiplier_bp: i32,
    /// The smoothed multiplier, from which the next one follows, basis points.
    pub smoothed_bp: i32,
    /// Free drivers in the cell.
    pub idle: i32,
    /// Demand and supply in the cell and its ring.
    pub nearby: Balance,
}

/// All zones of one run of the matcher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneStates {
    /// The epoch of the matcher.
    pub epoch: i64,
    /// When they were computed, domain time.
    pub as_of: DomainTime,
    /// When they were computed, machine time: how old they are does not depend on the speed of the domain clock.
    pub computed_at: MachineTime,
    /// The zones, by cell.
    pub zones: HashMap<Cell, Zone>,
}

/// A cell's need of cars.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CellBalance {
    /// The cell.
    pub cell: Cell,
    /// Demand and supply in the cell alone.
    pub own: Balance,
}

/// Returns the requests expected within the half-life, in thousandths, of a decayed number of requests.
pub fn expected_milli(decayed: f64) -> i64 {
    (decayed * EXPECTED_OF_DECAYED * 1_000.0).round() as i64
}

/// Returns demand and supply of each cell that has either, by cell.
pub fn balances(sketch: &Sketch, idle: &HashMap<Cell, i32>, now: DomainTime) -> Vec<CellBalance> {
    let mut all: HashMap<Cell, Balance> = HashMap::new();
    for found in sketch.estimates(now) {
        // The part that is certain: an error must not raise prices.
        all.entry(found.cell).or_default().expected_milli = expected_milli(found.count - found.error);
    }
    for (cell, idle) in idle {
        all.entry(*cell).or_default().idle = *idle;
    }
    let mut all: Vec<_> = all.into_iter().map(|(cell, own)| CellBalance { cell, own }).collect();
    all.sort_unstable_by_key(|balance| balance.cell);
    all
}

/// Computes the zones: those with demand, and those whose multiplier is not yet back at none. With `is_surging` false all multipliers are
/// none.
pub fn next_zones(
    balances: &[CellBalance],
    previous: Option<&ZoneStates>,
    now: DomainTime,
    is_surging: bool,
) -> HashMap<Cell, Zone> {
    let own: HashMap<Cell, Balance> = balances.iter().map(|balance| (balance.cell, balance.own)).collect();
    let with_demand = balances.iter().filter(|balance| balance.own.expected_milli > 0);
    let mut cells: Vec<Cell> = with_demand.flat_map(|balance| balance.cell.with_ring()).collect();
    cells.extend(
        previous.iter().flat_map(|states| states.zones.values()).filter(|zone| is_moving(zone)).map(|z| z.cell),
    );
    cells.sort_unstable();
    cells.dedup();
    let elapsed = previous.map(|states| now.since(states.as_of)).unwrap_or_default();
    let zone = |cell: Cell| {
        let before = previous.and_then(|states| states.zones.get(&cell));
        let (smoothed_before, published_before) =
            before.map_or((NO_SURGE_BP, NO_SURGE_BP), |zone| (zone.smoothed_bp, zone.multiplier_bp));
        let nearby = sum(cell.with_ring().iter().filter_map(|cell| own.get(cell)));
        let smoothed_bp = surge::smoothed_bp(smoothed_before, surge::target_bp(nearby), elapsed);
        let (smoothed_bp, multiplier_bp) = if is_surging {
            (smoothed_bp, surge::published_bp(published_before, smoothed_bp))
        } else {
            (NO_SURGE_BP, NO_SURGE_BP)
        };
        Zone { cell, multiplier_bp, smoothed_bp, idle: own.get(&cell).map_or(0, |own| own.idle), nearby }
    };
    let has_own_demand = |zone: &Zone| own.get(&zone.cell).is_some_and(|own| own.expected_milli > 0);
    let mut zones: Vec<Zone> =
        cells.into_iter().map(zone).filter(|zone| has_own_demand(zone) || is_moving(zone)).collect();
    zones.sort_unstable_by_key(|zone| (-zone.smoothed_bp, -zone.nearby.expected_milli, zone.cell));
    zones.truncate(ZONES_MAX);
    zones.into_iter().map(|zone| (zone.cell, zone)).collect()
}

fn is_moving(zone: &Zone) -> bool {
    zone.smoothed_bp != NO_SURGE_BP || zone.multiplier_bp != NO_SURGE_BP
}

fn sum<'a>(balances: impl Iterator<Item = &'a Balance>) -> Balance {
    balances.fold(Balance::default(), |sum, one| Balance {
        expected_milli: sum.expected_milli + one.expected_milli,
        idle: sum.idle + one.idle,
    })
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};

    use super::*;
    use crate::geo::Position;

    fn now() -> DomainTime {
        DomainTime::new(DateTime::from_timestamp(1_700_000_000, 0).expect("in range"))
    }

    fn here() -> Cell {
        Cell::at(Position::new(40.7484, -73.9857).expect("in range"))
    }

    fn requests(cell: Cell, number: usize) -> Sketch {
        let mut sketch = Sketch::default();
        (0..number).for_each(|_| sketch.record(cell, now()));
        sketch
    }

    fn states(zones: HashMap<Cell, Zone>, as_of: DomainTime) -> ZoneStates {
        ZoneStates { epoch: 1, as_of, computed_at: MachineTime::new(as_of.utc()), zones }
    }

    /// Runs every five seconds for `minutes`, and returns the last zones.
    fn run(sketch: &Sketch, idle: &HashMap<Cell, i32>, minutes: i64, first: Option<ZoneStates>) -> ZoneStates {
        let mut last = first;
        for _ in 0..minutes * 12 {
            let at = last.as_ref().map_or(now(), |last| last.as_of + TimeDelta::seconds(5));
            // Demand stays: the sketch is read at the time of its events.
            let zones = next_zones(&balances(sketch, idle, now()), last.as_ref(), at, true);
            last = Some(states(zones, at));
        }
        last.expect("at least one run")
    }

    #[test]
    fn demand_without_drivers_surges_in_the_cell_and_its_ring_and_subsides() {
        let sketch = requests(here(), 20);
        let surging = run(&sketch, &HashMap::new(), 10, None);
        for cell in here().with_ring() {
            assert_eq!(surging.zones[&cell].multiplier_bp, surge::CAP_BP);
        }
        assert_eq!(surging.zones.len(), 7);
        let over = run(&Sketch::default(), &HashMap::new(), 20, Some(surging));
        assert!(over.zones.is_empty(), "{:?}", over.zones);
    }

    #[test]
    fn free_drivers_in_the_ring_prevent_a_surge() {
        let next_door = here().with_ring().into_iter().find(|cell| *cell != here()).expect("a neighbor");
        let found = run(&requests(here(), 20), &HashMap::from([(next_door, 14)]), 10, None);
        assert_eq!(found.zones[&here()].multiplier_bp, NO_SURGE_BP);
        assert_eq!(found.zones[&here()].nearby, Balance { expected_milli: 13_863, idle: 14 });
        assert_eq!(found.zones[&here()].idle, 0);
    }

    #[test]
    fn first_run_after_a_request_publishes_no_surge() {
        let zones = next_zones(&balances(&requests(here(), 1_000), &HashMap::new(), now()), None, now(), true);
        assert_eq!(zones[&here()].multiplier_bp, NO_SURGE_BP);
    }

    #[test]
    fn surge_that_is_off_ends_at_once() {
        let surging = run(&requests(here(), 20), &HashMap::new(), 10, None);
        let found = balances(&requests(here(), 20), &HashMap::new(), now());
        let zones = next_zones(&found, Some(&surging), surging.as_of, false);
        assert_eq!(zones.len(), 1, "only the cell with demand");
        assert_eq!(zones[&here()].multiplier_bp, NO_SURGE_BP);
    }

    #[test]
    fn number_of_zones_is_limited() {
        let mut sketch = Sketch::default();
        for n in 0..1_024 {
            let place = Position::new(30.0 + f64::from(n / 40) * 0.2, -70.0 + f64::from(n % 40) * 0.2);
            (0..10).for_each(|_| sketch.record(Cell::at(place.expect("in range")), now()));
        }
        // Each cell surges with its ring of six.
        let (found, previous) = (balances(&sketch, &HashMap::new(), now()), states(HashMap::new(), now()));
        let zones = next_zones(&found, Some(&previous), now() + TimeDelta::minutes(1), true);
        assert_eq!(zones.len(), ZONES_MAX);
    }
}
