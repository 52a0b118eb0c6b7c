//! The report of a game day.

use std::fmt::Write as _;

use super::game::{Kind, Script, Shown};

/// Returns the report as Markdown: roles, figures, timeline, debriefing.
pub fn markdown(shown: &Shown, script: &Script) -> String {
    let mut text = format!("# Game day: {}\n\n", script.title);
    let _infallible = write!(text, "**Cause.** {}\n\n", script.cause);
    for (role, person) in &shown.roles {
        let _infallible = writeln!(text, "- {role}: {person}");
    }
    let first = |kind: Kind| shown.entries.iter().find(|entry| entry.kind == kind).map(|entry| clock(entry.at_s));
    let count = |kind: Kind| shown.entries.iter().filter(|entry| entry.kind == kind).count();
    let or_never = |at: Option<String>| at.unwrap_or_else(|| "never".to_owned());
    let _infallible = write!(
        text,
        "\n| | |\n| --- | --- |\n| first update | {} |\n| first diagnosis | {} |\n| diagnoses | {} |\n| first action | {} |\n| hints | {} of {} |\n| queries | {} |\n| pins | {} |\n\n",
        or_never(first(Kind::Update)),
        or_never(first(Kind::Diagnosis)),
        count(Kind::Diagnosis),
        or_never(first(Kind::Action)),
        count(Kind::Hint),
        script.hints.len(),
        count(Kind::Sql),
        count(Kind::Pin),
    );
    text.push_str("## Timeline\n\n| at | by | what | |\n| --- | --- | --- | --- |\n");
    for entry in shown.entries.iter().filter(|entry| entry.kind != Kind::Debrief) {
        let kind = serde_json::to_value(entry.kind).ok();
        let kind = kind.as_ref().and_then(|kind| kind.as_str()).unwrap_or_default().replace('_', " ");
        let _infallible =
            writeln!(text, "| {} | {} | {kind} | {} |", clock(entry.at_s), cell(&entry.by), cell(&entry.text));
    }
    text.push_str("\n## Debriefing\n");
    for question in &script.debrief {
        let _infallible = write!(text, "\n**{question}**\n\n");
        let prefix = format!("{question}\n");
        let answers = shown.entries.iter().filter(|entry| entry.kind == Kind::Debrief);
        for answer in answers.filter_map(|entry| entry.text.strip_prefix(&prefix)) {
            let _infallible = writeln!(text, "{answer}");
        }
    }
    text
}

/// Seconds as minutes and seconds.
fn clock(at_s: u32) -> String {
    format!("{}:{:02}", at_s / 60, at_s % 60)
}

/// A text in a cell of a Markdown table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', "<br>")
}

#[cfg(test)]
mod tests {
    use super::super::{Act, Entry, Game};
    use super::*;

    #[test]
    fn report_has_the_timeline_and_the_answers() {
        let folder = tempfile::tempdir().expect("a directory");
        let script = Script {
            title: "Drill 6: a title".to_owned(),
            cause: "The cause.".to_owned(),
            hints: vec!["look".to_owned()],
            debrief: vec!["What helped?".to_owned(), "What is missing?".to_owned()],
            ..Script::default()
        };
        let game = Game::open(script, "key".to_owned(), folder.path().join("game.json")).expect("a game");
        let entry = |at_s, kind, text: &str| Entry { at_s, by: "Ana".to_owned(), kind, text: text.to_owned() };
        game.add(entry(65, Kind::Diagnosis, "pool | too small")).expect("kept");
        game.act(70, Act::ReleaseHint).expect("kept");
        game.act(80, Act::Answer { question: 0, text: "The log.".to_owned() }).expect("kept");
        let report = game.report();
        for part in [
            "# Game day: Drill 6: a title",
            "| first diagnosis | 1:05 |",
            "| hints | 1 of 1 |",
            "pool \\| too small",
            "**What helped?**\n\nThe log.",
            "**What is missing?**",
            "| first action | never |",
        ] {
            assert!(report.contains(part), "{part} is not in\n{report}");
        }
    }
}
