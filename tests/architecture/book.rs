//! The design book: each chapter has the same sections in the same order, its arithmetic is right, its figures name a source, and it stays
//! short enough to read.

use std::collections::BTreeSet;

use crate::{arithmetic, read, root, rules::Violation, source, source::Source};

/// Where the book is.
const FOLDER: &str = "docs/book";

/// The contents. The other pages are chapters.
const CONTENTS: &str = "docs/book/README.md";

/// The sections of a chapter, in order.
const SECTIONS: [&str; 8] = [
    "The answer in a minute",
    "The answer in ten minutes",
    "What is commonly taught, and where it falls short",
    "Good, better, best",
    "The code it stands on",
    "At 10 × and 100 ×",
    "What each level is expected to say",
    "What interviewers ask next",
];

/// The first line of a table in the section `Good, better, best` begins with it.
const OPTIONS: &str = "| option | what it gives | what it costs | measured";

/// Where the links of the section `The code it stands on` lead.
const CODE: [&str; 5] = ["../../src/", "../../migrations/", "../../tests/", "../../crates/", "../"];

/// The most words of the whole book: 40 pages.
const BOOK_WORDS_MAX: usize = 18_000;

/// The fewest and the most words of a chapter.
const CHAPTER_WORDS: std::ops::RangeInclusive<usize> = 900..=1_250;

/// The most words that are spoken in a minute.
const MINUTE_WORDS_MAX: usize = 150;

/// The fewest and the most items of the section `What interviewers ask next`.
const QUESTIONS: std::ops::RangeInclusive<usize> = 4..=6;

/// The language of a fenced block whose lines are statements.
const ARITHMETIC: &str = "```arithmetic";

/// What surrounds the figures that `cargo lab include` writes.
const FIGURES: &str = "<!-- lab ";
const FIGURES_END: &str = "<!-- lab end -->";

/// Pages whose numbers are limits that the code sets, or counts. Nothing on them was measured.
const LIMITS: [&str; 9] = [
    "../decisions/locks-end-by-time.md",
    "../decisions/nearby-cars-are-coarse.md",
    "../decisions/streams-check-every-read.md",
    "../decisions/unknown-is-a-state.md",
    "../operations/retention.md",
    "../real-demand.md",
    "../reconciliation.md",
    "../runbook.md",
    "../what-happens-when.md",
];

/// Returns the text with empty lines in place of the figures that `cargo lab include` writes: their words are not the author's.
fn without_figures(text: &str) -> String {
    let mut kept = String::new();
    let mut is_figure = false;
    for line in text.lines() {
        is_figure |= line.starts_with(FIGURES);
        kept.push_str(if is_figure { "" } else { line });
        kept.push('\n');
        is_figure &= line != FIGURES_END;
    }
    kept
}

/// Returns the text and the target of each link.
fn links(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.match_indices("](").filter_map(move |(at, _)| {
        let (before, after) = (&text[..at], &text[at + 2..]);
        Some((&before[before.rfind('[')? + 1..], after.split(')').next()?))
    })
}

/// Returns the pages in the contents' table of measurements. A row links pages, and ends with the commits that recorded their figures.
fn measured_pages(contents: &str) -> BTreeSet<&str> {
    let is_commit = |word: &str| word.len() == 8 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let has_commit = |row: &&str| {
        let last = row.trim_end_matches(" |").rsplit('|').next().unwrap_or_default();
        last.contains('`') && last.split('`').skip(1).step_by(2).all(is_commit)
    };
    let rows = contents.lines().filter(|line| line.starts_with("| [")).filter(has_commit);
    rows.flat_map(links).map(|(_, page)| page).collect()
}

/// Returns the pages of measurements that a text links with a number: what a figure in it comes from.
fn quoted_pages(text: &str) -> impl Iterator<Item = &str> {
    let has_number = |label: &str| label.contains(|c: char| c.is_ascii_digit());
    let quoted = links(text).filter(move |(label, _)| has_number(label));
    let pages = quoted.map(|(_, target)| target.split('#').next().unwrap_or(target));
    pages.filter(|page| page.starts_with("../") && page.ends_with(".md") && !LIMITS.contains(page))
}

/// Returns the number of words. What has neither a letter nor a digit, such as a table's lines, is none.
fn words(text: &str) -> usize {
    text.split_whitespace().filter(|word| word.contains(char::is_alphanumeric)).count()
}

/// Returns the lines outside of fenced blocks with their numbers.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut is_code = false;
    (1..).zip(text.lines()).filter(move |(_, line)| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    })
}

