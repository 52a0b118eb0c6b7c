//! The data directory of a cluster: its locks, its log and `data`, which is PostgreSQL's PGDATA.
//!
//! The kernel releases both locks when their holders end. The owner holds `owner.lock`, so that a second owner fails at
//! once. The processes of the server inherit `server.lock`: once it is free, no process of an earlier server is left.

use std::{
    fs::{self, File},
    path::{self, Path, PathBuf},
    process::{self, Command, Stdio},
    thread,
    time::Duration,
};

use crate::{
    account::Account,
    error::{Attempt, Error},
    files,
    installation::Installation,
    waiting::{POLL_INTERVAL, Progress, polls_in},
};

/// The file that is locked until every process of the server has ended.
const SERVER_LOCK: &str = "server.lock";

/// The file in which a server writes its process id.
const PID_FILE: &str = "postmaster.pid";

/// The time that each stopping signal gets, in whole seconds. A fast shutdown writes a checkpoint.
pub(crate) const SIGNAL_TIMEOUT: Duration = Duration::from_secs(20);

/// Whether the data is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Storage {
    /// The data stays in this directory, which one process at a time can own. As durable as PostgreSQL's defaults.
    Kept(PathBuf),
    /// The data is removed with the server. Writes do not wait for the disk, so a crash of the machine loses it.
    Scratch,
}

/// A data directory that this process owns.
#[derive(Debug)]
pub(crate) struct DataDir {
    dir: PathBuf,
    owner_lock: File,
    server_lock: File,
}

impl DataDir {
    /// Takes ownership of the directory, and waits for the end of the previous server.
    ///
    /// # Errors
    ///
    /// [`Error::InUse`] if another process owns it.
    pub(crate) fn open(storage: &Storage, account: &Account, run_dir: &Path) -> Result<Self, Error> {
        let dir = match storage {
            Storage::Scratch => run_dir.into(),
            Storage::Kept(dir) => make_kept_dir(dir, account)?,
        };
        let owner_path = dir.join("owner.lock");
        let owner_lock = files::open_lock(&owner_path)?;
        let is_locked = files::try_lock(&owner_lock, &owner_path)?;
        let owner = fs::read_to_string(&owner_path).attempt(|| format!("read {}", owner_path.display()))?;
        let (holder, previous_run_dir) = owner.split_once('\n').unwrap_or_default();
        if !is_locked {
            return Err(Error::InUse { data_dir: dir, holder: holder.into() });
        }
        let server_lock = files::open_lock(&dir.join(SERVER_LOCK))?;
        let data_dir = Self { dir, owner_lock, server_lock };
        data_dir.await_previous_server()?;
        // The supervisor removes it, unless it was killed too.
        files::remove_run_dir(Path::new(previous_run_dir))?;
        let owner = format!("process {}\n{}", process::id(), run_dir.display());
        files::overwrite(&data_dir.owner_lock, &owner_path, &owner)?;
        Ok(data_dir)
    }

    /// The PGDATA directory.
    pub(crate) fn pgdata(&self) -> PathBuf {
        pgdata(&self.dir)
    }

    /// Creates the log, and returns it open for writing and for reading. The reader works even after the file is removed.
    pub(crate) fn start_log(&self) -> Result<(File, File), Error> {
        let path = self.dir.join("server.log");
        let log_end = File::create(&path).attempt(|| format!("write {}", path.display()))?;
        let log = File::open(&path).attempt(|| format!("read {}", path.display()))?;
        Ok((log_end, log))
    }

    /// The first installation that can read the data; the first of all if there is no data yet.
    ///
    /// # Errors
    ///
    /// [`Error::DataOfOtherVersion`].
    pub(crate) fn choose(&self, installations: Vec<Installation>) -> Result<Installation, Error> {
        let wanted = self.data_major()?;
        let found = installations.iter().map(Installation::major).collect();
        installations
            .into_iter()
            .find(|installation| wanted.is_none_or(|wanted| wanted == installation.major()))
            .ok_or_else(|| Error::DataOfOtherVersion {
                data_dir: self.dir.clone(),
                wanted: wanted.unwrap_or_default(),
                found,
            })
    }

    /// The major version of the data, if there is data.
    fn data_major(&self) -> Result<Option<u32>, Error> {
        if !self.pgdata().exists() {
            return Ok(None);
        }
        let path = self.pgdata().join("PG_VERSION");
        let text = fs::read_to_string(&path).attempt(|| format!("read {}", path.display()))?;
        let major = text.trim().parse().map_err(std::io::Error::other);
        major.map(Some).attempt(|| format!("find a version in {}", path.display()))
    }

