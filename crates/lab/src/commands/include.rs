//! `include`: figures of pages, taken from results.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::Output;
use crate::cli::Include;
use crate::document::{ResultDocument, SCHEMA};
use crate::outcome::{Column, Summary};
use crate::{Result, files, labs, numbers};

/// What surrounds figures in a page: `<!-- lab NAME PART -->`, the figures, `<!-- lab end -->`.
const BEGIN: &str = "<!-- lab ";
const END: &str = "<!-- lab end -->";

/// Writes the figures of results into pages, or checks that they are there.
pub(super) fn run(arguments: &Include) -> Result<Output> {
    let from = arguments.from.clone().unwrap_or_else(super::default_out);
    let mut pages = arguments.pages.clone();
    if pages.is_empty() {
        find_pages(&super::checkout().join("docs"), &mut pages)?;
    }
    let mut load = |name: &str| load(&from, name);
    let (mut text, mut items, mut stale) = (String::new(), Vec::new(), Vec::new());
    for page in &pages {
        let shown = page.display().to_string();
        let before = fs::read_to_string(page).map_err(|error| format!("cannot read {shown}: {error}"))?;
        let (after, figures) = refreshed(&shown, &before, &mut load)?;
        if figures == 0 {
            continue;
        }
        let is_changed = after != before;
        if is_changed && arguments.check {
            stale.push(shown.clone());
        } else if is_changed {
            files::replace(page, after.as_bytes())?;
        }
        let state = if is_changed { "written" } else { "unchanged" };
        writeln!(text, "{shown}: {figures} figures, {state}")?;
        items.push(json!({ "page": shown, "figures": figures, "changed": is_changed }));
    }
    if !stale.is_empty() {
        return Err(format!("figures are stale in {}: `cargo lab include` writes them", stale.join(", ")).into());
    }
    if items.is_empty() {
        text = "no page has figures of labs".to_owned();
    }
    Ok(Output { text, json: json!({ "pages": items }) })
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

fn load(from: &Path, name: &str) -> Result<ResultDocument> {
    let lab = labs::find(name)?;
    let path = from.join(format!("{}.json", lab.name));
    let document: Option<ResultDocument> = files::read_json(&path)?;
    let missing = || format!("{} is missing: `cargo lab run {}` makes it", path.display(), lab.name);
    let document = document.ok_or_else(missing)?;
    if document.schema == SCHEMA {
        return Ok(document);
    }
    Err(format!("{} has the form {:?}, not {SCHEMA:?}: run the lab again", path.display(), document.schema).into())
}

/// Returns a page with its figures replaced, and how many it has. Marks inside of code blocks are text.
fn refreshed(page: &str, text: &str, load: &mut dyn FnMut(&str) -> Result<ResultDocument>) -> Result<(String, usize)> {
    let (mut after, mut count, mut is_code) = (String::new(), 0, false);
    let mut lines = text.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        after.push_str(line);
        after.push('\n');
        is_code ^= line.starts_with("```");
        let Some(mark) = line.strip_prefix(BEGIN).filter(|_| !is_code && line != END) else { continue };
        let wrong = |what: &str| format!("{page}:{}: {what}", at + 1);
        let words: Vec<&str> = mark.trim_end_matches("-->").split_whitespace().collect();
        let [name, part] = words[..] else { return Err(wrong("a mark is `<!-- lab NAME PART -->`").into()) };
        let document = load(name).map_err(|error| wrong(&error.to_string()))?;
        after.push_str(&match part {
            "table" => table(&document)?,
            "answer" => answer(&document),
            other => return Err(wrong(&format!("{other:?} is neither `table` nor `answer`")).into()),
        });
        if !lines.any(|(_, line)| line == END) {
            return Err(wrong("the figures have no `<!-- lab end -->`").into());
        }
        after.push_str(END);
        after.push('\n');
        count += 1;
    }
    if !text.ends_with('\n') {
        after.pop();
    }
    Ok((after, count))
}

fn table(document: &ResultDocument) -> Result<String> {
    let mut text = String::from("|");
    for Column { name, unit, .. } in &document.columns {
        let unit = if unit.is_empty() { String::new() } else { format!(", {unit}") };
        write!(text, " | {name}{unit}")?;
    }
    writeln!(text, " |\n|{}", " --- |".repeat(document.columns.len() + 1))?;
    for row in &document.rows {
        let figures =
            row.cells.iter().zip(&document.columns).map(|(cell, column)| figure(cell.as_ref(), column.decimals));
        writeln!(text, "| {} | {} |", row.label, figures.collect::<Vec<_>>().join(" | "))?;
    }
    writeln!(text, "\nMedian of {} runs (least to greatest). {}", document.runs, source(document))?;
    Ok(text)
}

fn figure(cell: Option<&Summary>, decimals: usize) -> String {
    let Some(Summary { min, median, max }) = cell else { return "-".to_owned() };
    let [min, median, max] = [min, median, max].map(|figure| numbers::grouped(*figure, decimals));
    if min == max { median } else { format!("{median} ({min} to {max})") }
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
    format!("`cargo lab run {lab}`: {kind}, {} cores, seed {seed}, commit {commit}{changes}.", machine.cores)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Machine;
    use crate::outcome::{Answer, Measurements};

    fn document(name: &str) -> Result<ResultDocument> {
        let lab = labs::find(name)?;
        let mut measured = Measurements::new(vec![Column::new("wait", "ms", 1), Column::new("count", "", 0)]);
        measured.record("a", &[1.0, 2.0]);
        measured.record("a", &[3.0, 2.0]);
        let table = measured.table();
        Ok(ResultDocument {
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
            started_at: crate::clock::now(),
            seconds: 1.0,
            machine: Machine { cores: 2, memory_mb: 0, system: String::new() },
            columns: table.columns,
            rows: table.rows,
            answer: Answer { value: 3.5, unit: "ms".into(), text: "What it is.".into() },
            records: Vec::new(),
            conclusions: Vec::new(),
            held_fixed: String::new(),
            would_change: String::new(),
        })
    }

    #[test]
    fn figures_between_marks_are_replaced_and_the_rest_is_kept() {
        let page = "# A\n<!-- lab offers table -->\nold\n<!-- lab end -->\ntext\n```\n<!-- lab x y -->\n```\n\
                    <!-- lab 4 answer -->\n<!-- lab end -->";
        let (after, count) = refreshed("a.md", page, &mut document).expect("a page");
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
        assert_eq!(refreshed("a.md", &after, &mut document).expect("a page").0, after);
    }

    #[test]
    fn wrong_mark_is_an_error_with_its_line() {
        let error = |page: &str| refreshed("a.md", page, &mut document).expect_err("wrong").to_string();
        assert!(error("\n<!-- lab offers -->\n").starts_with("a.md:2: a mark is"));
        assert!(error("<!-- lab offers plot -->\n<!-- lab end -->").contains("neither `table` nor `answer`"));
        assert!(error("<!-- lab offers table -->\n").contains("no `<!-- lab end -->`"));
        assert!(error("<!-- lab ofers table -->\n<!-- lab end -->").contains("did you mean offers"));
    }

    #[test]
    fn missing_result_names_the_command_that_makes_it() {
        let folder = tempfile::tempdir().expect("a directory");
        let error = load(folder.path(), "offers").expect_err("missing").to_string();
        assert!(error.contains("cargo lab run offers"), "{error}");
    }
}
