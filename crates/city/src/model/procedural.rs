//! A city generated from a seed: a grid of streets and avenues, with a river and a few bridges.

use rand::RngExt;
use rand::rngs::StdRng;

use crate::position::Position;
use crate::random::seeded_random;
use crate::streets::{Junction, Segment, Streets};

use super::{CityModel, Class, Traffic, Vehicle, names};

/// The center of the city, in the open ocean, so that no real city is meant.
pub const CENTER: Position = Position { lat: 30.0, lon: -40.0 };

const COLUMNS: u32 = 40;
const ROWS: u32 = 56;
/// Blocks are longer from west to east.
const BLOCK_EAST_M: f64 = 190.0;
const BLOCK_NORTH_M: f64 = 110.0;
/// The distance of avenues, in streets.
const AVENUE_EVERY: u32 = 5;
const STREET_METERS_PER_S: f64 = 30.0 / 3.6;
const AVENUE_METERS_PER_S: f64 = 50.0 / 3.6;
/// Every other avenue across the river has a bridge.
const BRIDGE_EVERY: u32 = 2 * AVENUE_EVERY;
/// The share of missing streets.
const GAPS: f64 = 0.06;
/// The share of one-way streets.
const ONE_WAY: f64 = 0.35;

/// Generates the streets and the fleet.
///
/// Every junction can be reached from every other one: junctions cut off by the river and the gaps are left out.
pub(crate) fn city(seed: u64, drivers: usize) -> CityModel {
    let streets = streets(&mut seeded_random(seed, "streets"));
    let fleet = (0..drivers).map(|number| vehicle(seed, number, &streets)).collect();
    CityModel { streets, fleet, traffic: Traffic::RushHours }
}

fn vehicle(seed: u64, number: usize, streets: &Streets) -> Vehicle {
    let name = format!("car-{number}");
    let mut random = seeded_random(seed, &name);
    let junction = random.random_range(0..streets.junctions().len());
    Vehicle {
        driver: names::driver(&mut random),
        plate: names::plate(&mut random),
        class: class(&mut random),
        starts_at: streets.junctions()[junction],
        name,
    }
}

/// A random class, mostly the standard one.
pub(super) fn class(random: &mut StdRng) -> Class {
    match random.random_range(0..100) {
        0..80 => Class::Standard,
        80..94 => Class::Comfort,
        _ => Class::Xl,
    }
}

fn streets(random: &mut StdRng) -> Streets {
    let corners: Vec<Position> = (0..ROWS)
        .flat_map(|row| (0..COLUMNS).map(move |column| (row, column)))
        .map(|(row, column)| {
            let north_m = (f64::from(row) - f64::from(ROWS) / 2.0) * BLOCK_NORTH_M;
            let east_m = (f64::from(column) - f64::from(COLUMNS) / 2.0) * BLOCK_EAST_M;
            CENTER.offset(north_m + random.random_range(-18.0..18.0), east_m + random.random_range(-18.0..18.0))
        })
        .collect();
    let number = |row, column| -> Junction { row * COLUMNS + column };
    let mut segments = Vec::new();
    let mut build = |from: Junction, to: Junction, avenue: bool, random: &mut StdRng| {
        let length_m = corners[from as usize].meters_to(corners[to as usize]);
        let speed = if avenue { AVENUE_METERS_PER_S } else { STREET_METERS_PER_S };
        let there = Segment { from, to, length_m, travel_s: length_m / speed };
        let back = Segment { from: to, to: from, ..there };
        match (avenue, random.random::<f64>()) {
            (false, draw) if draw < GAPS => {}
            (false, draw) if draw < GAPS + ONE_WAY / 2.0 => segments.push(there),
            (false, draw) if draw < GAPS + ONE_WAY => segments.push(back),
            _ => segments.extend([there, back]),
        }
    };
    for row in 0..ROWS {
        for column in 0..COLUMNS {
            if column + 1 < COLUMNS && !river_between((row, column), (row, column + 1)) {
                build(number(row, column), number(row, column + 1), row % AVENUE_EVERY == 0, random);
            }
            let bridge = column % BRIDGE_EVERY == AVENUE_EVERY;
            if row + 1 < ROWS && (bridge || !river_between((row, column), (row + 1, column))) {
                build(number(row, column), number(row + 1, column), column % AVENUE_EVERY == 0, random);
            }
        }
    }
    connected(&corners, &segments)
}

/// Whether the river, which winds from west to east, is between two neighboring corners.
fn river_between(a: (u32, u32), b: (u32, u32)) -> bool {
    let north_bank = |(row, column): (u32, u32)| {
        let bend = (f64::from(column) / f64::from(COLUMNS) * std::f64::consts::TAU).sin() * 6.0;
        f64::from(row) > f64::from(ROWS) * 0.4 + bend
    };
    north_bank(a) != north_bank(b)
}

