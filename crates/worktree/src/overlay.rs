//! Changes of a tree as data: replacements of text, and the files that they result in.

use std::{collections::BTreeMap, fs, path::Path};

use serde::Deserialize;

use crate::Result;

/// One change of a file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replace {
    /// The file, from the workspace's root.
    pub file: String,
    /// Text that occurs exactly once.
    pub from: String,
    /// Its replacement.
    pub to: String,
}

/// The changed files: paths from the root, and contents.
pub type Overlay = BTreeMap<String, String>;

impl Replace {
    /// Replaces the text in `overlay`, or in the file under `root` if the overlay does not have it yet.
    ///
    /// # Errors
    ///
    /// The file can't be read, or the text does not occur exactly once: then the source has changed, and the change must follow.
    pub fn apply(&self, root: &Path, overlay: &mut Overlay) -> Result<()> {
        let Self { file, .. } = self;
        let text = match overlay.remove(file) {
            Some(text) => text,
            None => fs::read_to_string(root.join(file)).map_err(|error| format!("{file}: {error}"))?,
        };
        overlay.insert(file.clone(), self.replaced(&text)?);
        Ok(())
    }

    /// Returns `text` with the replacement.
    ///
    /// # Errors
    ///
    /// The replaced text does not occur exactly once, or nothing changes.
    pub fn replaced(&self, text: &str) -> Result<String> {
        let Self { file, from, to } = self;
        let count = text.matches(from.as_str()).count();
        if count != 1 || from == to {
            return Err(format!("{file}: found {count} times instead of once:\n{from}").into());
        }
        Ok(text.replacen(from.as_str(), to, 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replace(from: &str, to: &str) -> Replace {
        Replace { file: "a.rs".to_owned(), from: from.to_owned(), to: to.to_owned() }
    }

    #[test]
    fn replaced_text_must_occur_exactly_once() {
        assert_eq!(replace("one", "X").replaced("one two two").expect("once"), "X two two");
        for wrong in ["two", "three", "X"] {
            assert!(replace(wrong, "X").replaced("one two two").is_err(), "{wrong}");
        }
    }

    #[test]
    fn changes_of_one_file_add_up() {
        let root = tempfile::tempdir().expect("a directory");
        fs::write(root.path().join("a.rs"), "one two").expect("written");
        let mut overlay = Overlay::new();
        replace("one", "1").apply(root.path(), &mut overlay).expect("applies");
        replace("two", "2").apply(root.path(), &mut overlay).expect("applies");
        assert_eq!(overlay["a.rs"], "1 2");
    }
}