/// Returns the sections: line, heading, text.
fn sections(text: &str) -> Vec<(usize, &str, String)> {
    let mut found: Vec<(usize, &str, String)> = Vec::new();
    for (line, content) in prose(text) {
        if let Some(heading) = content.strip_prefix("## ") {
            found.push((line, heading, String::new()));
        } else if let Some((_, _, text)) = found.last_mut() {
            text.push_str(content);
            text.push('\n');
        }
    }
    found
}

fn violations(page: &Source) -> Vec<Violation> {
    let violation = |line, message| Violation { file: page.path.clone(), line, rule: "book", message };
    let mut found = Vec::new();
    let written = without_figures(&page.text);
    let titles = prose(&written).filter(|(_, line)| line.starts_with("# ")).count();
    if titles != 1 {
        found.push(violation(1, format!("{titles} titles; a page has one line that starts with `# `")));
    }
    let statements = arithmetic_of(&page.text);
    if let Err(line) = statements {
        found.push(violation(line, "the fenced block has no end".to_owned()));
    }
    for (line, statement) in statements.unwrap_or_default() {
        if let Err(error) = arithmetic::check(statement) {
            found.push(violation(line, format!("`{statement}`: {error}")));
        }
    }
    if page.path != CONTENTS {
        found.extend(chapter(&written).into_iter().map(|(line, message)| violation(line, message)));
    }
    found
}

/// Returns what is wrong in a chapter, beside its arithmetic.
fn chapter(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let total = words(text);
    if !CHAPTER_WORDS.contains(&total) {
        found.push((1, format!("{total} words; a chapter has {CHAPTER_WORDS:?}")));
    }
    let sections = sections(text);
    let headings: Vec<&str> = sections.iter().map(|(_, heading, _)| *heading).collect();
    if headings != SECTIONS {
        found.push((1, format!("its sections are {headings:?}; a chapter has {SECTIONS:?}")));
    }
    for (line, heading, text) in &sections {
        let has = |needle: &str| text.contains(needle);
        match *heading {
            "The answer in a minute" if words(text) >= MINUTE_WORDS_MAX => {
                found.push((*line, format!("{} words take longer than a minute to say", words(text))));
            }
            "Good, better, best" if !has(OPTIONS) => found.push((*line, format!("its table starts with `{OPTIONS}`"))),
            "The code it stands on" if !CODE.iter().any(|folder| has(&format!("]({folder}"))) => {
                found.push((*line, "it links no file of the repository".to_owned()));
            }
            "What interviewers ask next" if !QUESTIONS.contains(&questions(text)) => {
                found.push((*line, format!("{} questions; a chapter has {QUESTIONS:?}", questions(text))));
            }
            _ => {}
        }
    }
    found
}

/// Returns the number of list items.
fn questions(text: &str) -> usize {
    text.lines().filter(|line| line.starts_with("- ")).count()
}

/// Returns the statements of all arithmetic blocks with their lines, or the line of a fence that is not closed.
fn arithmetic_of(text: &str) -> Result<Vec<(usize, &str)>, usize> {
    let mut found = Vec::new();
    let mut fence: Option<(usize, bool)> = None;
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        fence = match (line.starts_with("```"), fence) {
            (true, None) => Some((number, line == ARITHMETIC)),
            (true, Some(_)) => None,
            (false, fence) => {
                if fence.is_some_and(|(_, is_arithmetic)| is_arithmetic) && !line.is_empty() {
                    found.push((number, line));
                }
                fence
            }
        };
    }
    fence.map_or(Ok(found), |(line, _)| Err(line))
}

#[test]
fn chapters_have_their_sections_and_right_arithmetic() {
    let pages = source::read(root(), FOLDER, "md");
    assert!(pages.len() > 1, "{FOLDER} was not found");
    let found: Vec<Violation> = pages.iter().flat_map(violations).collect();
    crate::assert_none(&found);
}

#[test]
fn contents_link_every_chapter_in_order() {
    let contents = read(CONTENTS).text;
    let mut last = 0;
    for page in source::read(root(), FOLDER, "md").iter().filter(|page| page.path != CONTENTS) {
        let name = page.path.trim_start_matches("docs/book/");
        let at = contents.find(&format!("]({name})"));
        assert!(at.is_some_and(|at| at > last), "{CONTENTS} does not link {name} in the order of the chapters");
        last = at.unwrap_or_default();
    }
}

