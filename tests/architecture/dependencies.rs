//! Each direct dependency is in the workspace's table once and, with its reason, in the docs.

use std::collections::BTreeSet;

use crate::{
    rules::{Violation, brief},
    source::Source,
};

const TABLE: &str = "workspace.dependencies";

/// The page with a line for each dependency.
pub const PAGE: &str = "docs/decisions/dependencies.md";

/// Compares the workspace's table with the page, and the manifests with the table and with `forbidden`: pairs of a
/// manifest and a dependency that it must not have.
pub fn dependencies(root: &Source, members: &[Source], page: &str, forbidden: &[(&str, &str)]) -> Vec<Violation> {
    let table: BTreeSet<&str> = entries(&root.text)
        .filter(|entry| entry.section == TABLE && !entry.value.contains("path ="))
        .map(|entry| entry.name)
        .collect();
    let direct: Vec<(&str, Entry)> = members
        .iter()
        .chain([root])
        .flat_map(|manifest| entries(&manifest.text).map(|entry| (manifest.path.as_str(), entry)))
        .filter(|(_, entry)| entry.section.ends_with("dependencies") && entry.section != TABLE)
        .collect();

    let mut found = explained(&table, page);
    let used: BTreeSet<&str> = direct.iter().map(|(_, entry)| entry.name).collect();
    for name in table.difference(&used) {
        found.push(violation(&root.path, 1, format!("`{name}` is unused; remove it from [{TABLE}]")));
    }
    for (file, entry) in direct {
        let name = entry.name;
        if !entry.value.contains("workspace = true") && !entry.key.ends_with(".workspace") {
            let message = format!("`{name}` has a version of its own; add it to [{TABLE}] so that it is compiled once");
            found.push(violation(file, entry.line, message));
        }
        if forbidden.contains(&(file, name)) {
            let message = format!("`{name}` is forbidden in this crate by FORBIDDEN_DEPENDENCIES");
            found.push(violation(file, entry.line, message));
        }
    }
    found
}

/// Compares the names in the table with those on the page.
fn explained(table: &BTreeSet<&str>, page: &str) -> Vec<Violation> {
    let lines = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let explained: BTreeSet<&str> = lines.map(|(name, _)| name).collect();
    let missing = table
        .difference(&explained)
        .map(|name| violation(PAGE, 1, format!("no line for `{name}`: state its use and the alternatives considered")));
    let stale = explained
        .difference(table)
        .map(|name| violation(PAGE, 1, format!("`{name}` is not a dependency; remove its line")));
    missing.chain(stale).collect()
}

fn violation(file: &str, line: usize, message: String) -> Violation {
    Violation { file: file.to_owned(), line, rule: "dependencies", message }
}

struct Entry<'a> {
    section: &'a str,
    /// `geo` for both `geo = …` and `geo.workspace = …`.
    name: &'a str,
    key: &'a str,
    value: &'a str,
    line: usize,
}

/// Returns the `key = value` lines of a manifest with their section. It reads one entry a line.
fn entries(manifest: &str) -> impl Iterator<Item = Entry<'_>> {
    let mut section = "";
    manifest.lines().enumerate().filter_map(move |(at, line)| {
        if let Some(header) = line.strip_prefix('[') {
            section = header.trim_end_matches(']');
        }
        let (key, value) = line.split_once('=').filter(|_| !line.starts_with(['#', '[']))?;
        let key = key.trim();
        let name = key.split('.').next().unwrap_or(key);
        Some(Entry { section, name, key, value: value.trim(), line: at + 1 })
    })
}

#[test]
fn a_missing_stale_or_unused_dependency_line_is_a_violation() {
    let root = "[workspace.dependencies]\ngeo = \"1\"\nours = { path = \"x\" }\n[dependencies]\ngeo.workspace = true\n";
    let check = |root: &str, page: &str, forbidden: &[(&str, &str)]| {
        brief(&dependencies(&Source::new("Cargo.toml", root), &[], page, forbidden))
    };
    let page = "| `geo` | spheres | |";
    assert_eq!(check(root, page, &[]), Vec::<String>::new());
    assert_eq!(check(root, "", &[]), [format!("{PAGE}:1 dependencies")]);
    assert_eq!(check(root, "| `geo` | |\n| `gone` | |", &[]), [format!("{PAGE}:1 dependencies")]);
    assert_eq!(check(&format!("{root}time = \"1\"\n"), page, &[]), ["Cargo.toml:6 dependencies"]);
    assert_eq!(check(root, page, &[("Cargo.toml", "geo")]), ["Cargo.toml:5 dependencies"]);
    let unused = root.replace("geo.workspace = true\n", "");
    assert_eq!(check(&unused, page, &[]), ["Cargo.toml:1 dependencies"]);
}
