#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::platform::clock::DomainTime;
use crate::supply::{PositionReport, Status};

const CENTER: (f64, f64) = (40.75, -73.98);

fn at((lat, lon): (f64, f64)) -> Position {
    Position::new(lat, lon).unwrap()
}

fn driver(number: u128) -> DriverId {
    DriverId::from(Uuid::from_u128(number))
}

fn caller(role: Role, number: u128) -> Caller {
    Caller { role, subject: Uuid::from_u128(number) }
}

fn machine(seconds: i64) -> MachineTime {
    MachineTime::new(DateTime::from_timestamp(1_700_000_400 + seconds, 0).unwrap())
}

fn domain(offset_ms: i64) -> DomainTime {
    DomainTime::new(DateTime::from_timestamp(1_700_000_000, 0).unwrap()) + TimeDelta::milliseconds(offset_ms)
}

/// The index of free drivers at these positions, numbered from 1.
fn supply_at(positions: impl IntoIterator<Item = (f64, f64)>) -> Supply {
    let supply = Supply::default();
    supply.load(Vec::new(), Vec::new(), domain(0));
    for (number, position) in (1..).zip(positions) {
        supply.apply(vec![(driver(number), Status::Free { class: VehicleClass::Standard })]);
        supply.report(
            PositionReport { driver: driver(number), position: at(position), recorded_at: domain(0) },
            domain(0),
        );
    }
    supply
}

fn query(radius_m: f64, limit: usize) -> Query {
    Query { center: at(CENTER), radius_m, class: None, limit, now: domain(2_345) }
}

fn seen_by(caller: Caller, supply: &Supply, query: &Query) -> Vec<NearbyCar> {
    NearbyViewer { caller, handles: &CarHandles::new([7; 32]), now: machine(0) }.search(supply, query)
}

#[test]
fn handle_changes_with_the_window_the_caller_and_the_key() {
    let (handles, rider) = (CarHandles::new([7; 32]), caller(Role::Rider, 1));
    let handle = handles.handle(driver(1), rider, machine(0));
    assert_eq!(handle.len(), 2 * HANDLE_BYTES);
    assert_eq!(handles.handle(driver(1), rider, machine(HANDLE_LASTS_S - 1)), handle, "within ten minutes");
    let others = [
        handles.handle(driver(1), rider, machine(HANDLE_LASTS_S)),
        handles.handle(driver(1), rider, machine(-1)),
        handles.handle(driver(1), caller(Role::Rider, 2), machine(0)),
        handles.handle(driver(1), caller(Role::Driver, 1), machine(0)),
        handles.handle(driver(2), rider, machine(0)),
        CarHandles::new([8; 32]).handle(driver(1), rider, machine(0)),
    ];
    let different: HashSet<_> = others.iter().chain([&handle]).collect();
    assert_eq!(different.len(), others.len() + 1);
}

#[test]
fn rider_sees_a_coarse_car_and_operator_and_the_driver_see_the_exact_one() {
    let position = (CENTER.0 + 0.0041, CENTER.1 + 0.0023);
    let supply = supply_at([position]);
    for viewer in [caller(Role::Rider, 1), caller(Role::Driver, 2)] {
        let cars = seen_by(viewer, &supply, &query(8_000.0, 5));
        assert_eq!((cars[0].driver, cars[0].position), (None, grid::cell_center(at(position))));
        assert_eq!(cars[0].distance_m.to_bits(), geo::distance_m(at(CENTER), cars[0].position).to_bits());
        assert_eq!(cars[0].age_ms, 2_000);
    }
    for viewer in [caller(Role::Ops, 1), caller(Role::Driver, 1)] {
        let cars = seen_by(viewer, &supply, &query(8_000.0, 5));
        assert_eq!((cars[0].driver, cars[0].position, cars[0].age_ms), (Some(driver(1)), at(position), 2_345));
    }
}

proptest! {
    /// Moving the drivers within their cells changes no result.
    #[test]
    fn search_depends_on_the_cells_alone(
        places in prop::collection::vec((-0.02..0.02, -0.02..0.02), 1..40),
        radius_m in 0.0..4_000.0,
        limit in 1_usize..10,
    ) {
        let exact = places.iter().map(|(lat, lon)| (CENTER.0 + lat, CENTER.1 + lon));
        let centers = exact.clone().map(|place| grid::cell_center(at(place))).map(|center| (center.lat(), center.lon()));
        let (rider, query) = (caller(Role::Rider, 1), query(radius_m, limit));
        prop_assert_eq!(
            seen_by(rider, &supply_at(exact), &query),
            seen_by(rider, &supply_at(centers), &query)
        );
    }

    #[test]
    fn search_returns_the_nearest_shown_cars(
        places in prop::collection::vec((-0.02..0.02, -0.02..0.02), 1..40),
        radius_m in 0.0..4_000.0,
        limit in 1_usize..10,
    ) {
        let supply = supply_at(places.iter().map(|(lat, lon)| (CENTER.0 + lat, CENTER.1 + lon)));
        let rider = caller(Role::Rider, 1);
        let mut expected = seen_by(rider, &supply, &query(50_000.0, usize::MAX));
        prop_assert_eq!(expected.len(), places.len());
        expected.retain(|car| car.distance_m <= radius_m);
        expected.truncate(limit);
        prop_assert_eq!(seen_by(rider, &supply, &query(radius_m, limit)), expected);
    }
}
