//! The lock: one command at a time changes the drill of a user.

use std::{
    fs::{self, File, TryLockError},
    io::{Read, Seek, Write},
    process,
};

use super::Paths;
use crate::Result;

/// The lock, until this is dropped or the process ends.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Lock {
    /// Takes the lock, for the command with this name.
    ///
    /// # Errors
    ///
    /// Another command holds it: the message says which one.
    pub fn take(paths: &Paths, command: &str) -> Result<Self> {
        let path = paths.lock();
        fs::create_dir_all(paths.folder())
            .map_err(|error| format!("cannot create {}: {error}", paths.folder().display()))?;
        let opened = File::options().create(true).read(true).write(true).truncate(false).open(&path);
        let mut file = opened.map_err(|error| format!("cannot open {}: {error}", path.display()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::Error(error)) => return Err(format!("cannot lock {}: {error}", path.display()).into()),
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                file.read_to_string(&mut holder).ok();
                let holder = if holder.is_empty() { "another command".to_owned() } else { holder };
                return Err(format!("{holder} is running; wait for its end, or stop it with Ctrl-C").into());
            }
        }
        // Who holds it is a help, not a condition: a full disk must not prevent `reset`.
        let holder = format!("`cargo drill {command}` (process {})", process::id());
        file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(holder.as_bytes())).ok();
        Ok(Self { file })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // The next command must not name this one while it writes its own name.
        self.file.set_len(0).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_command_is_refused_until_the_first_has_ended() {
        let folder = tempfile::tempdir().expect("a directory");
        let paths = Paths::at(folder.path().join("drill"));
        let first = Lock::take(&paths, "start 1").expect("taken");
        let error = Lock::take(&paths, "reset").expect_err("held").to_string();
        assert!(error.contains("cargo drill start 1") && error.contains("wait"), "{error}");
        drop(first);
        assert_eq!(fs::read_to_string(paths.lock()).expect("the lock"), "");
        Lock::take(&paths, "reset").expect("taken");
    }

    #[test]
    fn what_a_killed_command_has_left_in_the_lock_prevents_nothing() {
        let folder = tempfile::tempdir().expect("a directory");
        let paths = Paths::at(folder.path().to_owned());
        fs::write(paths.lock(), "`cargo drill start 1` (process 1), whose name was longer").expect("written");
        let _second = Lock::take(&paths, "try").expect("taken");
        let error = Lock::take(&paths, "check").expect_err("held").to_string();
        let holder = format!("`cargo drill try` (process {}) is running", process::id());
        assert!(error.starts_with(&holder), "{error}");
    }
}
