//! What is wrong with a pack: everything that can be said without building it.

use regex::Regex;
use worktree::Tree;

use super::{
    catalog::Catalog,
    changes::{self, subject},
    evidence::EvidencePattern,
    load::Drill,
    model::{HintKind, Pack},
};
use crate::{
    Result,
    judge::{CheckSpec, recorded},
};

/// The hints of a pack, in order.
const HINTS: [HintKind; 4] = [HintKind::Signal, HintKind::Subsystem, HintKind::Mechanism, HintKind::Line];

/// The longest first line of a commit message.
const SUBJECT_CHARS_MAX: usize = 72;

/// The fewest and most commits of a history.
const COMMITS: std::ops::RangeInclusive<usize> = 8..=12;

/// Returns the problems of a pack, given the tree that its history begins with.
pub fn of(drill: &Drill, pack: &Pack, base: &Tree) -> Vec<String> {
    let mut problems = form(drill, pack);
    problems.extend(patterns(pack));
    match changes::history(base, pack, true) {
        Err(error) => problems.push(error.to_string()),
        Ok(trees) => {
            let faulty = trees.last().map(|(_, tree)| tree).unwrap_or(base);
            problems.extend(fixes(pack, faulty));
            problems.extend(words(drill, pack, faulty).into_iter().map(|problem| format!("export: {problem}")));
        }
    }
    problems.extend(changes::history(base, pack, false).err().map(|error| format!("without the fault: {error}")));
    problems
}

/// Problems of the card, the lists, the hints and the commits.
fn form(drill: &Drill, pack: &Pack) -> Vec<String> {
    let mut problems = Vec::new();
    let mut demand = |holds: bool, problem: &str| {
        if !holds {
            problems.push(problem.to_owned());
        }
    };
    let card = &drill.card;
    demand((1..=5).contains(&card.level), "level: it is from 1 to 5");
    demand(card.page.lines().count() <= 2, "page: it has at most two lines");
    let has_fault = pack.component != "none";
    demand(has_fault != pack.fault.is_empty(), "fault: it is empty exactly when the component is `none`");
    demand(has_fault != pack.fix.is_empty(), "fix: it is empty exactly when the component is `none`");
    demand(pack.wrong.iter().filter(|wrong| !wrong.trick).count() >= 2, "wrong: at least two that look right");
    demand(pack.hint.iter().map(|hint| hint.kind).eq(HINTS), "hint: exactly signal, subsystem, mechanism, line");
    demand(!pack.check.is_empty(), "check: at least one");
    demand(pack.post_mortem.matches("{{").count() >= 1, "post_mortem: at least one {{blank}}");
    demand(!pack.caught_by.is_empty(), "caught_by: which test, metric or lint would have caught it");
    demand(COMMITS.contains(&pack.commit.len()), "commit: 8 to 12");
    demand(pack.commit.iter().is_sorted_by(|a, b| a.days_ago >= b.days_ago), "commit: the oldest comes first");
    let faults = pack.commit.iter().filter(|commit| commit.fault).count();
    demand(faults <= 1 && (has_fault || faults == 0), "commit: at most one has the fault, and only if there is one");
    demand(
        !has_fault || (card.level <= 2) == (faults == 1),
        "commit: the fault is in one of them at levels 1 and 2, and in none above",
    );
    for commit in &pack.commit {
        let line = subject(&commit.message);
        demand(
            (1..=SUBJECT_CHARS_MAX).contains(&line.chars().count()),
            &format!("commit \"{line}\": the first line has 1 to {SUBJECT_CHARS_MAX} characters"),
        );
        let changes =
            commit.fault || !(commit.replace.is_empty() && commit.add.is_empty() && commit.environment.is_empty());
        demand(changes, &format!("commit \"{line}\": it changes nothing"));
    }
    if let Some(line) = pack.mitigation.as_ref().and_then(|mitigation| mitigation.roll_back.as_deref()) {
        let known = pack.commit.iter().any(|commit| subject(&commit.message) == line);
        demand(known, &format!("mitigation: there is no commit \"{line}\""));
    }
    problems
}

