//! The sections of the report after its head. Each is empty if there is nothing to say.

use super::advice::Advice;
use crate::sandbox::rehearsal::content::{CardKind, Content};
use crate::sandbox::rehearsal::marking::{BetMark, Marks, NumberMark, NumberState, ObservableState, clock};
use crate::sandbox::rehearsal::session::Session;
use crate::sandbox::rehearsal::store::Summary;

/// The most lines of a list, so that the report stays one page.
const LINES_MAX: usize = 6;

fn section(title: &str, lines: Vec<String>) -> String {
    if lines.is_empty() { String::new() } else { format!("## {title}\n\n{}\n", lines.join("\n")) }
}

/// A table cell: one line, without what would end the cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A next step: commands in code style.
fn step(next: &str) -> String {
    if next.starts_with("cargo ") || next.starts_with("curl ") { format!("`{next}`") } else { next.to_owned() }
}

pub(super) fn advice(advice: &[Advice]) -> String {
    let lines = advice.iter().enumerate().map(|(index, one)| {
        let Advice { say, missed, evidence, link, next } = one;
        format!(
            "{}. “{say}”\n   - {} {}\n   - Read `{link}`. Next: {}",
            index + 1,
            cell(missed),
            cell(evidence),
            step(next)
        )
    });
    section("Say next time", lines.collect())
}

pub(super) fn dimensions(marks: &Marks) -> String {
    let mut lines = vec![
        "| dimension | of 100 | breadth | depth | expected at your level |".to_owned(),
        "| --- | --- | --- | --- | --- |".to_owned(),
    ];
    for one in &marks.dimensions {
        let points = |(got, of): (f64, f64)| if of > 0.0 { format!("{got} of {of}") } else { "–".to_owned() };
        let percent = one.percent.map_or("–".to_owned(), |percent| percent.to_string());
        let cost = if one.falsehoods > 0 { format!(", {} false", one.falsehoods) } else { String::new() };
        lines.push(format!(
            "| {} | {percent}{cost} | {} | {} | {} |",
            one.title,
            points(one.breadth),
            points(one.depth),
            one.anchor
        ));
    }
    section("Dimensions", lines)
}

pub(super) fn timeline(session: &Session) -> String {
    let mut lines = vec![
        "| phase | planned | taken | cards | follow-ups |".to_owned(),
        "| --- | --- | --- | --- | --- |".to_owned(),
    ];
    for (index, phase) in session.phases.iter().enumerate() {
        let count = |phases: Vec<usize>| phases.into_iter().filter(|own| *own == index).count();
        let taken = session.entered_s.get(index).map_or("not reached".to_owned(), |begun_s| {
            let end_s = session.entered_s.get(index + 1).copied().unwrap_or_else(|| session.elapsed_s());
            let over = end_s.saturating_sub(*begun_s).saturating_sub(phase.seconds);
            let taken = clock(end_s.saturating_sub(*begun_s));
            if over > 0 { format!("{taken}, {} over", clock(over)) } else { taken }
        });
        lines.push(format!(
            "| {} | {} | {taken} | {} | {} |",
            phase.title,
            clock(phase.seconds),
            count(session.cards.iter().map(|card| card.phase).collect()),
            count(session.prompts.iter().map(|prompt| prompt.phase).collect()),
        ));
    }
    section("Timeline", lines)
}

pub(super) fn numbers(marks: &Marks) -> String {
    section("Numbers", marks.numbers.iter().map(number).collect())
}

fn number(mark: &NumberMark) -> String {
    let verdict = match (mark.state, mark.off_by) {
        (NumberState::Right, _) => "right".to_owned(),
        (NumberState::Near, Some(factor)) => format!("near: off by {factor:.1}"),
        (NumberState::Wrong, Some(factor)) => format!("off by {factor:.0}"),
        (NumberState::Missing, _) => "no number".to_owned(),
        _ => "out of range".to_owned(),
    };
    let written = if mark.written.is_empty() { "–" } else { mark.written.as_str() };
    format!("- {}: you wrote {}, {verdict}. {}", mark.ask, cell(written), mark.words)
}

