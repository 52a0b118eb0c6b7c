//! Language: words that the project does not use, in prose or in names. `banned_words.toml` has the list.

use std::{collections::BTreeMap, fs, path::Path};

use serde::Deserialize;

use crate::{root, rules::Violation};

/// Where the list is.
const LIST: &str = "tests/architecture/banned_words.toml";

/// Folders and files that are read.
const READ: &[&str] = &[
    "src",
    "crates",
    "tests",
    "migrations",
    "mutations",
    "rehearsal",
    "exercises",
    "docs",
    "collections",
    "clients",
    "examples",
    ".ci",
    ".github",
    "README.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "Cargo.toml",
    "Dockerfile",
    "docker-compose.yml",
    "clippy.toml",
    "deny.toml",
    "sqlx.toml",
    "openapi/openapi.json",
];

/// Files that are not prose or code of this project, and the two that list the words.
const SKIPPED: &[&str] =
    &[LIST, "tests/architecture/language.rs", "docs/glossary.md", "package-lock.json", ".pem", ".png"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    banned: Vec<Banned>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Banned {
    /// Words or phrases in lower case. `bad days` also matches `bad_days` and `BadDays`.
    words: Vec<String>,
    /// What to write.
    instead: String,
    /// Path prefixes where the word is right, with the reason.
    #[serde(default)]
    except: BTreeMap<String, String>,
}

/// Splits a line into lower-case words. `_`, a change of case and anything but a letter end a word.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut previous_is_lower = false;
    for c in line.chars() {
        let is_boundary = !c.is_alphabetic() || (c.is_uppercase() && previous_is_lower);
        if is_boundary && words.last().is_some_and(|word| !word.is_empty()) {
            words.push(String::new());
        }
        if c.is_alphabetic() {
            words.last_mut().expect("a word").extend(c.to_lowercase());
        }
        previous_is_lower = c.is_lowercase();
    }
    words.retain(|word| !word.is_empty());
    words
}

fn violations(list: &List, path: &str, text: &str) -> Vec<Violation> {
    let mut found = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let spoken = format!(" {} ", words(line).join(" "));
        for banned in &list.banned {
            if banned.except.keys().any(|prefix| path.starts_with(prefix.as_str())) {
                continue;
            }
            for word in banned.words.iter().filter(|word| spoken.contains(&format!(" {word} "))) {
                let message = format!("`{word}` is not a word of this project; write {}", banned.instead);
                found.push(Violation { file: path.to_owned(), line: at + 1, rule: "language", message });
            }
        }
    }
    found
}

fn list() -> List {
    toml::from_str(&fs::read_to_string(root().join(LIST)).expect("the list can be read")).expect("the list is valid")
}

fn read_all(path: &Path, visit: &mut impl FnMut(&str, &str)) {
    let relative = path.strip_prefix(root()).expect("below the root").to_string_lossy().into_owned();
    if SKIPPED.iter().any(|skipped| relative.ends_with(skipped)) || relative.contains("node_modules") {
        return;
    }
    if path.is_dir() {
        for entry in fs::read_dir(path).expect("a folder can be read") {
            read_all(&entry.expect("an entry can be read").path(), visit);
        }
    } else if let Ok(text) = fs::read_to_string(path) {
        visit(&relative, &text);
    }
}

#[test]
fn no_banned_word_is_used() {
    let list = list();
    let mut found = Vec::new();
    for place in READ.iter().map(|place| root().join(place)).filter(|place| place.exists()) {
        read_all(&place, &mut |path, text| found.extend(violations(&list, path, text)));
    }
    crate::assert_none(&found);
}

#[test]
fn every_exception_has_a_reason_and_is_used() {
    for banned in &list().banned {
        assert!(!banned.instead.is_empty(), "{:?} has no replacement", banned.words);
        for (prefix, reason) in &banned.except {
            assert!(reason.len() > 10, "the exception {prefix} of {:?} has no reason", banned.words);
            assert!(root().join(prefix).exists(), "the exception {prefix} of {:?} does not exist", banned.words);
            let alone = List {
                banned: vec![Banned { words: banned.words.clone(), instead: String::new(), except: BTreeMap::new() }],
            };
            let mut is_used = false;
            read_all(&root().join(prefix), &mut |path, text| is_used |= !violations(&alone, path, text).is_empty());
            assert!(is_used, "the exception {prefix} of {:?} is not needed", banned.words);
        }
    }
}

#[test]
fn a_banned_word_is_found_in_prose_and_in_names() {
    let list: List =
        toml::from_str("[[banned]]\nwords = ['bad days']\ninstead = 'faults'\nexcept = {}").expect("a list");
    for text in ["It has bad days.", "let bad_days = 1;", "struct BadDays;", "BAD_DAYS", "mod bad_days;"] {
        assert_eq!(violations(&list, "a.rs", text).len(), 1, "{text}");
    }
    for text in ["bad daydreams", "bade days", "no bad day"] {
        assert_eq!(violations(&list, "a.rs", text).len(), 0, "{text}");
    }
}
