//! Resolves names through `self`, `super`, `crate`, imports, aliases, re-exports and globs.

use std::collections::{HashMap, HashSet};

use crate::source::Parsed;

/// The most paths that one name may resolve to. More means a cycle of re-exports.
const HOPS_MAX: usize = 64;

/// The library's name in `main.rs`, which the compiler treats as another crate.
const LIBRARY: &str = "ridematch";

/// Every module of the tree, and every name that an import adds to one.
pub struct Names {
    modules: HashSet<Vec<String>>,
    imports: HashMap<(Vec<String>, String), Vec<Vec<String>>>,
    globs: HashMap<Vec<String>, Vec<Vec<String>>>,
}

impl Names {
    /// Collects the names of the whole tree.
    pub fn new(tree: &[Parsed]) -> Self {
        let modules = tree.iter().flat_map(|file| file.facts.modules.iter().chain([&file.module])).cloned().collect();
        let mut names = Self { modules, imports: HashMap::new(), globs: HashMap::new() };
        let all = || tree.iter().flat_map(|file| &file.facts.imports);
        let mut bound: HashMap<(&[String], &str), usize> = HashMap::new();
        for import in all() {
            *bound.entry((&import.scope, &import.name)).or_default() += 1;
        }
        for import in all() {
            let first = import.path.first().map_or("", String::as_str);
            // `use rand;` binds `rand` itself, so that it does not make `rand` a local name for its own path.
            let own = usize::from(first == import.name);
            let others = bound.get(&(import.scope.as_slice(), first)).map_or(0, |n| n - own);
            let path = names.absolute(&import.scope, &import.path, others > 0);
            if import.name == "*" {
                names.globs.entry(import.scope.clone()).or_default().push(path);
            } else {
                let key = (import.scope.clone(), import.name.clone());
                names.imports.entry(key).or_default().push(path);
            }
        }
        names
    }

    /// Returns every absolute path that `path`, written in module `scope`, resolves through: itself and each import and
    /// re-export on the way. Paths of this crate start with `crate`.
    pub fn hops(&self, scope: &[String], path: &[String]) -> Vec<Vec<String>> {
        let first = path.first().map_or("", String::as_str);
        let mut hops = Vec::new();
        self.follow(self.absolute(scope, path, self.provides(scope, first, 0)), &mut hops);
        hops
    }

    fn absolute(&self, scope: &[String], path: &[String], first_is_local: bool) -> Vec<String> {
        let mut scope = scope.to_vec();
        let mut rest = path;
        match path.first().map_or("", String::as_str) {
            "" => return path.get(1..).unwrap_or_default().to_vec(),
            "crate" => return path.to_vec(),
            LIBRARY => return [&["crate".to_owned()], &path[1..]].concat(),
            "self" | "super" => {
                while let [first, more @ ..] = rest
                    && (first == "self" || first == "super")
                {
                    if first == "super" && scope.len() > 1 {
                        scope.pop();
                    }
                    rest = more;
                }
            }
            first => {
                scope.push(first.to_owned());
                let local = first_is_local || self.modules.contains(&scope);
                scope.pop();
                if !local {
                    return path.to_vec();
                }
            }
        }
        [&scope, rest].concat()
    }

    fn provides(&self, module: &[String], name: &str, depth: usize) -> bool {
        let key = (module.to_vec(), name.to_owned());
        let child = [module, &[name.to_owned()]].concat();
        let through_globs = || {
            let globs = self.globs.get(module).into_iter().flatten();
            globs.filter(|glob| is_ours(glob)).any(|glob| self.provides(glob, name, depth + 1))
        };
        self.imports.contains_key(&key) || self.modules.contains(&child) || (depth < 4 && through_globs())
    }

    fn follow(&self, path: Vec<String>, hops: &mut Vec<Vec<String>>) {
        if hops.contains(&path) || hops.len() >= HOPS_MAX {
            return;
        }
        hops.push(path.clone());
        if !is_ours(&path) {
            return;
        }
        for at in 1..path.len() {
            let (module, rest) = path.split_at(at);
            if let Some(targets) = self.imports.get(&(module.to_vec(), rest[0].clone())) {
                for target in targets {
                    self.follow([target, &rest[1..]].concat(), hops);
                }
                return;
            }
            if !self.modules.contains(&path[..=at]) {
                for glob in self.globs.get(module).into_iter().flatten().filter(|g| is_ours(g)) {
                    self.follow([glob, rest].concat(), hops);
                }
                return;
            }
        }
    }
}

/// Whether an absolute path is of this crate.
pub fn is_ours(path: &[String]) -> bool {
    path.first().is_some_and(|first| first == "crate")
}
