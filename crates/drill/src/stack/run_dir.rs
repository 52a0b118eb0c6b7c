//! The directory of a run: logs, and the provider's data. It goes with the run. One that a killed process has left behind goes with the
//! next run.

use std::collections::BTreeSet;
use std::fs::{self, File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tempfile::TempDir;

/// How the name of each begins.
const PREFIX: &str = "ridematch-drill-";

/// The file in it that is locked for as long as its process lives.
const IN_USE: &str = "in-use";

/// How much older than a new one a directory without that file is at least, before it counts as left behind, seconds.
const UNLOCKED_S_MIN: i64 = 3_600;

/// Where temporary files may be: that of this process, and those of others of the user.
const ELSEWHERE: [&str; 2] = ["/tmp", "/dev/shm"];

/// The directories of this process.
static OPEN: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// The directory of a run. It is removed when this is dropped.
#[derive(Debug)]
pub(super) struct RunDir {
    dir: TempDir,
    /// The lock ends with the process, however that ends.
    _in_use: File,
}

impl RunDir {
    /// Creates one that only the user can read. Removes those that the user's killed processes have left behind.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn create() -> io::Result<Self> {
        let base = std::env::temp_dir();
        let created = Self::create_in(&base)?;
        let own = fs::metadata(created.path())?;
        for base in [base].into_iter().chain(ELSEWHERE.map(PathBuf::from)).collect::<BTreeSet<_>>() {
            remove_abandoned(&base, &own);
        }
        Ok(created)
    }

    fn create_in(base: &Path) -> io::Result<Self> {
        let permissions = Permissions::from_mode(0o700);
        let dir = tempfile::Builder::new().prefix(PREFIX).permissions(permissions).tempdir_in(base)?;
        // It gets its name when it is locked: who finds it unlocked may remove the directory.
        let unnamed = dir.path().join("in-use.new");
        let in_use = File::create(&unnamed)?;
        in_use.lock()?;
        fs::rename(&unnamed, dir.path().join(IN_USE))?;
        open().insert(dir.path().to_owned());
        Ok(Self { dir, _in_use: in_use })
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }
}

impl Drop for RunDir {
    fn drop(&mut self) {
        open().remove(self.dir.path());
    }
}

/// Removes the directories of this process that are still there. For a process that ends at once: its tasks, and the runs that they hold,
/// are not dropped then.
pub fn remove_run_dirs() {
    for dir in std::mem::take(&mut *open()) {
        let _others_remove_it = fs::remove_dir_all(dir);
    }
}

fn open() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes the directories of runs whose process has ended. `own` is that of a new one: its owner and time are compared.
fn remove_abandoned(base: &Path, own: &Metadata) {
    let is_of_run =
        |path: &PathBuf| path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(PREFIX));
    let entries = fs::read_dir(base).into_iter().flatten().flatten().map(|entry| entry.path());
    for dir in entries.filter(is_of_run).filter(|dir| is_abandoned(dir, own)) {
        let _others_remove_it = fs::remove_dir_all(dir);
    }
}

fn is_abandoned(dir: &Path, own: &Metadata) -> bool {
    let Ok(found) = fs::symlink_metadata(dir) else { return false };
    if !found.is_dir() || found.uid() != own.uid() {
        return false;
    }
    match File::open(dir.join(IN_USE)) {
        Ok(in_use) => in_use.try_lock().is_ok(),
        // Its process ended before it locked anything, or has only just begun.
        Err(error) if error.kind() == io::ErrorKind::NotFound => found.mtime() + UNLOCKED_S_MIN <= own.mtime(),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn only_what_a_killed_process_has_left_behind_is_removed() {
        let base = tempfile::tempdir().expect("a directory");
        let running = RunDir::create_in(base.path()).expect("a run");
        let own = fs::metadata(running.path()).expect("its data");
        let make = |name: &str| {
            let dir = base.path().join(name);
            fs::create_dir(&dir).expect("a directory");
            dir
        };
        let killed = make("ridematch-drill-killed");
        fs::write(killed.join(IN_USE), "").expect("a file");
        fs::write(killed.join("service-0.log"), "a line").expect("a log");
        let starting = make("ridematch-drill-starting");
        let (old, other) = (make("ridematch-drill-old"), make("another-program"));
        for dir in [&old, &other] {
            File::open(dir).and_then(|dir| dir.set_modified(SystemTime::UNIX_EPOCH)).expect("an old time");
        }
        let link = base.path().join("ridematch-drill-link");
        std::os::unix::fs::symlink(&other, &link).expect("a link");

        remove_abandoned(base.path(), &own);
        assert!(!killed.exists() && !old.exists());
        for kept in [running.path(), starting.as_path(), other.as_path(), link.as_path()] {
            assert!(kept.exists(), "{}", kept.display());
        }
        let path = running.path().to_owned();
        drop(running);
        assert!(!path.exists());
    }
}
