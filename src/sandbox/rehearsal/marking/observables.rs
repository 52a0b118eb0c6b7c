//! Marks with evidence: missed unless a card or a time of the recording shows it.

use serde::Serialize;

use crate::sandbox::rehearsal::content::{CardKind, Content, Observable, Weight, is_for};
use crate::sandbox::rehearsal::session::{Session, Shown, Tick};

/// What became of an observable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ObservableState {
    /// Shown without being asked.
    Unprompted,
    /// Shown after the follow-up.
    Probed,
    /// Not shown.
    Missed,
    /// Not shown, and of a deep dive that this session did not have.
    NotReached,
}

/// The mark of an observable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ObservableMark {
    /// The name.
    pub id: String,
    /// Whether it is wrong.
    pub falsehood: bool,
    /// The dimension.
    pub dimension: String,
    /// Breadth or depth.
    pub weight: Weight,
    /// What was said.
    pub claim: String,
    /// The mark. A falsehood that was not ticked is `Missed`, and that is right.
    pub state: ObservableState,
    /// The card or the time that shows it.
    pub evidence: String,
    /// Why it matters.
    pub why: String,
    /// A sentence for the next time.
    pub say: String,
    /// When its follow-up was asked, seconds.
    pub probed_s: Option<u32>,
    /// Where to read on.
    pub link: String,
    /// The next step.
    pub next: String,
}

/// The observables that count in a session, in the order of the content.
pub fn expected<'a>(content: &'a Content, session: &Session) -> impl Iterator<Item = &'a Observable> {
    let cut = session.setup.cut.clone();
    content.observables.iter().filter(move |observable| is_for(&observable.cuts, &cut))
}

/// Checks a mark: it needs evidence, and what follows the follow-up is not unprompted.
///
/// # Errors
/// What is wrong with it.
pub fn check_tick(content: &Content, session: &Session, tick: &Tick) -> Result<(), String> {
    let name = &tick.observable;
    let Some(observable) = expected(content, session).find(|observable| observable.id == *name) else {
        return Err(format!("`{name}` does not count in this session"));
    };
    let Some(shown_s) = shown_at(session, tick) else {
        return Err(format!("`{name}` needs a locked card or a time of this session as its evidence"));
    };
    let probed_s = probed_at(session, &observable.probe);
    if tick.shown == Shown::Unprompted && probed_s.is_some_and(|probed_s| probed_s < shown_s) {
        return Err(format!("`{name}` was shown after its follow-up, so it is not unprompted"));
    }
    Ok(())
}

/// The second at which a mark's evidence was there.
fn shown_at(session: &Session, tick: &Tick) -> Option<u32> {
    match (tick.card, tick.at_s) {
        (Some(card), _) => session.cards.get(card).filter(|card| card.locked_s.is_some()).map(|card| card.begun_s),
        (None, Some(at_s)) => (at_s <= session.elapsed_s()).then_some(at_s),
        (None, None) => None,
    }
}

/// The second at which a follow-up was asked.
pub fn probed_at(session: &Session, question: &str) -> Option<u32> {
    session.prompts.iter().find(|asked| asked.question == question).map(|asked| asked.asked_s)
}

/// The marks of all observables that count.
pub(super) fn marks(content: &Content, session: &Session) -> Vec<ObservableMark> {
    expected(content, session).map(|observable| mark(content, session, observable)).collect()
}

fn mark(content: &Content, session: &Session, observable: &Observable) -> ObservableMark {
    let tick = session.ticks.iter().find(|tick| tick.observable == observable.id);
    let dive = content.question(&observable.probe).and_then(|question| question.dive.as_ref());
    let is_reached = dive.is_none_or(|dive| session.drawn.dives.contains(dive));
    let state = match tick {
        Some(tick) if tick.shown == Shown::Unprompted => ObservableState::Unprompted,
        Some(_) => ObservableState::Probed,
        None if is_reached => ObservableState::Missed,
        None => ObservableState::NotReached,
    };
    ObservableMark {
        id: observable.id.clone(),
        falsehood: observable.falsehood,
        dimension: observable.dimension.clone(),
        weight: observable.weight,
        claim: observable.claim.clone(),
        state,
        evidence: tick.map(|tick| evidence(session, tick)).unwrap_or_default(),
        why: observable.why.clone(),
        say: observable.say.clone(),
        probed_s: probed_at(session, &observable.probe),
        link: observable.link.clone(),
        next: observable.next.clone(),
    }
}

/// The evidence in words: "card 3, endpoints, at 12:40", "card 5 at 20:10: I use …", or "recording at 31:02".
fn evidence(session: &Session, tick: &Tick) -> String {
    let Some(card) = tick.card.and_then(|card| session.cards.get(card)) else {
        return format!("recording at {}", clock(tick.at_s.unwrap_or_default()));
    };
    let (number, at) = (tick.card.unwrap_or_default() + 1, clock(card.begun_s));
    let kind = match card.kind {
        // A list of several lines is not quoted: its first words are seldom the ones that count.
        CardKind::Requirements => "requirements",
        CardKind::Numbers => "numbers",
        CardKind::Endpoints => "endpoints",
        CardKind::Tables => "tables",
        CardKind::Prediction => "prediction",
        CardKind::Decision => {
            let chosen = card.fields.get("use").map_or("…", |text| text.trim());
            return format!("card {number} at {at}: I use {}", shortened(chosen));
        }
    };
    format!("card {number}, {kind}, at {at}")
}

/// The most characters of a card that a report quotes.
const QUOTE_CHARS_MAX: usize = 80;

fn shortened(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(QUOTE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// Seconds as "12:40".
pub fn clock(seconds: u32) -> String {
    format!("{}:{:02}", seconds / 60, seconds % 60)
}
