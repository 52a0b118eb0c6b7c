//! Cycles: inside each crate of `crates/`, no two modules import each other, directly or through others.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    resolve::{Names, is_ours},
    root,
    source::{self, Source},
};

/// Crates whose modules must form no cycle. The list may only grow.
const CRATES: &[&str] = &["city", "embedded-postgres", "psp-sim"];

/// Returns the imports between the top-level modules of a crate: `(from, to)` with one file and line for each.
fn imports(sources: &[Source]) -> BTreeMap<(String, String), String> {
    let tree = source::parse(sources);
    let names = Names::new(&tree);
    let modules: BTreeSet<String> = tree.iter().map(|file| file.top_module().to_owned()).collect();
    let mut imports = BTreeMap::new();
    for file in tree.iter().filter(|file| !["lib", "main"].contains(&file.top_module())) {
        for mention in &file.facts.mentions {
            let hops = names.hops(&mention.scope, &mention.path);
            for to in hops.iter().filter(|hop| is_ours(hop)).filter_map(|hop| hop.get(1)) {
                if modules.contains(to) && to != file.top_module() {
                    let key = (file.top_module().to_owned(), to.clone());
                    imports.entry(key).or_insert_with(|| format!("{}:{}", file.path, mention.line));
                }
            }
        }
    }
    imports
}

/// Returns the imports that are part of a cycle: those whose target leads back to their source.
fn cycles(sources: &[Source]) -> Vec<String> {
    let imports = imports(sources);
    let reaches = |from: &str, wanted: &str| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
        while let Some(at) = open.pop() {
            if at == wanted {
                return true;
            }
            if seen.insert(at) {
                open.extend(imports.keys().filter(|(source, _)| source == at).map(|(_, target)| target.as_str()));
            }
        }
        false
    };
    imports
        .iter()
        .filter(|((from, to), _)| reaches(to, from))
        .map(|((from, to), place)| format!("{place}: {from} imports {to}"))
        .collect()
}

#[test]
fn no_modules_of_a_crate_form_a_cycle() {
    for name in CRATES {
        let folder = format!("crates/{name}/src");
        let sources: Vec<Source> = source::read(root(), &folder, "rs")
            .into_iter()
            .map(|file| Source::new(&file.path.replacen(&folder, "src", 1), &file.text))
            .collect();
        assert!(!sources.is_empty(), "{folder} was not found");
        let found = cycles(&sources);
        assert!(found.is_empty(), "modules of {name} import each other in a cycle:\n{}", found.join("\n"));
    }
}

#[test]
fn a_cycle_through_a_third_module_is_found() {
    let lib = Source::new("src/lib.rs", "mod a; mod b; mod c;");
    let a = Source::new("src/a.rs", "use crate::b::B; pub struct A;");
    let b = Source::new("src/b.rs", "use super::c::C; pub struct B;");
    let open = Source::new("src/c.rs", "pub struct C;");
    let closed = Source::new("src/c.rs", "use crate::a::A; pub struct C;");
    let with = |c: &Source| cycles(&[&lib, &a, &b, c].map(|source| Source::new(&source.path, &source.text)));
    assert_eq!(with(&open), Vec::<String>::new());
    assert_eq!(with(&closed).len(), 3);
}
