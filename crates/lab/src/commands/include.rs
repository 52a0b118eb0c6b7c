//! `include`: figures of pages, taken from results.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use launcher::files;
use serde_json::json;

use super::Output;
use crate::cli::Include;
use crate::document::{ResultDocument, SCHEMA};
use crate::labs::{self, Lab};
use crate::outcome::{Column, Summary};
use crate::{Result, numbers};

/// What surrounds figures in a page: `<!-- lab NAME PART -->`, the figures, `<!-- lab end -->`.
const BEGIN: &str = "<!-- lab ";
const END: &str = "<!-- lab end -->";

/// What a page takes from a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Table,
    Answer,
}

/// A place for figures in a page.
#[derive(Debug)]
struct Mark {
    lab: &'static Lab,
    part: Part,
    /// What the page has there.
    found: String,
}

impl Mark {
    /// Whether it has figures of an earlier result, which name their lab and commit.
    fn has_figures(&self) -> bool {
        self.found.contains(&format!("{}: ", command(self.lab.name))) && self.found.contains(", commit ")
    }

    /// Returns what stands there without a result: the figures of an earlier one, or else how to get them.
    fn without_result(&self) -> String {
        if self.has_figures() {
            return self.found.clone();
        }
        format!("Not measured yet: {}.\n", command(self.lab.name))
    }
}

/// Writes the figures of results into pages, or checks that they are there.
pub(super) fn run(arguments: &Include) -> Result<Output> {
    let from = arguments.from.clone().unwrap_or_else(super::default_out);
    let mut pages = arguments.pages.clone();
    if pages.is_empty() {
        find_pages(&super::checkout().join("docs"), &mut pages)?;
    }
    let (mut text, mut items) = (String::new(), Vec::new());
    let (mut changed, mut stale, mut missing) = (Vec::new(), Vec::new(), BTreeSet::new());
    for page in &pages {
        let shown = page.display().to_string();
        let before = fs::read_to_string(page).map_err(|error| format!("cannot read {shown}: {error}"))?;
        let mut is_known = true;
        let mut fill = |mark: &Mark| -> Result<String> {
            if let Some(document) = load(&from, mark.lab)? {
                return figures(mark.part, &document);
            }
            missing.insert(mark.lab.name);
            is_known &= !mark.has_figures();
            Ok(mark.without_result())
        };
        let (after, count) = refreshed(&shown, &before, &mut fill)?;
        if count == 0 {
            continue;
        }
        let is_changed = after != before;
        if is_changed || !is_known {
            stale.push(shown.clone());
        }
        writeln!(text, "{shown}: {count} marks, {}", if is_changed { "written" } else { "unchanged" })?;
        items.push(json!({ "page": shown, "marks": count, "changed": is_changed }));
        if is_changed {
            changed.push((page, after));
        }
    }
    if arguments.check && !stale.is_empty() {
        let stale = stale.join(", ");
        return Err(format!(
            "figures are stale or without a result in {stale}: run the labs, then `cargo lab include`"
        )
        .into());
    }
    // All of them are valid: now they are written.
    changed.iter().try_for_each(|(page, after)| files::replace(page, after.as_bytes()))?;
    if items.is_empty() {
        text = "no page has marks of labs\n".to_owned();
    }
    if !missing.is_empty() {
        let names: Vec<&str> = missing.iter().copied().collect();
        writeln!(text, "no result of {}: their figures stay as they are", names.join(", "))?;
    }
    Ok(Output { text, json: json!({ "pages": items, "missing": missing }) })
}

/// Adds the Markdown pages in a folder and below it, in order.
fn find_pages(folder: &Path, pages: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(folder).map_err(|error| format!("cannot read {}: {error}", folder.display()))?;
    let mut paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()?;
    paths.sort();
    for path in paths {
        if path.is_dir() {
            find_pages(&path, pages)?;
        } else if path.extension().is_some_and(|extension| extension == "md") {
            pages.push(path);
        }
    }
    Ok(())
}

/// Returns the result of a lab, if it has run.
fn load(from: &Path, lab: &Lab) -> Result<Option<ResultDocument>> {
    let path = from.join(format!("{}.json", lab.name));
    let document: Option<ResultDocument> = files::read_json(&path)?;
    match document {
        Some(ResultDocument { schema, .. }) if schema != SCHEMA => {
            Err(format!("{} has the form {schema:?}, not {SCHEMA:?}: run the lab again", path.display()).into())
        }
        document => Ok(document),
    }
}

