//! Files that are replaced as a whole: a failed write leaves the earlier one.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Result;

/// Replaces a file: writes a temporary one beside it, and renames that.
///
/// # Errors
/// It cannot be written; the earlier file is still there.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let temporary = path.with_file_name(name);
    let written = (|| -> io::Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    })();
    written.map_err(|error| {
        fs::remove_file(&temporary).ok();
        format!("cannot write {}: {error}; an earlier file is unchanged", path.display()).into()
    })
}

/// Replaces a file with a value in JSON.
///
/// # Errors
/// As [`replace`].
pub(crate) fn replace_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let mut text = serde_json::to_vec_pretty(value)?;
    text.push(b'\n');
    replace(path, &text)
}

/// Reads a value in JSON; `None` if there is no file.
///
/// # Errors
/// The file cannot be read, or it has another format.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("cannot read {}: {error}", path.display()).into()),
    };
    let value = serde_json::from_slice(&text);
    Ok(Some(
        value.map_err(|error| format!("{} is damaged: {error}; move the file away to start anew", path.display()))?,
    ))
}
