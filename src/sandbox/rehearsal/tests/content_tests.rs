use std::collections::BTreeSet;
use std::path::Path;

use super::*;
use crate::sandbox::rehearsal::check::problems;
use crate::sandbox::rehearsal::content::is_for;
use crate::sandbox::rehearsal::page::FILES;
use crate::sandbox::rehearsal::prompts::{self, PROMPTS_MAX};
use crate::sandbox::rehearsal::report::{AFTER_A_NUMBER, AFTER_A_RULE};

#[test]
fn content_has_no_problem() {
    assert_eq!(problems(&content()), Vec::<String>::new());
}

#[test]
fn broken_content_is_a_problem() {
    let broken = |break_it: fn(&mut Content)| {
        let mut content = content();
        break_it(&mut content);
        problems(&content)
    };
    let found = |break_it: fn(&mut Content)| broken(break_it).len();
    assert!(found(|content| content.questions[0].phase = "nowhere".to_owned()) > 0, "a phase that does not exist");
    assert!(found(|content| content.questions[0].depth = 4) > 0, "deeper than every level");
    assert!(found(|content| content.questions[1].id = content.questions[0].id.clone()) > 0, "a name twice");
    assert!(found(|content| content.session.phase[0].minutes = vec![5, 6, 7]) > 0, "phases over the length");
    assert!(found(|content| content.session.phase[0].writing_s = 400) > 0, "a phase over its time");
    assert!(found(|content| content.observables[0].probe = "gone".to_owned()) > 0, "a probe that does not exist");
    assert!(found(|content| content.observables.retain(|one| !one.falsehood)) > 0, "no falsehoods");
    assert!(found(|content| content.canned[0].shows.push("gone".to_owned())) > 0, "an observable that does not exist");
    assert!(found(|content| content.partner.silence.reverse()) > 0, "silences out of order");
    assert!(found(|content| content.partner.communication.truncate(3)) > 0, "a point that has no text");
    let orphan = broken(|content| {
        for cut in &mut content.session.cut {
            cut.dives.iter_mut().for_each(|group| group.retain(|dive| dive != "policy"));
        }
    });
    assert!(orphan.iter().any(|problem| problem.contains("no session asks question `pol-")), "{orphan:?}");
}

#[test]
fn every_link_exists() {
    let content = content();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let links = content
        .questions
        .iter()
        .flat_map(|question| question.links.clone())
        .chain(content.observables.iter().map(|one| one.link.clone()))
        .chain(content.constraints.iter().map(|one| one.link.clone()))
        .chain(content.curveballs.iter().map(|one| one.link.clone()))
        .chain(content.bets.iter().map(|one| one.link.clone()))
        .chain(content.rules.iter().map(|one| one.link.clone()));
    let gone: BTreeSet<_> = links.filter(|link| !root.join(link).is_file()).collect();
    assert!(gone.is_empty(), "{gone:?}");
}

#[test]
fn every_lab_and_drill_exists_and_each_next_step_is_one() {
    let labs = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/lab/src/labs");
    let mut sources = String::new();
    let mut folders = vec![labs];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("the labs") {
            let path = entry.expect("a file").path();
            match path.is_dir() {
                true => folders.push(path),
                false => sources += &std::fs::read_to_string(path).expect("a source file"),
            }
        }
    }
    let is_lab = |name: &str| sources.contains(&format!("name: \"{name}\""));
    let gone: Vec<_> = content().bets.into_iter().map(|bet| bet.lab).filter(|lab| !is_lab(lab)).collect();
    assert!(gone.is_empty(), "{gone:?}");
    let drills = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("drills")).expect("the drills");
    let drills: Vec<String> =
        drills.map(|entry| entry.expect("a folder").file_name().to_string_lossy().into_owned()).collect();
    let is_drill = |number: &str| drills.iter().any(|folder| folder.starts_with(&format!("{number:0>2}-")));
    let is_step = |next: &str| {
        next.strip_prefix("cargo lab run ").is_some_and(is_lab)
            || next.strip_prefix("cargo drill start ").is_some_and(is_drill)
    };
    let steps = content().observables.into_iter().map(|observable| observable.next);
    let steps = steps.chain([AFTER_A_NUMBER, AFTER_A_RULE].map(str::to_owned));
    let other: Vec<_> = steps.filter(|next| !is_step(next)).collect();
    assert!(other.is_empty(), "neither a lab nor a drill: {other:?}");
}

