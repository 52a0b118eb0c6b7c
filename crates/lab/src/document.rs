//! The JSON file of a result. Pages take their figures from it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::labs::Lab;
use crate::machine::Machine;
use crate::outcome::{Answer, Column, LabResult, Records, Row};

/// The name and version of the format.
pub const SCHEMA: &str = "ridematch.lab/1";

/// A result with everything that is needed to repeat it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResultDocument {
    /// [`SCHEMA`].
    pub schema: String,
    /// The lab's name.
    pub lab: String,
    /// Its number.
    pub number: u8,
    /// Its title.
    pub title: String,
    /// Its question.
    pub question: String,
    /// Whether it was measured or simulated.
    pub kind: String,
    /// The seed of all random choices.
    pub seed: u64,
    /// Runs of each measurement.
    pub runs: u32,
    /// The commit of the checkout, with `+changes` if tracked files differed from it.
    pub commit: String,
    /// `release` or `debug`.
    pub build: String,
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// How long it took.
    pub seconds: f64,
    /// Where it ran.
    pub machine: Machine,
    /// The columns of the table.
    pub columns: Vec<Column>,
    /// Its rows.
    pub rows: Vec<Row>,
    /// The answer to the bet.
    pub answer: Answer,
    /// Records of single cases.
    pub records: Vec<Records>,
    /// What follows from these figures.
    pub conclusions: Vec<String>,
    /// What was the same in all rows.
    pub held_fixed: String,
    /// What would change the result.
    pub would_change: String,
}

impl ResultDocument {
    /// Returns the document of a result.
    pub fn new(
        lab: &Lab,
        context: &Context,
        result: &LabResult,
        (commit, started_at): (String, DateTime<Utc>),
    ) -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            lab: lab.name.to_owned(),
            number: lab.number,
            title: lab.title.to_owned(),
            question: lab.question.to_owned(),
            kind: lab.kind.name().to_owned(),
            seed: context.seed,
            runs: context.runs,
            commit,
            build: if cfg!(debug_assertions) { "debug" } else { "release" }.to_owned(),
            started_at,
            seconds: (context.seconds() * 10.0).round() / 10.0,
            machine: Machine::this(),
            columns: result.table.columns.clone(),
            rows: result.table.rows.clone(),
            answer: result.answer.clone(),
            records: result.records.clone(),
            conclusions: result.conclusions.clone(),
            held_fixed: lab.held_fixed.to_owned(),
            would_change: lab.would_change.to_owned(),
        }
    }
}