pub(super) fn bets(marks: &Marks) -> String {
    let settled: Vec<_> = marks.bets.iter().filter_map(|mark| mark.is_right).collect();
    let right = settled.iter().filter(|is_right| **is_right).count();
    let mut lines: Vec<_> = marks.bets.iter().map(bet).collect();
    if !settled.is_empty() {
        lines.push(format!("- Calibration: {right} of {} settled bets right.", settled.len()));
    }
    section("Bets", lines)
}

fn bet(mark: &BetMark) -> String {
    let BetMark { question, value, unit, command, .. } = mark;
    match (&mark.result, mark.is_right) {
        (Some(result), Some(is_right)) => {
            let verdict = if is_right { "right" } else { "wrong" };
            let from = if result.commit.is_empty() { String::new() } else { format!(", commit {}", result.commit) };
            format!(
                "- {question} You: {value} {unit}. Measured: {} ({}{from}): **{verdict}**, within a factor of {}.",
                result.answer.value, mark.lab, mark.within
            )
        }
        _ => format!("- {question} You: {value} {unit}. Open: `{command}` settles it."),
    }
}

pub(super) fn follow_ups(content: &Content, session: &Session) -> String {
    let asked = session.prompts.iter().filter_map(|asked| Some((asked, content.question(&asked.question)?)));
    let missed = asked.filter(|(asked, _)| asked.answered_s.is_none_or(|end_s| end_s < asked.asked_s + SHORT_S));
    let lines = missed.take(LINES_MAX).map(|(asked, question)| {
        let link = question.links.first().map(|link| format!(" `{link}`")).unwrap_or_default();
        format!("- {} “{}” Good: {}{link}", clock(asked.asked_s), question.prompt, question.good)
    });
    section("Follow-ups that you passed over", lines.collect())
}

/// An answer that is shorter is none, seconds.
const SHORT_S: u32 = 10;

pub(super) fn evidence(marks: &Marks) -> String {
    let ticked = marks.observables.iter().filter(|mark| !mark.evidence.is_empty());
    let lines = ticked.map(|mark| {
        let how = if mark.state == ObservableState::Unprompted { "unprompted" } else { "after the follow-up" };
        let wrong = if mark.falsehood { ", and wrong" } else { "" };
        format!("- {} {how}{wrong} ({}).", mark.claim, cell(&mark.evidence))
    });
    section("Shown, with evidence", lines.collect())
}

pub(super) fn bias(marks: &Marks) -> String {
    let lines = marks.canned.iter().map(|mark| {
        let word = |passes: bool| if passes { "passes" } else { "does not pass" };
        let (many, few) = (mark.too_many.len(), mark.too_few.len());
        let tendency = match many.cmp(&few) {
            std::cmp::Ordering::Greater => "You give more than was shown: read your own marks again.",
            std::cmp::Ordering::Less => "You overlook what was shown.",
            std::cmp::Ordering::Equal => "No tendency.",
        };
        format!(
            "- {} {}; you said it {}. Of {}: {many} ticked too many, {few} too few. {tendency}",
            mark.title,
            word(mark.passes),
            word(mark.said),
            mark.judged
        )
    });
    section("How you mark", lines.collect())
}

pub(super) fn curveball(content: &Content, session: &Session) -> String {
    let Some(ball) = content.curveballs.iter().find(|ball| ball.id == session.drawn.curveball) else {
        return String::new();
    };
    let card = session.cards.iter().find(|card| card.kind == CardKind::Prediction);
    let predicted = card.and_then(|card| card.fields.get("text")).map_or("nothing", |text| text.as_str());
    let lines = vec![
        format!("{}: {}", ball.title, ball.text),
        String::new(),
        format!("- You predicted: {}", cell(predicted)),
        format!("- Good: {}", ball.good),
        format!("- See it at the running demo: `{}`. {} `{}`", ball.fire, ball.watch, ball.link),
    ];
    section("Curveball", lines)
}

/// `this` is the session itself.
pub(super) fn trend(this: &Summary, earlier: &[Summary]) -> String {
    if earlier.is_empty() {
        return String::new();
    }
    let skipped = earlier.len().saturating_sub(LINES_MAX - 1);
    let lines = earlier.iter().skip(skipped).chain([this]).map(|one| {
        let day = one.created_at.utc().format("%Y-%m-%d");
        format!("- {day} {} ({}, {} min): {} of 100", one.cut, one.level, one.minutes, one.percent.unwrap_or_default())
    });
    section("Trend", lines.collect())
}
