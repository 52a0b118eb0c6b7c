//! Transaction shapes: which were seen, which were cut, and which to cut next.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sha2::{Digest, Sha256};

use super::statement::Statement;
use crate::lock;

/// Shapes that are kept. A program with more generates its statements.
const SHAPES_MAX: usize = 10_000;

/// Writes in a label.
const LABEL_WRITES_MAX: usize = 5;

/// Which side of a commit is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Before the server receives it: it rolls back.
    Before,
    /// After the server has committed, before the client knows.
    After,
}

/// The shape of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// Hexadecimal digest of the distinct statements, in the order of first appearance.
    pub digest: String,
    /// What it writes, in words.
    pub label: String,
    /// Its distinct statements.
    pub statements: Vec<String>,
}

/// The counts of a shape.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ShapeRecord {
    /// See [`Shape::digest`].
    pub digest: String,
    /// See [`Shape::label`].
    pub label: String,
    /// Its distinct statements.
    pub statements: Vec<String>,
    /// Commits requested.
    pub seen: u64,
    /// Commits lost before the server received them.
    pub cut_before: u64,
    /// Commits lost after the server had done them.
    pub cut_after: u64,
}

/// The table of shapes. Clones share it.
#[derive(Debug, Clone)]
pub struct Shapes {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    rows: BTreeMap<String, ShapeRecord>,
    seed: u64,
    random: StdRng,
    is_enabled: bool,
    requested_cuts: u32,
}

impl Shape {
    /// Returns the shape of these distinct statements. `is_implicit`: a single statement outside a transaction.
    pub fn of(statements: &[Arc<Statement>], is_implicit: bool) -> Self {
        let mut hash = Sha256::new();
        hash.update([u8::from(is_implicit)]);
        for statement in statements {
            hash.update(statement.text.as_bytes());
            hash.update([0]);
        }
        let mut writes: Vec<&str> = Vec::new();
        for write in statements.iter().flat_map(|statement| &statement.writes) {
            if !writes.contains(&write.as_str()) {
                writes.push(write);
            }
        }
        let more = writes.len().saturating_sub(LABEL_WRITES_MAX);
        writes.truncate(LABEL_WRITES_MAX);
        let mut label = writes.join(", ");
        if more > 0 {
            label.push_str(&format!(", {more} more"));
        }
        if is_implicit {
            label.push_str(" (implicit)");
        }
        let statements = statements.iter().map(|statement| statement.text.clone()).collect();
        Self { digest: hex::encode(&hash.finalize()[..6]), label, statements }
    }
}

impl ShapeRecord {
    fn cuts(&self) -> u64 {
        self.cut_before + self.cut_after
    }

    /// Whether it was cut on both sides.
    pub fn is_covered(&self) -> bool {
        self.cut_before > 0 && self.cut_after > 0
    }
}

impl Shapes {
    /// Creates an empty table. The seed decides which additional commits are cut, and which side of a shape comes first. An even and
    /// an odd seed start on different sides, so that two runs cover both sides of a shape that is seen once in each.
    pub fn new(seed: u64) -> Self {
        let inner = Inner {
            rows: BTreeMap::new(),
            seed,
            random: StdRng::seed_from_u64(seed),
            is_enabled: false,
            requested_cuts: 0,
        };
        Self { inner: Arc::new(Mutex::new(inner)) }
    }

    /// Enables or disables cuts. While enabled, every shape is cut once on each side, as soon as it is seen.
    pub fn set_enabled(&self, is_enabled: bool) {
        let mut inner = lock(&self.inner);
        inner.is_enabled = is_enabled;
        inner.requested_cuts = 0;
    }

    /// Requests one more cut, of a shape that is covered; shapes with fewer cuts are likelier.
    pub fn request_cut(&self) {
        lock(&self.inner).requested_cuts += 1;
    }

