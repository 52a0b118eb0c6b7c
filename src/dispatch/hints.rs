//! Which idle driver is sent a hint to which cell. Pure.

use std::collections::{HashMap, HashSet};

use chrono::TimeDelta;

use crate::demand::sketch::HALF_LIFE;
use crate::demand::surge::Balance;
use crate::demand::zones::CellBalance;
use crate::geo::cells::Cell;
use crate::geo::{Position, StreetMap, distance_m};
use crate::platform::clock::DomainTime;
use crate::platform::ids::DriverId;

/// How long a hint is valid, and the shortest time between two hints to one driver (domain time). Drivers who get many ignore all.
pub const HINT_LASTS: TimeDelta = TimeDelta::minutes(20);

/// How much longer than expected a hinted driver may take: one who has not arrived by then has ignored the hint.
const ARRIVAL_SLACK: TimeDelta = TimeDelta::minutes(2);

/// The longest drive to a hint, milliseconds: as long as the hint lasts. With ten minutes, cars at the other end of a city stay
/// idle while riders leave (`docs/decisions/trending-zones.md`). A shortage is assumed to last that long.
const DRIVE_MAX_MS: i64 = HINT_LASTS.num_milliseconds();

/// For how long ahead a cell should have cars for its requests, about the length of a ride: until then one that is there is free again.
pub const HORIZON: TimeDelta = TimeDelta::minutes(10);

/// The most hints of one run. The next one follows within seconds.
pub const HINTS_MAX: usize = 50;

/// The most drivers that are considered for a cell, the nearest by great-circle distance: it bounds the drives to compute, as
/// [`CELLS_MAX`] does.
const NEAREST_MAX: usize = 64;

/// The cells that are considered in one run, those that lack most cars first: it bounds the pairs of drivers and cells.
const CELLS_MAX: usize = 64;

/// A driver without offer or trip.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct IdleDriver {
    /// The driver.
    pub driver: DriverId,
    /// The last position.
    pub position: Position,
}

/// A hint that was sent within [`HINT_LASTS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SentHint {
    /// The driver.
    pub driver: DriverId,
    /// The cell.
    pub cell: Cell,
    /// When it was sent.
    pub at: DomainTime,
}

/// A hint to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlannedHint {
    /// The driver.
    pub driver: DriverId,
    /// The cell that lacks cars.
    pub cell: Cell,
    /// Its requests expected within [`HORIZON`], and its supply.
    pub own: Balance,
}

/// Plans hints: to the drivers with the shortest drive to a cell that lacks cars, no more than it lacks, from cells that have cars to spare.
///
/// A cell lacks the requests expected within ten minutes, less its idle drivers, less those who may be on the way after an earlier hint. A
/// driver who was sent elsewhere within [`HINT_LASTS`] counts as leaving: they are no supply of the cell that they still stand in, so that
/// one run after the other does not empty it; and they get no other. Equal drives are decided by cell and driver, so equal inputs give
/// equal plans.
pub fn plan(
    map: &StreetMap,
    balances: &[CellBalance],
    drivers: &[IdleDriver],
    sent: &[SentHint],
    now: DomainTime,
) -> Vec<PlannedHint> {
    let hinted: HashSet<DriverId> = sent.iter().map(|hint| hint.driver).collect();
    let places: HashMap<DriverId, Cell> =
        drivers.iter().map(|driver| (driver.driver, Cell::at(driver.position))).collect();
    let leaving = leaving(&places, sent);
    let mut own: HashMap<Cell, Balance> = balances.iter().map(|balance| (balance.cell, ahead(balance.own))).collect();
    for cell in leaving.iter().filter_map(|driver| places.get(driver)) {
        own.entry(*cell).and_modify(|own| own.idle = (own.idle - 1).max(0));
    }
    let mut lacking = lacking(&own, &on_the_way(map, drivers, sent, now));
    let staying: Vec<Cell> =
        places.iter().filter(|(driver, _)| !leaving.contains(driver)).map(|(_, cell)| *cell).collect();
    let mut spare: HashMap<Cell, i64> = HashMap::new();
    for cell in &staying {
        let balance = own.get(cell).copied().unwrap_or_default();
        // A driver whom demand is expected to find where they are stays.
        spare.entry(*cell).or_insert_with(|| -((balance.expected_milli + 999) / 1_000));
    }
    for cell in &staying {
        *spare.entry(*cell).or_default() += 1;
    }
    let is_to_spare = |one: &&IdleDriver| {
        let place = places.get(&one.driver);
        !hinted.contains(&one.driver) && place.and_then(|place| spare.get(place)).is_some_and(|spare| *spare >= 1)
    };
    let movable: Vec<IdleDriver> = drivers.iter().filter(is_to_spare).copied().collect();
    let mut pairs: Vec<(i64, Cell, DriverId)> =
        lacking.keys().flat_map(|cell| drives_to(map, *cell, &movable)).collect();
    pairs.sort_unstable();
    let mut planned = Vec::new();
    let mut chosen: HashSet<DriverId> = HashSet::new();
    for (_, cell, driver) in pairs {
        let (Some(lacks), Some(spare)) =
            (lacking.get_mut(&cell), places.get(&driver).and_then(|place| spare.get_mut(place)))
        else {
            continue;
        };
        if *lacks < 1 || *spare < 1 || planned.len() == HINTS_MAX || !chosen.insert(driver) {
            continue;
        }
        (*lacks, *spare) = (*lacks - 1, *spare - 1);
        planned.push(PlannedHint { driver, cell, own: own.get(&cell).copied().unwrap_or_default() });
    }
    planned
}

