//! `list`.

use std::fmt::Write;

use serde_json::json;

use super::{Context, Output};
use crate::{
    Result,
    pack::{Drill, load},
    session::{Scoreboard, ScoreboardEntry, Session},
};

/// Prints the drills with the best result of each.
pub(super) fn run(context: &Context) -> Result<Output> {
    let drills = load::all(&context.checkout)?;
    let board = Scoreboard::read(&context.paths)?;
    let current = Session::read(&context.paths)?.filter(|session| !session.has_ended());
    let mut text = format!("{:>3}  {:<48} {:<9} {:>5}  {:>4}  best\n", "", "title", "topic", "level", "min");
    let mut items = Vec::new();
    for drill in &drills {
        let (card, best) = (&drill.card, board.best(drill.number));
        let is_current = current.as_ref().is_some_and(|session| session.number == drill.number);
        let mark = if is_current { ">" } else { " " };
        let untried = if card.draft { "- (draft: not proven)" } else { "-" };
        let shown = best.map_or_else(|| untried.to_owned(), in_words);
        let topic = serde_json::to_value(card.topic)?;
        let topic_name = topic.as_str().unwrap_or_default();
        let line = (drill.number, &card.title, card.level, card.minutes);
        writeln!(text, "{mark}{:>2}  {:<48} {topic_name:<9} {:>5}  {:>4}  {shown}", line.0, line.1, line.2, line.3)?;
        items.push(json!({
            "number": drill.number, "name": drill.name(), "title": card.title, "topic": topic, "level": card.level,
            "minutes": card.minutes, "severity": card.severity, "best": best, "draft": card.draft, "current": is_current,
        }));
    }
    if drills.is_empty() {
        text = "there are no drills in this checkout".to_owned();
    } else {
        let is_open = |drill: &&Drill| board.best(drill.number).is_none_or(|best| !best.solved);
        let next = drills.iter().filter(|drill| !drill.card.draft).find(is_open);
        match (&current, next) {
            (Some(session), _) => {
                writeln!(text, "\nopen: drill {}; `cargo drill report` shows where you are", session.number)?
            }
            (None, Some(drill)) => writeln!(text, "\nnext: `cargo drill start {}`", drill.number)?,
            (None, None) => writeln!(text, "\nall solved; `cargo drill start --blind` chooses one again")?,
        }
    }
    Ok(Output::of(text, json!({ "drills": items })))
}

/// A result in a few words.
pub(super) fn in_words(entry: &ScoreboardEntry) -> String {
    let hints = match entry.hints {
        0 => "no hint".to_owned(),
        1 => "1 hint".to_owned(),
        more => format!("{more} hints"),
    };
    let how = if entry.solved { "solved" } else { "revealed" };
    format!("{how} in {} min, {hints}", entry.minutes)
}
