#![allow(clippy::unwrap_used, reason = "tests")]

use chrono::{DateTime, TimeDelta};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use uuid::Uuid;

use super::*;

const FREE: Status = Status::Free { class: VehicleClass::Standard };
const ENGAGED: Status = Status::Engaged { class: VehicleClass::Standard };

fn driver(number: u128) -> DriverId {
    DriverId::from(Uuid::from_u128(number))
}

/// A moment, in milliseconds from the one at which most of these tests play.
fn at_ms(offset_ms: i64) -> DomainTime {
    DomainTime::new(DateTime::from_timestamp(1_700_000_000, 0).unwrap()) + TimeDelta::milliseconds(offset_ms)
}

fn place(lat: f64) -> Position {
    Position::new(lat, 10.75).unwrap()
}

fn report(number: u128, lat: f64, recorded_ms: i64) -> Report {
    Report { driver: driver(number), position: place(lat), recorded_at: at_ms(recorded_ms) }
}

/// A fleet of free drivers, numbered from 1, none of whom has sent a position.
fn fleet_of(drivers: u128) -> Fleet {
    let mut fleet = Fleet::default();
    (1..=drivers).for_each(|number| fleet.set_status(driver(number), FREE));
    fleet
}

/// Everybody free and fresh at a moment, the southernmost first.
fn found(fleet: &Fleet, now: DomainTime) -> Vec<Candidate> {
    let exclude = HashSet::new();
    let center = place(-90.0);
    fleet.nearest(&Query { center, radius_m: f64::INFINITY, class: None, limit: usize::MAX, now, exclude: &exclude })
}

fn found_drivers(fleet: &Fleet, now: DomainTime) -> Vec<DriverId> {
    found(fleet, now).into_iter().map(|candidate| candidate.driver).collect()
}

#[test]
fn a_position_is_judged_by_its_times() {
    let mut fleet = fleet_of(1);
    let mut verdict = |lat, recorded_ms, received_ms| fleet.report(report(1, lat, recorded_ms), at_ms(received_ms));
    assert_eq!(verdict(1.0, -30_001, 0), Verdict::Stale);
    assert_eq!(verdict(2.0, -30_000, 0), Verdict::Accepted);
    assert_eq!(verdict(2.0, -30_000, 0), Verdict::Duplicate);
    assert_eq!(verdict(3.0, 0, 100), Verdict::Accepted);
    assert_eq!(verdict(4.0, -1, 200), Verdict::OutOfOrder);
    assert_eq!(verdict(5.0, 5_201, 200), Verdict::Future);
    assert_eq!(verdict(6.0, 5_200, 200), Verdict::Accepted);
    assert_eq!(fleet.report(report(2, 0.0, 0), at_ms(0)), Verdict::Offline);

    let last = fleet.position(driver(1)).unwrap();
    assert_eq!((last.position, last.recorded_at, last.received_at), (place(6.0), at_ms(5_200), at_ms(200)));
}

#[test]
fn of_two_positions_at_one_time_the_greater_stays() {
    for (first, second) in [(1.0, 2.0), (2.0, 1.0)] {
        let mut fleet = fleet_of(1);
        assert_eq!(fleet.report(report(1, first, 0), at_ms(0)), Verdict::Accepted);
        assert_eq!(fleet.report(report(1, second, 0), at_ms(0)), Verdict::Duplicate);
        assert_eq!(fleet.position(driver(1)).unwrap().position, place(2.0));
        assert_eq!(found(&fleet, at_ms(0))[0].position, place(2.0));
        fleet.check().unwrap();
    }
}

#[test]
fn a_position_that_is_too_old_is_no_candidate() {
    let mut fleet = fleet_of(1);
    fleet.report(report(1, 0.0, -2_000), at_ms(0));
    assert_eq!(found(&fleet, at_ms(0))[0].age_ms, 2_000);
    assert_eq!(found(&fleet, at_ms(28_000))[0].age_ms, 30_000);
    assert_eq!(found(&fleet, at_ms(28_001)), []);
    assert_eq!(fleet.free(), 1, "the last known position is still known");

    fleet.report(report(1, 0.0, 28_001), at_ms(28_001));
    assert_eq!(found(&fleet, at_ms(28_001))[0].age_ms, 0, "and a new one brings the driver back");
}

