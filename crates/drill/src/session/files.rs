//! Files that are replaced as a whole: a failed write leaves the earlier one.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

use serde::{Serialize, de::DeserializeOwned};

use crate::Result;

/// Replaces a file: writes a temporary one beside it, and renames that.
///
/// # Errors
///
/// It can't be written; the earlier file is still there.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let temporary = path.with_extension("new");
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
        format!("cannot write {}: {error}; the earlier file is unchanged", path.display()).into()
    })
}

/// Replaces a file with a value in JSON.
///
/// # Errors
///
/// As [`replace`].
pub fn replace_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let mut text = serde_json::to_vec_pretty(value)?;
    text.push(b'\n');
    replace(path, &text)
}

/// Reads a value in JSON; `None` if there is no file.
///
/// # Errors
///
/// The file can't be read, or it has another format.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("cannot read {}: {error}", path.display()).into()),
    };
    let value = serde_json::from_slice(&text);
    Ok(Some(value.map_err(|error| format!("{}: {error}; move the file away to begin anew", path.display()))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_write_keeps_the_earlier_file() {
        let folder = tempfile::tempdir().expect("a directory");
        let path = folder.path().join("a/b.json");
        replace_json(&path, &vec![1]).expect("written");
        // A folder in the place of the temporary file.
        fs::create_dir(path.with_extension("new")).expect("created");
        let error = replace_json(&path, &vec![2]).expect_err("in the way").to_string();
        assert!(error.contains("b.json") && error.contains("unchanged"), "{error}");
        assert_eq!(read_json::<Vec<u8>>(&path).expect("read"), Some(vec![1]));
    }

    #[test]
    fn missing_file_is_none_and_a_damaged_one_is_named() {
        let folder = tempfile::tempdir().expect("a directory");
        let path = folder.path().join("a.json");
        assert_eq!(read_json::<u8>(&path).expect("read"), None);
        fs::write(&path, "{").expect("written");
        assert!(read_json::<u8>(&path).expect_err("damaged").to_string().contains("a.json"));
    }
}
