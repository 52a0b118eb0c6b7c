//! Reads and parses the source tree.

use std::{fs, path::Path};

use crate::names::{Facts, facts};

/// One file: its path from the repository's root with `/`, and its text.
pub struct Source {
    pub path: String,
    pub text: String,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }
}

/// A parsed Rust file of `src/`.
pub struct Parsed {
    /// From the repository's root: `src/trips/plan.rs`.
    pub path: String,
    /// From `src/`: `trips/plan.rs`. The patterns of the tables match against this.
    pub place: String,
    /// `["crate", "trips", "plan"]`.
    pub module: Vec<String>,
    pub facts: Facts,
}

impl Parsed {
    /// Returns the top-level module of this file: `trips` for `trips/plan.rs`, `startup` for `startup.rs`.
    pub fn top_module(&self) -> &str {
        let first = self.place.split('/').next().unwrap_or_default();
        first.trim_end_matches(".rs")
    }
}

/// Reads every file below `root/folder` whose name ends with `.ext`, in a stable order. A missing folder is empty.
pub fn read(root: &Path, folder: &str, ext: &str) -> Vec<Source> {
    let mut sources = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(root.join(&folder)) else {
            continue;
        };
        for entry in entries {
            let entry = entry.expect("a directory entry can be read");
            let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
            if entry.path().is_dir() {
                folders.push(path);
            } else if path.ends_with(&format!(".{ext}")) {
                let text = fs::read_to_string(entry.path()).expect("a source file is UTF-8");
                sources.push(Source { path, text });
            }
        }
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

/// Parses the Rust files of `src/`.
///
/// # Panics
/// If a file is not Rust.
pub fn parse(sources: &[Source]) -> Vec<Parsed> {
    let in_src = sources.iter().filter_map(|source| {
        let place = source.path.strip_prefix("src/")?;
        place.ends_with(".rs").then_some((source, place))
    });
    in_src
        .map(|(source, place)| {
            let module = module_of(place);
            let file = syn::parse_file(&source.text).unwrap_or_else(|error| panic!("{}: {error}", source.path));
            Parsed { path: source.path.clone(), place: place.to_owned(), facts: facts(&file, &module), module }
        })
        .collect()
}

/// Returns the module path of a file: `trips/plan.rs` is `crate::trips::plan`; `mod.rs`, `lib.rs` and `main.rs` are
/// their folder.
fn module_of(place: &str) -> Vec<String> {
    let names = place.trim_end_matches(".rs").split('/');
    let mut module = vec!["crate".to_owned()];
    module.extend(names.filter(|name| !["mod", "lib", "main"].contains(name)).map(str::to_owned));
    module
}

/// Whether `place` matches `pattern`: `*` stands for anything within one name, `**` at the end for everything below.
pub fn matches(pattern: &str, place: &str) -> bool {
    let (mut wanted, mut found) = (pattern.split('/'), place.split('/'));
    loop {
        match (wanted.next(), found.next()) {
            (Some("**"), Some(_)) | (None, None) => return true,
            (Some(wanted), Some(found)) if name_matches(wanted, found) => {}
            _ => return false,
        }
    }
}

fn name_matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((start, end)) => name.len() >= start.len() + end.len() && name.starts_with(start) && name.ends_with(end),
    }
}
