//! The design book: each chapter has the same sections in the same order, its arithmetic is right, and it stays short enough to read.

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
    let titles = prose(&page.text).filter(|(_, line)| line.starts_with("# ")).count();
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
        found.extend(chapter(&page.text).into_iter().map(|(line, message)| violation(line, message)));
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
fn whole_book_is_short_enough_to_be_read() {
    let pages = source::read(root(), FOLDER, "md");
    let total: usize = pages.iter().map(|page| words(&page.text)).sum();
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
    // The contents have no sections, and their arithmetic counts as well.
    assert_eq!(violations(&Source::new(CONTENTS, "# The book\n\nText.\n")).len(), 0);
    assert_eq!(violations(&Source::new(CONTENTS, "# The book\n\n```arithmetic\na: 1 + 1 = 3\n```\n")).len(), 1);
}
