#![allow(clippy::unwrap_used, reason = "tests")]

use chrono::{DateTime, TimeDelta};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use uuid::Uuid;

use super::*;

const FREE: Status = Status::Free { class: VehicleClass::Standard };
const BUSY: Status = Status::Busy { class: VehicleClass::Standard };

fn driver(number: u128) -> DriverId {
    DriverId::from(Uuid::from_u128(number))
}

/// A time in milliseconds after an arbitrary start.
fn at_ms(offset_ms: i64) -> DomainTime {
    DomainTime::new(DateTime::from_timestamp(1_700_000_000, 0).unwrap()) + TimeDelta::milliseconds(offset_ms)
}

fn place(lat: f64) -> Position {
    Position::new(lat, 10.75).unwrap()
}

fn report(number: u128, lat: f64, recorded_ms: i64) -> PositionReport {
    PositionReport { driver: driver(number), position: place(lat), recorded_at: at_ms(recorded_ms) }
}

/// A fleet of free drivers, numbered from 1, without positions.
fn fleet_of(drivers: u128) -> Fleet {
    let mut fleet = Fleet::default();
    (1..=drivers).for_each(|number| fleet.set_status(driver(number), FREE));
    fleet
}

/// All free drivers with a fresh position, southernmost first.
fn found(fleet: &Fleet, now: DomainTime) -> Vec<Candidate> {
    let center = place(-90.0);
    fleet.nearest(&Query { center, radius_m: f64::INFINITY, class: None, limit: usize::MAX, now })
}

fn found_drivers(fleet: &Fleet, now: DomainTime) -> Vec<DriverId> {
    found(fleet, now).into_iter().map(|candidate| candidate.driver).collect()
}

#[test]
fn verdict_depends_on_recorded_and_received_time() {
    let mut fleet = fleet_of(1);
    let mut verdict = |lat, recorded_ms, received_ms| fleet.report(report(1, lat, recorded_ms), at_ms(received_ms));
    assert_eq!(verdict(1.0, -30_001, 0), PositionVerdict::Stale);
    assert_eq!(verdict(2.0, -30_000, 0), PositionVerdict::Accepted);
    assert_eq!(verdict(2.0, -30_000, 0), PositionVerdict::Duplicate);
    assert_eq!(verdict(3.0, 0, 100), PositionVerdict::Accepted);
    assert_eq!(verdict(4.0, -1, 200), PositionVerdict::OutOfOrder);
    assert_eq!(verdict(5.0, 5_201, 200), PositionVerdict::Future);
    assert_eq!(verdict(6.0, 5_200, 200), PositionVerdict::Accepted);
    assert_eq!(fleet.report(report(2, 0.0, 0), at_ms(0)), PositionVerdict::Offline);

    let last = fleet.position(driver(1)).unwrap();
    assert_eq!((last.position, last.recorded_at, last.received_at), (place(6.0), at_ms(5_200), at_ms(200)));
}

#[test]
fn greater_of_two_positions_with_the_same_time_is_kept() {
    for (first, second) in [(1.0, 2.0), (2.0, 1.0)] {
        let mut fleet = fleet_of(1);
        assert_eq!(fleet.report(report(1, first, 0), at_ms(0)), PositionVerdict::Accepted);
        assert_eq!(fleet.report(report(1, second, 0), at_ms(0)), PositionVerdict::Duplicate);
        assert_eq!(fleet.position(driver(1)).unwrap().position, place(2.0));
        assert_eq!(found(&fleet, at_ms(0))[0].position, place(2.0));
        fleet.check_invariants().unwrap();
    }
}

#[test]
fn position_older_than_30_s_is_not_a_candidate() {
    let mut fleet = fleet_of(1);
    fleet.report(report(1, 0.0, -2_000), at_ms(0));
    assert_eq!(found(&fleet, at_ms(0))[0].age_ms, 2_000);
    assert_eq!(found(&fleet, at_ms(28_000))[0].age_ms, 30_000);
    assert_eq!(found(&fleet, at_ms(28_001)), []);
    assert_eq!(fleet.free(), 1, "the last known position is kept");

    fleet.report(report(1, 0.0, 28_001), at_ms(28_001));
    assert_eq!(found(&fleet, at_ms(28_001))[0].age_ms, 0, "found again after a new position");
}

