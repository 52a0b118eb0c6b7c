//! The search for the nearest drivers against brute force, all over the sphere and where maps break.
//!
//! Two oracles, both of which look at every driver. [`world`] has a formula of its own for distances and must agree with the index
//! within a millimetre, in 100,000 random searches. [`model`] uses the house's formula and must agree in every bit, while
//! drivers move, come and go.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "nearest/model.rs"]
mod model;
#[path = "nearest/world.rs"]
mod world;

use std::collections::HashSet;
use std::f64::consts::PI;

use chrono::{DateTime, TimeDelta};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use ridematch::geo::{EARTH_RADIUS_M, Position, distance_m};
use ridematch::platform::class::VehicleClass;
use ridematch::platform::clock::DomainTime;
use ridematch::platform::ids::DriverId;
use ridematch::supply::{Candidate, Query, Report, Status};
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

/// Drawn uniformly by area: by latitude it would crowd the poles.
fn anywhere(rng: &mut StdRng) -> Position {
    at(rng.random_range(-1.0_f64..=1.0).asin().to_degrees(), rng.random_range(-180.0..=180.0))
}

/// A small number of either sign, its magnitude as likely to be 1e-9 as 1.
fn tiny(rng: &mut StdRng) -> f64 {
    let magnitude = 10_f64.powf(rng.random_range(-9.0..=0.0));
    if rng.random() { magnitude } else { -magnitude }
}

/// Some degrees off, round the antimeridian and no further than the pole.
fn off(position: Position, lat: f64, lon: f64) -> Position {
    at((position.lat() + lat).clamp(-90.0, 90.0), (position.lon() + lon + 540.0).rem_euclid(360.0) - 180.0)
}

fn antipode(position: Position) -> Position {
    off(at(-position.lat(), position.lon()), 0.0, 180.0)
}

/// Searches worlds of several sizes whose positions `place` draws, and has every answer judged.
fn search(kind: &str, place: impl Fn(&mut StdRng) -> Position) {
    for size in [1, 10, 100, 500] {
        let mut rng = StdRng::seed_from_u64(SEED ^ size as u64);
        let world = World::new((0..size).map(|_| place(&mut rng)).collect(), &mut rng);
        for number in 0..QUERIES_PER_WORLD {
            let somebody = world.cars.choose(&mut rng).unwrap();
            let center = match number % 4 {
                0 => place(&mut rng),
                1 => somebody.position,
                2 => antipode(somebody.position),
                _ => anywhere(&mut rng),
            };
            let far_m = *[10.0, 1e4, PI * EARTH_RADIUS_M].choose(&mut rng).unwrap();
            let exclude = world.cars.sample(&mut rng, number % 3).map(|car| car.driver).collect();
            let query = Query {
                center,
                radius_m: if rng.random_bool(0.5) { f64::INFINITY } else { rng.random_range(0.0..=far_m) },
                class: rng.random_bool(0.3).then_some(somebody.class),
                limit: *[0, 1, 2, 5, 20, 1_000].choose(&mut rng).unwrap(),
                now: at_ms(rng.random_range(0..=40_000)),
                exclude: &exclude,
            };
            if let Err(fault) = world.judge(&query, &world.fleet.nearest(&query)) {
                panic!("seed {SEED:#x}, {kind}, {size} drivers, query {number}: {fault}\n{query:#?}");
            }
        }
    }
}

#[test]
fn all_over_the_sphere() {
    search("sphere", anywhere);
}

#[test]
fn in_oslo() {
    search("Oslo", |rng| off(at(59.91, 10.75), 0.05 * tiny(rng), 0.1 * tiny(rng)));
}

#[test]
fn across_the_antimeridian() {
    search("antimeridian", |rng| off(at(-16.8, 180.0), tiny(rng), tiny(rng)));
}

#[test]
fn on_the_antimeridian_itself() {
    search("±180°", |rng| at(-16.8 + tiny(rng), *[180.0, -180.0].choose(rng).unwrap()));
}

#[test]
fn around_the_poles() {
    search("poles", |rng| {
        let pole: f64 = *[90.0, -90.0].choose(rng).unwrap();
        let lat = if rng.random() { pole } else { pole - pole.signum() * tiny(rng).abs() };
        at(lat, rng.random_range(-180.0..=180.0))
    });
}

#[test]
fn at_a_taxi_rank() {
    let ranks = [at(40.7527, -73.9772), at(40.7527, -73.9771), at(-40.7527, 106.0228), at(0.0, 0.0)];
    search("identical", move |rng| *ranks.choose(rng).unwrap());
}

