//! Which servers there are: found on the machine, or else fetched.

use std::{env, path::PathBuf};

use crate::{
    cluster::Progress,
    error::Error,
    fetch,
    installation::{self, Installation, MAJOR_MIN},
};

/// The environment variable that names the directory of the server binaries, instead of any search.
pub const BIN_DIR_VARIABLE: &str = "RIDEMATCH_POSTGRES_BIN";

/// Where server binaries are looked for.
#[derive(Debug, Clone)]
pub struct Search {
    /// Directories of binaries, the preferred ones first.
    pub places: Vec<PathBuf>,
    /// Whether they may be fetched when none are found.
    pub fetch: bool,
}

impl Default for Search {
    /// The directory named by [`BIN_DIR_VARIABLE`] and nothing else, if it is set; else the places where this
    /// machine may have them, and a download.
    fn default() -> Self {
        match env::var_os(BIN_DIR_VARIABLE) {
            Some(dir) if !dir.is_empty() => Self { places: vec![dir.into()], fetch: false },
            _ => Self { places: installation::usual_places(), fetch: true },
        }
    }
}

impl Search {
    /// The installations, at least one, in order of preference.
    ///
    /// # Errors
    ///
    /// [`Error::NoServer`].
    pub(crate) fn installations(&self, progress: &Progress) -> Result<Vec<Installation>, Error> {
        let (mut found, mut tried) = installation::look_in(&self.places);
        if self.fetch {
            found.extend(fetch::fetched());
            if found.is_empty() {
                tried.push("no other server on PATH, by pg_config or where distributions put it".into());
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
            "let {BIN_DIR_VARIABLE} name the directory of initdb and postgres, version {MAJOR_MIN} or newer, or unset it"
        )
    }
}
