//! What the user has changed in the exported tree.

use std::{fs, path::PathBuf};

use launcher::{clock, files};

use super::git::Repository;
use crate::{
    Result,
    session::{Paths, Session},
};

/// Returns the user's changes as a patch; empty if there are none.
///
/// # Errors
///
/// Git fails, or the tree is gone.
pub fn diff(paths: &Paths, session: &Session) -> Result<String> {
    Repository::open(&paths.tree())?.diff(&session.commit)
}

/// Keeps the user's changes as a patch beside the tree. Returns its path; `None` if there are none, or no tree.
///
/// # Errors
///
/// The patch can't be written: then the tree must not be replaced.
pub fn save(paths: &Paths, session: &Session) -> Result<Option<PathBuf>> {
    let Ok(repository) = Repository::open(&paths.tree()) else { return Ok(None) };
    let patch = repository.diff(&session.commit).map_err(|error| {
        format!("your changes in {} cannot be saved: {error}; nothing was replaced", paths.tree().display())
    })?;
    if patch.is_empty() {
        return Ok(None);
    }
    fs::create_dir_all(paths.edits())?;
    let path = paths.edits().join(format!("{}-{}.patch", session.name, clock::now().format("%Y%m%dT%H%M%S")));
    files::replace(&path, patch.as_bytes())?;
    Ok(Some(path))
}

/// The changed lines of a file in a patch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChange {
    /// The path.
    pub file: String,
    /// Added and removed lines, each with its `+` or `-`.
    pub lines: String,
}

/// Splits a patch by file.
pub fn by_file(patch: &str) -> Vec<FileChange> {
    let mut changes: Vec<FileChange> = Vec::new();
    let mut in_hunk = false;
    for line in patch.lines() {
        if let Some(rest) = line.strip_prefix("diff --git a/") {
            let file = rest.split_once(" b/").map_or(rest, |(file, _)| file).to_owned();
            changes.push(FileChange { file, lines: String::new() });
            in_hunk = false;
        } else if line.starts_with("@@ ") {
            in_hunk = true;
        } else if let Some(change) = changes.last_mut()
            && in_hunk
            && line.starts_with(['+', '-'])
        {
            change.lines.push_str(line);
            change.lines.push('\n');
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patch_is_split_by_file_without_context() {
        let patch = "diff --git a/src/a.rs b/src/a.rs\nindex 1..2 100644\n--- a/src/a.rs\n+++ b/src/a.rs\n@@ -1,2 +1,2 @@\n context\n-old\n+new\n\
                     diff --git a/b.sql b/b.sql\nnew file mode 100644\n--- /dev/null\n+++ b/b.sql\n@@ -0,0 +1 @@\n+select 1;\n";
        let changes = by_file(patch);
        let brief: Vec<(&str, &str)> =
            changes.iter().map(|change| (change.file.as_str(), change.lines.as_str())).collect();
        assert_eq!(brief, [("src/a.rs", "-old\n+new\n"), ("b.sql", "+select 1;\n")]);
    }
}
