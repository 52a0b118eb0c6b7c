//! Links and paths in the documentation: every file that a page names exists.

use std::{fs, path::Path};

use crate::{root, rules::Violation, source};

/// Top-level names whose paths are checked when a page puts them in backticks.
const FOLDERS: &[&str] = &[
    "src/",
    "tests/",
    "crates/",
    "migrations/",
    "mutations/",
    "rehearsal/",
    "exercises/",
    "docs/",
    "openapi/",
    "collections/",
    "clients/",
    "examples/",
    ".ci/",
    ".github/",
];

/// Returns the paths in backticks and the targets of relative links, as they are written.
fn mentioned(line: &str) -> (Vec<&str>, Vec<&str>) {
    let quoted = line.split('`').skip(1).step_by(2);
    let paths = quoted.filter(|text| FOLDERS.iter().any(|folder| text.starts_with(folder)));
    let links = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let links = links.filter(|link| !link.contains("://") && !link.starts_with(['#', '/']) && !link.is_empty());
    (paths.collect(), links.collect())
}

/// Whether a path from the root exists: a file, a folder, or a pattern with `*`, `{}` or a placeholder.
fn exists(path: &str) -> bool {
    if path.contains(['*', '{', '<', ' ', '…']) || path.chars().any(|c| c.is_ascii_uppercase()) && !path.contains('.')
    {
        return true;
    }
    let file = path.split([':', '#']).next().unwrap_or(path);
    root().join(file.trim_end_matches('/')).exists()
}

fn violations(page: &str, text: &str) -> Vec<Violation> {
    let folder = Path::new(page).parent().unwrap_or(Path::new(""));
    let mut found = Vec::new();
    let mut is_code = false;
    for (at, line) in text.lines().enumerate() {
        if line.starts_with("```") {
            is_code = !is_code;
        }
        if is_code {
            continue;
        }
        let (paths, links) = mentioned(line);
        // The pages of a crate also name its own files.
        let is_gone = |path: &&&str| !exists(path) && !root().join(folder).join(path).exists();
        let gone = paths.iter().filter(is_gone).map(|path| (*path).to_owned());
        let broken = links
            .iter()
            .map(|link| folder.join(link.split('#').next().unwrap_or(link)))
            .filter(|target| !root().join(target).exists())
            .map(|target| target.display().to_string());
        for path in gone.chain(broken) {
            let message = format!("`{path}` does not exist");
            found.push(Violation { file: page.to_owned(), line: at + 1, rule: "links", message });
        }
    }
    found
}

#[test]
fn every_path_in_the_documentation_exists() {
    let mut pages = source::read(root(), "docs", "md");
    pages.extend(source::read(root(), "crates", "md"));
    pages.extend(source::read(root(), "collections", "md"));
    pages.extend(source::read(root(), "clients", "md").into_iter().filter(|page| !page.path.contains("node_modules")));
    for page in ["README.md", "ARCHITECTURE.md", "CHANGELOG.md"] {
        pages.push(source::Source::new(page, &fs::read_to_string(root().join(page)).expect("a page")));
    }
    let found: Vec<Violation> = pages.iter().flat_map(|page| violations(&page.path, &page.text)).collect();
    crate::assert_none(&found);
}

#[test]
fn a_missing_path_is_a_violation() {
    for (text, count) in [
        ("See `src/lib.rs` and [the tests](../tests).", 0),
        ("See `src/gone.rs`.", 1),
        ("See [a page](gone.md).", 1),
        ("See [a site](https://example.com) and `tests/*/main.rs`.", 0),
        ("```\n`src/gone.rs`\n```", 0),
    ] {
        assert_eq!(violations("docs/page.md", text).len(), count, "{text}");
    }
}
