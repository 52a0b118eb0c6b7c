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

/// The longest path of a Unix socket in bytes, on the system that allows least (macOS: 104 with the final zero).
const SOCKET_PATH_BYTES_MAX: usize = 103;

/// The name that PostgreSQL gives its socket, for port 5432.
const SOCKET_NAME: &str = ".s.PGSQL.5432";

/// How the names of run directories begin.
const RUN_DIR_PREFIX: &str = "ridematch-pg-";

/// Where root keeps what it makes, since the server's account can't enter root's home.
const ROOTS_DIR: &str = "/var/lib/ridematch";

/// Where a cluster that is to be kept goes unless somebody says otherwise: `/var/lib/ridematch` for root, else
/// `ridematch` in the user's data directory.
///
/// # Errors
///
/// The user has no home directory.
pub fn default_data_dir() -> Result<PathBuf, Error> {
    if account::effective_uid()? == 0 {
        return Ok(ROOTS_DIR.into());
    }
    user_dir("XDG_DATA_HOME", ".local/share")
        .ok_or_else(|| io::Error::other("neither XDG_DATA_HOME nor HOME names one"))
        .attempt(|| "find the user's data directory".into())
}

/// The mode of the cache directory: everybody may read it, since root's servers are run by another account.
pub(crate) const CACHE_MODE: u32 = 0o755;

/// Where things go that can be made again. It need not exist yet.
pub(crate) fn cache_dir() -> Result<PathBuf, Error> {
    let uid = account::effective_uid()?;
    if uid == 0 {
        return Ok(ROOTS_DIR.into());
    }
    if let Some(dir) = user_dir("XDG_CACHE_HOME", ".cache") {
        return Ok(dir);
    }
    // No home, as for `nobody`: a directory of our own among everybody's, and nobody else's under that name.
    let dir = env::temp_dir().join(format!("ridematch-{uid}"));
    match fs::symlink_metadata(&dir) {
        Ok(found) if !found.is_dir() || found.uid() != uid || found.mode() & 0o022 != 0 => {
            Err(io::Error::from(io::ErrorKind::PermissionDenied))
                .attempt(|| format!("use {}, which is not this user's alone", dir.display()))
        }
        _ => Ok(dir),
    }
}

/// The cache directory, made if need be.
pub(crate) fn make_cache_dir() -> Result<PathBuf, Error> {
    make_dir(&cache_dir()?, CACHE_MODE)?;
    // Asked again, because somebody else may have made it meanwhile.
    cache_dir()
}

/// This program's directory in the one that `variable` names, or else in the user's home.
fn user_dir(variable: &str, in_home: &str) -> Option<PathBuf> {
    let path = |variable| env::var_os(variable).map(PathBuf::from);
    path(variable)
        .filter(|dir| dir.is_absolute())
        .or_else(|| Some(path("HOME").filter(|home| home.is_dir())?.join(in_home)))
        .map(|dir| dir.join("ridematch"))
}

/// Makes a directory, and those above it that are missing, with just this mode. One that exists stays as it is.
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
    // The mode it was made with is less what the process's umask takes away.
    .and_then(|()| fs::set_permissions(path, Permissions::from_mode(mode)))
    .attempt(|| format!("make {}", path.display()))
}

/// Makes a new, empty directory of the account's own, of mode 0700, whose path is short enough for a socket.
pub(crate) fn make_run_dir(account: &Account) -> Result<PathBuf, Error> {
    let mut tried = Vec::new();
    for base in [PathBuf::from("/tmp"), env::temp_dir()] {
        // The standard library's hash keys are random, and that is all that a fresh name takes.
        let dice = RandomState::new().build_hasher().finish();
        let dir = base.join(format!("{RUN_DIR_PREFIX}{dice:016x}"));
        if dir.join(SOCKET_NAME).as_os_str().len() > SOCKET_PATH_BYTES_MAX {
            tried.push(format!("{} (too long)", dir.display()));
            continue;
        }
        match DirBuilder::new().mode(0o700).create(&dir) {
            Ok(()) => {
                account.take(&dir)?;
                return Ok(dir);
            }
            Err(error) => tried.push(format!("{} ({error})", dir.display())),
        }
    }
    Err(Error::NoSocketDirectory { tried })
}

/// Removes a run directory whose supervisor had no chance to. Its server has to be gone.
pub(crate) fn remove_run_dir(dir: &Path) -> Result<(), Error> {
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    if name.starts_with(RUN_DIR_PREFIX) {
        remove(dir)?;
    }
    Ok(())
}

/// Opens a file to be locked, making it if need be, without touching what is in it.
pub(crate) fn open_lock(path: &Path) -> Result<File, Error> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .attempt(|| format!("open {}", path.display()))
}

/// Takes an exclusive lock if it is free. It is held until every copy of the file is closed, in whatever process.
pub(crate) fn try_lock(file: &File, path: &Path) -> Result<bool, Error> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error).attempt(|| format!("lock {}", path.display())),
    }
}

/// Replaces what is in an open file.
pub(crate) fn write_over(mut file: &File, path: &Path, text: &str) -> Result<(), Error> {
    file.set_len(0)
        .and_then(|()| io::Seek::rewind(&mut file))
        .and_then(|()| file.write_all(text.as_bytes()))
        .attempt(|| format!("write {}", path.display()))
}

/// The end of a text file, for an error message.
pub(crate) fn last_lines(mut file: &File, lines_max: usize) -> String {
    let mut bytes = Vec::new();
    // What can't be read can't be quoted; the error is about something else.
    file.read_to_end(&mut bytes).ok();
    tail(&String::from_utf8_lossy(&bytes), lines_max)
}

/// Removes a file, or a directory with all that is in it. One that isn't there is no error.
pub(crate) fn remove(path: &Path) -> Result<(), Error> {
    let is_dir = fs::symlink_metadata(path).is_ok_and(|found| found.is_dir());
    let removed = if is_dir { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.attempt(|| format!("remove {}", path.display())),
    }
}

/// Runs a program to its end; its last words are the error when it fails.
pub(crate) fn run(mut command: Command) -> Result<String, Error> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().attempt(|| format!("run {program}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let words = [output.stdout, output.stderr].concat();
    Err(Error::Program {
        program: format!("{program} ({})", output.status),
        output: tail(&String::from_utf8_lossy(&words), 20),
    })
}

fn tail(text: &str, lines_max: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(lines_max)..].join("\n")
}