/// The strongly connected part of the map around its middle.
fn connected(corners: &[Position], segments: &[Segment]) -> Streets {
    let middle =
        ((ROWS / 2 + ROWS / 4) / AVENUE_EVERY * AVENUE_EVERY) * COLUMNS + COLUMNS / 2 / AVENUE_EVERY * AVENUE_EVERY;
    let forward = reached(corners.len(), middle, segments.iter().map(|s| (s.from, s.to)));
    let backward = reached(corners.len(), middle, segments.iter().map(|s| (s.to, s.from)));
    let mut renumbered = vec![None; corners.len()];
    let mut kept = Vec::new();
    for (corner, place) in corners.iter().enumerate() {
        if forward[corner] && backward[corner] {
            renumbered[corner] = u32::try_from(kept.len()).ok();
            kept.push(*place);
        }
    }
    let moved = |s: &Segment| {
        let (from, to) = (renumbered[s.from as usize]?, renumbered[s.to as usize]?);
        Some(Segment { from, to, ..*s })
    };
    let segments = segments.iter().filter_map(moved).collect();
    Streets::new(kept, segments)
}

/// The junctions that can be reached from `start` along `edges`.
fn reached(junctions: usize, start: Junction, edges: impl Iterator<Item = (Junction, Junction)>) -> Vec<bool> {
    let mut next = vec![Vec::new(); junctions];
    for (from, to) in edges {
        next[from as usize].push(to);
    }
    let mut seen = vec![false; junctions];
    seen[start as usize] = true;
    let mut open = vec![start];
    while let Some(here) = open.pop() {
        for &there in &next[here as usize] {
            if !std::mem::replace(&mut seen[there as usize], true) {
                open.push(there);
            }
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::streets::Route;

    #[test]
    fn every_junction_can_be_reached_from_every_other() {
        for seed in 0..5 {
            let streets = city(seed, 0).streets;
            let n = streets.junctions().len();
            assert!(n > (ROWS * COLUMNS) as usize * 9 / 10, "seed {seed}: only {n} junctions are connected");
            for (start, edges) in [(0, true), (0, false)] {
                let pairs = streets.segments().iter().map(|s| if edges { (s.from, s.to) } else { (s.to, s.from) });
                assert!(reached(n, start, pairs).into_iter().all(|seen| seen), "seed {seed}");
            }
        }
    }

    #[test]
    fn every_street_is_in_one_line() {
        let streets = city(1, 0).streets;
        let pair = |a: u32, b: u32| (a.min(b), a.max(b));
        let there: BTreeSet<_> = streets.segments().iter().map(|s| pair(s.from, s.to)).collect();
        let lines = streets.lines();
        let drawn: Vec<_> = lines.iter().flat_map(|line| line.windows(2).map(|ends| pair(ends[0], ends[1]))).collect();
        assert_eq!(drawn.len(), there.len());
        assert_eq!(drawn.into_iter().collect::<BTreeSet<_>>(), there);
        assert!(lines.len() * 8 < there.len(), "{} lines for {} streets", lines.len(), there.len());
    }

    #[test]
    fn same_seed_gives_the_same_city() {
        let [a, b, c] = [1, 1, 2].map(|seed| city(seed, 20));
        assert_eq!(a.streets.segments(), b.streets.segments());
        assert_ne!(a.streets.segments(), c.streets.segments());
        assert_eq!(format!("{:?}", a.fleet), format!("{:?}", b.fleet));
    }

    #[test]
    fn river_is_crossed_only_on_bridges() {
        let streets = city(1, 0).streets;
        let north = |row: f64| CENTER.offset((row - f64::from(ROWS) / 2.0) * BLOCK_NORTH_M, 0.0).lat;
        let crossings = streets.segments().iter().filter(|s| {
            let ends = [s.from, s.to].map(|j| streets.junctions()[j as usize]);
            let bank = f64::from(ROWS) * 0.4;
            let bend = |p: Position| {
                let column = (p.lon - CENTER.lon) * 111_195.0 * CENTER.lat.to_radians().cos() / BLOCK_EAST_M;
                ((column + f64::from(COLUMNS) / 2.0) / f64::from(COLUMNS) * std::f64::consts::TAU).sin() * 6.0
            };
            (ends[0].lat > north(bank + bend(ends[0]))) != (ends[1].lat > north(bank + bend(ends[1])))
        });
        let bridges = crossings.count();
        // Four bridges with two directions each. Corners are moved by up to 18 m, so that a few more seem to cross.
        assert!((8..80).contains(&bridges), "{bridges}");
    }

    #[test]
    fn route_across_the_river_is_longer_than_the_straight_line() {
        let streets = city(1, 0).streets;
        let (south, north) = (CENTER.offset(-1_500.0, 0.0), CENTER.offset(300.0, 0.0));
        let route = Route::plan(&streets, south, north);
        assert!(route.on_streets && route.meters_at(f64::MAX) > south.meters_to(north) * 1.2);
    }
}
