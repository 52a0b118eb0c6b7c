//! What two people see of one session: the candidate nothing of the partner's marks, the partner nothing of the candidate's, until both
//! are handed in.

use serde_json::{Value, json};

use super::{cards, curveball, in_order, marking, phase_line, prompt, result};
use crate::platform::clock::MachineTime;
use crate::sandbox::rehearsal::content::{Content, Observable};
use crate::sandbox::rehearsal::labs::LabResult;
use crate::sandbox::rehearsal::links::{Role, path_of};
use crate::sandbox::rehearsal::marking::{mark, probed_at};
use crate::sandbox::rehearsal::prompts;
use crate::sandbox::rehearsal::session::{NOTE_CHARS_MAX, Pair, PartnerStage, Session, THROWN_MAX, curveballs};

/// How many follow-ups a partner can choose from.
const CHOICES_MAX: usize = 3;

/// The keys of the observables, in their order. There are at most 24.
const TICK_KEYS: &str = "abcdefghijklmnopqrstuvwx";

/// What the service knows of the other person's page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Companion {
    /// Whether the partner's page is open.
    pub is_present: bool,
    /// The address at which other machines reach the link; `None`: that of the page.
    pub base: Option<String>,
}

/// What the candidate's page shows of the partner; null without one.
pub fn partner_of(content: &Content, session: &Session, companion: &Companion) -> Value {
    let Some(pair) = &session.pair else { return Value::Null };
    let thrown = pair.thrown.iter().filter_map(|thrown| {
        let ball = content.curveball(&thrown.curveball)?;
        Some(json!({"title": ball.title, "text": ball.text, "phase": thrown.phase, "at_s": thrown.at_s}))
    });
    json!({
        "is_present": companion.is_present,
        "is_handed_in": pair.is_handed_in,
        // The partner of a guest has the link already, on the machine of the session.
        "path": (!pair.is_guest).then(|| path_of(Role::Partner, &session.id, &pair.keys)),
        "base": companion.base,
        "thrown": thrown.collect::<Vec<_>>(),
        "is_swapped": pair.swap.is_some(),
    })
}

/// A session as the partner's page shows it; null without a partner.
pub fn partner_view(content: &Content, session: &Session, results: &[LabResult], at: MachineTime) -> Value {
    let (Some(pair), Some(stage)) = (&session.pair, session.partner_stage()) else { return Value::Null };
    let setup = &session.setup;
    let cut = content.cut(&setup.cut);
    let estimates = cut.map(|cut| cut.estimates.as_slice()).unwrap_or_default();
    let numbers = estimates.iter().filter_map(|id| content.estimate(id));
    let constraint = content.constraints.iter().find(|one| one.id == session.drawn.constraint);
    let phases = session.phases.iter().enumerate();
    let is_marking = stage == PartnerStage::Marking;
    let mut shown = json!({
        "stage": stage,
        "setup": setup,
        "cut": cut.map(|cut| &cut.title),
        "level": content.level(&setup.level).map(|level| &level.title),
        "question": content.session.question,
        "constraint": constraint.map(|one| json!({"title": one.title, "text": one.text})),
        "given": content.session.given,
        "candidate_is_present": session.candidate_is_present(at),
        "elapsed_ms": session.elapsed_ms_at(at),
        "total_s": session.total_s(),
        "phases": phases.map(|(index, phase)| phase_line(session, index, phase)).collect::<Vec<_>>(),
        "cards": cards(session),
        "numbers": numbers.map(|one| json!({"id": one.id, "ask": one.ask, "unit": one.unit})).collect::<Vec<_>>(),
        "prompts": session.prompts.iter().map(|asked| prompt(content, asked, true)).collect::<Vec<_>>(),
        "ticks": pair.ticks,
        "observables": observables(content, session, pair),
        "curveballs": balls(content, session, pair),
        "now": session.current().map(|phase| now(content, session, phase)),
        "briefing": content.partner.briefing,
        "silence": content.partner.silence,
        "is_swapped": pair.swap.is_some(),
    });
    if is_marking {
        shown["marking"] = marking(content, session, &pair.ticks);
        shown["communication"] = json!({"levels": content.partner.communication, "points": pair.communication});
        shown["note"] = json!({"text": pair.note, "chars_max": NOTE_CHARS_MAX});
    }
    if stage == PartnerStage::Done {
        shown["result"] = result(content, session, &mark(content, session, results));
    }
    shown
}

/// What can be ticked, with its key.
fn observables(content: &Content, session: &Session, pair: &Pair) -> Vec<Value> {
    let current = session.current().and_then(|phase| session.phases.get(phase));
    let is_of_now = |one: &Observable| {
        let dive = content.question(&one.probe).and_then(|question| question.dive.as_ref());
        current.is_some_and(|now| one.phase == now.phase && (now.dive.is_none() || now.dive.as_ref() == dive))
    };
    let lines = in_order(content, session).into_iter().zip(TICK_KEYS.chars()).map(|(one, key)| {
        let tick = pair.ticks.iter().find(|tick| tick.observable == one.id);
        json!({
            "id": one.id, "claim": one.claim, "key": key, "is_of_now": is_of_now(one),
            "probed_s": probed_at(session, &one.probe),
            "shown": tick.map(|tick| tick.shown), "at_s": tick.and_then(|tick| tick.at_s),
        })
    });
    lines.collect()
}

/// The curveballs, each with its digit.
fn balls(content: &Content, session: &Session, pair: &Pair) -> Vec<Value> {
    let is_over = pair.thrown.len() >= THROWN_MAX;
    let lines = curveballs(content, session).zip('1'..='9').map(|(ball, key)| {
        let thrown = pair.thrown.iter().find(|thrown| thrown.curveball == ball.id);
        json!({
            "id": ball.id, "title": ball.title, "text": ball.text, "good": ball.good, "key": key,
            "at_s": thrown.map(|thrown| thrown.at_s), "can_be_used": thrown.is_none() && !is_over,
        })
    });
    lines.collect()
}

/// The current phase, with the follow-ups to read aloud.
fn now(content: &Content, session: &Session, index: usize) -> Value {
    let phase = &session.phases[index];
    let upcoming = prompts::upcoming(content, session, index);
    let why_none = upcoming.as_ref().err();
    let choices = upcoming.iter().flatten().take(CHOICES_MAX);
    let choices = choices.map(|one| json!({"id": one.id, "prompt": one.prompt, "good": one.good}));
    let bet = phase.bet.as_deref().and_then(|lab| content.bet(lab));
    let ball = curveball(content, session, phase);
    json!({
        "phase": index,
        "title": phase.title,
        "ask": phase.ask,
        "seconds": phase.seconds,
        "entered_s": session.entered_s.get(index),
        "choices": choices.collect::<Vec<_>>(),
        "why_no_prompt": why_none,
        "bet": bet.map(|bet| json!({
            "question": bet.question, "unit": bet.unit,
            "placed": session.bets.iter().find(|placed| placed.lab == bet.lab).map(|placed| placed.value),
        })),
        "curveball": ball.map(|ball| json!({"title": ball.title, "text": ball.text, "good": ball.good})),
    })
}
