//! Trending zones against exact counts: recall of the top cells, error and time per request.
//! `docs/decisions/trending-zones.md` quotes what this prints.
//!
//! `cargo run --release --example trending`. Requests follow a Zipf distribution over cells, whose most frequent ones change every hour,
//! for four hours; they are counted by several processes that merge every five seconds. Measured every five minutes.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use chrono::DateTime;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use ridematch::demand::sketch::{CAPACITY, HALF_LIFE, Sketch};
use ridematch::geo::Position;
use ridematch::geo::cells::Cell;
use ridematch::platform::clock::{DomainTime, Stopwatch};

const HOURS: i64 = 4;
const SYNC_S: i64 = 5;
const TOP: usize = 20;

fn at(ms: i64) -> DomainTime {
    DomainTime::new(DateTime::from_timestamp_millis(1_700_000_000_000 + ms).unwrap_or_default())
}

/// The exact decayed counts.
#[derive(Default)]
struct Exact {
    counts: HashMap<Cell, f64>,
    at_ms: i64,
}

impl Exact {
    fn advance(&mut self, ms: i64) {
        let half_lives = (ms - self.at_ms) as f64 / HALF_LIFE.num_milliseconds() as f64;
        let factor = (-half_lives).exp2();
        self.counts.values_mut().for_each(|count| *count *= factor);
        self.counts.retain(|_, count| *count > 1e-9);
        self.at_ms = ms;
    }

    fn top(&self, limit: usize) -> Vec<(Cell, f64)> {
        let mut all: Vec<_> = self.counts.iter().map(|(cell, count)| (*cell, *count)).collect();
        all.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        all.truncate(limit);
        all
    }
}

struct Case {
    cells: usize,
    exponent: f64,
    per_s: usize,
    capacity: usize,
    processes: usize,
}

#[derive(Default)]
struct Measured {
    recall: f64,
    looks: usize,
    error_max: f64,
    bound_max: f64,
    record: Duration,
    merge: Duration,
    requests: usize,
    merges: u32,
}

fn measure(case: &Case, seed: u64) -> Measured {
    let mut random = StdRng::seed_from_u64(seed);
    let places: Vec<Cell> = (0..case.cells)
        .map(|n| {
            let (row, column) = (n / 250, n % 250);
            let place = Position::new(0.012_f64.mul_add(row as f64, 30.0), 0.014_f64.mul_add(column as f64, -80.0));
            Cell::at(place.unwrap_or_else(|_| unreachable!("in range")))
        })
        .collect();
    let mut weights = Vec::with_capacity(case.cells);
    let mut sum = 0.0;
    for rank in 1..=case.cells {
        sum += (rank as f64).powf(-case.exponent);
        weights.push(sum);
    }
    let mut exact = Exact::default();
    let mut merged = Sketch::new(case.capacity);
    let mut measured = Measured::default();
    for step in 0..HOURS * 3_600 / SYNC_S {
        let began_ms = step * SYNC_S * 1_000;
        // Every hour other cells are the frequent ones.
        let shift = (began_ms / 3_600_000) as usize * case.cells / 7;
        let mut parts = vec![Sketch::new(case.capacity); case.processes];
        let now_ms = began_ms + SYNC_S * 1_000;
        exact.advance(now_ms);
        for n in 0..case.per_s * SYNC_S as usize {
            let drawn = random.random_range(0.0..sum);
            let rank = weights.partition_point(|weight| *weight < drawn);
            let cell = places[(rank + shift) % case.cells];
            let ms = random.random_range(began_ms..now_ms);
            let half_lives = (now_ms - ms) as f64 / HALF_LIFE.num_milliseconds() as f64;
            *exact.counts.entry(cell).or_default() += (-half_lives).exp2();
            let watch = Stopwatch::start();
            parts[n % case.processes].record(cell, at(ms));
            measured.record += watch.elapsed();
            measured.requests += 1;
        }
        for part in &parts {
            let watch = Stopwatch::start();
            merged.merge(part);
            merged.compact(at(now_ms));
            measured.merge += watch.elapsed();
            measured.merges += 1;
        }
        if step % 60 == 59 {
            look(&merged, &exact, at(now_ms), &mut measured);
        }
    }
    measured
}

fn look(merged: &Sketch, exact: &Exact, now: DomainTime, measured: &mut Measured) {
    let found: BTreeSet<Cell> = merged.top(TOP, now).into_iter().map(|estimate| estimate.cell).collect();
    let wanted = exact.top(TOP);
    let hits = wanted.iter().filter(|(cell, _)| found.contains(cell)).count();
    measured.recall += hits as f64 / wanted.len().max(1) as f64;
    measured.looks += 1;
    for estimate in merged.estimates(now) {
        let truth = exact.counts.get(&estimate.cell).copied().unwrap_or_default();
        measured.error_max = measured.error_max.max(estimate.count - truth);
        assert!(estimate.count + 1e-6 >= truth && estimate.count - estimate.error <= truth + 1e-6, "the bound holds");
    }
    measured.bound_max = measured.bound_max.max(merged.floor(now));
}

fn main() {
    let case = |cells, exponent, per_s, capacity, processes| Case { cells, exponent, per_s, capacity, processes };
    let cases = [
        case(300, 1.0, 2, CAPACITY, 3),
        case(20_000, 1.0, 20, CAPACITY, 3),
        case(20_000, 1.0, 20, 128, 3),
        case(20_000, 0.5, 20, CAPACITY, 3),
        case(20_000, 1.0, 200, CAPACITY, 8),
    ];
    println!(
        "| cells | Zipf exponent | requests/s | processes | counters | recall of the top {TOP} | largest error | bound | record | merge |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for case in cases {
        let found = measure(&case, 7);
        println!(
            "| {} | {} | {} | {} | {} | {:.1} % | {:.2} | {:.2} | {:.0} ns | {:.0} µs |",
            case.cells,
            case.exponent,
            case.per_s,
            case.processes,
            case.capacity,
            100.0 * found.recall / found.looks as f64,
            found.error_max,
            found.bound_max,
            found.record.as_nanos() as f64 / found.requests as f64,
            found.merge.as_micros() as f64 / f64::from(found.merges),
        );
    }
}
