//! The rules: each takes the tree and a table of `main.rs` and returns the violations.

use std::{collections::BTreeMap, fmt};

use crate::{
    ALLOWED_GLOBS, COMPOSITION_ROOT, LAYERS, SAME_LAYER,
    names::Mention,
    resolve::{Names, is_ours},
    source::{Parsed, Source, matches},
};

/// A broken rule: place, rule and remedy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    pub file: String,
    pub line: usize,
    pub rule: &'static str,
    pub message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, rule, message } = self;
        write!(f, "{file}:{line}: {rule}: {message}")
    }
}

/// Place and rule of each violation. Two names on one line that break one rule count once.
pub fn brief(found: &[Violation]) -> Vec<String> {
    let at = |v: &Violation| format!("{}:{} {}", v.file, v.line, v.rule);
    let mut brief: Vec<String> = found.iter().map(at).collect();
    brief.dedup();
    brief
}

/// Names that some files must not use. A name is matched after resolution, not as it is spelled:
/// `sqlx` is the crate and everything below it, `*::PgPool` a path with that name in it, `.begin` a call of a
/// method, `async` the keyword, `{float}` a literal with a decimal point.
pub struct Ban {
    pub rule: &'static str,
    pub within: &'static [&'static str],
    pub except: &'static [&'static str],
    pub names: &'static [&'static str],
    pub because: &'static str,
}

impl Ban {
    fn covers(&self, place: &str) -> bool {
        let any = |patterns: &[&str]| patterns.iter().any(|pattern| matches(pattern, place));
        any(self.within) && !any(self.except)
    }

    fn hit(&self, hops: &[Vec<String>]) -> Option<&'static str> {
        let hit = |name: &&&str| hops.iter().any(|hop| is_named(hop, name));
        self.names.iter().find(hit).copied()
    }
}

fn is_named(path: &[String], name: &str) -> bool {
    match name.strip_prefix("*::") {
        Some(part) => {
            // A lone lower-case name may be a variable.
            let telling = path.len() > 1 || part.starts_with(char::is_uppercase);
            telling && path.iter().any(|segment| segment == part)
        }
        None => {
            let mut segments = path.iter();
            name.split("::").all(|part| segments.next().is_some_and(|segment| segment == part))
        }
    }
}

/// Returns every mention of the tree with the paths it resolves to.
pub fn mentions<'a>(
    tree: &'a [Parsed],
    names: &'a Names,
) -> impl Iterator<Item = (&'a Parsed, &'a Mention, Vec<Vec<String>>)> {
    tree.iter().flat_map(move |file| {
        let mentions = file.facts.mentions.iter();
        mentions.map(move |mention| (file, mention, names.hops(&mention.scope, &mention.path)))
    })
}

/// A module names only modules on layers below.
pub fn layers(tree: &[Parsed], names: &Names) -> Vec<Violation> {
    let layer_of = |module: &str| LAYERS.iter().find(|(name, _)| *name == module).map(|(_, layer)| layer);
    let mut found = Vec::new();
    for (file, mention, hops) in mentions(tree, names) {
        let here = file.top_module();
        let Some(layer) = layer_of(here) else {
            continue; // the composition root may name every module
        };
        for there in hops.iter().filter(|hop| is_ours(hop)).filter_map(|hop| hop.get(1)) {
            let written = mention.path.join("::");
            let message = match layer_of(there) {
                _ if there == here || SAME_LAYER.contains(&(here, there)) => continue,
                Some(other) if other < layer => continue,
                Some(other) => format!(
                    "{here} (layer {layer}) names {there} (layer {other}) as `{written}`; a module imports only from \
                     layers below. Events for an upper module go through the outbox; shared code moves down"
                ),
                None if COMPOSITION_ROOT.contains(&there.as_str()) => {
                    format!("{here} names `{written}`, which is the composition root; no module imports it")
                }
                None => continue, // an item of lib.rs, or a macro
            };
            found.push(file.violation(mention.line, "layers", message));
        }
    }
    found
}

/// A module names no other module's routes: they belong to HTTP, and `startup.rs` and `api/` put them together.
pub fn foreign_routes(tree: &[Parsed], names: &Names) -> Vec<Violation> {
    let mut found = Vec::new();
    for (file, mention, hops) in mentions(tree, names) {
        let here = file.top_module();
        let is_foreign = |hop: &&Vec<String>| is_ours(hop) && hop.len() > 2 && hop[1] != here && hop[2] == "routes";
        if !COMPOSITION_ROOT.contains(&here)
            && let Some(hop) = hops.iter().find(is_foreign)
        {
            let written = mention.path.join("::");
            let message =
                format!("{here} names the routes of {} as `{written}`; share a function of the module", hop[1]);
            found.push(file.violation(mention.line, "routes", message));
        }
    }
    found
}

/// Names that the table of bans forbids in a file.
pub fn bans(tree: &[Parsed], names: &Names, bans: &'static [Ban]) -> Vec<Violation> {
    let mut found = Vec::new();
    for (file, mention, hops) in mentions(tree, names) {
        for ban in bans.iter().filter(|ban| ban.covers(&file.place)) {
            let Some(name) = ban.hit(&hops) else { continue };
            let written = mention.path.join("::");
            let meaning = if name == written { String::new() } else { format!(" ({name})") };
            let message = format!("`{written}`{meaning} is not allowed here: {}", ban.because);
            found.push(file.violation(mention.line, ban.rule, message));
        }
    }
    found
}

