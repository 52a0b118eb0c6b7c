//! Three things to say next time, each from something that was observed. Pure.

use serde::Serialize;

use crate::sandbox::rehearsal::content::{Content, Weight, is_for};
use crate::sandbox::rehearsal::marking::{Marks, NumberState, ObservableMark, ObservableState, clock};
use crate::sandbox::rehearsal::session::Session;

/// How many there are.
pub const ADVICE_MAX: usize = 3;

/// One thing to say next time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Advice {
    /// The sentence, worded as speech.
    pub say: String,
    /// What was observed.
    pub missed: String,
    /// The evidence for it.
    pub evidence: String,
    /// Where to read on.
    pub link: String,
    /// One drill, lab or exercise.
    pub next: String,
}

/// The next step after a wrong number: a lab whose answer is a number of the same kind.
pub const AFTER_A_NUMBER: &str = "cargo lab run position-writes";

/// The next step after a card without what a rule asks for: a drill about the API.
pub const AFTER_A_RULE: &str = "cargo drill start 10";

/// The most useful three: falsehoods first, then what a gate needs, then misses, those with more weight at the level first.
pub fn advice(content: &Content, session: &Session, marks: &Marks) -> Vec<Advice> {
    let breadth_first = content.level(&session.setup.level).is_none_or(|level| level.breadth >= level.depth);
    let gates = content.marking.gate.iter().filter(|gate| is_for(&gate.cuts, &session.setup.cut));
    let needed: Vec<_> = gates.flat_map(|gate| &gate.requires_any).collect();
    let rank = |mark: &ObservableMark| match mark {
        mark if mark.falsehood => 0,
        mark if needed.contains(&&mark.id) => 1,
        mark if mark.state == ObservableState::Probed => 5,
        mark if mark.probed_s.is_some() => 2,
        mark if (mark.weight == Weight::Breadth) == breadth_first => 3,
        _ => 4,
    };
    let mut misses: Vec<_> = marks.observables.iter().filter(|mark| is_miss(mark)).collect();
    misses.sort_by_key(|mark| rank(mark));
    let numbers = marks.numbers.iter().filter(|mark| mark.state != NumberState::Right).map(|mark| Advice {
        say: mark.words.clone(),
        missed: format!("{}: {} to {} {} is accepted.", mark.ask, mark.low, mark.high, mark.unit),
        evidence: if mark.written.is_empty() {
            "No number was written.".to_owned()
        } else {
            format!("You wrote “{}”.", mark.written)
        },
        link: "docs/book/02-estimates.md".to_owned(),
        next: AFTER_A_NUMBER.to_owned(),
    });
    let rules = marks.rules.iter().filter(|mark| !mark.holds).map(|mark| Advice {
        say: mark.claim.clone(),
        missed: format!("{} {}", mark.claim, mark.why),
        evidence: "The card does not have it.".to_owned(),
        link: mark.link.clone(),
        next: AFTER_A_RULE.to_owned(),
    });
    let mut found: Vec<Advice> = Vec::new();
    for one in misses.into_iter().map(of_observable).chain(numbers).chain(rules) {
        // One step each: three sentences with the same lab would be one.
        if found.len() < ADVICE_MAX && found.iter().all(|other| other.next != one.next) {
            found.push(one);
        }
    }
    found
}

/// Whether something is to be said about an observable: a miss, a ticked falsehood, or something that needed its follow-up.
fn is_miss(mark: &ObservableMark) -> bool {
    match mark.state {
        ObservableState::NotReached => false,
        ObservableState::Missed => !mark.falsehood,
        ObservableState::Probed => true,
        ObservableState::Unprompted => mark.falsehood,
    }
}

fn of_observable(mark: &ObservableMark) -> Advice {
    let missed = match (mark.falsehood, mark.state) {
        (true, _) => format!("Sounds right and is wrong: {} {}", mark.claim, mark.why),
        (false, ObservableState::Probed) => format!("Only after the follow-up: {}", mark.claim),
        (false, _) => format!("Not shown: {}", mark.claim),
    };
    let evidence = match (mark.evidence.is_empty(), mark.probed_s) {
        (false, _) => format!("Your mark: {}.", mark.evidence),
        (true, Some(at_s)) => format!("Asked at {}, and you marked nothing.", clock(at_s)),
        (true, None) => "No card and no time shows it.".to_owned(),
    };
    Advice { say: mark.say.clone(), missed, evidence, link: mark.link.clone(), next: mark.next.clone() }
}
