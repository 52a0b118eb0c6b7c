use proptest::prelude::*;

use super::*;

fn at(lat: f64, lon: f64) -> Position {
    Position::new(lat, lon).expect("in range")
}

fn off(from: Position, north_m: f64, east_m: f64) -> Position {
    let degrees = |meters: f64| meters / super::super::EARTH_RADIUS_M * 180.0 / std::f64::consts::PI;
    at(from.lat() + degrees(north_m), from.lon() + degrees(east_m) / from.lat().to_radians().cos())
}

/// A connected map with random segments and times: a ring, so that each junction reaches each other, and chords.
fn small_map() -> impl Strategy<Value = (Vec<Position>, Vec<Segment>)> {
    (2_u32..12).prop_flat_map(|n| {
        let places = prop::collection::vec((-0.01..0.01_f64, -0.01..0.01_f64), n as usize);
        let times = prop::collection::vec(1..300_000_u32, n as usize);
        let chords = prop::collection::vec((0..n, 0..n, 1..300_000_u32), 0..30);
        (places, times, chords).prop_map(move |(places, times, chords)| {
            let junctions = places.into_iter().map(|(lat, lon)| at(lat, lon)).collect();
            let ring = times.into_iter().zip(0..).map(|(ms, from)| (from, (from + 1) % n, ms));
            let segment = |(from, to, ms)| Segment { from, to, ms, length_m: f64::from(ms) / 7.0 };
            (junctions, ring.chain(chords).map(segment).collect())
        })
    })
}

/// The least times to a junction, by the Bellman-Ford algorithm.
fn least_ms(junctions: usize, segments: &[Segment], to: Junction) -> Vec<u32> {
    let mut least = vec![u32::MAX; junctions];
    least[to as usize] = 0;
    for _ in 0..junctions {
        for segment in segments {
            let there = least[segment.to as usize].saturating_add(segment.ms);
            least[segment.from as usize] = least[segment.from as usize].min(there);
        }
    }
    least
}

proptest! {
    #[test]
    fn search_finds_the_least_time_and_its_length((junctions, segments) in small_map(), limit_ms in 0..900_000_u32) {
        let streets = Streets::new(junctions.clone(), segments.clone()).expect("a ring");
        for to in 0..junctions.len() as Junction {
            let least = least_ms(junctions.len(), &segments, to);
            let tree = streets.trees.to(to);
            // The second round continues the bounded searches of the first.
            for (from, ms) in least.iter().enumerate() {
                let found = tree.lock().ms_from(&streets.graph, from as Junction, limit_ms);
                prop_assert_eq!(found, Some(*ms).filter(|ms| *ms <= limit_ms));
            }
            for (from, ms) in least.iter().enumerate() {
                let mut tree = tree.lock();
                prop_assert_eq!(tree.ms_from(&streets.graph, from as Junction, u32::MAX), Some(*ms));
                let length_m = tree.meters_from(&streets.graph, from as Junction);
                prop_assert!((length_m - f64::from(*ms) / 7.0).abs() < 1e-6, "{} m in {} ms", length_m, ms);
            }
        }
    }

    #[test]
    fn largest_part_is_what_can_reach_each_other(
        n in 1_usize..9, pairs in prop::collection::vec((0_u32..9, 0_u32..9), 0..20),
    ) {
        let fits = |(a, b): &(u32, u32)| (*a as usize) < n && (*b as usize) < n;
        let segment = |(from, to)| Segment { from, to, ms: 1, length_m: 1.0 };
        let segments: Vec<Segment> = pairs.into_iter().filter(fits).map(segment).collect();
        let found = components::largest(&Graph::new(n, segments.clone()));
        let reaches: Vec<Vec<u32>> = (0..n as u32).map(|to| least_ms(n, &segments, to)).collect();
        let together = |a: usize, b: usize| reaches[a][b] < u32::MAX && reaches[b][a] < u32::MAX;
        let size = |a: usize| (0..n).filter(|b| together(a, *b)).count();
        let inside: Vec<usize> = (0..n).filter(|a| found[*a]).collect();
        prop_assert_eq!(Some(inside.len()), (0..n).map(size).max());
        prop_assert!(inside.iter().all(|a| inside.iter().all(|b| together(*a, *b))));
    }
}

const HERE: (f64, f64) = (40.70, -74.00);

