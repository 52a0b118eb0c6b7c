//! A session: what the candidate does, in which order, against the clock. Pure: the time is an argument.

mod execute;
mod pair;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::platform::clock::MachineTime;

use super::content::CardKind;
use super::schedule::{Drawn, PlannedPhase, Setup};

pub use execute::{FIELD_CHARS_MAX, INTERRUPTION_S, Refused};
pub use pair::{
    COMMUNICATION_MAX, FreshSession, LinkKeys, NOTE_CHARS_MAX, Pair, PartnerCommand, PartnerStage, THROWN_MAX, Thrown,
    curveballs,
};

/// The version of the file's format.
pub const FORMAT: u32 = 1;

/// What part of the session is going on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Before the clock starts.
    Ready,
    /// The interview.
    Interview,
    /// Marking the canned answers.
    Canned,
    /// Marking one's own.
    Marking,
    /// The marks are handed in, and those of the partner are not.
    Waiting,
    /// The report is there.
    Done,
}

/// The clock of a session: it counts while the page is open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionClock {
    /// Milliseconds of the interview.
    pub elapsed_ms: u64,
    /// The last sign of life.
    pub last_sign: MachineTime,
    /// How often the session was interrupted.
    pub interruptions: u32,
}

/// A card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// The kind.
    pub kind: CardKind,
    /// The phase, as an index.
    pub phase: usize,
    /// The fields: `text`; `use`, `because` and `fails_when` of a decision; the ids of the estimates.
    pub fields: BTreeMap<String, String>,
    /// When it was begun, seconds.
    pub begun_s: u32,
    /// When it was locked; it never changes afterwards.
    pub locked_s: Option<u32>,
}

/// A follow-up that was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskedPrompt {
    /// The question.
    pub question: String,
    /// The phase, as an index.
    pub phase: usize,
    /// When it was asked, seconds.
    pub asked_s: u32,
    /// When the candidate had answered.
    pub answered_s: Option<u32>,
}

/// A prediction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlacedBet {
    /// The lab that settles it.
    pub lab: String,
    /// The number.
    pub value: f64,
    /// When it was placed, seconds.
    pub at_s: u32,
}

/// The marks of a canned answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CannedMarks {
    /// The answer.
    pub id: String,
    /// The observables that the candidate sees in it.
    pub ticks: Vec<String>,
    /// Whether it passes, in the candidate's opinion.
    pub passes: bool,
}

/// How an observable was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shown {
    /// Without being asked.
    Unprompted,
    /// After the follow-up that asks for it.
    Probed,
}

/// A mark with its evidence: a card, or a time of the recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tick {
    /// The observable.
    pub observable: String,
    /// How it was shown.
    pub shown: Shown,
    /// The card, as an index.
    #[serde(default)]
    pub card: Option<usize>,
    /// The second of the interview.
    #[serde(default)]
    pub at_s: Option<u32>,
}

/// One rehearsal, as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// [`FORMAT`].
    pub format: u32,
    /// The name of the file.
    pub id: String,
    /// When it was made.
    pub created_at: MachineTime,
    /// What the candidate chose.
    pub setup: Setup,
    /// What the seed has drawn.
    pub drawn: Drawn,
    /// The phases.
    pub phases: Vec<PlannedPhase>,
    /// The part that is going on.
    pub stage: Stage,
    /// The clock.
    pub clock: SessionClock,
    /// When each phase was entered, seconds. The last one is the current one.
    pub entered_s: Vec<u32>,
    /// The cards.
    pub cards: Vec<Card>,
    /// The follow-ups.
    pub prompts: Vec<AskedPrompt>,
    /// The predictions.
    pub bets: Vec<PlacedBet>,
    /// The marks of canned answers.
    pub canned: Vec<CannedMarks>,
    /// The candidate's own marks.
    pub ticks: Vec<Tick>,
    /// The partner, in a session for two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pair: Option<Pair>,
}

/// What the page can ask for.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum SessionCommand {
    /// Start the clock.
    Start,
    /// A sign of life.
    Tick,
    /// Keep what has been typed on the open card of a kind.
    Draft {
        /// The kind.
        kind: CardKind,
        /// All fields.
        fields: BTreeMap<String, String>,
    },
    /// Lock the open card of a kind.
    Lock {
        /// The kind.
        kind: CardKind,
    },
    /// Ask the next follow-up.
    Ask,
    /// The last follow-up has been answered.
    Answered,
    /// Predict the number of this phase.
    Bet {
        /// The number.
        value: f64,
    },
    /// Go to the next phase, or end the interview.
    Next,
    /// Mark a canned answer.
    MarkCanned(CannedMarks),
    /// Replace one's own marks.
    Mark {
        /// All marks.
        ticks: Vec<Tick>,
    },
    /// End the marking. With a partner: hand in the marks.
    Finish,
    /// Do not wait for the partner's marks.
    FinishAlone,
}
