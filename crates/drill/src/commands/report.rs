//! `report`.

use std::fmt::Write;

use launcher::clock;
use serde_json::json;

use super::{Context, Output, list, serve_page};
use crate::{
    Result,
    pack::load,
    session::{AttemptKind, Phase, Scoreboard, ScoreboardEntry, Session},
};

/// Shows the current drill and the scoreboard.
pub(super) fn run(context: &Context) -> Result<Output> {
    let session = Session::read(&context.paths)?;
    let board = Scoreboard::read(&context.paths)?;
    let mut text = String::new();
    if let Some(session) = &session {
        text.push_str(&of_session(context, session)?);
        text.push_str(&serve_page::report(context, session)?);
    }
    if !board.entries.is_empty() {
        text.push_str("\n## Scoreboard\n\n| drill | result | failed checks | diagnosis |\n| --- | --- | --- | --- |\n");
        for entry in &board.entries {
            let diagnosis = entry.diagnosis.map_or_else(|| "-".to_owned(), |points| format!("{points} of 3"));
            writeln!(text, "| {} | {} | {} | {diagnosis} |", entry.name, list::in_words(entry), entry.failed_checks)?;
        }
        text.push_str("\n| topic | solved | started |\n| --- | --- | --- |\n");
        for (topic, (solved, all)) in board.by_topic() {
            writeln!(text, "| {} | {solved} | {all} |", serde_json::to_value(topic)?.as_str().unwrap_or_default())?;
        }
    }
    if text.is_empty() {
        text = "nothing to report yet: `cargo drill start 1` starts the first drill".to_owned();
    }
    Ok(Output::of(text, json!({ "session": session, "scoreboard": board })))
}

/// The report of a session, in Markdown.
pub(super) fn of_session(context: &Context, session: &Session) -> Result<String> {
    let now = clock::now();
    let name = if session.blind && !session.has_ended() { "A blind drill" } else { &session.name };
    let state = match session.phase {
        Phase::Starting => "its start was interrupted",
        Phase::Open => "open",
        Phase::Solved => "solved",
        Phase::Revealed => "revealed",
    };
    let mut text = format!("# {name}: {state}\n\n");
    writeln!(text, "- time: {} min", session.minutes(now))?;
    writeln!(text, "- hints: {} of 4", session.hints)?;
    if session.resets > 0 {
        writeln!(text, "- resets: {}", session.resets)?;
    }
    for diagnosis in &session.diagnoses {
        let minutes = (diagnosis.at - session.started_at).num_minutes();
        writeln!(
            text,
            "- minute {minutes}: diagnosed {} in {}: {} of 3",
            diagnosis.mechanism, diagnosis.component, diagnosis.points
        )?;
    }
    for attempt in &session.attempts {
        let minutes = (attempt.at - session.started_at).num_minutes();
        let kind = match attempt.kind {
            AttemptKind::Try => "try",
            AttemptKind::Check => "check",
            AttemptKind::Mitigate => "mitigation",
            AttemptKind::Repair => "repair",
        };
        let outcome = if attempt.passed { "passed" } else { "failed" };
        let wrong = attempt.wrong.as_ref().map(|wrong| format!(" (\"{wrong}\")")).unwrap_or_default();
        let failure = attempt.failure.as_ref().map(|failure| format!(": {failure}")).unwrap_or_default();
        writeln!(text, "- minute {minutes}: {kind} {outcome}{wrong}{failure}")?;
    }
    if session.has_ended()
        && let Ok(drill) = load::find(&context.checkout, &session.number.to_string())
    {
        let entry = ScoreboardEntry::of(session, drill.card.topic, drill.card.level, now);
        let best = Scoreboard::read(&context.paths)?.best(session.number).map(list::in_words);
        writeln!(
            text,
            "- result: {} (expected: {} min); best: {}",
            list::in_words(&entry),
            drill.card.minutes,
            best.unwrap_or_default()
        )?;
    }
    Ok(text)
}