/// A one-way ring road: 1 km north at 10 m/s in junctions 100 m apart, and back to the start in 500 s.
fn ring() -> Streets {
    let here = at(HERE.0, HERE.1);
    let junctions = (0..=10).map(|j| off(here, f64::from(j) * 100.0, 0.0)).collect();
    let north = (0..10).map(|from| Segment { from, to: from + 1, ms: 10_000, length_m: 100.0 });
    let back = Segment { from: 10, to: 0, ms: 500_000, length_m: 5_000.0 };
    Streets::new(junctions, north.chain([back]).collect()).expect("a ring")
}

fn leg(streets: &Streets, from: Position, to: Position) -> (i64, i64) {
    let leg = streets.leg(&streets.departure(from).expect("on the map"), &streets.arrival(to).expect("on the map"));
    let leg = leg.expect("connected");
    (leg.distance_m, leg.duration_s)
}

#[test]
fn drive_has_the_times_of_its_segments_and_of_the_ways_to_and_from_them() {
    let (streets, here) = (ring(), at(HERE.0, HERE.1));
    assert_eq!(leg(&streets, here, off(here, 1_000.0, 0.0)), (1_000, 100));
    assert_eq!(leg(&streets, off(here, 1_000.0, 0.0), here), (5_000, 500), "against the one-way street");
    // 30 m and 40 m off the street at 25 km/h.
    assert_eq!(leg(&streets, off(here, 0.0, 30.0), off(here, 1_000.0, -40.0)), (1_070, 111));
    assert_eq!(leg(&streets, here, off(here, 20.0, 0.0)), (20, 3), "within a block");
}

#[test]
fn time_of_a_car_on_its_way_falls_with_each_step() {
    let (streets, here) = (ring(), at(HERE.0, HERE.1));
    for beside_m in [40.0, 0.0] {
        let to = streets.arrival(off(here, 1_000.0, beside_m)).expect("on the map");
        let mut last_ms = u32::MAX;
        for step in 0..=1_000 {
            let from = streets.departure(off(here, f64::from(step), 0.0)).expect("on the map");
            let ms = streets.duration_ms(&from, &to, u32::MAX).expect("connected");
            assert!(ms <= last_ms, "{ms} ms after {last_ms} ms at {step} m, {beside_m} m beside the street");
            last_ms = ms;
        }
        assert!(f64::from(last_ms) <= beside_m * 144.0 + 1.0, "{last_ms} ms");
    }
}

#[test]
fn straight_drive_ends_with_the_block() {
    let (streets, here) = (ring(), at(HERE.0, HERE.1));
    let beside = |north_m| off(here, 0.0, north_m);
    let ms = |from, to| streets.duration_ms(&streets.departure(from).unwrap(), &streets.arrival(to).unwrap(), u32::MAX);
    // Both are nearest to one junction: 140 m straight, or 200 m each to the junction and back.
    assert_eq!(ms(beside(60.0), beside(200.0)), Some(140 * 144));
    assert!(ms(beside(200.0), beside(360.0)).unwrap() >= 560 * 144 - 200, "160 m straight is no block");
}

#[test]
fn position_far_from_all_streets_is_off_the_map() {
    let (streets, here) = (ring(), at(HERE.0, HERE.1));
    let (near, far) = (off(here, -OFF_MAP_M + 1.0, 0.0), off(here, -OFF_MAP_M - 1.0, 0.0));
    assert!(streets.departure(near).is_some() && streets.arrival(near).is_some());
    assert!(streets.departure(far).is_none() && streets.arrival(far).is_none());
}

#[test]
fn reach_is_the_top_speed_times_the_duration() {
    let reach_m = ring().reach_m(60_000);
    assert!((reach_m - 600.0).abs() < 1.0, "{reach_m} m");
}

#[test]
fn published_lines_make_the_same_graph() {
    let here = at(HERE.0, HERE.1);
    let piece = |from: i32, to: i32, forward_ms| lines::Piece {
        ends: [off(here, f64::from(from) * 100.0, 0.0), off(here, f64::from(to) * 100.0, 0.0)],
        forward_ms,
        backward_ms: None,
        length_m: None,
    };
    let back = lines::Piece { backward_ms: Some(500_000), length_m: Some(5_000.0), ..piece(0, 10, None) };
    let footpaths = (20..40).map(|from| piece(from, from + 1, None));
    let pieces = (0..10).map(|from| piece(from, from + 1, Some(10_000))).chain([back]).chain(footpaths);
    let streets = lines::graph(pieces).expect("a ring");
    assert_eq!(streets.size(), ring().size());
    assert_eq!(leg(&streets, here, off(here, 1_000.0, 0.0)), (1_000, 100));
    assert_eq!(leg(&streets, off(here, 1_000.0, 0.0), here), (5_000, 500));
    assert_eq!(lines::graph([]).expect_err("no pieces"), InvalidStreets::Empty);
}
