//! The nearest-driver search compared with brute force, on the whole sphere and near the poles and the antimeridian.
//!
//! Two oracles scan every driver. [`world`] computes distances by an independent formula, and must agree with the index within a
//! millimeter in 100,000 random searches. [`model`] uses `geo`'s formula, and must agree exactly while drivers move, come and go.

#![allow(clippy::unwrap_used, reason = "tests")]

mod model;
mod world;

use std::f64::consts::PI;

use chrono::{DateTime, TimeDelta};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use ridematch::geo::{EARTH_RADIUS_M, Position, distance_m};
use ridematch::platform::class::VehicleClass;
use ridematch::platform::clock::DomainTime;
use ridematch::platform::ids::DriverId;
use ridematch::supply::{Candidate, PositionReport, Query, Status};
use uuid::Uuid;
use world::World;

const SEED: u64 = 0x5eed_0fca;
const QUERIES_PER_WORLD: usize = 2_500;

fn at_ms(offset_ms: i64) -> DomainTime {
    DomainTime::new(DateTime::from_timestamp(1_700_000_000, 0).unwrap()) + TimeDelta::milliseconds(offset_ms)
}

fn at(lat: f64, lon: f64) -> Position {
    Position::new(lat, lon).unwrap()
}

/// A random position, uniform by area.
fn anywhere(rng: &mut StdRng) -> Position {
    at(rng.random_range(-1.0_f64..=1.0).asin().to_degrees(), rng.random_range(-180.0..=180.0))
}

/// A small number of either sign, its magnitude as likely to be 1e-9 as 1.
fn tiny(rng: &mut StdRng) -> f64 {
    let magnitude = 10_f64.powf(rng.random_range(-9.0..=0.0));
    if rng.random() { magnitude } else { -magnitude }
}

/// Moves a position by some degrees, across the antimeridian but not beyond a pole.
fn off(position: Position, lat: f64, lon: f64) -> Position {
    at((position.lat() + lat).clamp(-90.0, 90.0), (position.lon() + lon + 540.0).rem_euclid(360.0) - 180.0)
}

fn antipode(position: Position) -> Position {
    off(at(-position.lat(), position.lon()), 0.0, 180.0)
}

/// Searches worlds of several sizes with positions from `place`, and checks every result.
fn search(kind: &str, place: impl Fn(&mut StdRng) -> Position) {
    for size in [1, 10, 100, 500] {
        let mut rng = StdRng::seed_from_u64(SEED ^ size as u64);
        let world = World::new((0..size).map(|_| place(&mut rng)).collect(), &mut rng);
        for number in 0..QUERIES_PER_WORLD {
            let car = world.cars.choose(&mut rng).unwrap();
            let center = match number % 4 {
                0 => place(&mut rng),
                1 => car.position,
                2 => antipode(car.position),
                _ => anywhere(&mut rng),
            };
            let far_m = *[10.0, 1e4, PI * EARTH_RADIUS_M].choose(&mut rng).unwrap();
            let query = Query {
                center,
                radius_m: if rng.random_bool(0.5) { f64::INFINITY } else { rng.random_range(0.0..=far_m) },
                class: rng.random_bool(0.3).then_some(car.class),
                limit: *[0, 1, 2, 5, 20, 1_000].choose(&mut rng).unwrap(),
                now: at_ms(rng.random_range(0..=40_000)),
            };
            if let Err(fault) = world.verify(&query, &world.fleet.nearest(&query)) {
                panic!("seed {SEED:#x}, {kind}, {size} drivers, query {number}: {fault}\n{query:#?}");
            }
        }
    }
}

#[test]
fn search_on_the_whole_sphere_is_exact() {
    search("sphere", anywhere);
}

#[test]
fn search_in_oslo_is_exact() {
    search("Oslo", |rng| off(at(59.91, 10.75), 0.05 * tiny(rng), 0.1 * tiny(rng)));
}

#[test]
fn search_across_the_antimeridian_is_exact() {
    search("antimeridian", |rng| off(at(-16.8, 180.0), tiny(rng), tiny(rng)));
}

#[test]
fn search_on_the_antimeridian_is_exact() {
    search("±180°", |rng| at(-16.8 + tiny(rng), *[180.0, -180.0].choose(rng).unwrap()));
}

#[test]
fn search_around_the_poles_is_exact() {
    search("poles", |rng| {
        let pole: f64 = *[90.0, -90.0].choose(rng).unwrap();
        let lat = if rng.random() { pole } else { pole - pole.signum() * tiny(rng).abs() };
        at(lat, rng.random_range(-180.0..=180.0))
    });
}

#[test]
fn search_with_drivers_at_identical_positions_is_exact() {
    let ranks = [at(40.7527, -73.9772), at(40.7527, -73.9771), at(-40.7527, 106.0228), at(0.0, 0.0)];
    search("identical", move |rng| *ranks.choose(rng).unwrap());
}