#[test]
fn a_clock_that_runs_ahead_makes_no_position_younger() {
    let mut fleet = fleet_of(1);
    fleet.report(report(1, 0.0, 5_000), at_ms(0));
    assert_eq!(found(&fleet, at_ms(10_000))[0].age_ms, 10_000);
    assert_eq!(found(&fleet, at_ms(-10_000))[0].age_ms, 0, "ours may step back");
}

#[test]
fn only_free_drivers_are_found_and_all_online_ones_are_known() {
    let mut fleet = fleet_of(3);
    (1..=3).for_each(|number| _ = fleet.report(report(number, 0.0, 0), at_ms(0)));
    fleet.set_status(driver(1), Status::Offline);
    fleet.set_status(driver(2), ENGAGED);
    assert_eq!(found_drivers(&fleet, at_ms(0)), [driver(3)]);
    assert_eq!((fleet.online(), fleet.free()), (2, 1));
    assert_eq!(fleet.position(driver(1)), None);

    assert_eq!(fleet.report(report(2, 1.0, 10), at_ms(10)), Verdict::Accepted);
    fleet.set_status(driver(2), FREE);
    let moved = found(&fleet, at_ms(10))[1];
    assert_eq!((moved.driver, moved.position), (driver(2), place(1.0)), "is back where they drove meanwhile");
    fleet.check().unwrap();
}

#[test]
fn an_evicted_driver_is_back_with_the_next_status() {
    let mut fleet = fleet_of(1);
    fleet.report(report(1, 0.0, 0), at_ms(0));
    fleet.evict(driver(1));
    assert_eq!(found(&fleet, at_ms(0)), []);
    fleet.report(report(1, 0.0, 1), at_ms(1));
    assert_eq!(found(&fleet, at_ms(1)), [], "not with the next position");
    fleet.set_status(driver(1), Status::Free { class: VehicleClass::Xl });
    assert_eq!(found(&fleet, at_ms(1))[0].class, VehicleClass::Xl);

    fleet.evict(driver(2));
    assert_eq!(fleet.online(), 1, "nobody comes online by being evicted");
}

#[test]
fn unsaved_positions_are_handed_out_once_and_the_latest_only() {
    let mut fleet = fleet_of(4);
    for (number, recorded_ms) in [(1, 0), (2, 0), (3, 0), (1, 10), (4, 0)] {
        fleet.report(report(number, 0.0, recorded_ms), at_ms(recorded_ms));
    }
    fleet.report(report(4, 0.0, -1), at_ms(10));
    fleet.set_status(driver(2), Status::Offline);
    fleet.check().unwrap();

    let mut taken = |max| -> Vec<_> {
        let rows = fleet.take_dirty(max);
        fleet.check().unwrap();
        rows.iter().map(|row| (row.driver, row.recorded_at)).collect()
    };
    assert_eq!(taken(2), [(driver(1), at_ms(10)), (driver(3), at_ms(0))]);
    assert_eq!(taken(2), [(driver(4), at_ms(0))]);
    assert_eq!(taken(2), []);
}

#[test]
fn a_restart_takes_back_what_is_fresh() {
    let mut before = fleet_of(5);
    for (number, recorded_ms) in [(1, -25_000), (2, -10_000), (3, -10_000), (4, -10_000), (5, 4_000)] {
        before.report(report(number, 0.0, recorded_ms), at_ms(0));
    }
    let rows = before.take_dirty(usize::MAX);

    let mut fleet = fleet_of(5);
    fleet.set_status(driver(3), Status::Offline);
    fleet.report(report(4, 1.0, -5_000), at_ms(10_000));
    assert_eq!(fleet.restore(rows.clone(), at_ms(10_000)), 2, "the fresh ones of drivers 2 and 5");
    fleet.check().unwrap();
    assert_eq!(found_drivers(&fleet, at_ms(10_000)), [2, 5, 4].map(driver));
    assert_eq!(fleet.position(driver(5)), before.position(driver(5)));
    assert_eq!(fleet.take_dirty(usize::MAX).len(), 1, "what was restored needs no saving");

    assert_eq!(fleet_of(5).restore(rows, at_ms(-60_000)), 0, "nor does a clock that was set back bring the future");
}

