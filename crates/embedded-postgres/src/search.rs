//! The search for server binaries: on the machine first, then fetched.

use std::{env, path::PathBuf};

use crate::{
    error::Error,
    fetch,
    installation::{self, Installation, MAJOR_MIN},
    waiting::Progress,
};

/// The environment variable with the directory of the server binaries; if it is set, nothing else is searched.
pub const BIN_DIR_VARIABLE: &str = "RIDEMATCH_POSTGRES_BIN";

/// Where to look for server binaries.
#[derive(Debug, Clone)]
pub struct Search {
    /// Directories of binaries, in order of preference.
    pub dirs: Vec<PathBuf>,
    /// Whether to fetch binaries if none are found.
    pub fetch: bool,
}

impl Default for Search {
    /// Only the directory in [`BIN_DIR_VARIABLE`] if that is set; otherwise the usual directories and fetching.
    fn default() -> Self {
        match env::var_os(BIN_DIR_VARIABLE) {
            Some(dir) if !dir.is_empty() => Self { dirs: vec![dir.into()], fetch: false },
            _ => Self { dirs: installation::usual_dirs(), fetch: true },
        }
    }
}

impl Search {
    /// At least one installation, in order of preference.
    ///
    /// # Errors
    ///
    /// [`Error::NoServer`].
    pub(crate) fn installations(&self, progress: &Progress) -> Result<Vec<Installation>, Error> {
        let (mut found, mut tried) = installation::look_in(&self.dirs);
        if self.fetch {
            found.extend(fetch::fetched());
            if found.is_empty() {
                tried.push("no other server on PATH, by pg_config or in the directories of distributions".into());
                match fetch::fetch(progress) {
                    Ok(installation) => found.push(installation),
                    Err(faults) => tried.extend(faults),
                }
            }
        }
        if found.is_empty() {
            let remedy = self.remedy();
            return Err(Error::NoServer { tried, remedy });
        }
        Ok(found)
    }

    fn remedy(&self) -> String {
        if self.fetch {
            return fetch::remedy().into();
        }
        format!(
            "set {BIN_DIR_VARIABLE} to a directory with initdb and postgres, version {MAJOR_MIN} or newer, or unset it"
        )
    }
}