#[test]
fn page_of_a_measured_figure_has_a_commit_in_the_contents() {
    let contents = read(CONTENTS).text;
    let measured = measured_pages(&contents);
    let chapters: Vec<Source> =
        source::read(root(), FOLDER, "md").into_iter().filter(|page| page.path != CONTENTS).collect();
    let quoted: BTreeSet<&str> = chapters.iter().flat_map(|page| quoted_pages(&page.text)).collect();
    let missing: Vec<_> = quoted.difference(&measured).collect();
    assert!(
        missing.is_empty(),
        "the table of measurements in {CONTENTS} lacks {missing:?}; if they have limits only, add them to LIMITS"
    );
    let linked: BTreeSet<&str> = chapters.iter().flat_map(|page| links(&page.text)).map(|(_, page)| page).collect();
    let is_linked = |page: &str| linked.iter().any(|target| target.split('#').next() == Some(page));
    let unused: Vec<_> = measured.iter().copied().chain(LIMITS).filter(|page| !is_linked(page)).collect();
    assert!(unused.is_empty(), "no chapter links {unused:?}: remove them from {CONTENTS} or LIMITS");
}

#[test]
fn source_of_a_figure_is_found() {
    let row = |commit: &str| format!("| [a](../a.md), [b](../b.md) | `a.sh` | {commit} |\n");
    assert_eq!(measured_pages(&row("`0123abcd`, `4567ef89`")), BTreeSet::from(["../a.md", "../b.md"]));
    for commit in ["", "today", "`main`", "`0123abcd`, `later`"] {
        assert_eq!(measured_pages(&row(commit)), BTreeSet::new(), "{commit}");
    }
    let text = "It takes [0.5 ms](../a.md#times), [as the\npage says](../b.md), [24 hours](../operations/retention.md).\n\
                [0001_a.sql](../../a.sql), [chapter 2](02-b.md).";
    assert_eq!(quoted_pages(text).collect::<Vec<_>>(), ["../a.md"]);
}

#[test]
fn whole_book_is_short_enough_to_be_read() {
    let pages = source::read(root(), FOLDER, "md");
    let total: usize = pages.iter().map(|page| words(&without_figures(&page.text))).sum();
    assert!(total <= BOOK_WORDS_MAX, "{total} words, more than {BOOK_WORDS_MAX}");
}

#[test]
fn faults_of_a_chapter_are_found() {
    let section = |heading: &str| {
        let content = match heading {
            "Good, better, best" => "| option | what it gives | what it costs | measured |",
            "What interviewers ask next" => "- *One?* Yes.\n- *Two?* No.\n- *Three?* No.\n- *Four?* No.",
            "The code it stands on" => "- [`src/lib.rs`](../../src/lib.rs)",
            "The answer in ten minutes" => "```arithmetic\nupdates: 100_000 drivers / 4 s = 25_000 updates/s\n```",
            _ => "Text.",
        };
        format!("## {heading}\n\n{content}\n\n")
    };
    let good = format!("# A chapter\n\n{}{}", SECTIONS.map(section).concat(), "word ".repeat(900));
    let check = |text: &str| -> Vec<String> {
        violations(&Source::new("docs/book/01-a.md", text)).into_iter().map(|violation| violation.message).collect()
    };
    assert_eq!(check(&good), Vec::<String>::new());
    let faults = [
        (good.replace("25_000", "20_000"), "the expression is 25000"),
        (good.replace("```\n", ""), "has no end"),
        (good.replace("# A chapter\n", "\n"), "0 titles"),
        (good.replace("## At 10 × and 100 ×\n", ""), "its sections are"),
        (good.replace("- *Two?*", "*Two?*"), "3 questions"),
        (good.replace("measured |", "figures |"), "its table starts with"),
        (good.replace("](../../", "](https://example.com/"), "links no file"),
        (good.replace("word ", ""), "a chapter has 900..=1250"),
        (good.replace("minute\n\nText.", &format!("minute\n\n{}", "word ".repeat(150))), "longer than a minute"),
    ];
    for (text, reason) in faults {
        let found = check(&text);
        assert!(found.iter().any(|message| message.contains(reason)), "{reason}: {found:?}");
    }
    // Figures of labs are no words of the author.
    let figures = format!("\n<!-- lab offers table -->\n# 7\n\n{}\n<!-- lab end -->\n", "7 ".repeat(2_000));
    assert_eq!(check(&format!("{good}{figures}")), Vec::<String>::new());
    // The contents have no sections, and their arithmetic counts as well.
    assert_eq!(violations(&Source::new(CONTENTS, "# The book\n\nText.\n")).len(), 0);
    assert_eq!(violations(&Source::new(CONTENTS, "# The book\n\n```arithmetic\na: 1 + 1 = 3\n```\n")).len(), 1);
}
