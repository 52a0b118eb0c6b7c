//! What is asked, drawn and marked, one type for each file.

use serde::{Deserialize, Serialize};

use super::CardKind;

/// A constraint card.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Constraint {
    /// The name.
    pub id: String,
    /// The cuts in which it is drawn.
    pub cuts: Vec<String>,
    /// The title.
    pub title: String,
    /// What the candidate reads.
    pub text: String,
    /// What a good answer changes; shown after the session.
    pub changes: String,
    /// Where to read on.
    pub link: String,
}

/// A follow-up.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// The name.
    pub id: String,
    /// The phase in which it is asked.
    pub phase: String,
    /// The topic, for a question of a deep dive.
    pub dive: Option<String>,
    /// 1 to 3.
    pub depth: u8,
    /// The cuts in which it is asked; all if empty.
    #[serde(default)]
    pub cuts: Vec<String>,
    /// What the interviewer says.
    pub prompt: String,
    /// What good sounds like; shown after the session.
    pub good: String,
    /// Words in the locked cards that make it come first.
    #[serde(default)]
    pub when: Vec<String>,
    /// Words whose absence makes it come before the rest.
    #[serde(default)]
    pub unless: Vec<String>,
    /// Where the answer is: code, decision pages, chapters.
    pub links: Vec<String>,
    /// The lab that answers it.
    pub lab: Option<String>,
}

/// What an observable counts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Weight {
    /// What every level is expected to cover.
    Breadth,
    /// What higher levels are expected to go into.
    Depth,
}

/// Something that a session shows or does not show.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Observable {
    /// The name.
    pub id: String,
    /// Whether it sounds right and is wrong.
    #[serde(default)]
    pub falsehood: bool,
    /// The dimension that it counts for.
    pub dimension: String,
    /// The phase in which it is expected.
    pub phase: String,
    /// Breadth or depth.
    pub weight: Weight,
    /// The cuts in which it counts; all if empty.
    #[serde(default)]
    pub cuts: Vec<String>,
    /// What the candidate said or wrote.
    pub claim: String,
    /// The follow-up that asks for it.
    pub probe: String,
    /// Why it matters; of a falsehood, why it is wrong.
    pub why: String,
    /// A sentence for the next time.
    pub say: String,
    /// Where to read on.
    pub link: String,
    /// The next step: the command of a drill or a lab.
    pub next: String,
}

/// An answer with the right marks.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Canned {
    /// The name.
    pub id: String,
    /// The title.
    pub title: String,
    /// The cut that it answers.
    pub cut: String,
    /// Whether it passes.
    pub passes: bool,
    /// The answer.
    pub text: String,
    /// The observables to judge.
    pub offered: Vec<String>,
    /// Those of them that the answer shows.
    pub shows: Vec<String>,
}

/// `dimensions.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MarkingFile {
    /// The share from which on a session passes, percent.
    pub pass_percent: u32,
    /// What a ticked falsehood takes from its dimension, percent.
    pub falsehood_cost: u32,
    /// The dimensions.
    pub dimension: Vec<Dimension>,
    /// The gates.
    pub gate: Vec<Gate>,
}

/// A dimension with what is expected by level.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dimension {
    /// The name.
    pub id: String,
    /// The title.
    pub title: String,
    /// At mid level.
    pub mid: String,
    /// At senior level.
    pub senior: String,
    /// At staff level.
    pub staff: String,
}

impl Dimension {
    /// What is expected at a level.
    pub fn anchor(&self, level: &str) -> &str {
        match level {
            "staff" => &self.staff,
            "senior" => &self.senior,
            _ => &self.mid,
        }
    }
}

/// A condition without which no design passes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    /// The name.
    pub id: String,
    /// The title.
    pub title: String,
    /// The cuts in which it counts.
    pub cuts: Vec<String>,
    /// Observables, one of which must be ticked.
    pub requires_any: Vec<String>,
    /// Falsehoods, none of which may be ticked.
    pub fails_on: Vec<String>,
    /// What the report says if it fails.
    pub says: String,
}

/// A rule that a program checks on a card.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The name.
    pub id: String,
    /// The card: endpoints or tables.
    pub kind: CardKind,
    /// The cuts in which it counts; all if empty.
    pub cuts: Vec<String>,
    /// What holds.
    pub claim: String,
    /// Groups of words; one of each group must occur.
    pub all: Vec<Vec<String>>,
    /// Words that must not occur.
    #[serde(default)]
    pub none: Vec<String>,
    /// Why.
    pub why: String,
    /// Where to read on.
    pub link: String,
}

/// An event that the candidate did not expect.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Curveball {
    /// The name.
    pub id: String,
    /// The cuts in which it is drawn.
    pub cuts: Vec<String>,
    /// The title.
    pub title: String,
    /// What the candidate reads.
    pub text: String,
    /// What a good prediction says; shown after the session.
    pub good: String,
    /// The command that makes it happen.
    pub fire: String,
    /// Where to look.
    pub watch: String,
    /// Where to read on.
    pub link: String,
}

/// A prediction that a lab settles.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bet {
    /// The name of the lab.
    pub lab: String,
    /// What is predicted.
    pub question: String,
    /// The unit.
    pub unit: String,
    /// The least prediction that is accepted.
    pub min: f64,
    /// The greatest.
    pub max: f64,
    /// The factor that counts as right.
    pub within: f64,
    /// The difference that counts as right as well.
    pub or_by: f64,
    /// The deep dives in which it is asked.
    #[serde(default)]
    pub dives: Vec<String>,
    /// Whether it is asked in the phase of failures.
    #[serde(default)]
    pub failure: bool,
    /// Where to read on.
    pub link: String,
}

/// A day of the plan.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Day {
    /// 1 to 14.
    pub day: u8,
    /// The title.
    pub title: String,
    /// What to do.
    pub what: String,
    /// A command, or empty.
    pub run: String,
}

/// A number that is asked.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Estimate {
    /// The name.
    pub id: String,
    /// What is asked.
    pub ask: String,
    /// The unit.
    pub unit: String,
    /// The least number that is accepted.
    pub low: f64,
    /// The greatest.
    pub high: f64,
    /// The arithmetic from the premises: numbers, `+ - * /` and parentheses.
    pub arithmetic: String,
    /// The same in words; shown after the session.
    pub words: String,
}

/// `partner.toml`: what a partner reads.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartnerFile {
    /// What to read before the clock starts, a paragraph each.
    pub briefing: Vec<String>,
    /// What to do in a silence, shortest first.
    pub silence: Vec<Silence>,
    /// How well the candidate spoke, 1 point first.
    pub communication: Vec<Communication>,
}

/// What a partner does after some seconds of silence.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Silence {
    /// From how many seconds on.
    pub after_s: u32,
    /// What to do, with the words to say.
    pub advice: String,
}

/// A level of communication.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Communication {
    /// 1 to 4.
    pub points: u32,
    /// What the partner noticed.
    pub text: String,
}
