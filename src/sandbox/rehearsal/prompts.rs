//! Which follow-up comes next: it depends on what was written. Pure.

use super::content::{Content, Question, is_for};
use super::schedule::{PlannedPhase, order_of};
use super::session::Session;

/// The most follow-ups of a phase.
pub const PROMPTS_MAX: usize = 6;

const NO_MORE: &str = "There are no more follow-ups in this phase. Go on.";

/// How well a question fits what was written. Less is asked earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    /// It is about something that was written.
    Said,
    /// It is about something that is missing.
    Missing,
    /// It fits always.
    Neutral,
    /// It is about something that was not written, or is about a gap that there is not.
    Apart,
}

/// Returns the next follow-up of a phase.
///
/// # Errors
/// Why there is none.
pub fn next<'a>(content: &'a Content, session: &Session, phase: usize) -> Result<&'a Question, &'static str> {
    upcoming(content, session, phase)?.into_iter().next().ok_or(NO_MORE)
}

/// Returns the follow-ups of a phase that were not asked, best first.
///
/// # Errors
/// Why there is none.
pub fn upcoming<'a>(content: &'a Content, session: &Session, phase: usize) -> Result<Vec<&'a Question>, &'static str> {
    let planned = session.phases.get(phase).ok_or("There is no such phase.")?;
    if !session.cards_are_locked(phase) {
        return Err("Lock the cards of this phase first: a follow-up may give an answer away.");
    }
    if session.prompts.iter().filter(|asked| asked.phase == phase).count() >= PROMPTS_MAX {
        return Err(NO_MORE);
    }
    let written = written(session);
    let seed = session.setup.seed;
    let asked = |question: &Question| session.prompts.iter().any(|asked| asked.question == question.id);
    let mut fitting: Vec<_> = askable(content, session, planned).filter(|question| !asked(question)).collect();
    fitting.sort_by_key(|question| (fit(question, &written), order_of(seed, &question.id)));
    if fitting.is_empty() { Err(NO_MORE) } else { Ok(fitting) }
}

/// The questions that can be asked in a phase of a session.
fn askable<'a>(content: &'a Content, session: &Session, planned: &PlannedPhase) -> impl Iterator<Item = &'a Question> {
    let depth_max = content.level(&session.setup.level).map_or(0, |level| level.depth_max);
    let (cut, phase, dive) = (session.setup.cut.clone(), planned.phase.clone(), planned.dive.clone());
    content.questions.iter().filter(move |question| {
        question.phase == phase && question.dive == dive && question.depth <= depth_max && is_for(&question.cuts, &cut)
    })
}

/// Everything on locked cards, in lower case.
fn written(session: &Session) -> String {
    let locked = session.cards.iter().filter(|card| card.locked_s.is_some());
    let texts: Vec<_> = locked.flat_map(|card| card.fields.values()).map(|text| text.to_lowercase()).collect();
    texts.join("\n")
}

fn fit(question: &Question, written: &str) -> Fit {
    let has = |words: &[String]| words.iter().any(|word| written.contains(word.as_str()));
    match (question.when.is_empty(), question.unless.is_empty()) {
        (false, _) if has(&question.when) => Fit::Said,
        (_, false) if !has(&question.unless) => Fit::Missing,
        (true, true) => Fit::Neutral,
        _ => Fit::Apart,
    }
}
