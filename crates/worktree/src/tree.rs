//! A copy of the tree on the disk. Only files that differ are written, so that cargo recompiles as little as possible.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Overlay, Result};

/// The file that embeds the migrations. Cargo does not notice an additional one.
const EMBEDS_MIGRATIONS: &str = "src/platform/schema.rs";

/// Files by their path from the root.
pub type Tree = BTreeMap<String, Vec<u8>>;

/// A copy of a tree. A file beside it lists what it consists of.
#[derive(Debug)]
pub struct TreeCopy {
    folder: PathBuf,
}

/// What applying a tree did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Applied {
    /// Files that were written.
    pub written: usize,
    /// Files that were deleted.
    pub deleted: usize,
}

impl TreeCopy {
    /// Creates the folder, or opens an existing one.
    ///
    /// # Errors
    ///
    /// The folder can't be created.
    pub fn open(folder: PathBuf) -> Result<Self> {
        fs::create_dir_all(&folder)?;
        Ok(Self { folder })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes the copy equal to `tree`, with the files of `overlay`. Files of an earlier tree are deleted; those that the copy never
    /// wrote stay.
    ///
    /// # Errors
    ///
    /// A file can't be written.
    pub fn apply(&self, tree: &Tree, overlay: &Overlay) -> Result<Applied> {
        let mut wanted: BTreeMap<&str, &[u8]> =
            tree.iter().map(|(path, text)| (path.as_str(), text.as_slice())).collect();
        wanted.extend(overlay.iter().map(|(path, text)| (path.as_str(), text.as_bytes())));
        let mut applied = Applied::default();
        let mut migrations_changed = false;
        let list = self.folder.with_extension("files");
        let before = fs::read_to_string(&list).unwrap_or_default();
        for gone in before.lines().filter(|path| !wanted.contains_key(path)) {
            fs::remove_file(self.folder.join(gone)).or_else(ignore_missing)?;
            applied.deleted += 1;
            migrations_changed |= gone.starts_with("migrations/");
        }
        for (path, text) in &wanted {
            let changed = write_if_different(&self.folder.join(path), text)?;
            applied.written += usize::from(changed);
            migrations_changed |= changed && path.starts_with("migrations/");
        }
        write_if_different(&list, wanted.into_keys().collect::<Vec<_>>().join("\n").as_bytes())?;
        if migrations_changed {
            self.touch_migrations()?;
        }
        Ok(applied)
    }

    /// Makes cargo embed the migrations again.
    ///
    /// # Errors
    ///
    /// The file that embeds them can't be written.
    pub fn touch_migrations(&self) -> Result<()> {
        let embeds = self.folder.join(EMBEDS_MIGRATIONS);
        match fs::read(&embeds) {
            Ok(text) => Ok(fs::write(&embeds, text)?),
            Err(error) => Ok(ignore_missing(error)?),
        }
    }
}

/// Reads every file that git tracks or would track.
///
/// # Errors
///
/// `root` is no repository, or a file can't be read.
pub fn read_tree(root: &Path) -> Result<Tree> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"])
        .current_dir(root)
        .output()?;
    if !listed.status.success() {
        return Err(format!("git ls-files: {}", String::from_utf8_lossy(&listed.stderr)).into());
    }
    let files = String::from_utf8(listed.stdout)?;
    // A removed file is listed until the removal is committed.
    let existing = files.split_terminator('\0').filter(|path| root.join(path).is_file());
    existing.map(|path| Ok((path.to_owned(), fs::read(root.join(path))?))).collect()
}

/// Writes a file unless it has this content already, which keeps its modification time. Returns whether it was written.
///
/// # Errors
///
/// The file or its folder can't be written.
pub fn write_if_different(path: &Path, text: &[u8]) -> io::Result<bool> {
    if fs::read(path).is_ok_and(|found| found == text) {
        return Ok(false);
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, text)?;
    Ok(true)
}

fn ignore_missing(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> Tree {
        files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect()
    }

    #[test]
    fn unchanged_file_keeps_its_time_and_a_gone_one_is_deleted() {
        let root = tempfile::tempdir().expect("a directory");
        let copy = TreeCopy::open(root.path().join("tree")).expect("opened");
        let first = copy.apply(&tree(&[("a", "1"), ("b/c", "2")]), &Overlay::new()).expect("applied");
        assert_eq!(first, Applied { written: 2, deleted: 0 });
        let time = || fs::metadata(copy.folder().join("a")).and_then(|data| data.modified()).expect("a time");
        let before = time();
        fs::write(copy.folder().join("own"), "kept").expect("written");
        let overlay = Overlay::from([("d".to_owned(), "3".to_owned())]);
        let second = copy.apply(&tree(&[("a", "1")]), &overlay).expect("applied");
        assert_eq!((second, time()), (Applied { written: 1, deleted: 1 }, before));
        assert!(!copy.folder().join("b/c").exists() && copy.folder().join("own").exists());
    }

    #[test]
    fn changed_migration_touches_the_file_that_embeds_it() {
        let root = tempfile::tempdir().expect("a directory");
        let copy = TreeCopy::open(root.path().join("tree")).expect("opened");
        copy.apply(&tree(&[(EMBEDS_MIGRATIONS, "embed"), ("migrations/1.sql", "a")]), &Overlay::new())
            .expect("applied");
        let file = copy.folder().join(EMBEDS_MIGRATIONS);
        let old = fs::File::open(&file).expect("opened");
        old.set_modified(std::time::UNIX_EPOCH).expect("a time");
        copy.apply(&tree(&[(EMBEDS_MIGRATIONS, "embed"), ("migrations/1.sql", "b")]), &Overlay::new())
            .expect("applied");
        let time = fs::metadata(&file).and_then(|data| data.modified()).expect("a time");
        assert!(time > std::time::UNIX_EPOCH);
    }
}
