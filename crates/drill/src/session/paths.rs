//! Where things are in the user's data directory.

use std::path::{Path, PathBuf};

use launcher::environment;

use crate::Result;

/// The variable that names another directory, for tests.
pub const DIRECTORY_VARIABLE: &str = "RIDEMATCH_DRILL_DIR";

/// The user's data directory of drills.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    folder: PathBuf,
}

impl Paths {
    /// Returns the directory: `$RIDEMATCH_DRILL_DIR`, or `ridematch/drill` in `$XDG_DATA_HOME` or `~/.local/share`.
    ///
    /// # Errors
    ///
    /// None of the variables is set.
    pub fn of_user() -> Result<Self> {
        Ok(Self::at(environment::user_dir(DIRECTORY_VARIABLE, "drill")?))
    }

    /// The directory at this path.
    pub fn at(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The directory.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The exported tree, in which the user works.
    pub fn tree(&self) -> PathBuf {
        self.folder.join("tree")
    }

    /// Its target directory.
    pub fn target(&self) -> PathBuf {
        self.folder.join("target")
    }

    /// Programs that were built from it, and kept.
    pub fn programs(&self) -> PathBuf {
        self.folder.join("programs")
    }

    /// Patches of what the user had changed.
    pub fn edits(&self) -> PathBuf {
        self.folder.join("edits")
    }

    /// What `verify` and `diagnose --review` build in.
    pub fn proof(&self) -> Self {
        Self::at(self.folder.join("proof"))
    }

    /// Results of `verify`, by drill.
    pub fn proofs(&self) -> PathBuf {
        self.folder.join("proof/results")
    }

    /// The current drill.
    pub fn session(&self) -> PathBuf {
        self.folder.join("session.json")
    }

    /// The results of all drills.
    pub fn scoreboard(&self) -> PathBuf {
        self.folder.join("scoreboard.json")
    }

    /// The lock of commands that change something.
    pub fn lock(&self) -> PathBuf {
        self.folder.join("lock")
    }

    /// What was pinned on the page in the browser.
    pub fn notebook(&self) -> PathBuf {
        self.folder.join("notebook.json")
    }

    /// The course of a game day.
    pub fn game(&self) -> PathBuf {
        self.folder.join("game.json")
    }

    /// The running service under load: its state, log and process id.
    pub fn running(&self) -> PathBuf {
        self.folder.join("running")
    }
}
