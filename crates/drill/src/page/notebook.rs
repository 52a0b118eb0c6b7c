//! The notebook of a drill: evidence that was pinned, and what the user thinks of it.

use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use launcher::files;
use serde::{Deserialize, Serialize};

/// The most notes that are kept; the oldest go first.
const NOTES_MAX: usize = 500;

/// A note.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Note {
    /// Seconds since the start of the drill.
    pub at_s: u32,
    /// Where the evidence is from: "logs", "metrics", "slow", "database", "deploys", or "text" for the user's own words.
    pub kind: String,
    /// The evidence, or the words.
    pub text: String,
}

/// All notes, in a file.
#[derive(Debug)]
pub struct Notebook {
    file: PathBuf,
    notes: Mutex<Vec<Note>>,
}

impl Notebook {
    /// Opens a notebook; a file that does not exist is an empty one.
    ///
    /// # Errors
    /// The file cannot be read, or is no notebook. It is left as it is.
    pub fn open(file: PathBuf) -> io::Result<Self> {
        let notes = files::read_json(&file)?.unwrap_or_default();
        Ok(Self { file, notes: Mutex::new(notes) })
    }

    /// Returns the notes, the oldest first.
    pub fn notes(&self) -> Vec<Note> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Adds a note and returns all. The file is replaced as a whole.
    ///
    /// # Errors
    /// The file cannot be written. Then the note is not kept, and the earlier file stays.
    pub fn add(&self, note: Note) -> io::Result<Vec<Note>> {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut more = notes.clone();
        more.push(note);
        let surplus = more.len().saturating_sub(NOTES_MAX);
        more.drain(..surplus);
        files::replace_json(&self.file, &more)?;
        notes.clone_from(&more);
        Ok(more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(at_s: u32) -> Note {
        Note { at_s, kind: "text".to_owned(), text: format!("at {at_s}") }
    }

    #[test]
    fn notes_survive_a_restart_and_the_oldest_go_first() {
        let folder = tempfile::tempdir().expect("a directory");
        let file = folder.path().join("notes.json");
        let at_s = |at: usize| u32::try_from(at).expect("few");
        let full: Vec<Note> = (0..NOTES_MAX).map(|at| note(at_s(at))).collect();
        files::replace_json(&file, &full).expect("written");
        let notebook = Notebook::open(file.clone()).expect("the file");
        notebook.add(note(at_s(NOTES_MAX))).expect("kept");
        let again = Notebook::open(file).expect("the file");
        assert_eq!(again.notes(), notebook.notes());
        assert_eq!((again.notes().len(), again.notes()[0].at_s), (NOTES_MAX, 1));
    }

    #[test]
    fn failed_write_keeps_the_earlier_file() {
        let folder = tempfile::tempdir().expect("a directory");
        let notebook = Notebook::open(folder.path().join("notes.json")).expect("an empty one");
        notebook.add(note(1)).expect("kept");
        // A folder in the place of the temporary file.
        std::fs::create_dir(folder.path().join("notes.json.new")).expect("created");
        assert!(notebook.add(note(2)).is_err());
        assert_eq!(notebook.notes(), [note(1)]);
        let again = Notebook::open(folder.path().join("notes.json")).expect("the file");
        assert_eq!(again.notes(), [note(1)]);
    }

    #[test]
    fn file_that_is_no_notebook_is_an_error_and_stays() {
        let folder = tempfile::tempdir().expect("a directory");
        let file = folder.path().join("notes.json");
        std::fs::write(&file, "not JSON").expect("written");
        assert!(Notebook::open(file.clone()).is_err());
        assert_eq!(std::fs::read_to_string(file).expect("still there"), "not JSON");
    }
}
