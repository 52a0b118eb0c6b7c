//! Files that are replaced as a whole: a failed write leaves the earlier one.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Replaces a file: writes a temporary one beside it, waits for the disk, and renames it. Missing folders are created.
///
/// # Errors
/// It cannot be written; the earlier file is still there. The error names the file.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // The whole name with an ending, so that `a.json` and `a.svg` have two temporary files.
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
        let what = format!("cannot write {}: {error}; an earlier file is unchanged", path.display());
        io::Error::new(error.kind(), what)
    })
}

/// Replaces a file with a value in JSON.
///
/// # Errors
/// As [`replace`].
pub fn replace_json(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let mut text = serde_json::to_vec_pretty(value)?;
    text.push(b'\n');
    replace(path, &text)
}

/// Reads a value in JSON; `None` if there is no file.
///
/// # Errors
/// The file cannot be read, or it has another format. It is left as it is, and the error names it.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(io::Error::new(error.kind(), format!("cannot read {}: {error}", path.display())));
        }
    };
    let damaged = |error: serde_json::Error| {
        let what = format!("{} is damaged: {error}; move the file away to start anew", path.display());
        io::Error::new(io::ErrorKind::InvalidData, what)
    };
    serde_json::from_slice(&text).map(Some).map_err(damaged)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_write_keeps_the_earlier_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b.json");
        replace_json(&path, &vec![1]).unwrap();
        // A folder in the place of the temporary file.
        fs::create_dir(folder.path().join("a/b.json.new")).unwrap();
        let error = replace_json(&path, &vec![2]).unwrap_err().to_string();
        assert!(error.contains("b.json") && error.contains("unchanged"), "{error}");
        assert_eq!(read_json::<Vec<u8>>(&path).unwrap(), Some(vec![1]));
    }

    #[test]
    fn missing_file_is_none_and_a_damaged_one_is_named_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        assert_eq!(read_json::<u8>(&path).unwrap(), None);
        fs::write(&path, "{").unwrap();
        let error = read_json::<u8>(&path).unwrap_err().to_string();
        assert!(error.contains("a.json is damaged") && error.contains("move the file away"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "{");
    }
}
