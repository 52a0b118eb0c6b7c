//! The ten experiments. Each file has one, with its question, its sizes and a test of what must hold.

mod assignment_race;
mod batch_window;
mod cell_edges;
mod matching;
mod nearest_driver;
mod offers;
mod overload;
mod payment_crashes;
mod pool_hold;
mod position_writes;
mod retries;

use std::pin::Pin;

use crate::Result;
use crate::context::Context;
use crate::outcome::{Answer, LabResult};

/// A lab at work.
pub type LabFuture<'a> = Pin<Box<dyn Future<Output = Result<LabResult>> + Send + 'a>>;

/// An experiment.
#[derive(Debug, Clone, Copy)]
pub struct Lab {
    /// Its number in the catalog.
    pub number: u8,
    /// Its name on the command line.
    pub name: &'static str,
    /// Its name in prose.
    pub title: &'static str,
    /// What it finds out.
    pub question: &'static str,
    /// What the user is asked to predict.
    pub bet: BetQuestion,
    /// Where its figures come from.
    pub kind: Kind,
    /// What is the same in all rows.
    pub held_fixed: &'static str,
    /// What would change the result.
    pub would_change: &'static str,
    /// Runs it.
    pub run: for<'a> fn(&'a Context) -> LabFuture<'a>,
}

/// What the user is asked to predict: one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BetQuestion {
    /// The question.
    pub ask: &'static str,
    /// The unit of the number.
    pub unit: &'static str,
}

impl BetQuestion {
    /// Returns the answer to the question: the number, and in words what it is.
    fn answer(&self, value: f64, text: String) -> Answer {
        Answer { value, unit: self.unit.to_owned(), text }
    }
}

/// Where the figures of a lab come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Measured on a PostgreSQL of its own.
    Postgres,
    /// Measured in this process.
    Memory,
    /// A simulation with seeded random events: the same seed gives the same figures on every machine.
    Simulation,
}

impl Kind {
    /// Returns it in words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Postgres => "measured on a PostgreSQL of its own",
            Self::Memory => "measured in this process",
            Self::Simulation => "simulated with seeded random events",
        }
    }
}

/// All labs, by number.
pub static CATALOG: [Lab; 10] = [
    assignment_race::LAB,
    payment_crashes::LAB,
    pool_hold::LAB,
    retries::LAB,
    overload::LAB,
    position_writes::LAB,
    nearest_driver::LAB,
    cell_edges::LAB,
    batch_window::LAB,
    offers::LAB,
];

/// Names less similar than this are not suggested; 1 is the same name.
const SIMILARITY_MIN: f64 = 0.75;

/// Returns the lab with this name or number.
///
/// # Errors
/// There is none; the error suggests similar names.
pub fn find(name: &str) -> Result<&'static Lab> {
    let is_it = |lab: &&Lab| lab.name == name || lab.number.to_string() == name;
    if let Some(lab) = CATALOG.iter().find(is_it) {
        return Ok(lab);
    }
    let similar = |lab: &&Lab| lab.name.contains(name) || strsim::jaro_winkler(lab.name, name) >= SIMILARITY_MIN;
    let mut names: Vec<&str> = CATALOG.iter().filter(similar).map(|lab| lab.name).collect();
    names.sort_by(|a, b| strsim::jaro_winkler(b, name).total_cmp(&strsim::jaro_winkler(a, name)));
    names.truncate(3);
    if name.is_empty() || names.is_empty() {
        return Err(format!("there is no lab {name:?}: `cargo lab list` shows them all").into());
    }
    Err(format!("there is no lab {name:?}; did you mean {}? `cargo lab list` shows them all", names.join(" or "))
        .into())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn catalog_is_numbered_and_complete() {
        let numbers: Vec<u8> = CATALOG.iter().map(|lab| lab.number).collect();
        assert_eq!(numbers, (1..=10).collect::<Vec<_>>());
        let names: BTreeSet<&str> = CATALOG.iter().map(|lab| lab.name).collect();
        assert_eq!(names.len(), CATALOG.len());
        for lab in &CATALOG {
            assert!(lab.bet.ask.ends_with('?') && lab.question.ends_with('?'), "{}", lab.name);
            for text in [lab.title, lab.bet.unit, lab.held_fixed, lab.would_change] {
                assert!(!text.is_empty(), "{}", lab.name);
            }
        }
    }

    #[test]
    fn lab_is_found_by_name_and_number_and_others_are_suggested() {
        assert_eq!(find("retries").expect("a lab").number, 4);
        assert_eq!(find("4").expect("a lab").name, "retries");
        let error = find("nearest").expect_err("none").to_string();
        assert!(error.contains("did you mean nearest-driver"), "{error}");
        let error = find("asignment-race").expect_err("none").to_string();
        assert!(error.contains("assignment-race"), "{error}");
        assert!(find("").is_err());
        assert!(find("qqq").expect_err("none").to_string().contains("cargo lab list"));
    }
}