/// Problems of names and patterns.
fn patterns(pack: &Pack) -> Vec<String> {
    let mut problems = Vec::new();
    let catalog = match Catalog::read() {
        Ok(catalog) => catalog,
        Err(error) => return vec![error.to_string()],
    };
    let first = (&pack.component, &pack.mechanism, &pack.evidence);
    let also = pack.also.iter().map(|cause| (&cause.component, &cause.mechanism, &cause.evidence));
    for (component, mechanism, evidence) in std::iter::once(first).chain(also) {
        if catalog.component(component).is_none() {
            problems.push(format!("component: `{component}` is not in catalog.toml"));
        }
        if catalog.mechanism(mechanism).is_none() {
            problems.push(format!("mechanism: `{mechanism}` is not in catalog.toml"));
        }
        if evidence.is_empty() {
            problems.push(format!("evidence: none for {mechanism}"));
        }
        let wrong = evidence.iter().filter_map(|text| EvidencePattern::parse(text).err());
        problems.extend(wrong.map(|error| format!("evidence: {error}")));
    }
    for check in pack.check.iter().chain(&pack.symptom) {
        if let CheckSpec::Recorded(check) = check
            && !recorded::NAMES.contains(&check.name.as_str())
        {
            problems.push(format!(
                "check: there is no predicate {}; there are {}",
                check.name,
                recorded::NAMES.join(", ")
            ));
        }
    }
    for wrong in &pack.wrong {
        let (name, change) = (&wrong.name, wrong.change());
        if change.is_empty() {
            problems.push(format!("wrong \"{name}\": it changes nothing"));
        }
        if wrong.recognize.is_empty() {
            problems.push(format!("wrong \"{name}\": without `recognize`, a user's own diff is never named"));
        }
        let bad = wrong.recognize.iter().filter_map(|text| recognizer(text).err());
        problems.extend(bad.map(|error| format!("wrong \"{name}\": {error}")));
    }
    problems
}

/// Splits `FILE: REGEX` into the file, if there is one, and the pattern.
///
/// # Errors
///
/// It is no regular expression.
pub fn recognizer(text: &str) -> Result<(Option<&str>, Regex)> {
    let is_path = |file: &str| !file.contains(char::is_whitespace) && (file.contains('/') || file.contains('.'));
    let (file, pattern) = match text.split_once(": ").filter(|(file, _)| is_path(file)) {
        Some((file, pattern)) => (Some(file), pattern),
        None => (None, text),
    };
    Ok((file, Regex::new(&format!("(?ms){pattern}")).map_err(|error| format!("`{text}`: {error}"))?))
}

/// Fixes that do not apply to the faulty tree.
fn fixes(pack: &Pack, faulty: &Tree) -> Vec<String> {
    let wrong = pack.wrong.iter().map(|wrong| (format!("wrong \"{}\"", wrong.name), wrong.change()));
    let all = std::iter::once(("fix".to_owned(), pack.fix.clone())).chain(wrong);
    all.filter_map(|(name, change)| {
        changes::apply(&mut faulty.clone(), &change).err().map(|error| format!("{name}: {error}"))
    })
    .collect()
}

/// Files in which the slug or a word of the pack occurs.
pub fn words(drill: &Drill, pack: &Pack, tree: &Tree) -> Vec<String> {
    let slug = [drill.slug.clone(), drill.slug.replace('-', "_")];
    let words: Vec<String> = slug.iter().chain(&pack.words).map(|word| word.to_lowercase()).collect();
    let mut problems = Vec::new();
    for (path, bytes) in tree {
        let text = String::from_utf8_lossy(bytes).to_lowercase();
        let found = words.iter().filter(|word| text.contains(word.as_str()) || path.contains(word.as_str()));
        problems.extend(found.map(|word| format!("{path} contains \"{word}\"")));
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recognizer_may_name_a_file() {
        let (file, pattern) = recognizer("src/supply/nearby.rs: ^\\+.*radius").expect("a pattern");
        assert!(file == Some("src/supply/nearby.rs") && pattern.is_match("-a\n+let radius = 9;"));
        let (file, pattern) = recognizer("time_?out: Duration").expect("a pattern");
        assert!(file.is_none() && pattern.is_match("+    time_out: Duration"));
        assert!(recognizer("src/a.rs: (").is_err());
    }
}
