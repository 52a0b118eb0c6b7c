//! Transaction shapes: which were met, which were cut, and which is cut next.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sha2::{Digest, Sha256};

use super::statement::Statement;
use crate::lock;

/// Shapes that are told apart. A program with more makes up its statements.
const SHAPES_MAX: usize = 10_000;

/// Deeds that a label names.
const LABEL_DEEDS_MAX: usize = 5;

/// Which side of a commit is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Before the server sees it: it rolls back.
    Before,
    /// After the server has done it, before the client is told.
    After,
}

/// The shape of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// Hexadecimal: of the distinct statements, in the order of their first appearance.
    pub digest: String,
    /// For people: what it writes.
    pub label: String,
    /// Its distinct statements.
    pub statements: Vec<String>,
}

/// What is known of a shape.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Row {
    /// See [`Shape::digest`], its first characters.
    pub digest: String,
    /// See [`Shape::label`].
    pub label: String,
    /// Its distinct statements.
    pub statements: Vec<String>,
    /// Commits asked for.
    pub met: u64,
    /// Cut before the server saw it.
    pub cut_before: u64,
    /// Cut after the server had done it.
    pub cut_after: u64,
}

/// The table of shapes. Clones share it.
#[derive(Debug, Clone)]
pub struct Shapes {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    rows: BTreeMap<String, Row>,
    seed: u64,
    dice: StdRng,
    is_armed: bool,
    owed: u32,
}

impl Shape {
    /// Of these distinct statements. `is_alone`: a statement outside any transaction, which is one by itself.
    pub fn of(statements: &[Arc<Statement>], is_alone: bool) -> Self {
        let mut hash = Sha256::new();
        hash.update([u8::from(is_alone)]);
        for statement in statements {
            hash.update(statement.text.as_bytes());
            hash.update([0]);
        }
        let mut deeds: Vec<&str> = Vec::new();
        for deed in statements.iter().flat_map(|statement| &statement.deeds) {
            if !deeds.contains(&deed.as_str()) {
                deeds.push(deed);
            }
        }
        let more = deeds.len().saturating_sub(LABEL_DEEDS_MAX);
        deeds.truncate(LABEL_DEEDS_MAX);
        let mut label = deeds.join(", ");
        if more > 0 {
            label.push_str(&format!(", {more} more"));
        }
        if is_alone {
            label.push_str(" (alone)");
        }
        let statements = statements.iter().map(|statement| statement.text.clone()).collect();
        Self { digest: hex::encode(&hash.finalize()[..6]), label, statements }
    }
}

impl Row {
    fn cuts(&self) -> u64 {
        self.cut_before + self.cut_after
    }

    /// Whether it was cut on both sides.
    pub fn is_visited(&self) -> bool {
        self.cut_before > 0 && self.cut_after > 0
    }
}

impl Shapes {
    /// An empty table. The seed decides which commits are cut on top, and which side of a shape comes first: the one for even
    /// seeds, the other for odd ones, so that two runs visit both sides of what is met only once in each.
    pub fn new(seed: u64) -> Self {
        let inner = Inner { rows: BTreeMap::new(), seed, dice: StdRng::seed_from_u64(seed), is_armed: false, owed: 0 };
        Self { inner: Arc::new(Mutex::new(inner)) }
    }

    /// Whether to cut at all. Armed, every shape is cut once on each side, as soon as it is met.
    pub fn arm(&self, is_armed: bool) {
        let mut inner = lock(&self.inner);
        inner.is_armed = is_armed;
        inner.owed = 0;
    }

    /// Orders one cut on top, of a shape that was cut before; the rarer its cuts, the likelier.
    pub fn order_one(&self) {
        lock(&self.inner).owed += 1;
    }