/// Globs over other crates, which this test cannot resolve.
pub fn globs(tree: &[Parsed], names: &Names) -> Vec<Violation> {
    let mut found = Vec::new();
    for file in tree {
        for import in file.facts.imports.iter().filter(|import| import.name == "*") {
            let hops = names.hops(&import.scope, &import.path);
            let written = import.path.join("::");
            let message = match hops.last() {
                Some(end) if ALLOWED_GLOBS.contains(&end.join("::").as_str()) => continue,
                Some(end) if !is_ours(end) => format!("`use {written}::*` hides which names it imports; list them"),
                _ if file.module == ["crate"] => {
                    format!("`use {written}::*` hides which module a name comes from; list what is published")
                }
                _ => continue,
            };
            found.push(file.violation(import.line, "globs", message));
        }
    }
    found
}

/// Every folder of `src/` is a module of the drawing, has a documented `mod.rs`, and holds no empty file.
pub fn modules(tree: &[Parsed]) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut has_mod_rs: BTreeMap<&str, bool> = BTreeMap::new();
    for file in tree {
        let (name, in_folder) = (file.top_module(), file.place.contains('/'));
        if in_folder {
            *has_mod_rs.entry(name).or_default() |= file.place == format!("{name}/mod.rs");
        }
        if COMPOSITION_ROOT.contains(&name) {
            continue;
        }
        if !LAYERS.iter().any(|(module, _)| *module == name) {
            let message = format!(
                "`{name}` is not a known module; move it into one, or draw it in ARCHITECTURE.md and add it to LAYERS"
            );
            found.push(file.violation(1, "modules", message));
        } else if !in_folder {
            found.push(file.violation(1, "modules", format!("a module is a folder: move this to {name}/mod.rs")));
        }
    }
    for file in tree {
        if file.facts.is_empty {
            let message = "an empty file; a module has only the files it needs".to_owned();
            found.push(file.violation(1, "modules", message));
        }
        if file.place.ends_with("mod.rs") && !file.facts.has_docs {
            let message = "no `//!` text; mod.rs says what the module is for, what it never does, and its public names";
            found.push(file.violation(1, "modules", message.to_owned()));
        }
    }
    for (name, _) in has_mod_rs.iter().filter(|(_, found)| !**found) {
        let file = format!("src/{name}/mod.rs");
        let message = "missing; a module is described by its mod.rs".to_owned();
        found.push(Violation { file, line: 1, rule: "modules", message });
    }
    found
}

/// Traits of this crate that only one type implements, except those in `allowed`.
pub fn lone_traits(tree: &[Parsed], allowed: &[&str]) -> Vec<Violation> {
    let implementations = |name: &str| {
        let all = tree.iter().flat_map(|file| &file.facts.implemented);
        all.filter(|implemented| *implemented == name).count()
    };
    let mut found = Vec::new();
    for file in tree {
        for (name, line) in &file.facts.traits {
            if implementations(name) < 2 && !allowed.contains(&name.as_str()) {
                let message = format!("trait `{name}` has fewer than two implementations; use the type itself");
                found.push(file.violation(*line, "traits", message));
            }
        }
    }
    found
}

/// SQL that reads the server's clock, in a string of `src/` or in a migration.
pub fn sql_clocks(tree: &[Parsed], migrations: &[Source]) -> Vec<Violation> {
    const MESSAGE: &str = "pass the time as an argument: domain time is scaled, the database's clock is not";
    let mut found = Vec::new();
    for file in tree {
        for (text, line) in &file.facts.strings {
            for (offset, name) in clocks_in(text) {
                let message = format!("`{name}` in SQL; {MESSAGE}");
                found.push(file.violation(line + offset, "sql clock", message));
            }
        }
    }
    for migration in migrations {
        for (offset, name) in clocks_in(&without_comments(&migration.text)) {
            let message = format!("`{name}` in SQL; {MESSAGE}");
            let (file, line) = (migration.path.clone(), offset + 1);
            found.push(Violation { file, line, rule: "sql clock", message });
        }
    }
    found
}

/// Returns line offsets and names of the SQL clocks in a text. Names without parentheses count only beside other words,
/// so that a JSON key may be called `current_time`.
fn clocks_in(text: &str) -> Vec<(usize, &'static str)> {
    const CALLED: [&str; 5] = ["now", "clock_timestamp", "statement_timestamp", "transaction_timestamp", "timeofday"];
    const BARE: [&str; 5] = ["current_timestamp", "current_date", "current_time", "localtimestamp", "localtime"];
    let mut found = Vec::new();
    for (offset, line) in text.to_lowercase().lines().enumerate() {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        for word in line.split(|c| !is_word(c)).filter(|word| !word.is_empty()) {
            let bare = BARE.into_iter().find(|name| *name == word && text.contains(char::is_whitespace));
            let called = CALLED.into_iter().find(|name| *name == word).filter(|name| {
                line.match_indices(name).any(|(at, _)| {
                    !line[..at].ends_with(is_word) && line[at + name.len()..].trim_start().starts_with('(')
                })
            });
            found.extend(bare.or(called).map(|name| (offset, name)));
        }
    }
    found
}

/// Returns SQL without `-- …` comments; line numbers stay the same.
fn without_comments(sql: &str) -> String {
    let lines = sql.lines().map(|line| line.split("--").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

impl Parsed {
    fn violation(&self, line: usize, rule: &'static str, message: String) -> Violation {
        Violation { file: self.path.clone(), line, rule, message }
    }
}
