use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::geo::Position;

/// A cell for each number, all different.
fn cell(n: u32) -> Cell {
    Cell::at(
        Position::new(f64::from(n / 40).mul_add(0.05, 30.0), f64::from(n % 40).mul_add(0.05, -70.0)).expect("in range"),
    )
}

fn at(seconds: i64) -> DomainTime {
    DomainTime::new(DateTime::from_timestamp(1_700_000_000 + seconds, 0).expect("in range"))
}

type Events = Vec<(u32, i64)>;

/// Events of cells of which the lower numbers are more frequent, over one hour.
fn events() -> impl Strategy<Value = Events> {
    prop::collection::vec(((0.0..1.0_f64).prop_map(|x| (x * x * x * 60.0) as u32), 0..3_600_i64), 0..400)
}

fn exact(events: &Events, now: DomainTime) -> BTreeMap<Cell, f64> {
    let mut counts = BTreeMap::new();
    for (n, seconds) in events {
        *counts.entry(cell(*n)).or_default() += (-half_lives(at(*seconds), now)).exp2();
    }
    counts
}

fn recorded(capacity: usize, events: &[(u32, i64)]) -> Sketch {
    let mut sketch = Sketch::new(capacity);
    for (n, seconds) in events {
        sketch.record(cell(*n), at(*seconds));
    }
    sketch
}

/// Checks the invariants of [`Sketch`] against the exact counts.
fn check(sketch: &Sketch, events: &Events, now: DomainTime, slack: f64) -> Result<(), TestCaseError> {
    let exact = exact(events, now);
    let total: f64 = exact.values().sum();
    let tiny = 1e-9 * (total + 1.0);
    let floor = sketch.floor(now);
    prop_assert!((sketch.total(now) - total).abs() <= tiny);
    prop_assert!(floor <= total / sketch.capacity() as f64 + slack + tiny, "floor {floor} of {total}");
    let estimates: BTreeMap<_, _> = sketch.estimates(now).into_iter().map(|found| (found.cell, found)).collect();
    prop_assert!(estimates.len() <= sketch.capacity());
    for (cell, exact) in &exact {
        match estimates.get(cell) {
            Some(Estimate { count, error, .. }) => {
                prop_assert!(
                    count + tiny >= *exact && count - error <= exact + tiny,
                    "{cell}: {exact} in {count} − {error}"
                );
                prop_assert!(*error <= floor + tiny);
            }
            None => prop_assert!(*exact <= floor + tiny, "{cell}: {exact} above {floor}"),
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn one_sketch_keeps_its_bounds(events in events(), capacity in 1_usize..30) {
        let now = at(4_000);
        check(&recorded(capacity, &events), &events, now, 0.0)?;
    }

    #[test]
    fn merged_sketches_keep_the_bounds_of_one(events in events(), capacity in 1_usize..30, parts in 1_usize..6) {
        let now = at(4_000);
        let mut merged = Sketch::new(capacity);
        for part in events.chunks(events.len().div_ceil(parts).max(1)) {
            merged.merge(&recorded(capacity, part));
        }
        check(&merged, &events, now, 0.0)?;
    }

    #[test]
    fn compaction_adds_what_is_negligible(events in events(), capacity in 1_usize..30) {
        let now = at(4_000);
        let mut merged = Sketch::new(capacity);
        let mut sorted = events.clone();
        sorted.sort_by_key(|(_, seconds)| *seconds);
        for part in sorted.chunks(40) {
            merged.merge(&recorded(capacity, part));
            merged.compact(at(part.last().map_or(0, |(_, seconds)| *seconds)));
        }
        merged.compact(now);
        check(&merged, &events, now, NEGLIGIBLE)?;
    }

    #[test]
    fn sketch_with_a_counter_for_each_cell_is_exact_in_any_order_of_merges(events in events()) {
        let now = at(4_000);
        let (left, right) = events.split_at(events.len() / 2);
        let (mut one, mut other) = (recorded(60, left), recorded(60, right));
        let before = one.clone();
        one.merge(&other);
        other.merge(&before);
        for (a, b) in std::iter::zip(one.estimates(now), other.estimates(now)) {
            prop_assert_eq!(a.cell, b.cell);
            prop_assert!((a.count - b.count).abs() < 1e-9 && a.error == 0.0 && b.error == 0.0);
        }
        check(&one, &events, now, 0.0)?;
        let (landmark, sums) = (one.landmark(), one.total_and_floor());
        let restored = Sketch::from_parts(landmark, sums, one.counters());
        prop_assert_eq!(restored.estimates(now), one.estimates(now));
    }
}

#[test]
fn request_counts_half_after_the_half_life() {
    let sketch = recorded(4, &[(1, 0), (1, 0), (2, 300)]);
    let counts: Vec<_> = sketch.top(2, at(300)).iter().map(|one| one.count).collect();
    assert_eq!(counts, [1.0, 1.0]);
    assert_eq!(sketch.top(1, at(600))[0].count.to_bits(), 0.5_f64.to_bits());
}

#[test]
fn counts_stay_finite_over_years() {
    let mut sketch = Sketch::new(4);
    for year in 0..50 {
        sketch.record(cell(1), at(year * 365 * 86_400));
    }
    let top = sketch.top(1, at(49 * 365 * 86_400));
    assert!((top[0].count - 1.0).abs() < 1e-9, "{top:?}");
}

#[test]
fn compacted_sketch_without_recent_events_is_empty() {
    let mut sketch = recorded(4, &[(1, 0), (2, 0)]);
    sketch.compact(at(20_000));
    assert!(sketch.is_empty());
    assert_eq!(sketch.floor(at(20_000)).to_bits(), 0.0_f64.to_bits());
}

#[test]
fn damaged_parts_are_read_as_zero() {
    let counter = Counter { count: f64::NAN, error: f64::INFINITY };
    let sketch = Sketch::from_parts(at(0), (-1.0, f64::NAN), [(cell(1), counter)]);
    assert_eq!(sketch.total_and_floor(), (0.0, 0.0));
    assert_eq!(sketch.counters(), [(cell(1), Counter::default())]);
}

#[test]
fn clock_behind_the_landmark_multiplies_no_count() {
    let mut sketch = recorded(1, &[(1, 0), (1, 0), (2, 0)]);
    sketch.compact(at(300));
    let (then, behind) = (at(300), at(-3_000));
    assert_eq!(sketch.estimates(behind), sketch.estimates(then));
    assert_eq!(sketch.floor(behind).to_bits(), sketch.floor(then).to_bits());
    assert_eq!(sketch.total(behind).to_bits(), 1.5_f64.to_bits());
}

#[test]
fn single_old_event_stays_in_the_total_and_below_the_floor() {
    let mut sketch = recorded(1, &[(0, 0)]);
    sketch.compact(at(4_000));
    assert!(sketch.estimates(at(4_000)).is_empty());
    check(&sketch, &vec![(0, 0)], at(4_000), NEGLIGIBLE).expect("the bounds hold");
    sketch.compact(at(20_000));
    assert!(sketch.is_empty());
}
