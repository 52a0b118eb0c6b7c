//! A city that exists nowhere, made from a seed: a grid of streets and avenues with a river through it and a few bridges.

use rand::RngExt;
use rand::rngs::StdRng;

use crate::dice::dice;
use crate::position::Position;
use crate::streets::{Junction, Segment, Streets};

use super::{Class, Place, Traffic, Vehicle, names};

/// The middle of the city: open ocean, so nobody's streets are meant.
pub const CENTRE: Position = Position { lat: 30.0, lon: -40.0 };

const COLUMNS: u32 = 40;
const ROWS: u32 = 56;
/// Blocks are longer from west to east, as in many a planned city.
const BLOCK_EAST_M: f64 = 190.0;
const BLOCK_NORTH_M: f64 = 110.0;
/// Every so many streets there is a faster one.
const AVENUE_EVERY: u32 = 5;
const STREET_METRES_PER_S: f64 = 30.0 / 3.6;
const AVENUE_METRES_PER_S: f64 = 50.0 / 3.6;
/// Only avenues that run across the river have bridges, and only every other one.
const BRIDGE_EVERY: u32 = 2 * AVENUE_EVERY;
/// Share of the blocks' sides that were never built.
const GAPS: f64 = 0.06;
/// Share of the streets that are one-way.
const ONE_WAY: f64 = 0.35;

/// Builds the city and its cars.
///
/// Every junction can be reached from every other one: what the river and the gaps cut off is no part of the city.
pub(crate) fn city(seed: u64, drivers: usize) -> Place {
    let streets = streets(&mut dice(seed, "streets"));
    let fleet = (0..drivers).map(|number| vehicle(seed, number, &streets)).collect();
    Place { streets, fleet, traffic: Traffic::RushHours }
}

fn vehicle(seed: u64, number: usize, streets: &Streets) -> Vehicle {
    let name = format!("car-{number}");
    let mut dice = dice(seed, &name);
    let junction = dice.random_range(0..streets.junctions().len());
    Vehicle {
        driver: names::driver(&mut dice),
        plate: names::plate(&mut dice),
        class: class(&mut dice),
        starts_at: streets.junctions()[junction],
        name,
    }
}

/// Most cars, and most wishes, are for the ordinary kind.
pub(super) fn class(dice: &mut StdRng) -> Class {
    match dice.random_range(0..100) {
        0..80 => Class::Standard,
        80..94 => Class::Comfort,
        _ => Class::Xl,
    }
}

fn streets(dice: &mut StdRng) -> Streets {
    let corners: Vec<Position> = (0..ROWS)
        .flat_map(|row| (0..COLUMNS).map(move |column| (row, column)))
        .map(|(row, column)| {
            let north_m = (f64::from(row) - f64::from(ROWS) / 2.0) * BLOCK_NORTH_M;
            let east_m = (f64::from(column) - f64::from(COLUMNS) / 2.0) * BLOCK_EAST_M;
            CENTRE.offset(north_m + dice.random_range(-18.0..18.0), east_m + dice.random_range(-18.0..18.0))
        })
        .collect();
    let number = |row, column| -> Junction { row * COLUMNS + column };
    let mut segments = Vec::new();
    let mut build = |from: Junction, to: Junction, avenue: bool, dice: &mut StdRng| {
        let length_m = corners[from as usize].metres_to(corners[to as usize]);
        let speed = if avenue { AVENUE_METRES_PER_S } else { STREET_METRES_PER_S };
        let there = Segment { from, to, length_m, travel_s: length_m / speed };
        let back = Segment { from: to, to: from, ..there };
        match (avenue, dice.random::<f64>()) {
            (false, luck) if luck < GAPS => {}
            (false, luck) if luck < GAPS + ONE_WAY / 2.0 => segments.push(there),
            (false, luck) if luck < GAPS + ONE_WAY => segments.push(back),
            _ => segments.extend([there, back]),
        }
    };
    for row in 0..ROWS {
        for column in 0..COLUMNS {
            if column + 1 < COLUMNS && !river_between((row, column), (row, column + 1)) {
                build(number(row, column), number(row, column + 1), row % AVENUE_EVERY == 0, dice);
            }
            let bridge = column % BRIDGE_EVERY == AVENUE_EVERY;
            if row + 1 < ROWS && (bridge || !river_between((row, column), (row + 1, column))) {
                build(number(row, column), number(row + 1, column), column % AVENUE_EVERY == 0, dice);
            }
        }
    }
    connected(&corners, &segments)
}

/// Whether the river flows between two neighbouring corners: it winds from west to east.
fn river_between(a: (u32, u32), b: (u32, u32)) -> bool {
    let north_bank = |(row, column): (u32, u32)| {
        let bend = (f64::from(column) / f64::from(COLUMNS) * std::f64::consts::TAU).sin() * 6.0;
        f64::from(row) > f64::from(ROWS) * 0.4 + bend
    };
    north_bank(a) != north_bank(b)
}

/// The part of a map within which one can drive from everywhere to everywhere: what the middle reaches and is reached from.
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

/// Which junctions can be reached from one, along edges given as pairs.
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
    use super::*;
    use crate::streets::Drive;

    #[test]
    fn one_can_drive_from_everywhere_to_everywhere() {
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
    fn a_seed_is_a_city() {
        let [a, b, c] = [1, 1, 2].map(|seed| city(seed, 20));
        assert_eq!(a.streets.segments(), b.streets.segments());
        assert_ne!(a.streets.segments(), c.streets.segments());
        assert_eq!(format!("{:?}", a.fleet), format!("{:?}", b.fleet));
    }

    #[test]
    fn the_river_is_crossed_on_bridges_only() {
        let streets = city(1, 0).streets;
        let north = |row: f64| CENTRE.offset((row - f64::from(ROWS) / 2.0) * BLOCK_NORTH_M, 0.0).lat;
        let crossings = streets.segments().iter().filter(|s| {
            let ends = [s.from, s.to].map(|j| streets.junctions()[j as usize]);
            let bank = f64::from(ROWS) * 0.4;
            let bend = |p: Position| {
                let column = (p.lon - CENTRE.lon) * 111_195.0 * CENTRE.lat.to_radians().cos() / BLOCK_EAST_M;
                ((column + f64::from(COLUMNS) / 2.0) / f64::from(COLUMNS) * std::f64::consts::TAU).sin() * 6.0
            };
            (ends[0].lat > north(bank + bend(ends[0]))) != (ends[1].lat > north(bank + bend(ends[1])))
        });
        let bridges = crossings.count();
        // Four bridges with two directions each; corners are built up to 18 m off the plan, so a few more can seem to cross.
        assert!((8..80).contains(&bridges), "{bridges}");
    }

    #[test]
    fn the_bridges_make_detours() {
        let streets = city(1, 0).streets;
        let (south, north) = (CENTRE.offset(-1_500.0, 0.0), CENTRE.offset(300.0, 0.0));
        let drive = Drive::plan(&streets, south, north);
        assert!(drive.on_streets && drive.metres_at(f64::MAX) > south.metres_to(north) * 1.2);
    }
}
