//! What the page shows of a session: nothing before its time. No question before its cards are locked, no answer before the
//! interview is over, no observable before the marking, no result before its bet. Pure.

mod partner;

use serde_json::{Value, json};

use super::content::{CardKind, Content, Curveball, Observable};
use super::labs::LabResult;
use super::marking::{Marks, expected, gap, mark};
use super::prompts;
use super::report::advice;
use super::schedule::PlannedPhase;
use super::session::{INTERRUPTION_S, Session, Stage, Tick};
use super::store::Summary;

pub use partner::{Companion, partner_of, partner_view};

/// What the start page shows: what can be chosen, and the plan.
pub fn choices(content: &Content) -> Value {
    let phases = content.session.phase.iter().map(|phase| json!({"title": phase.title, "minutes": phase.minutes}));
    let levels = content.session.level.iter();
    let levels = levels.map(|level| {
        json!({"id": level.id, "title": level.title, "dives": level.dives, "breadth": level.breadth, "depth": level.depth})
    });
    let cuts = content.session.cut.iter();
    let cuts = cuts.map(|cut| json!({"id": cut.id, "title": cut.title, "where": cut.asked_at, "brief": cut.brief}));
    json!({
        "question": content.session.question,
        "lengths": content.session.lengths,
        "cuts": cuts.collect::<Vec<_>>(),
        "levels": levels.collect::<Vec<_>>(),
        "phases": phases.collect::<Vec<_>>(),
        "plan": content.plan,
        "questions": content.questions.len(),
    })
}

/// A session as the page shows it. `results` are those of the labs of its bets; they are used only when the session is done.
pub fn view(content: &Content, session: &Session, results: &[LabResult]) -> Value {
    let cut = content.cut(&session.setup.cut);
    let constraint = content.constraints.iter().find(|one| one.id == session.drawn.constraint);
    let is_over = !matches!(session.stage, Stage::Ready | Stage::Interview);
    json!({
        "id": session.id,
        "setup": session.setup,
        "stage": session.stage,
        "elapsed_ms": session.clock.elapsed_ms,
        "total_s": session.total_s(),
        "interruptions": session.clock.interruptions,
        "interruption_s": INTERRUPTION_S,
        "question": content.session.question,
        "brief": cut.map(|cut| &cut.brief),
        "cut": cut.map(|cut| &cut.title),
        "level": content.level(&session.setup.level).map(|level| &level.title),
        "constraint": constraint.map(|one| json!({"title": one.title, "text": one.text})),
        "given": content.session.given,
        "phases": session.phases.iter().enumerate().map(|(index, phase)| phase_line(session, index, phase)).collect::<Vec<_>>(),
        "cards": cards(session),
        "prompts": session.prompts.iter().map(|asked| prompt(content, asked, is_over)).collect::<Vec<_>>(),
        "bets": session.bets,
        "now": session.current().map(|phase| now(content, session, phase)),
        "canned": (session.stage == Stage::Canned).then(|| next_canned(content, session)),
        "marking": (session.stage == Stage::Marking).then(|| marking(content, session, &session.ticks)),
        "result": (session.stage == Stage::Done).then(|| result(content, session, &mark(content, session, results))),
    })
}

fn cards(session: &Session) -> Vec<Value> {
    let cards = session.cards.iter().enumerate();
    let cards = cards.map(|(index, card)| {
        json!({
            "number": index, "kind": card.kind, "phase": card.phase, "fields": card.fields,
            "begun_s": card.begun_s, "locked_s": card.locked_s,
        })
    });
    cards.collect()
}

fn phase_line(session: &Session, index: usize, phase: &PlannedPhase) -> Value {
    let is_entered = index < session.entered_s.len();
    // The topic of a later deep dive would help in an earlier phase.
    let title = if is_entered || phase.dive.is_none() { phase.title.as_str() } else { "Deep dive" };
    json!({"title": title, "seconds": phase.seconds, "entered_s": session.entered_s.get(index)})
}

fn prompt(content: &Content, asked: &super::session::AskedPrompt, is_over: bool) -> Value {
    let question = content.question(&asked.question);
    json!({
        "phase": asked.phase,
        "prompt": question.map(|question| &question.prompt),
        "asked_s": asked.asked_s,
        "answered_s": asked.answered_s,
        "good": question.filter(|_| is_over).map(|question| &question.good),
        "links": question.filter(|_| is_over).map(|question| &question.links),
        "lab": question.filter(|_| is_over).and_then(|question| question.lab.as_ref()),
    })
}

