//! A cluster's directory: who owns it, and the data in it.
//!
//! Two locks, both of which the kernel drops when their holders are gone. `owner.lock` is held by the owner alone:
//! a second owner is refused at once. `server.lock` is handed on to the server's processes and lasts until the last
//! of them has ended: whoever gets it knows that nothing of an earlier server is left.

use std::{
    fs::{self, File},
    path::{self, Path, PathBuf},
    process::{self, Command, Stdio},
    thread,
};

use crate::{
    account::Account,
    cluster::{LOOK_EVERY, Progress, SIGNAL_PATIENCE, Storage, looks},
    error::{Attempt, Error},
    files,
    installation::Installation,
};

/// The file that is locked as long as any of a server's processes lives.
const SERVER_LOCK: &str = "server.lock";

/// The file in which a server notes its process id.
const PID_FILE: &str = "postmaster.pid";

/// A cluster's directory, owned.
#[derive(Debug)]
pub(crate) struct Home {
    dir: PathBuf,
    owner_lock: File,
    server_lock: File,
}

impl Home {
    /// Takes ownership of the directory, and waits for what is left of the last owner's server.
    ///
    /// # Errors
    ///
    /// [`Error::InUse`] if it has an owner already.
    pub(crate) fn open(storage: &Storage, account: &Account, run_dir: &Path) -> Result<Self, Error> {
        let dir = match storage {
            Storage::Scratch => run_dir.into(),
            Storage::Kept(dir) => make_kept_dir(dir, account)?,
        };
        let owner_path = dir.join("owner.lock");
        let owner_lock = files::open_lock(&owner_path)?;
        let is_ours = files::try_lock(&owner_lock, &owner_path)?;
        let note = fs::read_to_string(&owner_path).attempt(|| format!("read {}", owner_path.display()))?;
        let (holder, last_run_dir) = note.split_once('\n').unwrap_or_default();
        if !is_ours {
            return Err(Error::InUse { data_dir: dir, holder: holder.into() });
        }
        let server_lock = files::open_lock(&dir.join(SERVER_LOCK))?;
        let home = Self { dir, owner_lock, server_lock };
        home.await_last_server()?;
        // Its supervisor has removed this, unless it was killed as well.
        files::remove_run_dir(Path::new(last_run_dir))?;
        let note = format!("process {}\n{}", process::id(), run_dir.display());
        files::write_over(&home.owner_lock, &owner_path, &note)?;
        Ok(home)
    }

    /// Where the server keeps its data.
    pub(crate) fn data_dir(&self) -> PathBuf {
        data_dir(&self.dir)
    }

    /// A new log for the server: its end, and ours, which can be read even when the file is gone.
    pub(crate) fn start_log(&self) -> Result<(File, File), Error> {
        let path = self.dir.join("server.log");
        let log_end = File::create(&path).attempt(|| format!("write {}", path.display()))?;
        let log = File::open(&path).attempt(|| format!("read {}", path.display()))?;
        Ok((log_end, log))
    }

    /// The first installation that can read the data; any, if there is none yet.
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

    /// The major version of the server that made the data, if there is any.
    fn data_major(&self) -> Result<Option<u32>, Error> {
        if !self.data_dir().exists() {
            return Ok(None);
        }
        let path = self.data_dir().join("PG_VERSION");
        let text = fs::read_to_string(&path).attempt(|| format!("read {}", path.display()))?;
        let major = text.trim().parse().map_err(std::io::Error::other);
        major.map(Some).attempt(|| format!("find a version in {}", path.display()))
    }

    /// Makes the data directory unless it is there. It gets its name when it is whole, so an `initdb` that was
    /// interrupted is simply done again.
    pub(crate) fn make_data(
        &self,
        account: &Account,
        installation: &Installation,
        storage: &Storage,
        progress: &Progress,
    ) -> Result<(), Error> {
        let data_dir = self.data_dir();
        if data_dir.exists() {
            // No server is left, so this file is stale; but its process id may since have become another program's,
            // which the server would take for a live rival.
            return files::remove(&data_dir.join(PID_FILE));
        }
        let unfinished = self.dir.join("data.unfinished");
        files::remove(&unfinished)?;
        files::make_dir(&unfinished, 0o700)?;
        account.take(&unfinished)?;
        let mut command = account.command(installation.program("initdb"));
        installation.add_library_path(&mut command);
        command
            .args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C"])
            .arg("--pgdata")
            .arg(&unfinished)
            // It holds the lock as well, so that after the owner's sudden end nobody works beside it.
            .stdin(self.share_server_lock()?);
        match storage {
            Storage::Scratch => {
                command.arg("--no-sync");
            }
            Storage::Kept(dir) => {
                progress(&format!("making a PostgreSQL {} data directory in {}", installation.major(), dir.display()))
            }
        }
        files::run(command)?;
        fs::rename(&unfinished, &data_dir).attempt(|| format!("name {}", data_dir.display()))
    }

    /// The lock of the server's processes, to be handed to one of them.
    pub(crate) fn share_server_lock(&self) -> Result<Stdio, Error> {
        self.server_lock.try_clone().map(Stdio::from).attempt(|| format!("share the lock in {}", self.dir.display()))
    }

    /// What is left to the owner once the server holds its own lock: the directory's ownership.
    pub(crate) fn into_owner_lock(self) -> File {
        self.owner_lock
    }

    /// Waits until the last owner's server is gone. Its supervisor is stopping it; should that have been killed as
    /// well, the same signals are sent from here.
    fn await_last_server(&self) -> Result<(), Error> {
        let path = self.dir.join(SERVER_LOCK);
        if files::try_lock(&self.server_lock, &path)? {
            return Ok(());
        }
        for signal in ["INT", "QUIT", "KILL"] {
            self.signal_server(signal);
            for _ in 0..looks(SIGNAL_PATIENCE) {
                thread::sleep(LOOK_EVERY);
                if files::try_lock(&self.server_lock, &path)? {
                    return Ok(());
                }
            }
        }
        Err(Error::InUse { data_dir: self.dir.clone(), holder: "an earlier server, which does not stop".into() })
    }

    /// Sends a signal to the server that has written its process id here. Nothing happens if there is none.
    fn signal_server(&self, signal: &str) {
        let text = fs::read_to_string(self.data_dir().join(PID_FILE)).unwrap_or_default();
        if let Some(pid) = text.lines().next() {
            Command::new("/bin/sh")
                .args(["-c", "kill -s \"$1\" \"$2\"", "sh", signal, pid])
                .stderr(Stdio::null())
                .status()
                .ok();
        }
    }
}

/// Removes a scratch cluster's directory if none of its processes is left.
pub(crate) fn remove_abandoned(run_dir: &Path) -> Result<(), Error> {
    let path = run_dir.join(SERVER_LOCK);
    let lock = File::open(&path);
    if lock.is_ok_and(|lock| files::try_lock(&lock, &path).unwrap_or(false)) {
        files::remove_run_dir(run_dir)?;
    }
    Ok(())
}

/// Where a server keeps its data in a cluster's directory.
pub(crate) fn data_dir(dir: &Path) -> PathBuf {
    dir.join("data")
}

/// Makes sure that the directory is there and that the server's account can enter it; answers its absolute path.
fn make_kept_dir(dir: &Path, account: &Account) -> Result<PathBuf, Error> {
    let dir = path::absolute(dir).attempt(|| format!("find {}", dir.display()))?;
    // The server's account passes through root's directory to the data, which is its own.
    let mode = if *account == Account::Own { 0o700 } else { 0o711 };
    files::make_dir(&dir, mode)?;
    account.check_reach(&dir)?;
    Ok(dir)
}
