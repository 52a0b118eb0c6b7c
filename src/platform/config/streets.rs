//! The street map's file.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// A file of streets, as read at start. Not parsed yet.
#[derive(Clone)]
pub struct StreetFile {
    /// Its path.
    pub path: PathBuf,
    /// Its bytes.
    pub json: Arc<[u8]>,
}

impl fmt::Debug for StreetFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} bytes)", self.path.display(), self.json.len())
    }
}

impl StreetFile {
    /// Reads a file.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read(path: &str) -> Result<Self, String> {
        let json = std::fs::read(path).map_err(|error| format!("cannot be read: {error}"))?;
        Ok(Self { path: path.into(), json: json.into() })
    }
}