#[test]
fn a_tree_of_any_size_goes_on_growing_and_shrinking() {
    // Bulk loading has had bugs at single sizes (georust/rstar#256).
    for size in 0..300_u128 {
        let rows: Vec<_> = (1..=size)
            .map(|number| report(number, number as f64 / 7.0, 0))
            .map(|Report { driver, position, recorded_at }| LastKnown {
                driver,
                position,
                recorded_at,
                received_at: at_ms(0),
            })
            .collect();
        let mut fleet = fleet_of(size + 30);
        assert_eq!(fleet.restore(rows, at_ms(0)) as u128, size);
        (size + 1..=size + 30).for_each(|number| _ = fleet.report(report(number, 0.5, 0), at_ms(0)));
        fleet.check().unwrap();
        (1..=size + 30).for_each(|number| fleet.set_status(driver(number), Status::Offline));
        assert_eq!((fleet.online(), fleet.free()), (0, 0));
    }
}

#[test]
fn labels_are_different() {
    assert_eq!(HashSet::from(Verdict::ALL.map(Verdict::as_str)).len(), Verdict::ALL.len());
}

/// A report as a hostile network might deliver it, with the time at which it was received: late, early, in the far future, at a
/// time that others have too.
fn delivery() -> impl Strategy<Value = (Report, DomainTime)> {
    let recorded_s = select(vec![-3_600, -31, -30, -4, 0, 0, 0, 4, 5, 6, 3_600]);
    (recorded_s, select(vec![0.0, 1.0, -1.0]), 0..3_i64)
        .prop_map(|(recorded_s, lat, received_s)| (report(1, lat, recorded_s * 1_000), at_ms(received_s * 1_000)))
}

/// What is left of the reports, told without a fleet: the last of those that can be believed, by time and then by position.
fn survivor(deliveries: &[(Report, DomainTime)]) -> Option<(DomainTime, Position)> {
    deliveries
        .iter()
        .filter(|(report, received_at)| {
            (-5..=30).contains(&(received_at.utc() - report.recorded_at.utc()).num_seconds())
        })
        .map(|(report, _)| (report.recorded_at, report.position))
        .max()
}

/// What is left when they come in this order.
fn replay(deliveries: &[(Report, DomainTime)]) -> Option<(DomainTime, Position)> {
    let mut fleet = fleet_of(1);
    for &(report, received_at) in deliveries {
        fleet.report(report, received_at);
        fleet.check().unwrap();
    }
    fleet.position(driver(1)).map(|last| (last.recorded_at, last.position))
}

/// Calls `see` with every order of `items` (Heap's algorithm).
fn permutations<T>(items: &mut [T], upto: usize, see: &mut impl FnMut(&[T])) {
    if upto <= 1 {
        return see(items);
    }
    for index in 0..upto {
        permutations(items, upto - 1, see);
        items.swap(if upto.is_multiple_of(2) { index } else { 0 }, upto - 1);
    }
}

proptest! {
    #[test]
    fn every_order_of_a_few_reports_ends_alike(mut deliveries in prop::collection::vec(delivery(), 0..=5)) {
        let expected = survivor(&deliveries);
        let count = deliveries.len();
        permutations(&mut deliveries, count, &mut |order| assert_eq!(replay(order), expected, "{order:?}"));
    }

    #[test]
    fn any_order_of_many_reports_ends_alike(
        deliveries in prop::collection::vec(delivery(), 0..60),
        repeated in prop::collection::vec(any::<Index>(), 0..20),
        swaps in prop::collection::vec(any::<(Index, Index)>(), 60),
    ) {
        let expected = survivor(&deliveries);
        let mut order = deliveries.clone();
        if !deliveries.is_empty() {
            order.extend(repeated.iter().map(|index| *index.get(&deliveries)));
            swaps.iter().for_each(|(a, b)| order.swap(a.index(deliveries.len()), b.index(deliveries.len())));
        }
        prop_assert_eq!(replay(&order), expected);
    }
}