#[test]
fn fast_device_clock_does_not_reduce_the_age() {
    let mut fleet = fleet_of(1);
    fleet.report(report(1, 0.0, 5_000), at_ms(0));
    assert_eq!(found(&fleet, at_ms(10_000))[0].age_ms, 10_000);
    assert_eq!(found(&fleet, at_ms(-10_000))[0].age_ms, 0, "our clock may step back");
}

#[test]
fn only_free_drivers_are_found_but_all_online_positions_are_kept() {
    let mut fleet = fleet_of(3);
    (1..=3).for_each(|number| _ = fleet.report(report(number, 0.0, 0), at_ms(0)));
    fleet.set_status(driver(1), Status::Offline);
    fleet.set_status(driver(2), BUSY);
    assert_eq!(found_drivers(&fleet, at_ms(0)), [driver(3)]);
    assert_eq!((fleet.online(), fleet.free()), (2, 1));
    assert_eq!(fleet.position(driver(1)), None);

    assert_eq!(fleet.report(report(2, 1.0, 10), at_ms(10)), PositionVerdict::Accepted);
    fleet.set_status(driver(2), FREE);
    let moved = found(&fleet, at_ms(10))[1];
    assert_eq!((moved.driver, moved.position), (driver(2), place(1.0)), "found at the position sent while busy");
    fleet.check_invariants().unwrap();
}

#[test]
fn evicted_driver_is_found_after_the_next_status() {
    let mut fleet = fleet_of(1);
    fleet.report(report(1, 0.0, 0), at_ms(0));
    fleet.evict(driver(1));
    assert_eq!(found(&fleet, at_ms(0)), []);
    fleet.report(report(1, 0.0, 1), at_ms(1));
    assert_eq!(found(&fleet, at_ms(1)), [], "not after the next position");
    fleet.set_status(driver(1), Status::Free { class: VehicleClass::Xl });
    assert_eq!(found(&fleet, at_ms(1))[0].class, VehicleClass::Xl);

    fleet.evict(driver(2));
    assert_eq!(fleet.online(), 1, "evicting an offline driver changes nothing");
}

#[test]
fn drivers_without_a_position_since_a_time_are_listed() {
    let mut fleet = fleet_of(3);
    fleet.report(report(1, 0.0, 0), at_ms(0));
    fleet.report(report(2, 0.0, 0), at_ms(10));
    fleet.set_status(driver(1), BUSY);
    let mut without_position: Vec<_> = fleet.without_position_since(at_ms(10)).collect();
    without_position.sort_by_key(|(driver, _)| *driver);
    assert_eq!(without_position, [(driver(1), BUSY), (driver(3), FREE)]);
}

#[test]
fn restart_restores_fresh_positions() {
    let mut before = fleet_of(5);
    for (number, recorded_ms) in [(1, -25_000), (2, -10_000), (3, -10_000), (4, -10_000), (5, 4_000)] {
        before.report(report(number, 0.0, recorded_ms), at_ms(0));
    }
    let rows: Vec<_> = before.online_drivers().map(|driver| driver.last).collect();

    let mut fleet = fleet_of(5);
    fleet.set_status(driver(3), Status::Offline);
    fleet.report(report(4, 1.0, -5_000), at_ms(10_000));
    assert_eq!(fleet.restore(rows.clone(), at_ms(10_000)), 2, "the fresh ones of drivers 2 and 5");
    fleet.check_invariants().unwrap();
    assert_eq!(found_drivers(&fleet, at_ms(10_000)), [2, 5, 4].map(driver));
    assert_eq!(fleet.position(driver(5)), before.position(driver(5)));

    assert_eq!(
        fleet_of(5).restore(rows, at_ms(-60_000)),
        0,
        "positions from the future are dropped after the clock was set back"
    );
}

