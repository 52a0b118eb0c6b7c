//! The exported tree: what it consists of, its history, its build, and the user's edits.

pub mod base;
pub mod build;
pub mod edits;
pub mod git;
pub mod history;
pub mod lockfile;
pub mod target;

use std::{collections::BTreeSet, fs, path::Path};

use worktree::{Overlay, Tree, TreeCopy};

use crate::{
    Result,
    pack::{Pack, changes},
    session::Paths,
};

/// A clean tree, and which of its files can be executed.
#[derive(Debug, Clone)]
pub struct Clean {
    /// Every file that git tracks or would track.
    pub tree: Tree,
    /// Paths of executable files.
    pub executable: BTreeSet<String>,
}

impl Clean {
    /// Reads the checkout.
    ///
    /// # Errors
    ///
    /// It is no repository, or a file can't be read.
    pub fn read(checkout: &Path) -> Result<Self> {
        let tree = worktree::read_tree(checkout)?;
        let executable = tree.keys().filter(|path| is_executable(&checkout.join(path))).cloned().collect();
        Ok(Self { tree, executable })
    }
}

/// What was written.
#[derive(Debug, Clone)]
pub struct Written {
    /// The newest commit.
    pub commit: String,
    /// How many files differed from what was there.
    pub files: usize,
}

/// Writes the exported tree with its history. What was there before is replaced; unchanged files keep their times.
///
/// # Errors
///
/// The pack does not apply, git fails, or a file can't be written.
pub fn write(paths: &Paths, clean: &Clean, pack: &Pack, today: chrono::NaiveDate) -> Result<Written> {
    let base = base::of(&clean.tree, pack)?;
    let trees = changes::history(&base, pack, true)?;
    let stream = history::stream(&trees, &clean.executable, today);
    let faulty = trees.last().map(|(_, tree)| tree).ok_or("an empty history")?;

    let tree = paths.tree();
    let new = git::Repository::import(&paths.folder().join("history.new"), &stream)?;
    let files = write_files(&tree, faulty, &clean.executable)?;
    let repository = new.move_to(&tree)?;
    repository.adopt_files()?;
    Ok(Written { commit: repository.head()?, files })
}

/// Makes a folder equal to a tree, without history. Returns how many files differed.
///
/// # Errors
///
/// A file can't be written.
pub fn write_files(folder: &Path, tree: &Tree, executable: &BTreeSet<String>) -> Result<usize> {
    let copy =
        TreeCopy::open(folder.to_owned()).map_err(|error| format!("cannot create {}: {error}", folder.display()))?;
    let applied =
        copy.apply(tree, &Overlay::new()).map_err(|error| format!("cannot write {}: {error}", folder.display()))?;
    for path in executable.iter().filter(|path| tree.contains_key(*path)) {
        make_executable(&folder.join(path))?;
    }
    Ok(applied.written + applied.deleted)
}

/// Reads the service's environment from an exported tree.
pub fn environment(folder: &Path) -> std::collections::BTreeMap<String, String> {
    changes::environment(&fs::read_to_string(folder.join(changes::ENVIRONMENT_FILE)).unwrap_or_default())
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).is_ok_and(|data| data.permissions().mode() & 0o100 != 0)
}

fn make_executable(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    if !is_executable(path) {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}
