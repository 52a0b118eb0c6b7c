//! Directories and locks.

use std::{
    env,
    fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError},
    hash::{BuildHasher, Hasher, RandomState},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    account::{self, Account},
    error::{Attempt, Error},
};

/// The longest path of a Unix socket in bytes, on the system with the lowest limit (macOS: 104 with the final zero).
const SOCKET_PATH_BYTES_MAX: usize = 103;

/// The name of the socket for port 5432.
const SOCKET_NAME: &str = ".s.PGSQL.5432";

/// The prefix of the names of run directories.
const RUN_DIR_PREFIX: &str = "ridematch-pg-";

/// The data and cache directory for root, because the account of the server cannot enter root's home directory.
const ROOT_DIR: &str = "/var/lib/ridematch";

/// The default directory of a kept cluster: `/var/lib/ridematch` for root, else `ridematch` in the user's data
/// directory.
///
/// # Errors
///
/// The user has no home directory.
pub fn default_data_dir() -> Result<PathBuf, Error> {
    if account::effective_uid()? == 0 {
        return Ok(ROOT_DIR.into());
    }
    user_dir("XDG_DATA_HOME", ".local/share")
        .ok_or_else(|| io::Error::other("neither XDG_DATA_HOME nor HOME is set to a directory"))
        .attempt(|| "find the user's data directory".into())
}

/// The mode of the cache directory: readable by all, because for root another account runs the server.
pub(crate) const CACHE_MODE: u32 = 0o755;

/// The directory of files that can be created again. It may not exist yet.
pub(crate) fn cache_dir() -> Result<PathBuf, Error> {
    let uid = account::effective_uid()?;
    if uid == 0 {
        return Ok(ROOT_DIR.into());
    }
    if let Some(dir) = user_dir("XDG_CACHE_HOME", ".cache") {
        return Ok(dir);
    }
    // No home directory, as for `nobody`: use a directory in /tmp, unless another user has created it.
    let dir = env::temp_dir().join(format!("ridematch-{uid}"));
    match fs::symlink_metadata(&dir) {
        Ok(found) if !found.is_dir() || found.uid() != uid || found.mode() & 0o022 != 0 => {
            Err(io::Error::from(io::ErrorKind::PermissionDenied))
                .attempt(|| format!("use {}, which another user can write", dir.display()))
        }
        _ => Ok(dir),
    }
}

/// The cache directory, created if missing.
pub(crate) fn make_cache_dir() -> Result<PathBuf, Error> {
    make_dir(&cache_dir()?, CACHE_MODE)?;
    // Check again, because another user may have created it in the meantime.
    cache_dir()
}

/// The directory `ridematch` in the one of `variable`, or else in the user's home directory.
fn user_dir(variable: &str, in_home: &str) -> Option<PathBuf> {
    let path = |variable| env::var_os(variable).map(PathBuf::from);
    path(variable)
        .filter(|dir| dir.is_absolute())
        .or_else(|| Some(path("HOME").filter(|home| home.is_dir())?.join(in_home)))
        .map(|dir| dir.join("ridematch"))
}

/// Creates a directory and its missing parents with this mode. An existing one is left as it is.
pub(crate) fn make_dir(path: &Path, mode: u32) -> Result<(), Error> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(above) = path.parent() {
        make_dir(above, mode)?;
    }
    match DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        made => made,
    }
    // The umask of the process may have reduced the mode.
    .and_then(|()| fs::set_permissions(path, Permissions::from_mode(mode)))
    .attempt(|| format!("create {}", path.display()))
}

/// Creates an empty directory of the account, with mode 0700 and a path that is short enough for a socket: among the temporary
/// files, or else in `/tmp`.
pub(crate) fn make_run_dir(account: &Account) -> Result<PathBuf, Error> {
    make_run_dir_in([env::temp_dir(), PathBuf::from("/tmp")], account)
}

