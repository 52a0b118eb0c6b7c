//! `reveal`.

use std::fmt::Write;

use launcher::clock;
use serde_json::json;

use super::{Context, Output};
use crate::{
    Result,
    cli::Reveal,
    pack::{Change, Pack},
    session::{Lock, Phase, Scoreboard, ScoreboardEntry, Session},
};

/// Shows fault, fix, and post-mortem. An unsolved drill ends.
pub(super) fn run(context: &Context, arguments: &Reveal) -> Result<Output> {
    let _lock = Lock::take(&context.paths, "reveal")?;
    let mut session = Session::started(&context.paths)?;
    let drill = context.drill(&session)?;
    let pack = drill.pack()?;
    let untried = session.attempts.is_empty() && session.diagnoses.is_empty();
    if !session.has_ended() && untried && !arguments.force {
        return Err(
            "you have tried nothing yet: `cargo drill hint` shows less; `cargo drill reveal --force` shows all".into(),
        );
    }
    if !session.has_ended() {
        session.phase = Phase::Revealed;
        session.finished_at = Some(clock::now());
        session.write(&context.paths)?;
        let entry = ScoreboardEntry::of(&session, drill.card.topic, drill.card.level, clock::now());
        Scoreboard::read(&context.paths)?.record(&context.paths, entry)?;
    }
    let post_mortem = if arguments.filled { filled(&pack.post_mortem) } else { blanked(&pack.post_mortem) };
    let mut text = format!("component: {}\nmechanism: {}\n", pack.component, pack.mechanism);
    for cause in &pack.also {
        write!(text, "and component: {}\nand mechanism: {}\n", cause.component, cause.mechanism)?;
    }
    write!(text, "\nThe fault:\n{}\nThe fix:\n{}", shown(&pack.fault), shown(&pack.fix))?;
    text.push_str("\nChanges that look right:\n");
    for wrong in &pack.wrong {
        writeln!(text, "- {}: {}", wrong.name, wrong.why.trim())?;
    }
    text.push_str("\nWhat would have caught it:\n");
    for line in &pack.caught_by {
        writeln!(text, "- {line}")?;
    }
    text.push_str(&further(&pack));
    write!(text, "\n{}\n", post_mortem.trim())?;
    if !arguments.filled {
        text.push_str("\nFill the blanks; `cargo drill reveal --filled` shows them.");
    }
    let wrong: Vec<_> = pack.wrong.iter().map(|wrong| json!({ "name": wrong.name, "why": wrong.why })).collect();
    let json = json!({
        "component": pack.component, "mechanism": pack.mechanism, "fault": shown(&pack.fault), "fix": shown(&pack.fix),
        "wrong": wrong, "caught_by": pack.caught_by, "post_mortem": post_mortem,
    });
    Ok(Output::of(text, json))
}

/// Mitigation and repair, if the pack has them.
fn further(pack: &Pack) -> String {
    let mitigation = pack.mitigation.as_ref().map(|mitigation| ("Before the fix", mitigation.explanation.trim()));
    let repair = pack.repair.as_ref().map(|repair| ("The damage", repair.explanation.trim()));
    mitigation.into_iter().chain(repair).map(|(title, text)| format!("\n{title}:\n{text}\n")).collect()
}

/// A change as removed and added lines.
pub(super) fn shown(change: &Change) -> String {
    let mut text = String::new();
    let lines = |mark: char, lines: &str| lines.lines().map(|line| format!("{mark}{line}\n")).collect::<String>();
    for replace in &change.replace {
        text.push_str(&format!("  {}\n{}{}", replace.file, lines('-', &replace.from), lines('+', &replace.to)));
    }
    for (path, added) in &change.add {
        text.push_str(&format!("  {path} (new)\n{}", lines('+', added)));
    }
    for path in &change.remove {
        text.push_str(&format!("  {path} (deleted)\n"));
    }
    for (name, value) in &change.environment {
        text.push_str(&format!("  {name}={value}\n"));
    }
    text.push_str(&change.sql.as_deref().map(|sql| lines(' ', sql.trim())).unwrap_or_default());
    if text.is_empty() { "  none\n".to_owned() } else { text }
}

/// Replaces each blank by underscores.
fn blanked(text: &str) -> String {
    replace_blanks(text, |blank| "_".repeat(blank.chars().count().clamp(4, 24)))
}

/// Shows what the blanks hide.
fn filled(text: &str) -> String {
    replace_blanks(text, str::to_owned)
}

fn replace_blanks(text: &str, replacement: impl Fn(&str) -> String) -> String {
    let mut parts = text.split("{{");
    let mut replaced = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once("}}") {
            Some((blank, rest)) => replaced.push_str(&(replacement(blank) + rest)),
            None => replaced.push_str(&format!("{{{{{part}")),
        }
    }
    replaced
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_are_hidden_and_filled() {
        let text = "It was {{the index}}, at {{9}}.";
        assert_eq!(blanked(text), "It was _________, at ____.");
        assert_eq!(filled(text), "It was the index, at 9.");
        assert_eq!(blanked("open {{end"), "open {{end");
    }
}