/// Returns a page in which each mark has what `fill` returns for it, and the number of marks. Marks inside of code blocks are text.
fn refreshed(page: &str, text: &str, fill: &mut dyn FnMut(&Mark) -> Result<String>) -> Result<(String, usize)> {
    let (mut after, mut count, mut is_code) = (String::new(), 0, false);
    let mut lines = text.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        after.push_str(line);
        after.push('\n');
        is_code ^= line.starts_with("```");
        let Some(words) = line.strip_prefix(BEGIN).filter(|_| !is_code && line != END) else { continue };
        let wrong = |what: &str| format!("{page}:{}: {what}", at + 1);
        let (lab, part) = parse(words).map_err(|error| wrong(&error.to_string()))?;
        let mut mark = Mark { lab, part, found: String::new() };
        loop {
            match lines.next() {
                Some((_, END)) => break,
                Some((_, line)) if !line.starts_with(BEGIN) => {
                    mark.found.push_str(line);
                    mark.found.push('\n');
                }
                _ => return Err(wrong("the figures have no `<!-- lab end -->`").into()),
            }
        }
        after.push_str(&fill(&mark).map_err(|error| wrong(&error.to_string()))?);
        after.push_str(END);
        after.push('\n');
        count += 1;
    }
    if !text.ends_with('\n') {
        after.pop();
    }
    Ok((after, count))
}

/// Reads the words of a mark: `NAME PART -->`.
fn parse(words: &str) -> Result<(&'static Lab, Part)> {
    let words: Vec<&str> = words.trim_end_matches("-->").split_whitespace().collect();
    let [name, part] = words[..] else { return Err("a mark is `<!-- lab NAME PART -->`".into()) };
    let part = match part {
        "table" => Part::Table,
        "answer" => Part::Answer,
        other => return Err(format!("{other:?} is neither `table` nor `answer`").into()),
    };
    Ok((labs::find(name)?, part))
}

fn figures(part: Part, document: &ResultDocument) -> Result<String> {
    match part {
        Part::Table => table(document),
        Part::Answer => Ok(answer(document)),
    }
}

fn table(document: &ResultDocument) -> Result<String> {
    let mut text = String::from("|");
    for column in &document.columns {
        write!(text, " | {}", column.heading())?;
    }
    writeln!(text, " |\n|{}", " --- |".repeat(document.columns.len() + 1))?;
    for row in &document.rows {
        let figure = |(cell, column): (&Option<Summary>, &Column)| column.figure(cell.as_ref());
        let figures: Vec<String> = row.cells.iter().zip(&document.columns).map(figure).collect();
        writeln!(text, "| {} | {} |", row.label, figures.join(" | "))?;
    }
    writeln!(text, "\nMedian of {} runs (least to greatest). {}", document.runs, source(document))?;
    Ok(text)
}

fn answer(document: &ResultDocument) -> String {
    let answer = &document.answer;
    format!("**{} {}.** {} {}\n", numbers::short(answer.value), answer.unit, answer.text, source(document))
}

/// Where the figures come from.
fn source(document: &ResultDocument) -> String {
    let ResultDocument { lab, kind, seed, commit, machine, .. } = document;
    // Twelve digits name a commit, and changes stay visible.
    let (id, changes) = commit.split_once('+').map_or((commit.as_str(), ""), |(id, _)| (id, " with changes"));
    let commit = id.get(..12).unwrap_or(id);
    format!("{}: {kind}, {} cores, seed {seed}, commit {commit}{changes}.", command(lab), machine.cores)
}

/// The command that makes a result.
fn command(lab: &str) -> String {
    format!("`cargo lab run {lab}`")
}

#[cfg(test)]
mod tests {
    use launcher::clock;

    use super::*;
    use crate::machine::Machine;
    use crate::outcome::{Answer, Measurements};

    fn document(lab: &Lab) -> ResultDocument {
        let mut measured = Measurements::new(vec![Column::new("wait", "ms", 1), Column::new("count", "", 0)]);
        measured.record("a", &[1.0, 2.0]);
        measured.record("a", &[3.0, 2.0]);
        let table = measured.table();
        ResultDocument {
            schema: SCHEMA.into(),
            lab: lab.name.into(),
            number: lab.number,
            title: String::new(),
            question: String::new(),
            kind: "simulated".into(),
            seed: 1,
            runs: 2,
            commit: "0123456789abcdef+changes".into(),
            build: "release".into(),
            started_at: clock::now(),
            seconds: 1.0,
            machine: Machine { cores: 2, memory_mb: 0, system: String::new() },
            columns: table.columns,
            rows: table.rows,
            answer: Answer { value: 3.5, unit: "ms".into(), text: "What it is.".into() },
            records: Vec::new(),
            conclusions: Vec::new(),
            held_fixed: String::new(),
            would_change: String::new(),
        }
    }