/// Creates the directory in the first of `bases` where it can be.
fn make_run_dir_in<const N: usize>(bases: [PathBuf; N], account: &Account) -> Result<PathBuf, Error> {
    let mut tried = Vec::new();
    for base in bases {
        // The hash keys of the standard library are random, which suffices for a unique name.
        let random = RandomState::new().build_hasher().finish();
        let dir = base.join(format!("{RUN_DIR_PREFIX}{random:016x}"));
        if dir.join(SOCKET_NAME).as_os_str().len() > SOCKET_PATH_BYTES_MAX {
            tried.push(format!("{} (too long)", dir.display()));
            continue;
        }
        if account.check_access(&base).is_err() {
            tried.push(format!("{} (closed to the account of the server)", base.display()));
            continue;
        }
        match DirBuilder::new().mode(0o700).create(&dir) {
            Ok(()) => {
                account.chown(&dir)?;
                return Ok(dir);
            }
            Err(error) => tried.push(format!("{} ({error})", dir.display())),
        }
    }
    Err(Error::NoSocketDirectory { tried })
}

/// Removes a run directory that its supervisor did not remove. Its server must have ended.
pub(crate) fn remove_run_dir(dir: &Path) -> Result<(), Error> {
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    if name.starts_with(RUN_DIR_PREFIX) {
        remove(dir)?;
    }
    Ok(())
}

/// Opens a lock file, creating it if missing, without changing its content.
pub(crate) fn open_lock(path: &Path) -> Result<File, Error> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .attempt(|| format!("open {}", path.display()))
}

/// Takes an exclusive lock if it is free. It is held until every copy of the file is closed, in all processes.
pub(crate) fn try_lock(file: &File, path: &Path) -> Result<bool, Error> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error).attempt(|| format!("lock {}", path.display())),
    }
}

/// Replaces the content of an open file.
pub(crate) fn overwrite(mut file: &File, path: &Path, text: &str) -> Result<(), Error> {
    file.set_len(0)
        .and_then(|()| io::Seek::rewind(&mut file))
        .and_then(|()| file.write_all(text.as_bytes()))
        .attempt(|| format!("write {}", path.display()))
}

/// The last lines of a text file, for an error message.
pub(crate) fn last_lines(mut file: &File, lines_max: usize) -> String {
    let mut bytes = Vec::new();
    // A failed read only shortens the message.
    file.read_to_end(&mut bytes).ok();
    tail(&String::from_utf8_lossy(&bytes), lines_max)
}

/// Removes a file, or a directory with its content. A missing one is not an error.
pub(crate) fn remove(path: &Path) -> Result<(), Error> {
    let is_dir = fs::symlink_metadata(path).is_ok_and(|found| found.is_dir());
    let removed = if is_dir { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.attempt(|| format!("remove {}", path.display())),
    }
}

/// Runs a program to its end, and returns its output. The error contains the end of the output.
pub(crate) fn run(mut command: Command) -> Result<String, Error> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().attempt(|| format!("run {program}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let output_text = [output.stdout, output.stderr].concat();
    Err(Error::Program {
        program: format!("{program} ({})", output.status),
        output: tail(&String::from_utf8_lossy(&output_text), 20),
    })
}

fn tail(text: &str, lines_max: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(lines_max)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_directory_is_in_the_first_base_that_can_have_it() {
        let bases = tempfile::tempdir().unwrap();
        let (missing, first, second) = (bases.path().join("missing"), bases.path().join("1"), bases.path().join("2"));
        for base in [&first, &second] {
            fs::create_dir(base).unwrap();
        }
        let too_long = bases.path().join("x".repeat(SOCKET_PATH_BYTES_MAX));
        fs::create_dir(&too_long).unwrap();

        let dir = make_run_dir_in([too_long.clone(), missing.clone(), first.clone(), second], &Account::Own).unwrap();
        assert_eq!(dir.parent(), Some(first.as_path()));

        let error = make_run_dir_in([too_long, missing], &Account::Own).unwrap_err();
        assert!(matches!(&error, Error::NoSocketDirectory { tried } if tried.len() == 2), "{error}");
    }
}
