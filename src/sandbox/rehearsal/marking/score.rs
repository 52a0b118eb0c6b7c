//! Points by dimension, gates, and one's bias on the canned answers.

use serde::Serialize;

use super::observables::{ObservableMark, ObservableState};
use super::{NumberMark, NumberState, RuleMark};
use crate::sandbox::rehearsal::content::{Canned, Content, Gate, Weight, is_for};
use crate::sandbox::rehearsal::session::{CannedMarks, Session};

/// Whether a design may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GateState {
    /// Shown, with evidence.
    Passed,
    /// Nothing was marked that shows it.
    NotShown,
    /// The candidate ticked something that breaks it.
    Failed,
}

/// The mark of a gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GateMark {
    /// The name.
    pub id: String,
    /// The title.
    pub title: String,
    /// The mark.
    pub state: GateState,
    /// What it means if it is not passed.
    pub says: String,
}

/// The points of a dimension. One that is shown unprompted is a point, after a follow-up half a point.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DimensionScore {
    /// The name.
    pub id: String,
    /// The title.
    pub title: String,
    /// What is expected at the level.
    pub anchor: String,
    /// The share of the points, percent; `None` if the session had nothing in it.
    pub percent: Option<u32>,
    /// Points and possible points of breadth.
    pub breadth: (f64, f64),
    /// Points and possible points of depth.
    pub depth: (f64, f64),
    /// Falsehoods that were ticked.
    pub falsehoods: usize,
}

/// One's marks of a canned answer beside the right ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CannedMark {
    /// The title.
    pub title: String,
    /// Whether the answer passes.
    pub passes: bool,
    /// What the candidate said.
    pub said: bool,
    /// Claims that the candidate ticked and the answer does not show.
    pub too_many: Vec<String>,
    /// Claims that the answer shows and the candidate did not tick.
    pub too_few: Vec<String>,
    /// How many were judged.
    pub judged: usize,
}

pub(super) fn gates(content: &Content, session: &Session) -> Vec<GateMark> {
    let for_cut = content.marking.gate.iter().filter(|gate| is_for(&gate.cuts, &session.setup.cut));
    for_cut.map(|gate| gate_mark(gate, session)).collect()
}

fn gate_mark(gate: &Gate, session: &Session) -> GateMark {
    let is_ticked = |id: &String| session.ticks.iter().any(|tick| tick.observable == *id);
    let state = if gate.fails_on.iter().any(is_ticked) {
        GateState::Failed
    } else if gate.requires_any.iter().any(is_ticked) {
        GateState::Passed
    } else {
        GateState::NotShown
    };
    GateMark { id: gate.id.clone(), title: gate.title.clone(), state, says: gate.says.clone() }
}

/// The dimension of the estimates, and that of the rules.
pub(crate) const NUMBERS_IN: &str = "framing";
pub(crate) const RULES_IN: &str = "api-data";

pub(super) fn dimensions(
    content: &Content,
    session: &Session,
    observables: &[ObservableMark],
    numbers: &[NumberMark],
    rules: &[RuleMark],
) -> Vec<DimensionScore> {
    let (breadth_weight, depth_weight) = match content.level(&session.setup.level) {
        Some(level) => (f64::from(level.breadth), f64::from(level.depth)),
        None => (50.0, 50.0),
    };
    let of_dimension = content.marking.dimension.iter().map(|dimension| {
        let (mut breadth, mut depth, mut falsehoods) = ((0.0, 0.0), (0.0, 0.0), 0);
        for mark in observables.iter().filter(|mark| mark.dimension == dimension.id) {
            let points = match mark.state {
                ObservableState::NotReached => continue,
                ObservableState::Unprompted => 1.0,
                ObservableState::Probed => 0.5,
                ObservableState::Missed => 0.0,
            };
            if mark.falsehood {
                falsehoods += usize::from(mark.state != ObservableState::Missed);
                continue;
            }
            let sum: &mut (f64, f64) = if mark.weight == Weight::Breadth { &mut breadth } else { &mut depth };
            *sum = (sum.0 + points, sum.1 + 1.0);
        }
        for points in machine_points(&dimension.id, numbers, rules) {
            breadth = (breadth.0 + points, breadth.1 + 1.0);
        }
        let parts = [(breadth, breadth_weight), (depth, depth_weight)];
        let parts: Vec<_> = parts.into_iter().filter(|((_, of), _)| *of > 0.0).collect();
        let weights: f64 = parts.iter().map(|(_, weight)| weight).sum();
        let share = parts.iter().map(|((points, of), weight)| points / of * weight).sum::<f64>() / weights;
        let cost = f64::from(content.marking.falsehood_cost) * f64::from(u32::try_from(falsehoods).unwrap_or(u32::MAX));
        DimensionScore {
            id: dimension.id.clone(),
            title: dimension.title.clone(),
            anchor: dimension.anchor(&session.setup.level).to_owned(),
            percent: (!parts.is_empty()).then(|| to_percent(share * 100.0 - cost)),
            breadth,
            depth,
            falsehoods,
        }
    });
    of_dimension.collect()
}

fn to_percent(share: f64) -> u32 {
    share.clamp(0.0, 100.0).round() as u32
}

/// The points that a program gave in a dimension.
fn machine_points(dimension: &str, numbers: &[NumberMark], rules: &[RuleMark]) -> Vec<f64> {
    let of_number = |mark: &NumberMark| match mark.state {
        NumberState::Right => 1.0,
        NumberState::Near => 0.5,
        NumberState::Wrong | NumberState::Missing => 0.0,
    };
    match dimension {
        NUMBERS_IN => numbers.iter().map(of_number).collect(),
        RULES_IN => rules.iter().map(|mark| if mark.holds { 1.0 } else { 0.0 }).collect(),
        _ => Vec::new(),
    }
}

pub(super) fn canned(content: &Content, session: &Session) -> Vec<CannedMark> {
    let marked = session.canned.iter().filter_map(|own| Some((content.canned(&own.id)?, own)));
    marked.map(|(answer, own)| canned_mark(content, answer, own)).collect()
}

fn canned_mark(content: &Content, answer: &Canned, own: &CannedMarks) -> CannedMark {
    let claim = |id: &String| content.observable(id).map_or_else(|| id.clone(), |observable| observable.claim.clone());
    CannedMark {
        title: answer.title.clone(),
        passes: answer.passes,
        said: own.passes,
        too_many: own.ticks.iter().filter(|tick| !answer.shows.contains(tick)).map(claim).collect(),
        too_few: answer.shows.iter().filter(|shown| !own.ticks.contains(shown)).map(claim).collect(),
        judged: answer.offered.len(),
    }
}