    /// A commit is asked for: whether to lose it, and what of it.
    pub fn meet(&self, shape: &Shape) -> Option<Side> {
        let mut inner = lock(&self.inner);
        if inner.rows.len() >= SHAPES_MAX && !inner.rows.contains_key(&shape.digest) {
            return None;
        }
        let row = inner.rows.entry(shape.digest.clone()).or_insert_with(|| Row {
            digest: shape.digest.clone(),
            label: shape.label.clone(),
            statements: shape.statements.clone(),
            met: 0,
            cut_before: 0,
            cut_after: 0,
        });
        row.met += 1;
        let (before, after, cuts) = (row.cut_before, row.cut_after, row.cuts());
        if !inner.is_armed {
            return None;
        }
        let any = if inner.dice.random_bool(0.5) { Side::Before } else { Side::After };
        match (before, after) {
            (0, 0) => Some(first_side(shape, inner.seed)),
            (0, _) => Some(Side::Before),
            (_, 0) => Some(Side::After),
            _ if inner.owed > 0 && inner.dice.random_ratio(1, u32::try_from(cuts).unwrap_or(u32::MAX).max(1)) => {
                inner.owed -= 1;
                Some(any)
            }
            _ => None,
        }
    }

    /// A commit was lost.
    pub fn struck(&self, shape: &Shape, side: Side) {
        if let Some(row) = lock(&self.inner).rows.get_mut(&shape.digest) {
            match side {
                Side::Before => row.cut_before += 1,
                Side::After => row.cut_after += 1,
            }
        }
    }

    /// Every shape that was met, the most frequent first.
    pub fn rows(&self) -> Vec<Row> {
        let mut rows: Vec<Row> = lock(&self.inner).rows.values().cloned().collect();
        rows.sort_by(|one, other| other.met.cmp(&one.met).then_with(|| one.label.cmp(&other.label)));
        rows
    }

    /// Commits lost so far: before, after.
    pub fn cuts(&self) -> (u64, u64) {
        let inner = lock(&self.inner);
        let sum = |of: fn(&Row) -> u64| inner.rows.values().map(of).sum();
        (sum(|row| row.cut_before), sum(|row| row.cut_after))
    }
}

fn first_side(shape: &Shape, seed: u64) -> Side {
    let luck: u64 = shape.digest.bytes().map(u64::from).sum();
    if luck.wrapping_add(seed).is_multiple_of(2) { Side::Before } else { Side::After }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(text: &str) -> Shape {
        Shape::of(&[Arc::new(Statement::new(text))], false)
    }

    #[test]
    fn every_shape_is_cut_once_on_each_side_and_then_when_ordered() {
        let shapes = Shapes::new(7);
        let one = shape("insert into a values (1)");
        assert_eq!(shapes.meet(&one), None, "not armed");
        shapes.arm(true);
        let mut sides = Vec::new();
        for _ in 0..2 {
            if let Some(side) = shapes.meet(&one) {
                shapes.struck(&one, side);
                sides.push(side);
            }
        }
        assert!(sides.contains(&Side::Before) && sides.contains(&Side::After), "{sides:?}");
        assert_eq!(shapes.meet(&one), None, "both sides are done");
        shapes.order_one();
        let cuts = (0..100).filter_map(|_| shapes.meet(&one)).count();
        assert_eq!(cuts, 1);
        assert!(shapes.rows()[0].is_visited());
    }

    #[test]
    fn two_seeds_visit_both_sides_of_what_is_met_once() {
        for text in ["insert into a values (1)", "update b set c = 1", "delete from d"] {
            let sides = [1, 2].map(|seed| {
                let shapes = Shapes::new(seed);
                shapes.arm(true);
                shapes.meet(&shape(text))
            });
            assert_ne!(sides[0], sides[1], "{text}");
        }
    }

    #[test]
    fn what_was_promised_and_did_not_come_is_promised_again() {
        let shapes = Shapes::new(7);
        shapes.arm(true);
        let one = shape("insert into a values (1)");
        assert!(shapes.meet(&one).is_some());
        assert!(shapes.meet(&one).is_some(), "the first cut never struck");
    }
}