#[test]
fn search_along_a_meridian_is_exact() {
    search("meridian", |rng| at(rng.random_range(-90.0..=90.0), *[-60.0, 120.0].choose(rng).unwrap()));
}

#[test]
fn search_along_the_equator_is_exact() {
    search("equator", |rng| at(0.0, rng.random_range(-180.0..=180.0)));
}

#[test]
fn search_with_many_ties_is_exact() {
    search("lattice", |rng| at(f64::from(rng.random_range(-3..=3)) * 30.0, f64::from(rng.random_range(-6..=6)) * 30.0));
}

#[test]
fn search_in_clusters_and_at_their_antipodes_is_exact() {
    search("clusters", |rng| {
        let town = *[at(40.75, -73.98), at(0.0, 0.0), at(64.1, -21.9)].choose(rng).unwrap();
        let place = off(town, 1e-3 * tiny(rng), 1e-3 * tiny(rng));
        if rng.random() { place } else { antipode(place) }
    });
}

#[test]
fn verify_detects_every_kind_of_wrong_result() {
    let mut rng = StdRng::seed_from_u64(SEED);
    let mut world = World::new(vec![at(0.0, 1.0), at(0.0, 1.0), at(0.0, 2.0), at(0.0, 3.0)], &mut rng);
    for car in &mut world.cars {
        (car.recorded_at, car.free, car.class) = (at_ms(0), true, VehicleClass::Xl);
        world.fleet.set_status(car.driver, Status::Free { class: car.class });
        world
            .fleet
            .report(PositionReport { driver: car.driver, position: car.position, recorded_at: at_ms(0) }, at_ms(0));
    }
    let query = Query { center: at(0.0, 0.0), radius_m: 3e5, class: None, limit: 3, now: at_ms(0) };
    let right = world.fleet.nearest(&query);
    assert_eq!(world.verify(&query, &right), Ok(()));

    type Corrupt = fn(&mut Vec<Candidate>);
    let corruptions: [(&str, Corrupt); 5] = [
        ("2 found, 3 to 3 expected", |result| _ = result.remove(0)),
        ("not strictly in the order", |result| result.swap(0, 1)),
        ("in place of", |result| result[2].distance_m += 0.01),
        ("is not what was reported", |result| result[1].position = at(0.0, 1.1)),
        ("does not fit", |result| result[2].driver = DriverId::from(Uuid::nil())),
    ];
    for (fault, corrupt) in corruptions {
        let mut result = right.clone();
        corrupt(&mut result);
        assert!(world.verify(&query, &result).unwrap_err().contains(fault), "{fault}");
    }
    let lost = world.verify(&Query { limit: 1, ..query }, &right[1..2]).unwrap_err();
    assert!(lost.contains("lost a tie"), "{lost}");
}

#[test]
fn radius_is_inclusive_and_exact() {
    let mut rng = StdRng::seed_from_u64(SEED);
    for _ in 0..2_000 {
        let center = anywhere(&mut rng);
        let place = match rng.random_range(0..3) {
            0 => anywhere(&mut rng),
            1 => off(center, 1e-3 * tiny(&mut rng), tiny(&mut rng)),
            _ => off(antipode(center), 1e-3 * tiny(&mut rng), 0.0),
        };
        let world = World::new(vec![place], &mut rng);
        let Some(car) = world.cars.iter().find(|car| car.free) else { continue };
        let edge_m = distance_m(center, car.position);
        let within = |radius_m| {
            let query = Query { center, radius_m, class: None, limit: 1, now: at_ms(0) };
            world.fleet.nearest(&query).len()
        };
        let found = [edge_m.next_down(), edge_m, edge_m.next_up(), f64::NAN, -1.0].map(within);
        assert_eq!(found, [0, 1, 1, 0, 0], "seed {SEED:#x}: {center:?} to {place:?}");
    }
}

/// The squared distance if degrees were lengths.
fn degrees_2(a: Position, b: Position) -> f64 {
    (a.lat() - b.lat()).powi(2) + (a.lon() - b.lon()).powi(2)
}

#[test]
fn nearest_driver_is_right_where_degrees_as_lengths_are_wrong() {
    // In Oslo a degree of longitude is half as long as one of latitude; in Fiji 180° equals −180°.
    let oslo = (at(59.91, 10.75), at(59.91, 10.765), at(59.92, 10.75));
    let fiji = (at(-16.8, 179.999), at(-16.8, -179.999), at(-16.8, 179.9));
    for (center, near, far) in [oslo, fiji] {
        let world = World::new(vec![far, near], &mut StdRng::seed_from_u64(SEED));
        assert!(world.cars.iter().all(|car| car.free), "the seed makes both drivers free");
        let query = Query { center, radius_m: 1_000.0, class: None, limit: 1, now: at_ms(0) };
        assert_eq!(world.fleet.nearest(&query)[0].position, near);
        assert!(degrees_2(center, far) < degrees_2(center, near), "by degrees the far driver is nearer");
    }
}