/// The current phase.
fn now(content: &Content, session: &Session, index: usize) -> Value {
    let phase = &session.phases[index];
    let bet = phase.bet.as_deref().and_then(|lab| content.bet(lab));
    let estimates = content.cut(&session.setup.cut).map(|cut| cut.estimates.as_slice()).unwrap_or_default();
    let numbers = estimates.iter().filter_map(|id| content.estimate(id));
    let ball = curveball(content, session, phase);
    json!({
        "phase": index,
        "title": phase.title,
        "ask": phase.ask,
        "seconds": phase.seconds,
        "entered_s": session.entered_s[index],
        "is_last": index + 1 == session.phases.len(),
        "cards": phase.cards,
        "planned_prompts": phase.prompts,
        "why_no_prompt": prompts::next(content, session, index).err(),
        "numbers": phase.cards.contains(&CardKind::Numbers).then(|| {
            numbers.map(|one| json!({"id": one.id, "ask": one.ask, "unit": one.unit})).collect::<Vec<_>>()
        }),
        "bet": bet.map(|bet| json!({
            "lab": bet.lab, "question": bet.question, "unit": bet.unit, "min": bet.min, "max": bet.max,
            "placed": session.bets.iter().find(|placed| placed.lab == bet.lab).map(|placed| placed.value),
        })),
        "curveball": ball.map(|ball| json!({"title": ball.title, "text": ball.text})),
    })
}

/// The curveball of a phase that asks for a prediction.
fn curveball<'a>(content: &'a Content, session: &Session, phase: &PlannedPhase) -> Option<&'a Curveball> {
    content.curveball(&session.drawn.curveball).filter(|_| phase.cards.contains(&CardKind::Prediction))
}

/// The next canned answer to mark. Which marks are right is shown in the report.
fn next_canned(content: &Content, session: &Session) -> Value {
    let next = content.canned.iter().find(|answer| session.canned.iter().all(|own| own.id != answer.id));
    let claims = |answer: &super::content::Canned| {
        let offered = answer.offered.iter().filter_map(|id| content.observable(id));
        offered.map(|one| json!({"id": one.id, "claim": one.claim})).collect::<Vec<_>>()
    };
    json!(next.map(|answer| json!({
        "id": answer.id, "title": answer.title, "text": answer.text, "observables": claims(answer),
        "number": session.canned.len() + 1, "of": content.canned.len(),
    })))
}

/// The observables of a session in the order of the phases.
fn in_order<'a>(content: &'a Content, session: &Session) -> Vec<&'a Observable> {
    let phase_at = |id: &str| content.session.phase.iter().position(|phase| phase.id == id);
    let mut sorted: Vec<_> = expected(content, session).collect();
    sorted.sort_by_key(|one| (phase_at(&one.phase), super::schedule::order_of(session.setup.seed, &one.id)));
    sorted
}

/// The observables to tick; which are falsehoods is not said.
fn marking(content: &Content, session: &Session, ticks: &[Tick]) -> Value {
    let lines = in_order(content, session).into_iter().map(|one| {
        let probe = content.question(&one.probe);
        let asked = session.prompts.iter().find(|asked| asked.question == one.probe);
        let phase = content.session.phase.iter().find(|phase| phase.id == one.phase);
        json!({
            "id": one.id, "claim": one.claim, "phase": phase.map(|phase| &phase.title),
            "probe": probe.map(|question| &question.prompt), "probed_s": asked.map(|asked| asked.asked_s),
        })
    });
    json!({"observables": lines.collect::<Vec<_>>(), "ticks": ticks})
}

fn result(content: &Content, session: &Session, marks: &Marks) -> Value {
    let ball = content.curveball(&session.drawn.curveball);
    let constraint = content.constraints.iter().find(|one| one.id == session.drawn.constraint);
    json!({
        "marks": marks, "advice": advice(content, session, marks), "gap": gap(content, session, marks),
        "curveball": ball, "constraint": constraint,
    })
}

/// What a list says of a session.
pub fn summary(content: &Content, session: &Session, results: &[LabResult]) -> Summary {
    let is_done = session.stage == Stage::Done;
    Summary::of(content, session, is_done.then(|| mark(content, session, results).percent))
}
