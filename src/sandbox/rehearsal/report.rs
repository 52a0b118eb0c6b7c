//! The report of a session: one page of Markdown that is kept. The page of the session has what does not fit. Pure.

mod advice;
mod one_page;
mod sections;

use super::content::Content;
use super::marking::{GateState, Marks, gap};
use super::session::Session;
use super::store::Summary;

pub use advice::{AFTER_A_NUMBER, AFTER_A_RULE, Advice, advice};
pub use one_page::{WORDS_MAX, words};

/// Writes the report. `earlier` are the finished sessions of the same candidate before this one, oldest first.
pub fn report(content: &Content, session: &Session, marks: &Marks, earlier: &[Summary]) -> String {
    let this = &Summary::of(content, session, Some(marks.percent));
    let gap = gap(content, session, marks);
    let head = head(content, session, marks);
    let mut sections = [
        sections::advice(&advice(content, session, marks)),
        sections::partner(gap.as_ref(), marks),
        sections::timeline(session),
        sections::dimensions(marks, gap.as_ref()),
        sections::missed_probes(content, session, marks),
        sections::calibration(marks),
        sections::evidence(marks),
        sections::curveballs(content, session),
        sections::trend(this, earlier),
    ];
    one_page::fit(&head, &mut sections);
    let parts = [head].into_iter().chain(sections.iter().map(one_page::Section::text));
    parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
}

fn head(content: &Content, session: &Session, marks: &Marks) -> String {
    let setup = &session.setup;
    let cut = content.cut(&setup.cut).map_or(setup.cut.as_str(), |cut| &cut.title);
    let level = content.level(&setup.level).map_or(setup.level.as_str(), |level| &level.title);
    let constraint = content.constraints.iter().find(|one| one.id == session.drawn.constraint);
    let mut lines = vec![
        format!("# Rehearsal: {cut}, {} minutes, {level}", setup.minutes),
        String::new(),
        format!(
            "{}. Seed {}. Constraint: {}.{}{}",
            session.created_at.utc().format("%Y-%m-%d %H:%M UTC"),
            setup.seed,
            constraint.map_or("none", |one| one.title.as_str()),
            match session.clock.interruptions {
                0 => String::new(),
                count => format!(" Interrupted {count} times; the clock stood still."),
            },
            if setup.speed > 1 { format!(" On fast-forward, {} times.", setup.speed) } else { String::new() },
        ),
        String::new(),
    ];
    let verdict = if marks.passes { "passes" } else { "does not pass" };
    let needed = content.marking.pass_percent;
    lines.push(format!("**{} of 100: {verdict}.** It takes {needed}, and every gate.", marks.percent));
    for gate in &marks.gates {
        let line = match gate.state {
            GateState::Passed => format!("{}: shown.", gate.title),
            GateState::NotShown => format!("{}: **not shown**.", gate.title),
            GateState::Failed => format!("{}: **failed**.", gate.title),
        };
        lines.push(format!("- {line}"));
    }
    lines.join("\n") + "\n"
}
