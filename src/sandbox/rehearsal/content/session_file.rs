//! The types of `session.toml`: cuts, levels, phases.

use serde::{Deserialize, Serialize};

/// `session.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionFile {
    /// The question, in the interviewer's words.
    pub question: String,
    /// The lengths of a session, minutes.
    pub lengths: Vec<u32>,
    /// Seconds for an answer, by depth from 1.
    pub answer_s: Vec<u32>,
    /// The premises of the estimates.
    pub given: Vec<String>,
    /// The cuts of the question.
    pub cut: Vec<Cut>,
    /// The levels.
    pub level: Vec<Level>,
    /// The phases in order.
    pub phase: Vec<Phase>,
    /// The topics of deep dives.
    pub dive: Vec<Dive>,
}

/// A cut of the question: what one kind of company asks.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Cut {
    /// The name in files and addresses.
    pub id: String,
    /// The title.
    pub title: String,
    /// Who asks it: "a payments company".
    #[serde(rename = "where")]
    pub asked_at: String,
    /// What is inside and what is given.
    pub brief: String,
    /// The topics of deep dives, in groups that a session takes from in turn.
    pub dives: Vec<Vec<String>>,
    /// The three numbers that are asked.
    pub estimates: Vec<String>,
}

/// A level that a candidate applies for.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Level {
    /// The name in files.
    pub id: String,
    /// The title.
    pub title: String,
    /// The number of deep dives.
    pub dives: usize,
    /// The greatest depth of a follow-up.
    pub depth_max: u8,
    /// The weight of breadth, percent.
    pub breadth: u32,
    /// The weight of depth, percent.
    pub depth: u32,
}

/// A phase of the interview.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    /// The name.
    pub id: String,
    /// The title.
    pub title: String,
    /// What the candidate does.
    pub ask: String,
    /// Minutes, in the order of the lengths. All deep dives together.
    pub minutes: Vec<u32>,
    /// The cards to write.
    pub cards: Vec<CardKind>,
    /// Seconds that the cards are meant to take.
    pub writing_s: u32,
    /// The follow-ups that are planned.
    pub prompts: u32,
}

/// The kind of a card. A candidate types nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CardKind {
    /// Requirements, as text.
    Requirements,
    /// Three numbers, by the ids of their estimates.
    Numbers,
    /// Endpoints, one a line.
    Endpoints,
    /// Tables with their keys.
    Tables,
    /// "I use X because Y; it fails when Z": three fields.
    Decision,
    /// What happens in the curveball.
    Prediction,
}

/// A topic of a deep dive.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dive {
    /// The name.
    pub id: String,
    /// The title.
    pub title: String,
    /// What the interviewer says.
    pub ask: String,
}
