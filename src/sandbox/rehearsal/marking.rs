//! What a session is worth: numbers, rules and bets by the machine, observables by the candidate with evidence, gates. Pure.

mod gap;
mod observables;
mod score;

use serde::Serialize;

use super::content::{Bet, CardKind, Content, Estimate, Rule, is_for};
use super::labs::LabResult;
use super::session::{PlacedBet, Session};

pub use gap::{DimensionGap, Gap, ObservableGap, gap};
pub use observables::{ObservableMark, ObservableState, check_tick, clock, expected, probed_at};
pub use score::{CannedMark, DimensionScore, GateMark, GateState};

/// A number beyond its range by at most this factor is near.
const NEAR_FACTOR: f64 = 3.0;

/// How good a number is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NumberState {
    /// In the accepted range.
    Right,
    /// Beyond it by a factor of at most three.
    Near,
    /// Farther away.
    Wrong,
    /// Not given, or not a number.
    Missing,
}

/// The mark of an estimate.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NumberMark {
    /// What was asked.
    pub ask: String,
    /// What was written.
    pub written: String,
    /// The number in it.
    pub value: Option<f64>,
    /// The unit.
    pub unit: String,
    /// The least accepted number.
    pub low: f64,
    /// The greatest.
    pub high: f64,
    /// The arithmetic.
    pub words: String,
    /// The mark.
    pub state: NumberState,
    /// By which factor it is beyond the range.
    pub off_by: Option<f64>,
}

/// The mark of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleMark {
    /// The name.
    pub id: String,
    /// The card.
    pub kind: CardKind,
    /// What holds.
    pub claim: String,
    /// Whether it holds.
    pub holds: bool,
    /// Why it matters.
    pub why: String,
    /// Where to read on.
    pub link: String,
}

/// The mark of a bet.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BetMark {
    /// The lab.
    pub lab: String,
    /// What was predicted.
    pub question: String,
    /// The unit.
    pub unit: String,
    /// The prediction.
    pub value: f64,
    /// What the lab found.
    pub result: Option<LabResult>,
    /// Whether the prediction is right; `None` while the lab has not been run.
    pub is_right: Option<bool>,
    /// The factor that counts as right.
    pub within: f64,
    /// What settles it.
    pub command: String,
    /// Where to read on.
    pub link: String,
}

/// All marks of a session.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Marks {
    /// The estimates.
    pub numbers: Vec<NumberMark>,
    /// The rules.
    pub rules: Vec<RuleMark>,
    /// The bets.
    pub bets: Vec<BetMark>,
    /// The observables.
    pub observables: Vec<ObservableMark>,
    /// The canned answers.
    pub canned: Vec<CannedMark>,
    /// The gates.
    pub gates: Vec<GateMark>,
    /// The dimensions.
    pub dimensions: Vec<DimensionScore>,
    /// The mean of the dimensions, percent.
    pub percent: u32,
    /// Whether the session passes: enough points, and every gate.
    pub passes: bool,
}

/// Marks a session. `results` are those of the labs of its bets.
pub fn mark(content: &Content, session: &Session, results: &[LabResult]) -> Marks {
    let numbers = numbers(content, session);
    let rules = rules(content, session);
    let observables = observables::marks(content, session);
    let gates = score::gates(content, session);
    let dimensions = score::dimensions(content, session, &observables, &numbers, &rules);
    let percents: Vec<_> = dimensions.iter().filter_map(|dimension| dimension.percent).collect();
    let count = u32::try_from(percents.len().max(1)).unwrap_or(1);
    let percent = percents.iter().sum::<u32>() / count;
    let passes = percent >= content.marking.pass_percent && gates.iter().all(|gate| gate.state == GateState::Passed);
    let bets = session.bets.iter().filter_map(|placed| Some(bet(content.bet(&placed.lab)?, placed, results)));
    Marks {
        bets: bets.collect(),
        canned: score::canned(content, session),
        numbers,
        rules,
        observables,
        gates,
        dimensions,
        percent,
        passes,
    }
}

