//! From a pack and the clean tree to the trees of a drill: healthy, faulty, fixed.

use std::collections::BTreeMap;

use worktree::{Replace, Tree};

use super::model::{Change, Commit, Pack};
use crate::Result;

/// The file with the service's environment in the exported tree.
pub const ENVIRONMENT_FILE: &str = "deploy/service.env";

/// How that file begins.
const ENVIRONMENT_HEADER: &str = "# Environment of the service. `ridematch serve --help` lists the variables.\n";

/// Applies a change to a tree.
///
/// # Errors
///
/// A replaced text does not occur exactly once, or a file to remove is missing.
pub fn apply(tree: &mut Tree, change: &Change) -> Result<()> {
    replace(tree, &change.replace)?;
    tree.extend(change.add.iter().map(|(path, text)| (path.clone(), text.clone().into_bytes())));
    for path in &change.remove {
        tree.remove(path).ok_or_else(|| format!("{path}: there is no such file to remove"))?;
    }
    set_environment(tree, &change.environment);
    Ok(())
}

/// Applies the own changes of a commit, without the fault.
///
/// # Errors
///
/// As [`apply`].
pub fn apply_commit(tree: &mut Tree, commit: &Commit) -> Result<()> {
    let change = Change {
        replace: commit.replace.clone(),
        add: commit.add.clone(),
        environment: commit.environment.clone(),
        ..Change::default()
    };
    apply(tree, &change).map_err(|error| format!("commit \"{}\": {error}", subject(&commit.message)).into())
}

/// Replaces texts in a tree.
///
/// # Errors
///
/// A replaced text does not occur exactly once.
pub fn replace(tree: &mut Tree, replacements: &[Replace]) -> Result<()> {
    for replacement in replacements {
        let file = &replacement.file;
        let bytes = tree.get(file).ok_or_else(|| format!("{file}: there is no such file"))?;
        let text = std::str::from_utf8(bytes).map_err(|_| format!("{file}: it is no text"))?;
        let replaced = replacement.replaced(text)?.into_bytes();
        tree.insert(file.clone(), replaced);
    }
    Ok(())
}

/// Sets variables in the environment file of a tree. An empty value removes a line.
pub fn set_environment(tree: &mut Tree, variables: &BTreeMap<String, String>) {
    if variables.is_empty() && tree.contains_key(ENVIRONMENT_FILE) {
        return;
    }
    let before = tree.get(ENVIRONMENT_FILE).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let before = before.unwrap_or_else(|| ENVIRONMENT_HEADER.to_owned());
    let name_of = |line: &str| line.split_once('=').map(|(name, _)| name.trim().to_owned()).unwrap_or_default();
    let mut lines: Vec<String> = Vec::new();
    let mut written: Vec<&str> = Vec::new();
    for line in before.lines() {
        match variables.get_key_value(&name_of(line)).filter(|_| !line.starts_with('#')) {
            None => lines.push(line.to_owned()),
            Some((name, value)) => {
                written.push(name);
                lines.extend((!value.is_empty()).then(|| format!("{name}={value}")));
            }
        }
    }
    let added = variables.iter().filter(|(name, value)| !value.is_empty() && !written.contains(&name.as_str()));
    lines.extend(added.map(|(name, value)| format!("{name}={value}")));
    tree.insert(ENVIRONMENT_FILE.to_owned(), format!("{}\n", lines.join("\n")).into_bytes());
}

/// Reads the variables of an environment file. Lines that are no assignment are ignored.
pub fn environment(text: &str) -> BTreeMap<String, String> {
    let assignments = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    assignments
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.trim().to_owned(), value.trim().trim_matches('"').to_owned()))
        .filter(|(name, _)| !name.is_empty())
        .collect()
}

/// Returns the first line of a message.
pub fn subject(message: &str) -> &str {
    message.trim().lines().next().unwrap_or_default()
}

/// Joins the SQL of a fault and of what follows it.
pub fn sql(fault: &Change, then: &Change) -> Option<String> {
    let parts: Vec<&str> = [&fault.sql, &then.sql].into_iter().filter_map(|sql| sql.as_deref()).collect();
    (!parts.is_empty()).then(|| parts.join(";\n"))
}

/// Returns the trees of the history, oldest first, each with its commit; the first one is the import. With `with_fault = false`, the
/// history of a healthy tree.
///
/// # Errors
///
/// A change does not apply.
pub fn history<'a>(base: &Tree, pack: &'a Pack, with_fault: bool) -> Result<Vec<(Option<&'a Commit>, Tree)>> {
    let in_commit = pack.commit.iter().any(|commit| commit.fault);
    let fault = |tree: &mut Tree| -> Result<()> {
        if with_fault {
            apply(tree, &pack.fault).map_err(|error| format!("fault: {error}"))?;
        }
        Ok(())
    };
    let mut tree = base.clone();
    set_environment(&mut tree, &pack.environment);
    if !in_commit {
        fault(&mut tree)?;
    }
    let mut trees = vec![(None, tree.clone())];
    for commit in &pack.commit {
        apply_commit(&mut tree, commit)?;
        if commit.fault {
            fault(&mut tree)?;
        }
        trees.push((Some(commit), tree.clone()));
    }
    Ok(trees)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(text: &str) -> Tree {
        Tree::from([("a.rs".to_owned(), text.as_bytes().to_vec())])
    }

    #[test]
    fn environment_is_kept_in_a_file() {
        let mut tree = Tree::new();
        set_environment(&mut tree, &BTreeMap::new());
        set_environment(&mut tree, &BTreeMap::from([("B".into(), "2".into()), ("A".into(), "1".into())]));
        set_environment(&mut tree, &BTreeMap::from([("A".into(), String::new()), ("B".into(), "3".into())]));
        let text = String::from_utf8_lossy(&tree[ENVIRONMENT_FILE]).into_owned();
        assert_eq!(text, format!("{ENVIRONMENT_HEADER}B=3\n"));
        assert_eq!(environment(&format!("{text}C = \"x y\"\n#D=1\n")).len(), 2);
    }

    #[test]
    fn change_names_the_file_that_it_does_not_fit() {
        let change: Change = toml::from_str("[[replace]]\nfile = 'a.rs'\nfrom = 'one'\nto = '1'\n[add]\n'b.rs' = 'b'")
            .expect("a change");
        let mut applied = tree("one two");
        apply(&mut applied, &change).expect("applies");
        assert_eq!((applied["a.rs"].as_slice(), applied["b.rs"].as_slice()), (&b"1 two"[..], &b"b"[..]));
        let error = apply(&mut tree("two"), &change).expect_err("does not apply").to_string();
        assert!(error.starts_with("a.rs: found 0 times"), "{error}");
    }
}