#[test]
fn bulk_loaded_tree_of_any_size_can_grow_and_shrink() {
    // rstar had a bug in bulk loading at single sizes (georust/rstar#256).
    for size in 0..300_u128 {
        let rows: Vec<_> = (1..=size)
            .map(|number| report(number, number as f64 / 7.0, 0))
            .map(|PositionReport { driver, position, recorded_at }| LastKnown {
                driver,
                position,
                recorded_at,
                received_at: at_ms(0),
            })
            .collect();
        let mut fleet = fleet_of(size + 30);
        assert_eq!(fleet.restore(rows, at_ms(0)) as u128, size);
        (size + 1..=size + 30).for_each(|number| _ = fleet.report(report(number, 0.5, 0), at_ms(0)));
        fleet.check_invariants().unwrap();
        (1..=size + 30).for_each(|number| fleet.set_status(driver(number), Status::Offline));
        assert_eq!((fleet.online(), fleet.free()), (0, 0));
    }
}

/// A report and its time of receipt: late, early, in the far future, or with the time of another report.
fn delivery() -> impl Strategy<Value = (PositionReport, DomainTime)> {
    let recorded_s = select(vec![-3_600, -31, -30, -4, 0, 0, 0, 4, 5, 6, 3_600]);
    (recorded_s, select(vec![0.0, 1.0, -1.0]), 0..3_i64)
        .prop_map(|(recorded_s, lat, received_s)| (report(1, lat, recorded_s * 1_000), at_ms(received_s * 1_000)))
}

/// The expected last known position, without a fleet: the greatest by time and position, among those within the limits.
fn expected_position(deliveries: &[(PositionReport, DomainTime)]) -> Option<(DomainTime, Position)> {
    deliveries
        .iter()
        .filter(|(report, received_at)| {
            (-5..=30).contains(&(received_at.utc() - report.recorded_at.utc()).num_seconds())
        })
        .map(|(report, _)| (report.recorded_at, report.position))
        .max()
}

/// The last known position after these deliveries.
fn replay(deliveries: &[(PositionReport, DomainTime)]) -> Option<(DomainTime, Position)> {
    let mut fleet = fleet_of(1);
    for &(report, received_at) in deliveries {
        fleet.report(report, received_at);
        fleet.check_invariants().unwrap();
    }
    fleet.position(driver(1)).map(|last| (last.recorded_at, last.position))
}

/// Calls `visit` with every permutation of `items` (Heap's algorithm).
fn permutations<T>(items: &mut [T], upto: usize, visit: &mut impl FnMut(&[T])) {
    if upto <= 1 {
        return visit(items);
    }
    for index in 0..upto {
        permutations(items, upto - 1, visit);
        items.swap(if upto.is_multiple_of(2) { index } else { 0 }, upto - 1);
    }
}

proptest! {
    #[test]
    fn last_known_position_is_the_same_for_all_permutations(mut deliveries in prop::collection::vec(delivery(), 0..=5)) {
        let expected = expected_position(&deliveries);
        let count = deliveries.len();
        permutations(&mut deliveries, count, &mut |order| assert_eq!(replay(order), expected, "{order:?}"));
    }

    #[test]
    fn last_known_position_is_the_same_after_shuffling_and_repeating(
        deliveries in prop::collection::vec(delivery(), 0..60),
        repeated in prop::collection::vec(any::<Index>(), 0..20),
        swaps in prop::collection::vec(any::<(Index, Index)>(), 60),
    ) {
        let expected = expected_position(&deliveries);
        let mut order = deliveries.clone();
        if !deliveries.is_empty() {
            order.extend(repeated.iter().map(|index| *index.get(&deliveries)));
            swaps.iter().for_each(|(a, b)| order.swap(a.index(deliveries.len()), b.index(deliveries.len())));
        }
        prop_assert_eq!(replay(&order), expected);
    }
}