fn numbers(content: &Content, session: &Session) -> Vec<NumberMark> {
    let asked = content.cut(&session.setup.cut).map(|cut| cut.estimates.as_slice()).unwrap_or_default();
    let card = session.cards.iter().find(|card| card.kind == CardKind::Numbers);
    let written = |id: &String| card.and_then(|card| card.fields.get(id)).cloned().unwrap_or_default();
    asked.iter().filter_map(|id| Some(number(content.estimate(id)?, written(id)))).collect()
}

fn number(estimate: &Estimate, written: String) -> NumberMark {
    let value = read_number(&written);
    let off_by = value.map(|value| match value {
        value if value <= 0.0 => f64::INFINITY,
        value if value < estimate.low => estimate.low / value,
        value => (value / estimate.high).max(1.0),
    });
    let state = match off_by {
        None => NumberState::Missing,
        Some(factor) if factor <= 1.0 => NumberState::Right,
        Some(factor) if factor <= NEAR_FACTOR => NumberState::Near,
        Some(_) => NumberState::Wrong,
    };
    NumberMark {
        ask: estimate.ask.clone(),
        written,
        value,
        unit: estimate.unit.clone(),
        low: estimate.low,
        high: estimate.high,
        words: estimate.words.clone(),
        state,
        off_by: off_by.filter(|factor| factor.is_finite() && *factor > 1.0),
    }
}

/// Reads a number as people write it: "12,500", "12.5k", "2.5 million", "about 14/s".
pub fn read_number(text: &str) -> Option<f64> {
    let text = text.to_lowercase();
    let start = text.find(|c: char| c.is_ascii_digit())?;
    let (is_negative, rest) = (text[..start].ends_with('-'), &text[start..]);
    let end = rest.find(|c: char| !(c.is_ascii_digit() || ",._'’".contains(c))).unwrap_or(rest.len());
    let digits: String = rest[..end].chars().filter(|c| c.is_ascii_digit() || *c == '.').collect();
    let value: f64 = digits.trim_end_matches('.').parse().ok()?;
    let unit = rest[end..].trim_start();
    let is_word =
        |word: &str| unit.strip_prefix(word).is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_alphabetic()));
    let factor = if ["k", "thousand"].into_iter().any(is_word) {
        1e3
    } else if ["m", "million", "millions", "mio"].into_iter().any(is_word) {
        1e6
    } else if ["bn", "billion"].into_iter().any(is_word) {
        1e9
    } else {
        1.0
    };
    Some(if is_negative { -value * factor } else { value * factor })
}

fn rules(content: &Content, session: &Session) -> Vec<RuleMark> {
    let for_cut = content.rules.iter().filter(|rule| is_for(&rule.cuts, &session.setup.cut));
    let marks = for_cut.map(|rule| {
        let cards = session.cards.iter().filter(|card| card.kind == rule.kind);
        let texts: Vec<_> = cards.flat_map(|card| card.fields.values()).map(|text| text.to_lowercase()).collect();
        RuleMark {
            id: rule.id.clone(),
            kind: rule.kind,
            claim: rule.claim.clone(),
            holds: holds(rule, &texts.join("\n")),
            why: rule.why.clone(),
            link: rule.link.clone(),
        }
    });
    marks.collect()
}

fn holds(rule: &Rule, text: &str) -> bool {
    let has = |word: &String| text.contains(word.as_str());
    rule.all.iter().all(|group| group.iter().any(has)) && !rule.none.iter().any(has)
}

fn bet(bet: &Bet, placed: &PlacedBet, results: &[LabResult]) -> BetMark {
    let result = results.iter().find(|result| result.lab == bet.lab).cloned();
    BetMark {
        lab: bet.lab.clone(),
        question: bet.question.clone(),
        unit: bet.unit.clone(),
        value: placed.value,
        is_right: result.as_ref().map(|result| is_right(bet, placed.value, result.answer.value)),
        result,
        within: bet.within,
        command: format!("cargo lab run {}", bet.lab),
        link: bet.link.clone(),
    }
}

/// Whether a prediction is within the factor or the difference of its bet.
fn is_right(bet: &Bet, predicted: f64, found: f64) -> bool {
    let ratio = predicted / found;
    (predicted - found).abs() <= bet.or_by || (ratio.is_finite() && ratio >= 1.0 / bet.within && ratio <= bet.within)
}