/// Returns the drives to a cell of the drivers nearest to it, in milliseconds, but those that are too long.
fn drives_to(map: &StreetMap, cell: Cell, drivers: &[IdleDriver]) -> Vec<(i64, Cell, DriverId)> {
    let (center, reach_m) = (cell.center(), map.reach_m(DRIVE_MAX_MS));
    let distance = |one: &IdleDriver| (distance_m(one.position, center), one.driver, one.position);
    let elsewhere = drivers.iter().filter(|one| Cell::at(one.position) != cell).map(distance);
    let mut near: Vec<_> = elsewhere.filter(|(distance_m, ..)| *distance_m <= reach_m).collect();
    near.sort_unstable_by(|(a, x, _), (b, y, _)| a.total_cmp(b).then(x.cmp(y)));
    near.truncate(NEAREST_MAX);
    let end = map.arrival(center);
    let drive = |(_, driver, position)| Some((map.eta(&map.departure(position), &end, DRIVE_MAX_MS)?.ms, cell, driver));
    near.into_iter().filter_map(drive).collect()
}

/// Returns a balance with the requests expected within [`HORIZON`]. That of a cell has those within a half-life.
fn ahead(balance: Balance) -> Balance {
    let expected_milli = balance.expected_milli.saturating_mul(HORIZON.num_seconds()) / HALF_LIFE.num_seconds();
    Balance { expected_milli, ..balance }
}

/// Returns the drivers who were sent to another cell than they are in.
fn leaving(places: &HashMap<DriverId, Cell>, sent: &[SentHint]) -> HashSet<DriverId> {
    let away = sent.iter().filter(|hint| places.get(&hint.driver).is_some_and(|place| *place != hint.cell));
    away.map(|hint| hint.driver).collect()
}

/// Returns the hints whose drivers may be on the way: they stand in another cell, and have had no time to drive from there. Where they were
/// when they got the hint is not known, so from the middle of a long drive on a driver no longer counts, and another car may be sent.
fn on_the_way(map: &StreetMap, drivers: &[IdleDriver], sent: &[SentHint], now: DomainTime) -> Vec<SentHint> {
    let positions: HashMap<DriverId, Position> = drivers.iter().map(|one| (one.driver, one.position)).collect();
    let left = |position, cell: Cell| {
        let drive = map.eta(&map.departure(position), &map.arrival(cell.center()), DRIVE_MAX_MS);
        TimeDelta::milliseconds(drive.map_or(DRIVE_MAX_MS, |drive| drive.ms))
    };
    let is_on_the_way = |hint: &&SentHint| {
        positions.get(&hint.driver).is_some_and(|position| {
            Cell::at(*position) != hint.cell && now.since(hint.at) < left(*position, hint.cell) + ARRIVAL_SLACK
        })
    };
    sent.iter().filter(is_on_the_way).copied().collect()
}