#[test]
fn along_a_meridian() {
    search("meridian", |rng| at(rng.random_range(-90.0..=90.0), *[-60.0, 120.0].choose(rng).unwrap()));
}

#[test]
fn along_the_equator() {
    search("equator", |rng| at(0.0, rng.random_range(-180.0..=180.0)));
}

#[test]
fn on_a_lattice_full_of_ties() {
    search("lattice", |rng| at(f64::from(rng.random_range(-3..=3)) * 30.0, f64::from(rng.random_range(-6..=6)) * 30.0));
}

#[test]
fn in_clusters_and_at_their_antipodes() {
    search("clusters", |rng| {
        let town = *[at(40.75, -73.98), at(0.0, 0.0), at(64.1, -21.9)].choose(rng).unwrap();
        let place = off(town, 1e-3 * tiny(rng), 1e-3 * tiny(rng));
        if rng.random() { place } else { antipode(place) }
    });
}

#[test]
fn the_judge_sees_every_kind_of_wrong_answer() {
    let mut rng = StdRng::seed_from_u64(SEED);
    let mut world = World::new(vec![at(0.0, 1.0), at(0.0, 1.0), at(0.0, 2.0), at(0.0, 3.0)], &mut rng);
    for car in &mut world.cars {
        (car.recorded_at, car.free, car.class) = (at_ms(0), true, VehicleClass::Xl);
        world.fleet.set_status(car.driver, Status::Free { class: car.class });
        world.fleet.report(Report { driver: car.driver, position: car.position, recorded_at: at_ms(0) }, at_ms(0));
    }
    let exclude = HashSet::new();
    let query = Query { center: at(0.0, 0.0), radius_m: 3e5, class: None, limit: 3, now: at_ms(0), exclude: &exclude };
    let right = world.fleet.nearest(&query);
    assert_eq!(world.judge(&query, &right), Ok(()));

    type Spoil = fn(&mut Vec<Candidate>);
    let spoilt: [(&str, Spoil); 5] = [
        ("2 found, 3 to 3 expected", |answer| _ = answer.remove(0)),
        ("not strictly in the order", |answer| answer.swap(0, 1)),
        ("in place of", |answer| answer[2].distance_m += 0.01),
        ("is not what was reported", |answer| answer[1].position = at(0.0, 1.1)),
        ("does not fit", |answer| answer[2].driver = DriverId::from(Uuid::nil())),
    ];
    for (fault, spoil) in spoilt {
        let mut answer = right.clone();
        spoil(&mut answer);
        assert!(world.judge(&query, &answer).unwrap_err().contains(fault), "{fault}");
    }
    let lost = world.judge(&Query { limit: 1, ..query }, &right[1..2]).unwrap_err();
    assert!(lost.contains("lost a tie"), "{lost}");
}

#[test]
fn a_radius_includes_its_edge_and_nothing_more() {
    let mut rng = StdRng::seed_from_u64(SEED);
    let exclude = HashSet::new();
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
            let query = Query { center, radius_m, class: None, limit: 1, now: at_ms(0), exclude: &exclude };
            world.fleet.nearest(&query).len()
        };
        let found = [edge_m.next_down(), edge_m, edge_m.next_up(), f64::NAN, -1.0].map(within);
        assert_eq!(found, [0, 1, 1, 0, 0], "seed {SEED:#x}: {center:?} to {place:?}");
    }
}

/// Degrees taken for lengths, as maps do (failures.md 14).
fn degrees_2(a: Position, b: Position) -> f64 {
    (a.lat() - b.lat()).powi(2) + (a.lon() - b.lon()).powi(2)
}

#[test]
fn degrees_would_send_the_wrong_car_in_oslo_and_none_in_fiji() {
    // At 60° north a degree of longitude is half as long as one of latitude; at 180° it is the same as −180°.
    let oslo = (at(59.91, 10.75), at(59.91, 10.765), at(59.92, 10.75));
    let fiji = (at(-16.8, 179.999), at(-16.8, -179.999), at(-16.8, 179.9));
    for (center, near, far) in [oslo, fiji] {
        let world = World::new(vec![far, near], &mut StdRng::seed_from_u64(SEED));
        assert!(world.cars.iter().all(|car| car.free), "the seed makes both free");
        let exclude = HashSet::new();
        let query = Query { center, radius_m: 1_000.0, class: None, limit: 1, now: at_ms(0), exclude: &exclude };
        assert_eq!(world.fleet.nearest(&query)[0].position, near);
        assert!(degrees_2(center, far) < degrees_2(center, near), "the trap is one");
    }
}
