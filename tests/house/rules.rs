//! The rules themselves: each takes the tree and a table of `house.rs`, and gives the places that break it.

use std::{collections::BTreeMap, fmt};

use crate::{
    ALLOWED_GLOBS, FLOORS, HALL, NEIGHBOURS,
    names::Mention,
    resolve::{Names, is_ours},
    source::{Parsed, Source, matches},
};

/// A broken wall: where, which, and what to do about it.
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

/// Where and which rule, for the planted ones; two names on one line that break one rule count once.
pub fn brief(found: &[Violation]) -> Vec<String> {
    let at = |v: &Violation| format!("{}:{} {}", v.file, v.line, v.rule);
    let mut brief: Vec<String> = found.iter().map(at).collect();
    brief.dedup();
    brief
}

/// Names that some places must not use. A name is matched against what it stands for, not against how it is spelt:
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
            // Alone, a lower-case name is a variable as likely as not.
            let telling = path.len() > 1 || part.starts_with(char::is_uppercase);
            telling && path.iter().any(|segment| segment == part)
        }
        None => {
            let mut segments = path.iter();
            name.split("::").all(|part| segments.next().is_some_and(|segment| segment == part))
        }
    }
}

/// Every mention of the tree with what it stands for.
pub fn mentions<'a>(
    tree: &'a [Parsed],
    names: &'a Names,
) -> impl Iterator<Item = (&'a Parsed, &'a Mention, Vec<Vec<String>>)> {
    tree.iter().flat_map(move |file| {
        let mentions = file.facts.mentions.iter();
        mentions.map(move |mention| (file, mention, names.hops(&mention.scope, &mention.path)))
    })
}

/// Walls between rooms: a room names only rooms on floors below.
pub fn floors(tree: &[Parsed], names: &Names) -> Vec<Violation> {
    let floor_of = |room: &str| FLOORS.iter().find(|(name, _)| *name == room).map(|(_, floor)| floor);
    let mut found = Vec::new();
    for (file, mention, hops) in mentions(tree, names) {
        let here = file.box_name();
        let Some(floor) = floor_of(here) else {
            continue; // the hall may go everywhere
        };
        for there in hops.iter().filter(|hop| is_ours(hop)).filter_map(|hop| hop.get(1)) {
            let written = mention.path.join("::");
            let message = match floor_of(there) {
                _ if there == here || NEIGHBOURS.contains(&(here, there)) => continue,
                Some(other) if other < floor => continue,
                Some(other) => format!(
                    "{here} (floor {floor}) names {there} (floor {other}) as `{written}`; a room imports only from \
                     floors below. News for an upper room goes through the outbox; what two rooms share moves down"
                ),
                None if HALL.contains(&there.as_str()) => format!(
                    "{here} names `{written}`, which is the entrance hall; rooms know nothing of how they are started"
                ),
                None => continue, // an item of lib.rs, or a macro
            };
            found.push(file.violation(mention.line, "floors", message));
        }
    }
    found
}

/// Names that don't belong where they are used.
pub fn bans(tree: &[Parsed], names: &Names, bans: &'static [Ban]) -> Vec<Violation> {
    let mut found = Vec::new();
    for (file, mention, hops) in mentions(tree, names) {
        for ban in bans.iter().filter(|ban| ban.covers(&file.place)) {
            let Some(name) = ban.hit(&hops) else { continue };
            let written = mention.path.join("::");
            let meaning = if name == written { String::new() } else { format!(" ({name})") };
            let message = format!("`{written}`{meaning} has no place here: {}", ban.because);
            found.push(file.violation(mention.line, ban.rule, message));
        }
    }
    found
}

/// Globs over other crates, which this test can't see through.
pub fn globs(tree: &[Parsed], names: &Names) -> Vec<Violation> {
    let mut found = Vec::new();
    for file in tree {
        for import in file.facts.imports.iter().filter(|import| import.name == "*") {
            let hops = names.hops(&import.scope, &import.path);
            let written = import.path.join("::");
            let message = match hops.last() {
                Some(end) if ALLOWED_GLOBS.contains(&end.join("::").as_str()) => continue,
                Some(end) if !is_ours(end) => format!(
                    "`use {written}::*` brings in names that nobody can follow, neither this test nor a reader; name them"
                ),
                _ if file.module == ["crate"] => {
                    format!("`use {written}::*` hides which room a name comes from; name what is published")
                }
                _ => continue,
            };
            found.push(file.violation(import.line, "globs", message));
        }
    }
    found
}

/// Every folder is a room of the picture, has a face, and holds no empty file.
pub fn rooms(tree: &[Parsed]) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut faces: BTreeMap<&str, bool> = BTreeMap::new();
    for file in tree {
        let (name, in_folder) = (file.box_name(), file.place.contains('/'));
        if in_folder {
            *faces.entry(name).or_default() |= file.place == format!("{name}/mod.rs");
        }
        if HALL.contains(&name) {
            continue;
        }
        if !FLOORS.iter().any(|(room, _)| *room == name) {
            let message = format!(
                "`{name}` is not in the picture; put it into a room, or draw it in ARCHITECTURE.md and add it to tests/house.rs"
            );
            found.push(file.violation(1, "rooms", message));
        } else if !in_folder {
            found.push(file.violation(1, "rooms", format!("a room is a folder: move this to {name}/mod.rs")));
        }
    }
    for file in tree {
        if file.facts.is_empty {
            let message = "an empty file; a room has only the furniture it needs".to_owned();
            found.push(file.violation(1, "rooms", message));
        }
        if file.place.ends_with("mod.rs") && !file.facts.has_docs {
            let message = "no `//!` text; a room's face says what it is for, what it never does, and its public names";
            found.push(file.violation(1, "rooms", message.to_owned()));
        }
    }
    for (name, _) in faces.iter().filter(|(_, has_face)| !**has_face) {
        let file = format!("src/{name}/mod.rs");
        let message = "missing; a room's face is its mod.rs".to_owned();
        found.push(Violation { file, line: 1, rule: "rooms", message });
    }
    found
}

/// Traits of ours that only one type implements, those on the list `kept` apart.
pub fn lone_traits(tree: &[Parsed], kept: &[&str]) -> Vec<Violation> {
    let implementations = |name: &str| {
        let all = tree.iter().flat_map(|file| &file.facts.implemented);
        all.filter(|implemented| *implemented == name).count()
    };
    let mut found = Vec::new();
    for file in tree {
        for (name, line) in &file.facts.traits {
            if implementations(name) < 2 && !kept.contains(&name.as_str()) {
                let message = format!("trait `{name}` has fewer than two implementations; use the type itself");
                found.push(file.violation(*line, "traits", message));
            }
        }
    }
    found
}

/// SQL that asks the server for the time: in a string of `src/`, or in a migration.
pub fn sql_clocks(tree: &[Parsed], migrations: &[Source]) -> Vec<Violation> {
    const MESSAGE: &str =
        "the time comes in as an argument: domain time is scaled, and the database's clock knows nothing of it";
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

/// Line offsets and names of the SQL clocks in a text. Those that are written without brackets only count beside other
/// words, so that a JSON key may be called `current_time`.
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

/// SQL without `-- …` comments, line numbers kept.
fn without_comments(sql: &str) -> String {
    let lines = sql.lines().map(|line| line.split("--").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

impl Parsed {
    fn violation(&self, line: usize, rule: &'static str, message: String) -> Violation {
        Violation { file: self.path.clone(), line, rule, message }
    }
}
