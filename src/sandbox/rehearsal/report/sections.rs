//! The sections of the report after its head. Each is empty if there is nothing to say. What a person typed is quoted in a few words.

use super::advice::Advice;
use super::one_page::{Section, excerpt};
use crate::sandbox::rehearsal::content::{CardKind, Content};
use crate::sandbox::rehearsal::marking::{
    BetMark, Gap, Marks, NumberMark, NumberState, ObservableMark, ObservableState, clock,
};
use crate::sandbox::rehearsal::session::{AskedPrompt, COMMUNICATION_MAX, Session};
use crate::sandbox::rehearsal::store::Summary;

/// A next step: commands in code style.
fn step(next: &str) -> String {
    if next.starts_with("cargo ") || next.starts_with("curl ") { format!("`{next}`") } else { next.to_owned() }
}

/// A text of another person, without what Markdown would read as more than text.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    for c in text.chars() {
        if c.is_ascii_punctuation() && !",.;:?!'\"()-".contains(c) {
            plain.push('\\');
        }
        plain.push(c);
    }
    plain
}

pub(super) fn advice(advice: &[Advice]) -> Section {
    let lines = advice.iter().enumerate().map(|(index, one)| {
        let (missed, evidence) = (excerpt(&one.missed, 10), excerpt(&one.evidence, 9));
        let (number, say, link, next) = (index + 1, &one.say, &one.link, step(&one.next));
        format!("{number}. “{say}”\n   - {missed} {evidence}\n   - Read `{link}`. Next: {next}")
    });
    Section::whole("Say next time", lines.collect())
}

pub(super) fn partner(gap: Option<&Gap>, marks: &Marks) -> Section {
    let Some(gap) = gap else { return Section::whole("With your partner", Vec::new()) };
    let mut lines = vec![format!(
        "- Your partner gives {} of 100, you {}. The same mark on {} of {} lines.",
        gap.percent,
        marks.percent,
        gap.agreed,
        marks.observables.len()
    )];
    if let Some(points) = gap.communication {
        lines.push(format!("- Communication: {points} of {COMMUNICATION_MAX}."));
    }
    if !gap.note.trim().is_empty() {
        lines.push(format!("- “{}”", plain(&excerpt(&gap.note, 12))));
    }
    let least = lines.len();
    lines.extend(gap.observables.iter().map(|one| {
        let (candidate, partner) = (state(one.candidate), state(one.partner));
        format!("- {} You: {candidate}; your partner: {partner}.", excerpt(&one.claim, 8))
    }));
    Section::capped("With your partner", lines, (least, least + 5))
}

fn state(state: ObservableState) -> &'static str {
    match state {
        ObservableState::Unprompted => "unprompted",
        ObservableState::Probed => "after the follow-up",
        ObservableState::Missed => "missed",
        ObservableState::NotReached => "not reached",
    }
}

pub(super) fn timeline(session: &Session) -> Section {
    let lines = session.phases.iter().enumerate().map(|(index, phase)| {
        let Some(begun_s) = session.entered_s.get(index) else { return format!("- {}: not reached", phase.title) };
        let end_s = session.entered_s.get(index + 1).copied().unwrap_or_else(|| session.elapsed_s());
        let taken_s = end_s.saturating_sub(*begun_s);
        let late = if taken_s > phase.seconds { " (over)" } else { "" };
        let thrown = session.pair.iter().flat_map(|pair| &pair.thrown).filter(|thrown| thrown.phase == index);
        let thrown: String = thrown.map(|thrown| format!(", curveball at {}", clock(thrown.at_s))).collect();
        format!("- {}: {} of {}{late}{thrown}", phase.title, clock(taken_s), clock(phase.seconds))
    });
    Section::whole("Timeline", lines.collect())
}

pub(super) fn dimensions(marks: &Marks, gap: Option<&Gap>) -> Section {
    let percent = |percent: Option<u32>| percent.map_or("–".to_owned(), |percent| percent.to_string());
    let lines = marks.dimensions.iter().map(|one| {
        let cost = if one.falsehoods > 0 { format!(", {} false", one.falsehoods) } else { String::new() };
        let other = gap.and_then(|gap| gap.dimensions.iter().find(|other| other.id == one.id));
        let other = other.map(|other| format!(", partner {}", percent(other.partner))).unwrap_or_default();
        format!("- {}: {}{cost}{other}", one.title, percent(one.percent))
    });
    Section::whole("Dimensions", lines.collect())
}

/// An answer that is shorter is none, seconds.
const SHORT_S: u32 = 10;

