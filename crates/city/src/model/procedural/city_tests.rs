#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;

use super::*;
use crate::streets::Route;

/// The positions of the document's examples: a pickup, a dropoff, and drivers.
const EXAMPLES: [(f64, f64); 5] =
    [(40.7484, -73.9857), (40.7061, -74.0087), (40.749, -73.985), (40.7485, -73.9855), (40.749_808, -73.990_004)];

fn at(lat: f64, lon: f64) -> Position {
    Position { lat, lon }
}

#[test]
fn every_junction_can_be_reached_from_every_other() {
    for seed in 0..4 {
        let streets = city(seed, 0).streets;
        let n = streets.junctions().len();
        assert!((2_000..6_000).contains(&n), "seed {seed}: {n} junctions");
        let there: Vec<_> = streets.segments().iter().map(|s| (s.from, s.to)).collect();
        let back: Vec<_> = there.iter().map(|(from, to)| (*to, *from)).collect();
        for edges in [there, back] {
            assert!(reached(n, 0, &edges).into_iter().all(|seen| seen), "seed {seed}");
        }
    }
}

#[test]
fn examples_of_the_document_are_in_the_city() {
    let examples = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../src/api/openapi/examples.json"));
    let examples = examples.unwrap();
    for (lat, lon) in EXAMPLES {
        assert!(examples.contains(&format!("\"lat\": {lat}")), "{lat} is in no example any more");
        assert!(examples.contains(&format!("\"lon\": {lon}")), "{lon} is in no example any more");
    }
    for seed in 0..4 {
        let streets = city(seed, 0).streets;
        for (lat, lon) in EXAMPLES {
            let nearest = streets.junctions()[streets.nearest(at(lat, lon)).unwrap() as usize];
            let away_m = nearest.meters_to(at(lat, lon));
            assert!(away_m < 150.0, "seed {seed}: {away_m} m from {lat}, {lon} to a junction");
        }
        let route = Route::plan(&streets, at(EXAMPLES[0].0, EXAMPLES[0].1), at(EXAMPLES[1].0, EXAMPLES[1].1));
        assert!(route.on_streets && route.meters_at(f64::MAX) < 9_000.0, "seed {seed}");
    }
}

#[test]
fn every_street_is_in_one_line_of_its_road() {
    let streets = city(1, 0).streets;
    let pair = |a: u32, b: u32| (a.min(b), a.max(b));
    let there: BTreeSet<_> = streets.segments().iter().map(|s| pair(s.from, s.to)).collect();
    let lines = streets.lines();
    let drawn: Vec<_> = lines.iter().flat_map(|line| line.windows(2).map(|ends| pair(ends[0], ends[1]))).collect();
    assert_eq!(drawn.len(), there.len());
    assert_eq!(drawn.into_iter().collect::<BTreeSet<_>>(), there);
    assert!(lines.len() * 4 < there.len(), "{} lines for {} streets", lines.len(), there.len());
    for line in &lines {
        let roads: BTreeSet<_> =
            line.windows(2).map(|ends| streets.road(ends[0], ends[1]).unwrap().name.clone()).collect();
        assert_eq!(roads.len(), 1, "{roads:?}");
    }
}

#[test]
fn same_seed_gives_the_same_city() {
    let [a, b, c] = [1, 1, 2].map(|seed| city(seed, 20));
    assert_eq!(a.streets.segments(), b.streets.segments());
    assert_ne!(a.streets.segments(), c.streets.segments());
    assert_eq!(format!("{:?} {:?}", a.fleet, a.map), format!("{:?} {:?}", b.fleet, b.map));
}

#[test]
fn river_is_crossed_only_on_a_few_bridges() {
    for seed in 0..3 {
        let mut random = seeded_random(seed, "streets");
        let land = Land::new(&mut random);
        let roads = plan::roads(&land, &mut random);
        let network = Network::new(&roads, |p, is_bridge| land.is_blocked(p, is_bridge));
        let in_water = network.pieces.iter().filter(|((a, b), _)| {
            let (a, b) = (network.junctions[*a as usize], network.junctions[*b as usize]);
            land.river_m(a.plus(a.to(b), 0.5)).0 < 0.0
        });
        let bridges: BTreeSet<_> = in_water.map(|(_, piece)| roads[piece.road].name).collect();
        assert!((4..=7).contains(&bridges.len()), "seed {seed}: {bridges:?}");
        assert!(bridges.iter().all(Option::is_some), "seed {seed}: only large roads have bridges");
    }
}

#[test]
fn center_is_dense_and_classes_have_their_speeds() {
    let streets = city(1, 0).streets;
    let within = |place: Position| streets.junctions().iter().filter(|j| j.meters_to(place) < 700.0).count();
    let outside = CENTER.offset(-2_000.0, -3_900.0);
    assert!(within(CENTER) > 2 * within(outside), "{} and {}", within(CENTER), within(outside));
    let mut seen = BTreeSet::new();
    for segment in streets.segments() {
        let class = streets.road(segment.from, segment.to).unwrap().class;
        assert!((segment.length_m / segment.travel_s - class.meters_per_s()).abs() < 0.01);
        seen.insert(class);
    }
    assert_eq!(seen.len(), 4, "{seen:?}");
}

#[test]
fn areas_are_closed_and_named_each_differently() {
    let map = city(1, 0).map;
    let names: BTreeSet<_> = map.areas.iter().map(|area| area.name.unwrap()).collect();
    assert_eq!(names.len(), map.areas.len());
    assert!(map.areas.iter().all(|area| area.ring.len() > 4 && area.ring.first() == area.ring.last()));
    for kind in [AreaKind::Water, AreaKind::Park, AreaKind::District] {
        assert!(map.areas.iter().any(|area| area.kind == kind), "{kind:?}");
    }
}