/// Returns the cells that lack cars, with how many.
fn lacking(own: &HashMap<Cell, Balance>, on_the_way: &[SentHint]) -> HashMap<Cell, i64> {
    let mut coming: HashMap<Cell, i64> = HashMap::new();
    // Those who have arrived count as idle there; those with an offer or a trip have left the way.
    for hint in on_the_way {
        *coming.entry(hint.cell).or_default() += 1;
    }
    let lacks = |(cell, own): (&Cell, &Balance)| {
        let come = coming.get(cell).copied().unwrap_or_default();
        let lacks = own.expected_milli / 1_000 - i64::from(own.idle) - come;
        (lacks >= 1).then_some((*cell, lacks))
    };
    let mut all: Vec<_> = own.iter().filter_map(lacks).collect();
    all.sort_unstable_by_key(|(cell, lacks)| (-lacks, *cell));
    all.truncate(CELLS_MAX);
    all.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::geo::Router;
    use crate::geo::streets::{Segment, Streets};

    fn driver(n: usize) -> DriverId {
        DriverId::from(Uuid::from_u128(n as u128))
    }

    /// Places 1 km apart from west to east, each in a cell of its own.
    fn place(n: usize) -> Position {
        Position::new(40.75, -73.99 + 0.012 * n as f64).expect("in range")
    }

    fn now() -> DomainTime {
        DomainTime::new(DateTime::UNIX_EPOCH)
    }

    fn idle_at(places: &[usize]) -> Vec<IdleDriver> {
        let idle = |(n, at): (usize, &usize)| IdleDriver { driver: driver(n), position: place(*at) };
        places.iter().enumerate().map(idle).collect()
    }

    /// The balances of cells with these requests expected within ten minutes, and with the idle drivers counted.
    fn balances(expected: &[(usize, i64)], drivers: &[IdleDriver]) -> Vec<CellBalance> {
        let mut all: HashMap<Cell, Balance> = HashMap::new();
        for (n, expected) in expected {
            all.entry(Cell::at(place(*n))).or_default().expected_milli = expected * 1_000 / 2;
        }
        for driver in drivers {
            all.entry(Cell::at(driver.position)).or_default().idle += 1;
        }
        all.into_iter().map(|(cell, own)| CellBalance { cell, own }).collect()
    }

    fn sent(n: usize, to: usize) -> SentHint {
        SentHint { driver: driver(n), cell: Cell::at(place(to)), at: now() }
    }

    #[test]
    fn nearest_drivers_are_sent_and_no_more_than_the_cell_lacks() {
        let drivers = idle_at(&[5, 1, 2, 3]);
        let plan = plan(&StreetMap::default(), &balances(&[(0, 2)], &drivers), &drivers, &[], now());
        assert_eq!(plan.iter().map(|hint| hint.driver).collect::<Vec<_>>(), [driver(1), driver(2)]);
        assert!(plan.iter().all(|hint| hint.cell == Cell::at(place(0))));
    }

    #[test]
    fn idle_drivers_of_the_cell_and_drivers_on_the_way_are_not_lacking() {
        let drivers = idle_at(&[0, 1, 2]);
        let found = balances(&[(0, 2)], &drivers);
        assert_eq!(plan(&StreetMap::default(), &found, &drivers, &[], now()).len(), 1);
        assert!(
            plan(&StreetMap::default(), &found, &drivers, &[sent(2, 0)], now()).is_empty(),
            "driver 2 is on the way"
        );
        let busy = sent(9, 0);
        assert_eq!(
            plan(&StreetMap::default(), &found, &drivers, &[busy], now()).len(),
            1,
            "a driver with a trip is not"
        );
        assert_eq!(
            plan(&StreetMap::default(), &found, &drivers, &[sent(0, 0)], now()).len(),
            1,
            "driver 0 has arrived, and counts as idle"
        );
    }

    #[test]
    fn second_run_does_not_empty_a_cell_whose_drivers_were_sent_away_by_the_first() {
        let drivers = idle_at(&[1, 1]);
        let first = plan(&StreetMap::default(), &balances(&[(0, 1), (1, 1)], &drivers), &drivers, &[], now());
        assert_eq!(first.len(), 1, "one of two is to spare");
        let leaving: Vec<_> =
            first.iter().map(|hint| SentHint { driver: hint.driver, cell: hint.cell, at: now() }).collect();
        // More is requested in cell 0, but the driver who stays is expected to be needed in cell 1.
        assert!(
            plan(&StreetMap::default(), &balances(&[(0, 3), (1, 1)], &drivers), &drivers, &leaving, now()).is_empty()
        );
        // Cell 1 counts the driver who leaves as gone: it lacks one itself.
        let mut drivers = drivers;
        drivers.push(IdleDriver { driver: driver(7), position: place(2) });
        let second = plan(&StreetMap::default(), &balances(&[(1, 2)], &drivers), &drivers, &leaving, now());
        assert_eq!(second.iter().map(|hint| hint.driver).collect::<Vec<_>>(), [driver(7)]);
    }

    #[test]
    fn driver_who_has_had_the_time_to_arrive_and_has_not_is_no_longer_on_the_way() {
        // About 1 km: less than four minutes, and two more.
        let drivers = idle_at(&[1, 2]);
        let found = balances(&[(0, 1)], &drivers);
        let at =
            |minutes| plan(&StreetMap::default(), &found, &drivers, &[sent(0, 0)], now() + TimeDelta::minutes(minutes));
        assert!(at(3).is_empty(), "driver 0 is on the way");
        assert_eq!(at(7).iter().map(|hint| hint.driver).collect::<Vec<_>>(), [driver(1)]);
    }

    #[test]
    fn driver_at_the_other_end_of_the_city_is_sent() {
        // About 5 km, 16 minutes by the estimate; 40 km are too far.
        let drivers = idle_at(&[5, 40]);
        let found = plan(&StreetMap::default(), &balances(&[(0, 2)], &drivers), &drivers, &[], now());
        assert_eq!(found.iter().map(|hint| hint.driver).collect::<Vec<_>>(), [driver(0)]);
    }

    #[test]
    fn driver_with_the_shorter_drive_is_sent_also_if_the_other_is_nearer() {
        let drivers = idle_at(&[1, 3]);
        // From place 1 the way to place 0 leads around; from place 3 it is direct.
        let junctions = vec![Cell::at(place(0)).center(), place(1), place(3)];
        let segment = |(from, to, ms)| Segment { from, to, ms, length_m: 100.0 };
        let segments = [(1, 2, 300_000), (2, 0, 60_000), (0, 1, 1_000)].into_iter().map(segment).collect();
        let map = Router::new(Some(Streets::new(junctions, segments).expect("connected"))).map();
        let found = plan(&map, &balances(&[(0, 1)], &drivers), &drivers, &[], now());
        assert_eq!(found.iter().map(|hint| hint.driver).collect::<Vec<_>>(), [driver(1)]);
    }

    #[test]
    fn driver_with_a_recent_hint_gets_no_other() {
        let drivers = idle_at(&[1]);
        assert!(plan(&StreetMap::default(), &balances(&[(0, 5)], &drivers), &drivers, &[sent(0, 7)], now()).is_empty());
    }

    #[test]
    fn driver_who_has_followed_a_hint_gets_no_other() {
        let drivers = idle_at(&[4]);
        let plan =
            |sent: &[SentHint]| plan(&StreetMap::default(), &balances(&[(0, 5)], &drivers), &drivers, sent, now());
        assert!(plan(&[sent(0, 4)]).is_empty());
        assert_eq!(plan(&[]).len(), 1, "without a hint they are to spare");
    }

    #[test]
    fn driver_stays_where_demand_is_expected_and_where_the_drive_is_too_long() {
        let drivers = idle_at(&[1, 1, 40]);
        let found = plan(&StreetMap::default(), &balances(&[(0, 5), (1, 1)], &drivers), &drivers, &[], now());
        assert_eq!(found.len(), 1, "one of two may leave, and 40 km are too far");
    }

    proptest! {
        #[test]
        fn plan_keeps_its_bounds_and_is_deterministic(
            places in prop::collection::vec(0_usize..12, 0..40),
            expected in prop::collection::vec((0_usize..12, 0_i64..12), 0..12),
            hints in prop::collection::vec((0_usize..45, 0_usize..12), 0..10),
        ) {
            let drivers = idle_at(&places);
            let found = balances(&expected, &drivers);
            let sent: Vec<_> = hints.into_iter().map(|(n, to)| sent(n, to)).collect();
            let planned = plan(&StreetMap::default(), &found, &drivers, &sent, now());
            let mut shuffled = drivers.clone();
            shuffled.reverse();
            prop_assert_eq!(&plan(&StreetMap::default(), &found, &shuffled, &sent, now()), &planned);
            let chosen: HashSet<_> = planned.iter().map(|hint| hint.driver).collect();
            prop_assert_eq!(chosen.len(), planned.len(), "one hint each");
            prop_assert!(sent.iter().all(|hint| !chosen.contains(&hint.driver)), "none again");
            for CellBalance { cell, own } in &found {
                let to = planned.iter().filter(|hint| hint.cell == *cell).count() as i64;
                let places: HashMap<_, _> = drivers.iter().map(|one| (one.driver, Cell::at(one.position))).collect();
                let is_leaving = |driver: &DriverId| sent.iter().any(|hint| hint.driver == *driver && hint.cell != *cell);
                let staying = places.iter().filter(|(driver, place)| *place == cell && !is_leaving(driver)).count() as i64;
                prop_assert!(to <= (ahead(*own).expected_milli / 1_000 - staying).max(0), "no more than it lacks");
                let from = planned.iter().filter(|hint| places[&hint.driver] == *cell).count() as i64;
                prop_assert!(from == 0 || staying - from >= ahead(*own).expected_milli / 1_000, "no cell is left short");
            }
        }
    }
}