    fn with_results(mark: &Mark) -> Result<String> {
        figures(mark.part, &document(mark.lab))
    }

    fn without_results(mark: &Mark) -> Result<String> {
        Ok(mark.without_result())
    }

    #[test]
    fn figures_between_marks_are_replaced_and_the_rest_is_kept() {
        let page = "# A\n<!-- lab offers table -->\nold\n<!-- lab end -->\ntext\n```\n<!-- lab x y -->\n```\n\
                    <!-- lab 4 answer -->\n<!-- lab end -->";
        let (after, count) = refreshed("a.md", page, &mut with_results).expect("a page");
        assert_eq!(count, 2);
        let source =
            |name| format!("`cargo lab run {name}`: simulated, 2 cores, seed 1, commit 0123456789ab with changes.");
        let wanted = format!(
            "# A\n<!-- lab offers table -->\n| | wait, ms | count |\n| --- | --- | --- |\n| a | 1.0 (1.0 to 3.0) | 2 |\n\n\
             Median of 2 runs (least to greatest). {}\n<!-- lab end -->\ntext\n```\n<!-- lab x y -->\n```\n\
             <!-- lab 4 answer -->\n**3.50 ms.** What it is. {}\n<!-- lab end -->",
            source("offers"),
            source("retries")
        );
        assert_eq!(after, wanted);
        assert_eq!(refreshed("a.md", &after, &mut with_results).expect("a page").0, after);
        // Figures of an earlier result stay.
        assert_eq!(refreshed("a.md", &after, &mut without_results).expect("a page").0, after);
    }

    #[test]
    fn mark_without_a_result_says_how_to_get_it() {
        let page = |found: &str| format!("<!-- lab offers table -->\n{found}<!-- lab end -->\n");
        let wanted = page("Not measured yet: `cargo lab run offers`.\n");
        // Neither figures of another lab nor figures without a commit are this lab's.
        for found in
            ["", "Not measured yet: `cargo lab run offers`.\n", "`cargo lab run retries`: x, commit y.\n", "7\n"]
        {
            let (after, count) = refreshed("a.md", &page(found), &mut without_results).expect("a page");
            assert_eq!((after.as_str(), count), (wanted.as_str(), 1), "{found}");
        }
    }

    #[test]
    fn wrong_mark_is_an_error_with_its_line() {
        let error = |page: &str| refreshed("a.md", page, &mut with_results).expect_err("wrong").to_string();
        assert!(error("\n<!-- lab offers -->\n").starts_with("a.md:2: a mark is"));
        assert!(error("<!-- lab offers plot -->\n<!-- lab end -->").contains("neither `table` nor `answer`"));
        assert!(error("<!-- lab offers table -->\n").contains("no `<!-- lab end -->`"));
        assert!(error("<!-- lab ofers table -->\n<!-- lab end -->").contains("did you mean offers"));
        let nested = "<!-- lab offers table -->\ntext\n<!-- lab retries table -->\n<!-- lab end -->\n";
        assert!(error(nested).starts_with("a.md:1: the figures have no"));
    }

    #[test]
    fn marks_of_the_documentation_are_valid_and_every_lab_has_one_in_the_book() {
        let mut pages = Vec::new();
        find_pages(&crate::commands::checkout().join("docs"), &mut pages).expect("the documentation");
        let mut in_book = BTreeSet::new();
        for page in &pages {
            let is_book = page.parent().is_some_and(|folder| folder.ends_with("docs/book"));
            let mut fill = |mark: &Mark| -> Result<String> {
                if is_book {
                    in_book.insert(mark.lab.name);
                }
                Ok(mark.without_result())
            };
            let before = fs::read_to_string(page).expect("a page");
            let (after, _) = refreshed(&page.display().to_string(), &before, &mut fill).expect("valid marks");
            assert!(after == before, "{}: `cargo lab include` changes it", page.display());
        }
        let missing: Vec<&str> =
            labs::CATALOG.iter().map(|lab| lab.name).filter(|name| !in_book.contains(name)).collect();
        assert!(missing.is_empty(), "no chapter has figures of {missing:?}");
    }
}
