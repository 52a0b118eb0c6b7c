//! `new`, `seal`, `open`: what authors of drills do.

use std::{collections::BTreeMap, fs};

use launcher::files;
use serde_json::json;
use worktree::Tree;

use super::{Context, Output};
use crate::{
    Result,
    export::{Clean, base},
    pack::{Drill, Pack, load, problems, seal},
};

/// The template of `drill.toml`.
const CARD: &str = include_str!("template_drill.toml");

/// The template of `pack.toml`.
const PACK: &str = include_str!("template_pack.toml");

/// How the part begins that `seal` writes.
const BASE_HEADER: &str =
    "\n# Written by `cargo drill seal`: the clean text of each file that a replacement touches.\n[base]\n";

/// Writes the template of a new drill.
pub(super) fn new(context: &Context, slug: &str) -> Result<Output> {
    let valid =
        !slug.is_empty() && slug.chars().all(|char| char.is_ascii_lowercase() || char.is_ascii_digit() || char == '-');
    if !valid || slug.starts_with('-') || slug.ends_with('-') {
        return Err(format!("{slug}: a name has lower-case letters, digits and hyphens: `forty-taxis-no-ride`").into());
    }
    let drills = load::all(&context.checkout)?;
    if let Some(drill) = drills.iter().find(|drill| drill.slug == slug) {
        return Err(format!("there is a drill of that name: {}", drill.folder.display()).into());
    }
    let number = drills.last().map_or(1, |drill| drill.number + 1);
    let folder = context.checkout.join(load::FOLDER).join(format!("{number:02}-{slug}"));
    fs::create_dir_all(&folder).map_err(|error| format!("cannot create {}: {error}", folder.display()))?;
    files::replace(&folder.join(load::FILES[0]), CARD.as_bytes())?;
    files::replace(&folder.join(load::FILES[2]), PACK.as_bytes())?;
    let text = format!(
        "{}\n{}\n\nWrite both, then `cargo drill verify {number} --quick`, `cargo drill verify {number}` and `cargo drill seal {number}`.\n\
         docs/how-to/write-a-drill.md goes through it.",
        folder.join(load::FILES[0]).display(),
        folder.join(load::FILES[2]).display(),
    );
    Ok(Output::of(text, json!({ "number": number, "folder": folder })))
}

/// Writes the sealed pack.
pub(super) fn seal(context: &Context, wanted: &str) -> Result<Output> {
    let drill = load::find(&context.checkout, wanted)?;
    let open = drill.folder.join(load::FILES[2]);
    let text = fs::read_to_string(&open)
        .map_err(|error| format!("{}: {error}; `cargo drill open {}` writes it", open.display(), drill.number))?;
    let pack = drill.pack()?;
    let clean = Clean::read(&context.checkout)?;
    let problems = of(&drill, &pack, &clean);
    if !problems.is_empty() {
        return Err(format!("the pack has problems, and was not sealed:\n- {}", problems.join("\n- ")).into());
    }
    let text = format!("{}{}", without_base(&text), base_section(&pack, &clean.tree));
    toml::from_str::<Pack>(&text).map_err(|error| format!("the sealed text would not be readable: {error}"))?;
    let sealed = drill.folder.join(load::FILES[1]);
    files::replace(&sealed, seal::seal(&text)?.as_bytes())?;
    Ok(Output::of(format!("{} written", sealed.display()), json!({ "sealed": sealed })))
}

/// Writes the open pack.
pub(super) fn open(context: &Context, wanted: &str) -> Result<Output> {
    let drill = load::find(&context.checkout, wanted)?;
    let [_, sealed, open] = load::FILES.map(|file| drill.folder.join(file));
    let text = fs::read_to_string(&sealed).map_err(|error| format!("{}: {error}", sealed.display()))?;
    let text = without_base(&seal::open(&text).map_err(|error| format!("{}: {error}", sealed.display()))?);
    if open.exists() && fs::read_to_string(&open)? != text {
        return Err(format!("{} has changes that are not sealed: seal or delete it first", open.display()).into());
    }
    files::replace(&open, text.as_bytes())?;
    Ok(Output::of(format!("{} written; git ignores it", open.display()), json!({ "open": open })))
}

/// Returns the problems of a pack on this tree.
pub(super) fn of(drill: &Drill, pack: &Pack, clean: &Clean) -> Vec<String> {
    let mut problems = match base::of(&clean.tree, pack) {
        Ok(base) => problems::of(drill, pack, &base),
        Err(error) => vec![error.to_string()],
    };
    let source =
        clean.tree.iter().filter(|(path, _)| ["src/", "migrations/"].iter().any(|folder| path.starts_with(folder)));
    let source: Tree = source.map(|(path, bytes)| (path.clone(), bytes.clone())).collect();
    problems.extend(problems::words(drill, pack, &source).into_iter().map(|problem| format!("checkout: {problem}")));
    problems
}

/// Returns a pack's text without what `seal` has written.
pub(super) fn without_base(text: &str) -> String {
    text.split_once(BASE_HEADER).map_or(text, |(before, _)| before).to_owned()
}

/// The clean text of each file that a replacement of the pack touches.
fn base_section(pack: &Pack, clean: &Tree) -> String {
    let changes = [&pack.fault.replace, &pack.fix.replace, &pack.tree.replace];
    let commits = pack.commit.iter().map(|commit| &commit.replace);
    let wrong = pack.wrong.iter().map(|wrong| &wrong.replace);
    let touched = changes.into_iter().chain(commits).chain(wrong).flatten().map(|replace| replace.file.as_str());
    let texts: BTreeMap<&str, String> =
        touched.filter_map(|file| Some((file, String::from_utf8(clean.get(file)?.clone()).ok()?))).collect();
    let mut section = BASE_HEADER.to_owned();
    for (file, text) in texts {
        section.push_str(&format!("{} = {}\n", quoted(file), quoted(&text)));
    }
    section
}

/// A basic string of TOML. JSON's escapes are a part of TOML's.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default().replace('\u{7f}', "\\u007f")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_is_read_back_and_taken_out_again() {
        let text = "a \"b\" \\ '''\n\ttab \u{7f} é\n";
        let section = format!("{BASE_HEADER}{} = {}\n", quoted("src/a.rs"), quoted(text));
        let table: toml::Table = toml::from_str(&section).expect("TOML");
        assert_eq!(table["base"]["src/a.rs"].as_str(), Some(text));
        assert_eq!(without_base(&format!("words = []\n{section}")), "words = []\n");
    }

    #[test]
    fn every_pack_fits_the_tree_and_leaves_no_trace_of_its_words() {
        let package = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let checkout = package.ancestors().nth(2).expect("the workspace");
        let clean = Clean::read(checkout).expect("the checkout");
        for drill in load::all(checkout).expect("the drills") {
            let problems = of(&drill, &drill.pack().expect("a pack"), &clean);
            assert!(problems.is_empty(), "{}:\n{}", drill.name(), problems.join("\n"));
        }
    }

    #[test]
    fn templates_are_readable() {
        toml::from_str::<crate::pack::Card>(CARD).expect("a card");
        toml::from_str::<Pack>(PACK).expect("a pack");
    }
}
