//! A city generated from a seed: coast and river, parks and districts, and roads by class, with names.

mod field;
mod land;
mod names;
mod network;
mod plan;
mod plane;

use std::collections::BTreeMap;

use rand::RngExt;
use rand::rngs::StdRng;

use self::land::Land;
use self::network::{Network, Piece, PlannedRoad};
use self::plane::{Point, simplified};
use super::area::{Area, AreaKind, NamedMap};
use super::names as people;
use super::{CityModel, Class, Traffic, Vehicle};
use crate::position::Position;
use crate::random::seeded_random;
use crate::streets::{Junction, Road, RoadClass, Segment, Streets};

/// The center of the city. It lies where the examples of the API's document are, so that a ride with them is in the city.
pub const CENTER: Position = Position { lat: 40.749, lon: -73.985 };

/// The share of streets, and of lanes, that are one-way.
const ONE_WAY: f64 = 0.4;
/// Edges of areas within this distance of a straight line are straight.
const TOLERANCE_M: f64 = 2.0;

/// What attracts rides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attraction {
    Offices,
    Station,
    Nightlife,
}

/// Where rides are attracted: a place in meters north and east of the center, and the radius.
pub(super) const ATTRACTIONS: [(Attraction, [f64; 2], f64); 6] = [
    (Attraction::Offices, [0.0, 50.0], 850.0),
    (Attraction::Offices, [-2_500.0, -500.0], 450.0),
    (Attraction::Station, [-500.0, 650.0], 260.0),
    (Attraction::Station, [-4_300.0, -2_350.0], 240.0),
    (Attraction::Nightlife, [-4_750.0, -1_900.0], 600.0),
    (Attraction::Nightlife, [2_150.0, -1_450.0], 450.0),
];

/// Generates the streets and the fleet.
///
/// Every junction can be reached from every other one.
pub(crate) fn city(seed: u64, drivers: usize) -> CityModel {
    let mut random = seeded_random(seed, "streets");
    let land = Land::new(&mut random);
    let roads = plan::roads(&land, &mut random);
    let network = Network::new(&roads, |p, is_bridge| land.is_blocked(p, is_bridge));
    let streets = streets(&network, &roads, &mut random);
    let fleet = (0..drivers).map(|number| vehicle(seed, number, &streets)).collect();
    let map = NamedMap { name: Some(names::CITY), areas: areas(&land) };
    CityModel { streets, fleet, traffic: Traffic::RushHours, map }
}

fn vehicle(seed: u64, number: usize, streets: &Streets) -> Vehicle {
    let name = format!("car-{number}");
    let mut random = seeded_random(seed, &name);
    let junction = random.random_range(0..streets.junctions().len());
    Vehicle {
        driver: people::driver(&mut random),
        plate: people::plate(&mut random),
        class: class(&mut random),
        starts_at: streets.junctions()[junction],
        name,
    }
}

/// A random class, mostly the standard one.
pub(super) fn class(random: &mut StdRng) -> Class {
    match random.random_range(0..100) {
        0..80 => Class::Standard,
        _ => Class::Comfort,
    }
}

/// The directions in which a piece is driven: along its road, and against it.
#[derive(Debug, Clone, Copy)]
struct Directions {
    with_road: bool,
    against: bool,
}

const BOTH: Directions = Directions { with_road: true, against: true };

fn position(p: Point) -> Position {
    CENTER.offset(p.y, p.x)
}

fn streets(network: &Network, planned: &[PlannedRoad], random: &mut StdRng) -> Streets {
    let directions = directions(network, planned, random);
    let junctions: Vec<Position> = network.junctions.iter().map(|p| position(*p)).collect();
    let mut segments = Vec::new();
    for (((a, b), piece), directions) in network.pieces.iter().zip(directions) {
        let (from, to) = if piece.is_forward { (*a, *b) } else { (*b, *a) };
        let length_m = junctions[from as usize].meters_to(junctions[to as usize]);
        let with_road = Segment { from, to, length_m, travel_s: length_m / planned[piece.road].class.meters_per_s() };
        let against = Segment { from: to, to: from, ..with_road };
        segments.extend(directions.with_road.then_some(with_road));
        segments.extend(directions.against.then_some(against));
    }
    let start = random.random_range(0..usize::from(u8::MAX));
    let mut given = names::RoadNames::default();
    let mut name = |road: &PlannedRoad| road.name.map_or_else(|| given.next(road.class, start), str::to_owned);
    let roads = planned.iter().map(|road| Road { class: road.class, name: Some(name(road)) }).collect();
    let numbers: BTreeMap<_, _> = network.pieces.iter().map(|(ends, piece)| (*ends, piece.road)).collect();
    Streets::new(junctions, segments).with_roads(roads, numbers)
}

/// The directions of the pieces. Some roads are one-way, except around junctions that could otherwise not be reached or left.
fn directions(network: &Network, planned: &[PlannedRoad], random: &mut StdRng) -> Vec<Directions> {
    let of_road: Vec<Directions> = planned
        .iter()
        .map(|road| match random.random::<f64>() {
            draw if road.class < RoadClass::Street || draw >= ONE_WAY => BOTH,
            draw => Directions { with_road: draw < ONE_WAY / 2.0, against: draw >= ONE_WAY / 2.0 },
        })
        .collect();
    let edges = |is_reversed: bool| {
        let mut edges = Vec::new();
        for ((a, b), piece) in &network.pieces {
            let Directions { with_road, against } = of_road[piece.road];
            let (up, down) = if piece.is_forward == is_reversed { (against, with_road) } else { (with_road, against) };
            edges.extend(up.then_some((*a, *b)));
            edges.extend(down.then_some((*b, *a)));
        }
        edges
    };
    // Junction 0 is on the largest road.
    let reached = [false, true].map(|is_reversed| reached(network.junctions.len(), 0, &edges(is_reversed)));
    let is_connected = |junction: u32| reached.iter().all(|reached| reached[junction as usize]);
    let of_piece = |((a, b), piece): (&(u32, u32), &Piece)| {
        if is_connected(*a) && is_connected(*b) { of_road[piece.road] } else { BOTH }
    };
    network.pieces.iter().map(of_piece).collect()
}

/// The junctions that can be reached from `start` along `edges`.
fn reached(junctions: usize, start: Junction, edges: &[(Junction, Junction)]) -> Vec<bool> {
    let mut next = vec![Vec::new(); junctions];
    for (from, to) in edges {
        next[*from as usize].push(*to);
    }
    let mut seen = vec![false; junctions];
    let mut open = vec![start];
    while let Some(here) = open.pop() {
        if !std::mem::replace(&mut seen[here as usize], true) {
            open.extend(&next[here as usize]);
        }
    }
    seen
}

fn areas(land: &Land) -> Vec<Area> {
    let area = |kind, name: &'static str, ring: &[Point]| {
        let closed: Vec<Point> = ring.iter().chain(ring.first()).copied().collect();
        let ring = simplified(&closed, TOLERANCE_M).into_iter().map(position).collect();
        Area { kind, name: Some(name), ring }
    };
    let water = [land.sea(), land.river(), land.pond.clone()];
    let water = water.iter().map(|water| area(AreaKind::Water, water.name, &water.ring));
    let parks = land.parks.iter().map(|park| area(AreaKind::Park, park.name, &park.ring));
    let districts = land.districts();
    let districts = districts.iter().map(|district| area(AreaKind::District, district.name, &district.ring));
    // The pond is drawn over its park.
    let mut areas: Vec<Area> = parks.chain(water).collect();
    areas.extend(districts);
    areas
}

#[cfg(test)]
#[path = "city_tests.rs"]
mod tests;