/// Follow-ups without an answer, or whose answer did not show what was asked for.
pub(super) fn missed_probes(content: &Content, session: &Session, marks: &Marks) -> Section {
    let misses = |mark: &ObservableMark| !mark.falsehood && mark.state == ObservableState::Missed;
    let asks_for = |mark: &ObservableMark, question: &str| {
        content.observable(&mark.id).is_some_and(|observable| observable.probe == question)
    };
    let is_missed = |asked: &&AskedPrompt| {
        let is_short = asked.answered_s.is_none_or(|end_s| end_s < asked.asked_s + SHORT_S);
        is_short || marks.observables.iter().any(|mark| misses(mark) && asks_for(mark, &asked.question))
    };
    let lines = session.prompts.iter().filter(is_missed).filter_map(|asked| {
        let question = content.question(&asked.question)?;
        let link = question.links.first().map(|link| format!(" `{link}`")).unwrap_or_default();
        Some(format!("- {} “{}”{link}", clock(asked.asked_s), excerpt(&question.prompt, 10)))
    });
    Section::capped("Missed follow-ups", lines.collect(), (1, 4))
}

/// How far the candidate's numbers, bets and marks are from the right ones.
pub(super) fn calibration(marks: &Marks) -> Section {
    let settled: Vec<_> = marks.bets.iter().filter_map(|mark| mark.is_right).collect();
    let right_bets = settled.iter().filter(|is_right| **is_right).count();
    let right_numbers = marks.numbers.iter().filter(|mark| mark.state == NumberState::Right).count();
    let many: usize = marks.canned.iter().map(|mark| mark.too_many.len()).sum();
    let few: usize = marks.canned.iter().map(|mark| mark.too_few.len()).sum();
    let (bets, numbers) = (settled.len(), marks.numbers.len());
    let mut lines = vec![format!(
        "- Right: {right_bets} of {bets} settled bets, {right_numbers} of {numbers} numbers. Marking other answers: {many} \
         ticks too many, {few} too few."
    )];
    lines.extend(marks.bets.iter().map(bet));
    let least = lines.len();
    let wrong = marks.numbers.iter().filter(|mark| mark.state != NumberState::Right);
    lines.extend(wrong.map(number));
    let all = lines.len();
    Section::capped("Calibration", lines, (least, all))
}

fn bet(mark: &BetMark) -> String {
    let BetMark { lab, value, command, .. } = mark;
    match (&mark.result, mark.is_right) {
        (Some(result), Some(is_right)) => {
            let verdict = if is_right { "right" } else { "wrong" };
            let from = if result.commit.is_empty() { String::new() } else { format!(", commit {}", result.commit) };
            format!("- {lab}{from}: you {value}, measured {}: **{verdict}**.", result.answer.value)
        }
        _ => format!("- {lab}: you {value}, open: `{command}`"),
    }
}

fn number(mark: &NumberMark) -> String {
    let verdict = match (mark.state, mark.off_by) {
        (NumberState::Near, Some(factor)) => format!("near, off by {factor:.1}"),
        (_, Some(factor)) => format!("off by {factor:.0}"),
        (NumberState::Missing, _) => "no number".to_owned(),
        _ => "out of range".to_owned(),
    };
    let written = if mark.written.trim().is_empty() { "–".to_owned() } else { excerpt(&mark.written, 4) };
    format!("- {}: {written}, {verdict}; {} to {} is right.", excerpt(&mark.ask, 7), mark.low, mark.high)
}

pub(super) fn evidence(marks: &Marks) -> Section {
    let ticked = marks.observables.iter().filter(|mark| !mark.evidence.is_empty());
    let lines = ticked.map(|mark| {
        let wrong = if mark.falsehood { ", and wrong" } else { "" };
        let (claim, evidence) = (excerpt(&mark.claim, 6), excerpt(&mark.evidence, 6));
        format!("- {claim} {}{wrong} ({evidence})", state(mark.state))
    });
    Section::capped("Shown, with evidence", lines.collect(), (1, 8))
}

pub(super) fn curveballs(content: &Content, session: &Session) -> Section {
    let card = session.cards.iter().find(|card| card.kind == CardKind::Prediction);
    let predicted = card.and_then(|card| card.fields.get("text")).map_or("nothing", |text| text.as_str());
    let drawn = content
        .curveball(&session.drawn.curveball)
        .map(|ball| format!("- {}: you predicted “{}”. See it: `{}`", ball.title, excerpt(predicted, 8), ball.fire));
    let thrown = session.pair.iter().flat_map(|pair| &pair.thrown);
    let thrown = thrown.filter_map(|thrown| content.curveball(&thrown.curveball));
    let lines = drawn.into_iter().chain(thrown.map(|ball| format!("- {}: `{}`", ball.title, ball.link)));
    Section::capped("Curveballs", lines.collect(), (1, 4))
}

/// `this` is the session itself. The newest is first.
pub(super) fn trend(this: &Summary, earlier: &[Summary]) -> Section {
    if earlier.is_empty() {
        return Section::whole("Trend", Vec::new());
    }
    let lines = [this].into_iter().chain(earlier.iter().rev()).map(|one| {
        let day = one.created_at.utc().format("%Y-%m-%d");
        format!("- {day} {} ({}, {} min): {}", one.cut, one.level, one.minutes, one.percent.unwrap_or_default())
    });
    Section::capped("Trend", lines.collect(), (1, 5))
}