    /// Creates PGDATA unless it exists. `initdb` runs in another directory, which is renamed at the end, so that an
    /// interrupted `initdb` is repeated.
    pub(crate) fn init(
        &self,
        account: &Account,
        installation: &Installation,
        storage: &Storage,
        progress: &Progress,
    ) -> Result<(), Error> {
        let pgdata = self.pgdata();
        if pgdata.exists() {
            // The file is stale. But another program may have its process id by now, which the server would take for
            // another running server.
            return files::remove(&pgdata.join(PID_FILE));
        }
        let unfinished = self.dir.join("data.unfinished");
        files::remove(&unfinished)?;
        files::make_dir(&unfinished, 0o700)?;
        account.chown(&unfinished)?;
        let mut command = account.command(installation.program("initdb"));
        installation.add_library_path(&mut command);
        command
            .args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C"])
            .arg("--pgdata")
            .arg(&unfinished)
            // initdb holds the lock too, so that no other owner starts before it ends if this process is killed.
            .stdin(self.share_server_lock()?);
        match storage {
            Storage::Scratch => {
                command.arg("--no-sync");
            }
            Storage::Kept(dir) => {
                progress(&format!("creating a PostgreSQL {} data directory in {}", installation.major(), dir.display()))
            }
        }
        files::run(command)?;
        fs::rename(&unfinished, &pgdata).attempt(|| format!("rename to {}", pgdata.display()))
    }

    /// A copy of `server.lock` for a child process.
    pub(crate) fn share_server_lock(&self) -> Result<Stdio, Error> {
        self.server_lock.try_clone().map(Stdio::from).attempt(|| format!("share the lock in {}", self.dir.display()))
    }

    /// The lock of the owner, once the server holds its own.
    pub(crate) fn into_owner_lock(self) -> File {
        self.owner_lock
    }

    /// Waits until the previous server has ended. Its supervisor stops it; in case the supervisor was killed too, this
    /// sends the same signals.
    fn await_previous_server(&self) -> Result<(), Error> {
        let path = self.dir.join(SERVER_LOCK);
        if files::try_lock(&self.server_lock, &path)? {
            return Ok(());
        }
        for signal in ["INT", "QUIT", "KILL"] {
            self.signal_server(signal);
            for _ in 0..polls_in(SIGNAL_TIMEOUT) {
                thread::sleep(POLL_INTERVAL);
                if files::try_lock(&self.server_lock, &path)? {
                    return Ok(());
                }
            }
        }
        Err(Error::InUse { data_dir: self.dir.clone(), holder: "an earlier server that does not stop".into() })
    }

    /// Sends a signal to the server whose process id is in PGDATA, if there is one.
    fn signal_server(&self, signal: &str) {
        let text = fs::read_to_string(self.pgdata().join(PID_FILE)).unwrap_or_default();
        if let Some(pid) = text.lines().next() {
            Command::new("/bin/sh")
                .args(["-c", "kill -s \"$1\" \"$2\"", "sh", signal, pid])
                .stderr(Stdio::null())
                .status()
                .ok();
        }
    }
}

/// Removes the directory of a scratch cluster if none of its processes is left.
pub(crate) fn remove_abandoned(run_dir: &Path) -> Result<(), Error> {
    let path = run_dir.join(SERVER_LOCK);
    let lock = File::open(&path);
    if lock.is_ok_and(|lock| files::try_lock(&lock, &path).unwrap_or(false)) {
        files::remove_run_dir(run_dir)?;
    }
    Ok(())
}

/// The PGDATA directory in a data directory.
pub(crate) fn pgdata(dir: &Path) -> PathBuf {
    dir.join("data")
}

/// Creates the directory if missing, checks that the account can enter it, and returns its absolute path.
fn make_kept_dir(dir: &Path, account: &Account) -> Result<PathBuf, Error> {
    let dir = path::absolute(dir).attempt(|| format!("find {}", dir.display()))?;
    // For root, the account of the server needs access to PGDATA in it.
    let mode = if *account == Account::Own { 0o700 } else { 0o711 };
    files::make_dir(&dir, mode)?;
    account.check_access(&dir)?;
    Ok(dir)
}