    /// Counts a requested commit, and decides whether and on which side to lose it.
    pub fn decide(&self, shape: &Shape) -> Option<Side> {
        let mut inner = lock(&self.inner);
        if inner.rows.len() >= SHAPES_MAX && !inner.rows.contains_key(&shape.digest) {
            return None;
        }
        let row = inner.rows.entry(shape.digest.clone()).or_insert_with(|| ShapeRecord {
            digest: shape.digest.clone(),
            label: shape.label.clone(),
            statements: shape.statements.clone(),
            seen: 0,
            cut_before: 0,
            cut_after: 0,
        });
        row.seen += 1;
        let (before, after, cuts) = (row.cut_before, row.cut_after, row.cuts());
        if !inner.is_enabled {
            return None;
        }
        let any = if inner.random.random_bool(0.5) { Side::Before } else { Side::After };
        match (before, after) {
            (0, 0) => Some(first_side(shape, inner.seed)),
            (0, _) => Some(Side::Before),
            (_, 0) => Some(Side::After),
            _ if inner.requested_cuts > 0
                && inner.random.random_ratio(1, u32::try_from(cuts).unwrap_or(u32::MAX).max(1)) =>
            {
                inner.requested_cuts -= 1;
                Some(any)
            }
            _ => None,
        }
    }

    /// Counts a lost commit.
    pub fn record_cut(&self, shape: &Shape, side: Side) {
        if let Some(row) = lock(&self.inner).rows.get_mut(&shape.digest) {
            match side {
                Side::Before => row.cut_before += 1,
                Side::After => row.cut_after += 1,
            }
        }
    }

    /// Returns every shape that was seen, the most frequent first.
    pub fn rows(&self) -> Vec<ShapeRecord> {
        let mut rows: Vec<ShapeRecord> = lock(&self.inner).rows.values().cloned().collect();
        rows.sort_by(|one, other| other.seen.cmp(&one.seen).then_with(|| one.label.cmp(&other.label)));
        rows
    }

    /// Commits lost so far: before and after.
    pub fn cuts(&self) -> (u64, u64) {
        let inner = lock(&self.inner);
        let sum = |of: fn(&ShapeRecord) -> u64| inner.rows.values().map(of).sum();
        (sum(|row| row.cut_before), sum(|row| row.cut_after))
    }
}

fn first_side(shape: &Shape, seed: u64) -> Side {
    let sum: u64 = shape.digest.bytes().map(u64::from).sum();
    if sum.wrapping_add(seed).is_multiple_of(2) { Side::Before } else { Side::After }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(text: &str) -> Shape {
        Shape::of(&[Arc::new(Statement::new(text))], false)
    }

    #[test]
    fn shape_is_cut_once_on_each_side_and_then_on_request() {
        let shapes = Shapes::new(7);
        let one = shape("insert into a values (1)");
        assert_eq!(shapes.decide(&one), None, "not enabled");
        shapes.set_enabled(true);
        let mut sides = Vec::new();
        for _ in 0..2 {
            if let Some(side) = shapes.decide(&one) {
                shapes.record_cut(&one, side);
                sides.push(side);
            }
        }
        assert!(sides.contains(&Side::Before) && sides.contains(&Side::After), "{sides:?}");
        assert_eq!(shapes.decide(&one), None, "both sides are done");
        shapes.request_cut();
        let cuts = (0..100).filter_map(|_| shapes.decide(&one)).count();
        assert_eq!(cuts, 1);
        assert!(shapes.rows()[0].is_covered());
    }

    #[test]
    fn even_and_odd_seeds_cut_different_sides_first() {
        for text in ["insert into a values (1)", "update b set c = 1", "delete from d"] {
            let sides = [1, 2].map(|seed| {
                let shapes = Shapes::new(seed);
                shapes.set_enabled(true);
                shapes.decide(&shape(text))
            });
            assert_ne!(sides[0], sides[1], "{text}");
        }
    }

    #[test]
    fn cut_that_did_not_happen_is_decided_again() {
        let shapes = Shapes::new(7);
        shapes.set_enabled(true);
        let one = shape("insert into a values (1)");
        assert!(shapes.decide(&one).is_some());
        assert!(shapes.decide(&one).is_some(), "the first cut did not happen");
    }
}
