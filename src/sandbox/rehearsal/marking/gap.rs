//! The gap between the candidate's marks and the partner's, once both are handed in.

use serde::Serialize;

use super::{Marks, ObservableState, mark};
use crate::sandbox::rehearsal::content::Content;
use crate::sandbox::rehearsal::session::{PartnerStage, Session};

/// Where two people marked one session differently.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Gap {
    /// The observables with different marks, in the order of the content.
    pub observables: Vec<ObservableGap>,
    /// How many observables have the same mark.
    pub agreed: usize,
    /// All dimensions.
    pub dimensions: Vec<DimensionGap>,
    /// The points by the partner's marks, percent.
    pub percent: u32,
    /// Whether the session passes by the partner's marks.
    pub passes: bool,
    /// How well the candidate spoke, 1 to 4.
    pub communication: Option<u32>,
    /// The same in words.
    pub communication_text: String,
    /// What the partner adds.
    pub note: String,
}

/// An observable that two people marked differently.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ObservableGap {
    /// The name.
    pub id: String,
    /// What was said.
    pub claim: String,
    /// Whether it is wrong.
    pub falsehood: bool,
    /// The candidate's mark.
    pub candidate: ObservableState,
    /// The partner's mark.
    pub partner: ObservableState,
    /// What the partner's mark rests on.
    pub evidence: String,
}

/// The points of a dimension by both marks, percent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DimensionGap {
    /// The name.
    pub id: String,
    /// The title.
    pub title: String,
    /// By the candidate's marks.
    pub candidate: Option<u32>,
    /// By the partner's marks.
    pub partner: Option<u32>,
}

/// Returns the gap; `None` unless both have handed in. `marks` are those of the session.
pub fn gap(content: &Content, session: &Session, marks: &Marks) -> Option<Gap> {
    let is_done = session.partner_stage() == Some(PartnerStage::Done);
    let pair = session.pair.as_ref().filter(|_| is_done)?;
    let seen_by_partner = Session { ticks: pair.ticks.clone(), ..session.clone() };
    let partner = mark(content, &seen_by_partner, &[]);
    let both = marks.observables.iter().zip(&partner.observables);
    let differing = both.filter(|(own, other)| own.state != other.state).map(|(own, other)| ObservableGap {
        id: own.id.clone(),
        claim: own.claim.clone(),
        falsehood: own.falsehood,
        candidate: own.state,
        partner: other.state,
        evidence: other.evidence.clone(),
    });
    let observables: Vec<_> = differing.collect();
    let dimensions = marks.dimensions.iter().zip(&partner.dimensions).map(|(own, other)| DimensionGap {
        id: own.id.clone(),
        title: own.title.clone(),
        candidate: own.percent,
        partner: other.percent,
    });
    let level = content.partner.communication.iter().find(|level| Some(level.points) == pair.communication);
    Some(Gap {
        agreed: marks.observables.len() - observables.len(),
        observables,
        dimensions: dimensions.collect(),
        percent: partner.percent,
        passes: partner.passes,
        communication: pair.communication,
        communication_text: level.map(|level| level.text.clone()).unwrap_or_default(),
        note: pair.note.clone(),
    })
}