/// Runs a session whose cards all say `text`, and takes what is asked off the list.
fn take_off(content: &Content, setup: Setup, text: &str, open: &mut BTreeSet<String>) {
    let mut candidate = Candidate::started_with(content.clone(), setup);
    while candidate.session.stage == Stage::Interview {
        candidate.writes_all(text);
        for _ in 0..PROMPTS_MAX {
            let Ok(question) = prompts::next(content, &candidate.session, candidate.phase()) else { break };
            open.remove(&question.id);
            candidate.does(SessionCommand::Ask);
        }
        candidate.does(SessionCommand::Next);
    }
}

/// A question is asked if some seed and cut lead to it, with cards that have its words.
#[test]
fn every_question_is_asked_in_some_session() {
    let content = content();
    let mut open: BTreeSet<_> = content.questions.iter().map(|question| question.id.clone()).collect();
    for question in &content.questions {
        let text = if question.when.is_empty() { "nothing".to_owned() } else { question.when.join(" ") };
        let sessions = (0..60).flat_map(|seed| content.session.cut.iter().map(move |cut| (seed, cut)));
        for (seed, cut) in sessions.filter(|(_, cut)| is_for(&question.cuts, &cut.id)) {
            if !open.contains(&question.id) {
                break;
            }
            take_off(&content, Setup { seed, ..setup(&cut.id, "staff") }, &text, &mut open);
        }
        assert!(!open.contains(&question.id), "{} is never asked", question.id);
    }
}

/// Computes sums and products with parentheses.
fn compute(text: &str) -> f64 {
    fn sum(rest: &mut &str) -> f64 {
        let mut value = product(rest);
        while let Some(sign) = rest.trim_start().chars().next().filter(|c| "+-".contains(*c)) {
            *rest = &rest.trim_start()[1..];
            let next = product(rest);
            value += if sign == '+' { next } else { -next };
        }
        value
    }
    fn product(rest: &mut &str) -> f64 {
        let mut value = factor(rest);
        while let Some(sign) = rest.trim_start().chars().next().filter(|c| "*/".contains(*c)) {
            *rest = &rest.trim_start()[1..];
            let next = factor(rest);
            value = if sign == '*' { value * next } else { value / next };
        }
        value
    }
    fn factor(rest: &mut &str) -> f64 {
        let text = rest.trim_start();
        if let Some(inner) = text.strip_prefix('(') {
            *rest = inner;
            let value = sum(rest);
            *rest = rest.trim_start().strip_prefix(')').expect("a closing parenthesis");
            return value;
        }
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        *rest = &text[end..];
        text[..end].parse().expect("a number")
    }
    let mut rest = text;
    let value = sum(&mut rest);
    assert!(rest.trim().is_empty(), "{text}");
    value
}

#[test]
fn arithmetic_of_every_estimate_is_in_its_range() {
    for estimate in content().estimates {
        let value = compute(&estimate.arithmetic);
        assert!((estimate.low..=estimate.high).contains(&value), "{}: {value}", estimate.id);
    }
    assert!((compute("1 + 2 * (3 - 1) / 4") - 2.0).abs() < 1e-9);
}

#[test]
fn every_file_of_the_page_is_served_and_has_nothing_inline_or_external() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/sandbox/rehearsal/page");
    let entries = std::fs::read_dir(folder).expect("the folder");
    let found: BTreeSet<_> =
        entries.map(|entry| entry.expect("a file").file_name().to_string_lossy().into_owned()).collect();
    assert_eq!(FILES.iter().map(|file| file.name.to_owned()).collect::<BTreeSet<_>>(), found);
    for file in FILES {
        let text = file.content();
        let is_page = file.name.ends_with(".html");
        assert!(
            !is_page || !(text.contains("style=") || text.contains("<script>")),
            "{} has something inline",
            file.name
        );
        assert!(!text.contains("://"), "{} names another host", file.name);
    }
}
